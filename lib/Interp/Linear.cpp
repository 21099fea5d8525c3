//===- Linear.cpp - Reference kernels of products and attention -----------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Matrix products and attention are calls of Gemm.h; attention takes blocks of
// query rows, so that long sequences need no whole score matrix.
//
//===----------------------------------------------------------------------===//

#include "Gemm.h"
#include "Models.h"
#include <cmath>
#include <limits>

using namespace mlir;
using namespace partita;
using namespace partita::interp;
using namespace partita::nn;

namespace {

//===----------------------------------------------------------------------===//
// Matrix product
//===----------------------------------------------------------------------===//

/// Integer products are exact modulo 2^64.
void integerProduct(int64_t m, int64_t n, int64_t k, const int64_t *a,
                    const int64_t *b, int64_t *c) {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t d = 0; d < k; ++d)
      for (int64_t j = 0; j < n; ++j)
        c[i * n + j] = int64_t(uint64_t(c[i * n + j]) +
                               uint64_t(a[i * k + d]) * uint64_t(b[d * n + j]));
}

/// How a product decomposes: `batch` products of m x k by k x n, all with one
/// rhs if `sharedRhs` (then there is one product with all rows).
struct ProductShape {
  int64_t batch = 1, m, n, k;
};

ProductShape productShape(const HostTensor &lhs, const HostTensor &rhs) {
  ProductShape p{1, lhs.shape()[lhs.rank() - 2], rhs.shape().back(),
                 lhs.shape().back()};
  for (int64_t d = 0; d + 2 < lhs.rank(); ++d)
    (rhs.rank() == 2 ? p.m : p.batch) *= lhs.shape()[d];
  return p;
}

