//===- Training.cpp - Gradient of attention, steps of AdamW ---------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Plain loops, in f64: they are what planning and the interpreter need. The
// gradients of keys and values are summed in the workspace, for each batch and
// key head apart, since every query adds to them.
//
//===----------------------------------------------------------------------===//

#include "Elements.h"
#include "LibraryImpl.h"
#include <cmath>

using namespace partita;
using namespace partita::runtime;

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

namespace {

struct GradientPlan {
  int64_t batch, heads, groups, queries, keys, depth, width;
  double scale, softcap;
  bool causal;
  /// Strides of the mask along batch, heads and queries; 0 where it repeats.
  int64_t maskStrides[3] = {0, 0, 0};
  bool hasMask = false, additive = false, wantsMask = false;
  /// A query sees keys up to its own number plus this, in local numbers.
  int64_t reach = 0;

  int64_t keyElements() const { return keys * (depth + width); }
  int64_t workspace() const {
    int64_t mask = wantsMask ? maskElements : 0;
    return alignWorkspace((keyElements() + depth + mask) *
                          int64_t(sizeof(double)));
  }
  int64_t maskElements = 0;
};

/// `T` is how elements are stored, `M` those of the mask.
template <typename T> class PreparedGradient : public PreparedCall {
public:
  PreparedGradient(const Command &call, const GradientPlan &plan)
      : call(call), plan(plan) {}

  Status execute(std::byte *const bases[3]) override {
    for (int i = 0; i < 6; ++i)
      in[i] = reinterpret_cast<const T *>(addressOf(call.operands[i], bases));
    for (int i = 0; i < 3; ++i)
      out[i] = reinterpret_cast<T *>(addressOf(call.results[i], bases));
    mask = plan.hasMask ? addressOf(call.operands[6], bases) : nullptr;
    keySums = reinterpret_cast<double *>(addressOf(call.workspace[0], bases));
    valueSums = keySums + plan.keys * plan.depth;
    rowSums = keySums + plan.keyElements();
    maskSums = rowSums + plan.depth;
    if (plan.wantsMask)
      std::fill_n(maskSums, plan.maskElements, 0.0);
    for (int64_t b = 0; b < plan.batch; ++b)
      for (int64_t g = 0; g < plan.groups; ++g)
        runGroup(b, g);
    if (plan.wantsMask)
      storeMask(addressOf(call.results[3], bases));
    return ok();
  }

private:
  void runGroup(int64_t b, int64_t g) {
    std::fill_n(keySums, plan.keyElements(), 0.0);
    int64_t repeat = plan.heads / plan.groups;
    for (int64_t h = g * repeat; h < (g + 1) * repeat; ++h)
      for (int64_t i = 0; i < plan.queries; ++i)
        runRow(b, g, h, i);
    int64_t group = b * plan.groups + g;
    store(out[1] + group * plan.keys * plan.depth, keySums,
          plan.keys * plan.depth);
    store(out[2] + group * plan.keys * plan.width, valueSums,
          plan.keys * plan.width);
  }

  /// The query i of head h: its own gradient, and what it adds to others.
  void runRow(int64_t b, int64_t g, int64_t h, int64_t i) {
    int64_t row = (b * plan.heads + h) * plan.queries + i;
    int64_t group = (b * plan.groups + g) * plan.keys;
    const T *q = in[0] + row * plan.depth, *gradient = in[5] + row * plan.width;
    double lse = convert<double>(in[3][row]),
           delta = convert<double>(in[4][row]);
    std::fill_n(rowSums, plan.depth, 0.0);
    int64_t visible =
        plan.causal ? std::clamp<int64_t>(i + plan.reach + 1, 0, plan.keys)
                    : plan.keys;
    // A row that sees nothing has a sum of zero, and gives zeros.
    if (std::isinf(lse) && lse < 0)
      visible = 0;
    int64_t maskRow = b * plan.maskStrides[0] + h * plan.maskStrides[1] +
                      i * plan.maskStrides[2];
    for (int64_t j = 0; j < visible; ++j) {
      const T *k = in[1] + (group + j) * plan.depth,
              *v = in[2] + (group + j) * plan.width;
      double score = plan.scale * dot(q, k, plan.depth), slope = plan.scale;
      if (plan.softcap != 0) {
        double t = std::tanh(score / plan.softcap);
        score = plan.softcap * t;
        slope *= 1 - t * t;
      }
      double p = std::exp(score + bias(maskRow + j) - lse);
      if (p == 0)
        continue;
      double ds = p * (dot(gradient, v, plan.width) - delta);
      for (int64_t c = 0; c < plan.width; ++c)
        valueSums[j * plan.width + c] += p * convert<double>(gradient[c]);
      if (plan.wantsMask)
        maskSums[maskRow + j] += ds;
      for (int64_t c = 0; c < plan.depth; ++c) {
        rowSums[c] += ds * slope * convert<double>(k[c]);
        keySums[j * plan.depth + c] += ds * slope * convert<double>(q[c]);
      }
    }
    store(out[0] + row * plan.depth, rowSums, plan.depth);
  }

  double bias(int64_t at) const {
    if (!mask)
      return 0;
    if (plan.additive)
      return dispatch(call.operands[6].dtype, [&](auto tag) {
        using M = typename decltype(tag)::type;
        return convert<double>(reinterpret_cast<const M *>(mask)[at]);
      });
    return mask[at] == std::byte(0) ? -INFINITY : 0;
  }

  static double dot(const T *x, const T *y, int64_t count) {
    double sum = 0;
    for (int64_t c = 0; c < count; ++c)
      sum += convert<double>(x[c]) * convert<double>(y[c]);
    return sum;
  }
  static void store(T *to, const double *from, int64_t count) {
    for (int64_t c = 0; c < count; ++c)
      to[c] = convert<T>(from[c]);
  }
  void storeMask(std::byte *to) {
    dispatch(call.results[3].dtype, [&](auto tag) {
      using M = typename decltype(tag)::type;
      for (int64_t c = 0; c < plan.maskElements; ++c)
        reinterpret_cast<M *>(to)[c] = convert<M>(maskSums[c]);
    });
  }

  Command call;
  GradientPlan plan;
  const T *in[6] = {};
  T *out[3] = {};
  const std::byte *mask = nullptr;
  double *keySums = nullptr, *valueSums = nullptr, *rowSums = nullptr,
         *maskSums = nullptr;
};

} // namespace

