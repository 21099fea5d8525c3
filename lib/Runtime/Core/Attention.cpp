//===- Attention.cpp - Blocked attention ----------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// out = softmax(scale q k^T + mask) v without ever holding the scores of more
// than one block of queries and keys:
//
//   for each block of queries of each head
//     for each block of keys (those behind every query are skipped if causal)
//       S = q k^T                              one product
//       row maximum m', P = exp(S - m'), row sums; what was accumulated under
//       the old maximum m is scaled by exp(m - m')
//       O = O + P v                            one product
//     O = O / l, lse = m + log l
//
// Short sequences fit one block of keys: then there is no rescaling and O is
// written once. The workspace holds one block of scores per thread, whatever
// the sequence.
//
//===----------------------------------------------------------------------===//

#include "Gemm.h"
#include "LibraryImpl.h"
#include "Simd.h"
#include <cmath>
#include <map>

using namespace partita;
using namespace partita::runtime;

namespace {

/// The products of one call. Blocks are whole or the last ones, so there are
/// few shapes; all are made when the call is prepared.
using GemmTable = std::map<GemmShape, PreparedGemm>;

/// Everything about a call that does not depend on addresses.
struct AttentionShape {
  View q, k, v, mask, out, lse;
  bool hasMask = false, hasLse = false, causal = false;
  double scale = 1;
  /// Scores x become softcap * tanh(x / softcap) before the mask; zero: no.
  double softcap = 0;
  int64_t batch, heads, groups, queries, keys, depth, outDepth;
  int64_t queryBlock, keyBlock;
  /// Elements of a thread's workspace: scores, accumulator, maxima and sums.
  int64_t scores, accumulator, rows;
  /// Empty for f64.
  std::shared_ptr<GemmTable> gemms;
  int64_t gemmScratch = 0;

  int64_t blockBytes() const {
    int64_t size = dtypeSize(q.dtype);
    return alignWorkspace((scores + accumulator + 2 * rows) * size);
  }
  int64_t threadBytes() const {
    return blockBytes() + alignWorkspace(gemmScratch);
  }
  /// Between rows of what the second product writes.
  int64_t accumulatorStride(int64_t count) const {
    if (out.strides[3] != 1 || count == 1)
      return outDepth;
    return out.strides[2];
  }
  /// S = q k^T for `count` queries and `size` keys.
  GemmShape scoreShape(int64_t count, int64_t size) const {
    return {count,        depth,        size, q.strides[2], q.strides[3],
            k.strides[3], k.strides[2], size, false};
  }
  /// O = P v, or O += P v.
  GemmShape outShape(int64_t count, int64_t size, bool accumulate) const {
    return {count,     size,         outDepth,     size,
            1,         v.strides[2], v.strides[3], accumulatorStride(count),
            accumulate};
  }
  void prepareGemms();
};

} // namespace

void AttentionShape::prepareGemms() {
  gemms = std::make_shared<GemmTable>();
  auto add = [&](const GemmShape &shape) {
    auto [it, isNew] = gemms->try_emplace(shape, shape);
    gemmScratch = std::max(gemmScratch, it->second.scratchBytes());
  };
  for (int64_t count : {queryBlock, queryBlock ? queries % queryBlock : 0})
    for (int64_t size : {keyBlock, keyBlock ? keys % keyBlock : 0}) {
      if (count == 0 || size == 0)
        continue;
      add(scoreShape(count, size));
      add(outShape(count, size, false));
      if (keys > keyBlock)
        add(outShape(count, size, true));
    }
}

static Status checkMask(const Command &call, const AttentionShape &shape) {
  const View &mask = shape.mask;
  if (mask.shape !=
      std::vector<int64_t>{shape.batch, shape.heads, shape.queries, shape.keys})
    return callError(call, "the mask is a view shaped [b,h,s,t]");
  if (mask.dtype != shape.q.dtype && mask.dtype != DType::Bool)
    return callError(call, "the mask is bool or of the queries' type");
  return ok();
}