Result<Tensors> matmul(MatMulOp op, Operands in, const RankPlace &) {
  const HostTensor &lhs = in[0], &rhs = in[1];
  ProductShape p = productShape(lhs, rhs);
  std::vector<int64_t> shape = shapeOf(op.getResult());
  DType dtype = lhs.dtype();
  if (isFloat(dtype)) {
    std::vector<double> c(p.batch * p.m * p.n, 0.0);
    size_t size = dtypeSize(dtype);
    for (int64_t b = 0; b < p.batch; ++b)
      gemm(p.m, p.n, p.k, {lhs.data() + b * p.m * p.k * size, dtype, p.k, 1},
           {rhs.data() + b * p.k * p.n * size, dtype, p.n, 1},
           c.data() + b * p.m * p.n);
    return single(store(dtype, shape, c));
  }
  std::vector<int64_t> x = load<int64_t>(lhs), y = load<int64_t>(rhs);
  std::vector<int64_t> c(p.batch * p.m * p.n, 0);
  for (int64_t b = 0; b < p.batch; ++b)
    integerProduct(p.m, p.n, p.k, x.data() + b * p.m * p.k,
                   y.data() + b * p.k * p.n, c.data() + b * p.m * p.n);
  return single(store(dtype, shape, c));
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

constexpr double minusInfinity = -std::numeric_limits<double>::infinity();

class Attention {
public:
  Attention(AttentionOp op, Operands in) : op(op), in(in) {}
  Result<Tensors> run(const RankPlace &place);

private:
  void runHead(int64_t batch, int64_t head);
  void maskRow(int64_t batch, int64_t head, int64_t row, double *scores) const;
  void softmaxRow(double *scores, double &lse) const;

  AttentionOp op;
  Operands in;
  int64_t heads, groups, queries, keys, depth, width;
  Offset queryBase, keyBase;
  double scale, cap = 0;
  bool causal = false, additive = false;
  std::vector<double> mask, out, lse;
};

/// Scales and caps one row and adds what its mask and causality forbid.
void Attention::maskRow(int64_t batch, int64_t head, int64_t row,
                        double *scores) const {
  for (int64_t j = 0; j < keys; ++j)
    scores[j] =
        cap == 0 ? scores[j] * scale : cap * std::tanh(scores[j] * scale / cap);
  if (!mask.empty()) {
    const std::vector<int64_t> &m = in[3].shape();
    int64_t b = m[0] == 1 ? 0 : batch, h = m[1] == 1 ? 0 : head;
    int64_t s = m[2] == 1 ? 0 : row;
    const double *line = mask.data() + ((b * m[1] + h) * m[2] + s) * keys;
    for (int64_t j = 0; j < keys; ++j) {
      if (additive)
        scores[j] += line[j];
      else if (line[j] == 0)
        scores[j] = minusInfinity;
    }
  }
  if (causal) {
    int64_t last = queryBase.begin + row + keyBase.size - queryBase.size;
    for (int64_t j = std::max<int64_t>(0, last - keyBase.begin + 1); j < keys;
         ++j)
      scores[j] = minusInfinity;
  }
}

/// Scores become weights. A row without any key gives zeros.
void Attention::softmaxRow(double *scores, double &lse) const {
  double highest = minusInfinity, sum = 0;
  for (int64_t j = 0; j < keys; ++j)
    highest =
        scores[j] > highest || scores[j] != scores[j] ? scores[j] : highest;
  if (highest == minusInfinity) {
    std::fill_n(scores, keys, 0.0);
    lse = minusInfinity;
    return;
  }
  for (int64_t j = 0; j < keys; ++j)
    sum += scores[j] = std::exp(scores[j] - highest);
  for (int64_t j = 0; j < keys; ++j)
    scores[j] /= sum;
  lse = highest + std::log(sum);
}

void Attention::runHead(int64_t batch, int64_t head) {
  constexpr int64_t block = 256;
  DType dtype = in[0].dtype();
  size_t size = dtypeSize(dtype);
  int64_t q = batch * heads + head;
  int64_t kv = batch * groups + head / (heads / groups);
  const std::byte *key = in[1].data() + kv * keys * depth * size;
  const std::byte *value = in[2].data() + kv * keys * width * size;
  for (int64_t first = 0; first < queries; first += block) {
    int64_t rows = std::min(block, queries - first);
    const std::byte *query =
        in[0].data() + (q * queries + first) * depth * size;
    std::vector<double> scores(rows * keys, 0.0);
    gemm(rows, keys, depth, {query, dtype, depth, 1}, {key, dtype, 1, depth},
         scores.data());
    for (int64_t r = 0; r < rows; ++r) {
      double *row = scores.data() + r * keys;
      maskRow(batch, head, first + r, row);
      softmaxRow(row, lse[q * queries + first + r]);
    }
    gemm(rows, width, keys,
         {reinterpret_cast<const std::byte *>(scores.data()), DType::F64, keys,
          1},
         {value, dtype, width, 1}, out.data() + (q * queries + first) * width);
  }
}

Result<Tensors> Attention::run(const RankPlace &place) {
  DType dtype = in[0].dtype();
  if (!isFloat(dtype) || in[1].dtype() != dtype || in[2].dtype() != dtype)
    return typeError(op, dtype);
  const std::vector<int64_t> &q = in[0].shape(), &v = in[2].shape();
  heads = q[1], queries = q[2], depth = q[3];
  groups = v[1], keys = v[2], width = v[3];
  scale = op.getScale().convertToDouble();
  cap = op.getSoftcap() ? op.getSoftcap()->convertToDouble() : 0;
  causal = op.getCausal();
  PARTITA_TRY(queryBase, offsetOf(op, op.getQueryBaseAttr(), queries, place));
  PARTITA_TRY(keyBase, offsetOf(op, op.getKeyBaseAttr(), keys, place));
  if (in.size() > 3) {
    mask = load<double>(in[3]);
    additive = isFloat(in[3].dtype());
    if (!additive && in[3].dtype() != DType::Bool)
      return typeError(op, in[3].dtype());
  }
  out.assign(q[0] * heads * queries * width, 0.0);
  lse.assign(q[0] * heads * queries, minusInfinity);
  for (int64_t b = 0; b < q[0]; ++b)
    for (int64_t h = 0; h < heads; ++h)
      runHead(b, h);
  Tensors results;
  results.push_back(store(dtype, {q[0], heads, queries, width}, out));
  results.push_back(store(dtype, {q[0], heads, queries}, lse));
  return results;
}

Result<Tensors> attention(AttentionOp op, Operands in, const RankPlace &place) {
  return Attention(op, in).run(place);
}

//===----------------------------------------------------------------------===//
// Rotary embedding
//===----------------------------------------------------------------------===//

Result<Tensors> rope(RopeOp op, Operands in, const RankPlace &) {
  if (!isFloat(in[0].dtype()))
    return typeError(op, in[0].dtype());
  std::vector<double> x = load<double>(in[0]), cos = load<double>(in[1]),
                      sin = load<double>(in[2]);
  const std::vector<int64_t> &shape = in[0].shape();
  int64_t heads = shape[1], positions = shape[2], half = shape[3] / 2;
  bool perBatch = in[1].shape()[0] != 1;
  int64_t first = op.getInterleaved() ? 2 : 1;
  int64_t second = op.getInterleaved() ? 1 : half;
  for (int64_t b = 0; b < shape[0]; ++b)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t s = 0; s < positions; ++s) {
        double *row = x.data() + ((b * heads + h) * positions + s) * 2 * half;
        int64_t angle = ((perBatch ? b : 0) * positions + s) * half;
        for (int64_t i = 0; i < half; ++i) {
          double &x1 = row[i * first], &x2 = row[i * first + second];
          double c = cos[angle + i], n = sin[angle + i], old = x1;
          x1 = old * c - x2 * n;
          x2 = x2 * c + old * n;
        }
      }
  return single(store(in[0].dtype(), shape, x));
}

} // namespace

void interp::attachLinearModels(MLIRContext &context) {
  attach<MatMulOp, matmul>(context);
  attach<AttentionOp, attention>(context);
  attach<RopeOp, rope>(context);
}