/// Whether a mask of shape [b|1, h|1, s|1, t] fits, and its strides.
static bool planMask(const Command &call, GradientPlan &plan) {
  const View &mask = call.operands[6];
  int64_t sizes[3] = {plan.batch, plan.heads, plan.queries};
  if (mask.shape.size() != 4 || mask.shape[3] != plan.keys)
    return false;
  for (int d = 0; d < 3; ++d) {
    if (mask.shape[d] != 1 && mask.shape[d] != sizes[d])
      return false;
    plan.maskStrides[d] = mask.shape[d] == 1 ? 0 : mask.strides[d];
  }
  plan.hasMask = true;
  plan.additive = isFloat(mask.dtype);
  plan.wantsMask = call.results.size() > 3;
  plan.maskElements = mask.numElements();
  return (plan.additive || mask.dtype == DType::Bool) &&
         (!plan.wantsMask ||
          (plan.additive && call.results[3].shape == mask.shape));
}

static Result<GradientPlan> planGradient(const Command &call) {
  PARTITA_CHECK(checkCounts(call, 6, 3));
  auto shape = [&](int i) { return call.operands[i].shape; };
  std::vector<int64_t> q = shape(0), k = shape(1), v = shape(2);
  bool fits = q.size() == 4 && k.size() == 4 && v.size() == 4 && k[1] != 0 &&
              q[1] % k[1] == 0 && q[0] == k[0] && q[0] == v[0] &&
              q[3] == k[3] && k[1] == v[1] && k[2] == v[2];
  if (!fits)
    return callError(call, "the operands do not fit together");
  std::vector<int64_t> rows = {q[0], q[1], q[2]},
                       wide = {q[0], q[1], q[2], v[3]};
  if (shape(3) != rows || shape(4) != rows || shape(5) != wide)
    return callError(call, "the operands do not fit together");
  DType dtype = call.operands[0].dtype;
  for (int i = 0; i < 6; ++i)
    fits &= call.operands[i].dtype == dtype && isFloat(dtype);
  for (int i = 0; i < 3; ++i)
    fits &= call.results[i].dtype == dtype && call.results[i].shape == shape(i);
  GradientPlan plan{q[0],
                    q[1],
                    k[1],
                    q[2],
                    k[2],
                    q[3],
                    v[3],
                    doubleAttr(call, "scale", 1),
                    doubleAttr(call, "softcap", 0),
                    intAttr(call, "causal", 0) != 0};
  if (!fits || (call.operands.size() > 6 && !planMask(call, plan)) ||
      (call.results.size() > 3 && !plan.wantsMask))
    return callError(call, "the mask or the results do not fit the operands");
  return plan;
}