static Result<AttentionShape> shapeOf(const Command &call) {
  PARTITA_CHECK(checkCounts(call, 3, 1));
  AttentionShape a;
  a.q = call.operands[0];
  a.k = call.operands[1];
  a.v = call.operands[2];
  a.out = call.results[0];
  for (const View *view : {&a.q, &a.k, &a.v, &a.out})
    if (view->shape.size() != 4 || view->dtype != a.q.dtype)
      return callError(call, "operands have four dimensions and one type");
  a.batch = a.q.shape[0], a.heads = a.q.shape[1], a.queries = a.q.shape[2];
  a.depth = a.q.shape[3], a.groups = a.k.shape[1], a.keys = a.k.shape[2];
  a.outDepth = a.v.shape[3];
  if (a.k.shape != std::vector<int64_t>{a.batch, a.groups, a.keys, a.depth} ||
      a.v.shape !=
          std::vector<int64_t>{a.batch, a.groups, a.keys, a.outDepth} ||
      a.out.shape !=
          std::vector<int64_t>{a.batch, a.heads, a.queries, a.outDepth} ||
      a.groups == 0 || a.heads % a.groups != 0)
    return callError(call, "the shapes do not fit attention");
  if (a.q.dtype != DType::F32 && a.q.dtype != DType::F64)
    return callError(call, "attention is f32 or f64");
  a.hasMask = intAttr(call, "has_mask", 0) != 0;
  a.causal = intAttr(call, "causal", 0) != 0;
  a.scale = doubleAttr(call, "scale", 1);
  a.softcap = doubleAttr(call, "softcap", 0);
  if (a.hasMask) {
    PARTITA_CHECK(checkCounts(call, 4, 1));
    a.mask = call.operands[3];
    PARTITA_CHECK(checkMask(call, a));
  }
  a.hasLse = call.results.size() > 1;
  if (a.hasLse) {
    a.lse = call.results[1];
    if (a.lse.shape != std::vector<int64_t>{a.batch, a.heads, a.queries} ||
        a.lse.dtype != a.q.dtype)
      return callError(call, "lse is shaped [b,h,s]");
  }
  // A block of scores stays in the second-level cache. Few blocks of queries
  // are better: the products pack the keys and values for each.
  constexpr int64_t maxScores = 128 * 512;
  a.keyBlock = std::min<int64_t>(a.keys, 512);
  a.queryBlock = std::min<int64_t>(
      a.queries, maxScores / std::max<int64_t>(a.keyBlock, 1));
  auto round = [](int64_t elements) { return (elements + 15) / 16 * 16; };
  a.scores = round(a.queryBlock * a.keyBlock);
  a.accumulator = a.out.strides[3] == 1 ? 0 : round(a.queryBlock * a.outDepth);
  a.rows = round(a.queryBlock);
  if (a.q.dtype == DType::F32)
    a.prepareGemms();
  return a;
}

//===----------------------------------------------------------------------===//
// One block of queries
//===----------------------------------------------------------------------===//

namespace {

template <typename T> struct QueryBlock {
  const AttentionShape &a;
  std::byte *const *bases;
  int64_t b, h, first, count;   ///< queries first .. first + count
  int64_t firstQuery, firstKey; ///< places of query 0 and key 0 among all keys
  T *scores, *accumulator, *maxima, *sums;
  std::byte *scratch; ///< of the products
  int64_t accumulatorStride = 0;

  T *at(const View &view, int64_t i, int64_t j, int64_t row) const {
    return reinterpret_cast<T *>(addressOf(view, bases)) + i * view.strides[0] +
           j * view.strides[1] + row * view.strides[2];
  }
  void run();
  void multiply(const GemmShape &shape, const T *x, const T *y, T *result);
  void keyBlock(int64_t begin, int64_t size, bool firstBlock);
  void softmaxRow(int64_t row, int64_t begin, int64_t size, bool firstBlock);
  void finish();
  /// Keys that query `row` of the block may see, from key 0 on.
  int64_t visible(int64_t row) const {
    if (!a.causal)
      return a.keys;
    int64_t count = firstQuery + first + row - firstKey + 1;
    return std::clamp<int64_t>(count, 0, a.keys);
  }
};

} // namespace

