//===- Rope.cpp - Rotary position embedding -------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Each pair (x0, x1) of a head is rotated: x0 cos - x1 sin, x1 cos + x0 sin.
// Pairs are (i, i + d/2), or (2i, 2i + 1) if interleaved. cos and sin have a
// value per element of the head or per pair.
//
//===----------------------------------------------------------------------===//

#include "LibraryImpl.h"

using namespace partita;
using namespace partita::runtime;

namespace {

template <typename T> class PreparedRope : public PreparedCall {
public:
  PreparedRope(const Command &call, int threads)
      : x(call.operands[0]), cosine(call.operands[1]), sine(call.operands[2]),
        to(call.results[0]), threads(threads),
        interleaved(intAttr(call, "interleaved", 0)) {
    for (int d = 0; d < 3; ++d)
      nest.shape.push_back(x.shape[d]);
    for (const View *view : {&x, &cosine, &sine, &to})
      nest.strides.emplace_back(view->strides.begin(),
                                view->strides.begin() + 3);
  }

  Status execute(std::byte *const bases[3]) override {
    if (nest.empty())
      return ok();
    parallelFor(threads, nest.shape[0] * nest.shape[1],
                [&](int64_t begin, int64_t end, int) {
                  for (int64_t i = begin; i < end; ++i)
                    head(bases, i / nest.shape[1], i % nest.shape[1]);
                });
    return ok();
  }

private:
  void head(std::byte *const bases[3], int64_t b, int64_t h) {
    for (int64_t s = 0; s < nest.shape[2]; ++s) {
      auto at = [&](const View &view, int t) {
        return reinterpret_cast<T *>(addressOf(view, bases)) +
               b * nest.strides[t][0] + h * nest.strides[t][1] +
               s * nest.strides[t][2];
      };
      row(at(x, 0), at(cosine, 1), at(sine, 2), at(to, 3));
    }
  }

  void row(const T *in, const T *cosines, const T *sines, T *out) {
    int64_t half = x.shape[3] / 2;
    int64_t xStride = x.strides[3], toStride = to.strides[3];
    int64_t cStride = cosine.strides[3], sStride = sine.strides[3];
    bool perPairCos = cosine.shape[3] == half,
         perPairSin = sine.shape[3] == half;
    // Steps from one pair to the next, and from x0 to x1 of a pair.
    int64_t pair = interleaved ? 2 : 1, other = interleaved ? 1 : half;
    int64_t cosPair = perPairCos ? 1 : pair, cosOther = perPairCos ? 0 : other;
    int64_t sinPair = perPairSin ? 1 : pair, sinOther = perPairSin ? 0 : other;
    for (int64_t i = 0; i < half; ++i) {
      T x0 = in[i * pair * xStride], x1 = in[(i * pair + other) * xStride];
      const T *c = cosines + i * cosPair * cStride;
      const T *s = sines + i * sinPair * sStride;
      out[i * pair * toStride] = x0 * c[0] - x1 * s[0];
      out[(i * pair + other) * toStride] =
          x1 * c[cosOther * cStride] + x0 * s[sinOther * sStride];
    }
  }

  View x, cosine, sine, to;
  int threads;
  bool interleaved;
  LoopNest nest;
};

} // namespace

static Status checkRope(const Command &call) {
  PARTITA_CHECK(checkCounts(call, 3, 1));
  const View &x = call.operands[0];
  if (x.shape.size() != 4 || x.shape[3] % 2 != 0 ||
      call.results[0].shape != x.shape)
    return callError(call, "x is [b,h,s,d] with an even d");
  for (int i : {1, 2}) {
    const View &table = call.operands[i];
    if (table.shape.size() != 4)
      return callError(call, "cos and sin are views shaped [b,h,s,d']");
    for (int d = 0; d < 3; ++d)
      if (table.shape[d] != x.shape[d])
        return callError(call, "cos and sin are views shaped [b,h,s,d']");
    if (table.shape[3] != x.shape[3] && table.shape[3] * 2 != x.shape[3])
      return callError(call, "cos and sin have d or d/2 values");
    if (table.dtype != x.dtype || call.results[0].dtype != x.dtype)
      return callError(call, "element types differ");
  }
  return ok();
}

static Result<int64_t> ropeWorkspace(const Command &, int) {
  return int64_t(0);
}

static Result<std::unique_ptr<PreparedCall>>
prepareRope(const Command &call, const PrepareContext &context) {
  PARTITA_CHECK(checkRope(call));
  using Prepared = std::unique_ptr<PreparedCall>;
  if (call.operands[0].dtype == DType::F32)
    return Prepared(
        std::make_unique<PreparedRope<float>>(call, context.threads));
  if (call.operands[0].dtype == DType::F64)
    return Prepared(
        std::make_unique<PreparedRope<double>>(call, context.threads));
  return callError(call, "supports f32 and f64");
}

void partita::runtime::addRopeCalls(CallTable &table) {
  table["rope"] = {ropeWorkspace, prepareRope};
}