static Result<int64_t> gradientWorkspace(const Command &call, int) {
  PARTITA_TRY(GradientPlan plan, planGradient(call));
  return std::max<int64_t>(plan.workspace(), workspaceAlignment);
}

/// Where a rank's part of queries or keys begins, and the whole size.
static std::pair<int64_t, int64_t> partOf(const Command &call, const char *name,
                                          int64_t size,
                                          const PrepareContext &context) {
  int64_t at = intAttr(call, name, -1);
  if (at < 0 || at >= int64_t(call.offsets.size()))
    return {0, size};
  return {call.offsets[at].evaluate(*context.mesh, context.coords),
          call.offsets[at].size};
}

static Result<std::unique_ptr<PreparedCall>>
prepareGradient(const Command &call, const PrepareContext &context) {
  PARTITA_TRY(GradientPlan plan, planGradient(call));
  PARTITA_CHECK(checkWorkspace(call, plan.workspace()));
  auto [query, queries] = partOf(call, "query_base", plan.queries, context);
  auto [key, keys] = partOf(call, "key_base", plan.keys, context);
  plan.reach = query + keys - queries - key;
  return dispatch(call.operands[0].dtype,
                  [&](auto tag) -> std::unique_ptr<PreparedCall> {
                    using T = typename decltype(tag)::type;
                    return std::make_unique<PreparedGradient<T>>(call, plan);
                  });
}

//===----------------------------------------------------------------------===//
// AdamW
//===----------------------------------------------------------------------===//

namespace {

template <typename T> class PreparedAdamW : public PreparedCall {
public:
  PreparedAdamW(const Command &call, int threads)
      : call(call), threads(threads), beta1(doubleAttr(call, "beta1", 0)),
        beta2(doubleAttr(call, "beta2", 0)),
        epsilon(doubleAttr(call, "epsilon", 0)) {}

  Status execute(std::byte *const bases[3]) override {
    const T *in[7];
    T *out[3];
    for (int i = 0; i < 7; ++i)
      in[i] = reinterpret_cast<const T *>(addressOf(call.operands[i], bases));
    for (int i = 0; i < 3; ++i)
      out[i] = reinterpret_cast<T *>(addressOf(call.results[i], bases));
    double rate = convert<double>(*in[4]), correction = convert<double>(*in[5]),
           decay = convert<double>(*in[6]);
    parallelFor(threads, call.results[0].numElements(),
                [&](int64_t begin, int64_t end, int) {
                  for (int64_t i = begin; i < end; ++i) {
                    double g = convert<double>(in[3][i]);
                    double mean =
                        beta1 * convert<double>(in[1][i]) + (1 - beta1) * g;
                    double square =
                        beta2 * convert<double>(in[2][i]) + (1 - beta2) * g * g;
                    double size = correction * std::sqrt(square) + epsilon;
                    out[0][i] = convert<T>(decay * convert<double>(in[0][i]) -
                                           rate * mean / size);
                    out[1][i] = convert<T>(mean);
                    out[2][i] = convert<T>(square);
                  }
                });
    return ok();
  }

private:
  Command call;
  int threads;
  double beta1, beta2, epsilon;
};

} // namespace

static Result<int64_t> adamWWorkspace(const Command &, int) {
  return int64_t(0);
}

static Result<std::unique_ptr<PreparedCall>>
prepareAdamW(const Command &call, const PrepareContext &context) {
  PARTITA_CHECK(checkCounts(call, 7, 3));
  const View &value = call.operands[0];
  bool fits = isFloat(value.dtype);
  for (int i = 0; i < 7; ++i)
    fits &= call.operands[i].dtype == value.dtype &&
            call.operands[i].shape ==
                (i < 4 ? value.shape : std::vector<int64_t>());
  for (int i = 0; i < 3; ++i)
    fits &= call.results[i].dtype == value.dtype &&
            call.results[i].shape == value.shape;
  if (!fits)
    return callError(call, "the operands and results do not fit together");
  return dispatch(value.dtype, [&](auto tag) -> std::unique_ptr<PreparedCall> {
    using T = typename decltype(tag)::type;
    return std::make_unique<PreparedAdamW<T>>(call, context.threads);
  });
}

void partita::runtime::addTrainingCalls(CallTable &table) {
  table["attention_gradient"] = {gradientWorkspace, prepareGradient};
  table["adamw"] = {adamWWorkspace, prepareAdamW};
}