/// Scales and caps row `row` of the scores, adds the mask, and turns it into
/// exp(score - maximum), updating the running maximum and sum.
template <typename T>
void QueryBlock<T>::softmaxRow(int64_t row, int64_t begin, int64_t size,
                               bool firstBlock) {
  T *x = scores + row * size;
  int64_t count = std::clamp<int64_t>(visible(row) - begin, 0, size);
  const void *mask = nullptr;
  int64_t maskStride = 0;
  bool maskIsBool = false;
  if (a.hasMask) {
    const View &view = a.mask;
    maskIsBool = view.dtype == DType::Bool;
    maskStride = view.strides[3];
    mask = addressOf(view, bases) +
           (b * view.strides[0] + h * view.strides[1] +
            (first + row) * view.strides[2] + begin * maskStride) *
               static_cast<int64_t>(dtypeSize(view.dtype));
  }
  if (a.softcap != 0)
    for (int64_t i = 0; i < count; ++i)
      x[i] = std::tanh(x[i] * static_cast<T>(a.scale / a.softcap));
  T maximum = scaleMaskMax(x, count,
                           static_cast<T>(a.softcap != 0 ? a.softcap : a.scale),
                           mask, maskStride, maskIsBool);
  T previous = firstBlock ? -std::numeric_limits<T>::infinity() : maxima[row];
  maximum = std::max(maximum, previous);
  T sum = 0, rescale = 1;
  if (maximum == -std::numeric_limits<T>::infinity()) {
    std::fill(x, x + count, T(0));
  } else {
    sum = expSum(x, count, maximum);
    rescale = firstBlock ? T(0) : std::exp(previous - maximum);
  }
  std::fill(x + count, x + size, T(0));
  maxima[row] = maximum;
  if (firstBlock) {
    sums[row] = sum;
    return;
  }
  sums[row] = sums[row] * rescale + sum;
  if (rescale != T(1))
    for (int64_t i = 0; i < a.outDepth; ++i)
      accumulator[row * accumulatorStride + i] *= rescale;
}

template <>
void QueryBlock<float>::multiply(const GemmShape &shape, const float *x,
                                 const float *y, float *result) {
  a.gemms->find(shape)->second.run(x, y, result, scratch);
}

template <>
void QueryBlock<double>::multiply(const GemmShape &shape, const double *x,
                                  const double *y, double *result) {
  gemm(Matrix<const double>{x, shape.m, shape.k, shape.aRow, shape.aColumn},
       Matrix<const double>{y, shape.k, shape.n, shape.bRow, shape.bColumn},
       Matrix<double>{result, shape.m, shape.n, shape.cRow, 1},
       shape.accumulate ? 1.0 : 0.0);
}

template <typename T>
void QueryBlock<T>::keyBlock(int64_t begin, int64_t size, bool firstBlock) {
  int64_t group = h / (a.heads / a.groups);
  multiply(a.scoreShape(count, size), at(a.q, b, h, first),
           at(a.k, b, group, begin), scores);
  for (int64_t row = 0; row < count; ++row)
    softmaxRow(row, begin, size, firstBlock);
  multiply(a.outShape(count, size, !firstBlock), scores,
           at(a.v, b, group, begin), accumulator);
}

template <typename T> void QueryBlock<T>::finish() {
  for (int64_t row = 0; row < count; ++row) {
    T factor = sums[row] > 0 ? T(1) / sums[row] : T(0);
    const T *from = accumulator + row * accumulatorStride;
    T *to = at(a.out, b, h, first + row);
    if (a.out.strides[3] == 1)
      for (int64_t i = 0; i < a.outDepth; ++i)
        to[i] = from[i] * factor;
    else
      for (int64_t i = 0; i < a.outDepth; ++i)
        to[i * a.out.strides[3]] = from[i] * factor;
    if (a.hasLse)
      *(reinterpret_cast<T *>(addressOf(a.lse, bases)) + b * a.lse.strides[0] +
        h * a.lse.strides[1] + (first + row) * a.lse.strides[2]) =
          sums[row] > 0 ? maxima[row] + std::log(sums[row])
                        : -std::numeric_limits<T>::infinity();
  }
}

template <typename T> void QueryBlock<T>::run() {
  if (a.out.strides[3] == 1)
    accumulator = at(a.out, b, h, first);
  accumulatorStride = a.accumulatorStride(count);
  int64_t keys = visible(count - 1);
  // With nothing visible one empty block still defines the result.
  if (keys == 0) {
    std::fill(sums, sums + count, T(0));
    for (int64_t row = 0; row < count; ++row)
      std::fill_n(accumulator + row * accumulatorStride, a.outDepth, T(0));
  }
  // Blocks are whole even where no query of this block sees their last keys, so
  // that there are few shapes of products.
  for (int64_t begin = 0; begin < keys; begin += a.keyBlock)
    keyBlock(begin, std::min(a.keyBlock, a.keys - begin), begin == 0);
  finish();
}

//===----------------------------------------------------------------------===//
// The call
//===----------------------------------------------------------------------===//

namespace {

class PreparedAttention : public PreparedCall {
public:
  PreparedAttention(const Command &call, AttentionShape shape,
                    const PrepareContext &context)
      : a(std::move(shape)), workspace(call.workspace[0]),
        threads(context.threads), firstQuery(a.keys - a.queries) {
    if (call.offsets.size() != 2)
      return;
    const ShardOffset &query = call.offsets[0], &key = call.offsets[1];
    firstQuery =
        query.evaluate(*context.mesh, context.coords) + key.size - query.size;
    firstKey = key.evaluate(*context.mesh, context.coords);
  }
  Status execute(std::byte *const bases[3]) override {
    if (a.q.dtype == DType::F64)
      runAll<double>(bases);
    else
      runAll<float>(bases);
    return ok();
  }

private:
  template <typename T> void runAll(std::byte *const bases[3]);
  AttentionShape a;
  View workspace;
  int threads;
  /// The last of all queries stands at the last of all keys.
  int64_t firstQuery, firstKey = 0;
};

} // namespace

template <typename T>
void PreparedAttention::runAll(std::byte *const bases[3]) {
  if (a.queries == 0)
    return;
  int64_t blocks = (a.queries + a.queryBlock - 1) / a.queryBlock;
  int64_t tasks = a.batch * a.heads * blocks;
  parallelFor(threads, tasks, [&](int64_t begin, int64_t end, int part) {
    T *memory = reinterpret_cast<T *>(addressOf(workspace, bases) +
                                      part * a.threadBytes());
    for (int64_t task = begin; task < end; ++task) {
      int64_t first = task % blocks * a.queryBlock;
      int64_t head = task / blocks;
      QueryBlock<T> block{a,
                          bases,
                          head / a.heads,
                          head % a.heads,
                          first,
                          std::min(a.queryBlock, a.queries - first),
                          firstQuery,
                          firstKey,
                          memory,
                          memory + a.scores,
                          memory + a.scores + a.accumulator,
                          memory + a.scores + a.accumulator + a.rows,
                          reinterpret_cast<std::byte *>(memory) +
                              a.blockBytes()};
      block.run();
    }
  });
}

static Result<int64_t> attentionWorkspace(const Command &call, int threads) {
  PARTITA_TRY(AttentionShape shape, shapeOf(call));
  return shape.threadBytes() * threads;
}

static Result<std::unique_ptr<PreparedCall>>
prepareAttention(const Command &call, const PrepareContext &context) {
  PARTITA_TRY(AttentionShape shape, shapeOf(call));
  PARTITA_CHECK(checkWorkspace(call, shape.threadBytes() * context.threads));
  if (call.workspace.empty())
    return callError(call, "has no workspace");
  return std::unique_ptr<PreparedCall>(
      std::make_unique<PreparedAttention>(call, std::move(shape), context));
}

void partita::runtime::addAttentionCalls(CallTable &table) {
  table["attention"] = {attentionWorkspace, prepareAttention};
}
