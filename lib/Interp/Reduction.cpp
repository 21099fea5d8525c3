//===- Reduction.cpp - Reference kernels of reductions and norms ----------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What runs along one dimension sees the tensor as [outer, size, inner].
//
//===----------------------------------------------------------------------===//

#include "Combine.h"
#include "Models.h"
#include <cmath>
#include <limits>

using namespace mlir;
using namespace partita;
using namespace partita::interp;
using namespace partita::nn;

namespace {

//===----------------------------------------------------------------------===//
// Reduce
//===----------------------------------------------------------------------===//

Result<Tensors> reduce(ReduceOp op, Operands in, const RankPlace &) {
  std::optional<Combiner> combiner = parseCombiner(op.getKind().str());
  if (!combiner)
    return valueError(op, "has an unknown kind");
  const std::vector<int64_t> &shape = in[0].shape();
  std::vector<int64_t> outShape = shapeOf(op.getResult());
  // Strides of the result by the input's dimensions; zero where reduced.
  std::vector<int64_t> outStrides = rowMajorStrides(outShape);
  std::vector<int64_t> strides(shape.size(), 0);
  for (size_t d = 0, out = 0; d < shape.size(); ++d)
    if (!llvm::is_contained(op.getAxes(), int64_t(d)))
      strides[d] = outStrides[out++];
  return dispatch(in[0].dtype(), [&](auto tag) -> Result<Tensors> {
    using T = typename decltype(tag)::type;
    std::vector<T> x = load<T>(in[0]);
    std::vector<T> y(checkedNumElements(outShape).value_or(0),
                     identity<T>(*combiner, in[0].dtype()));
    std::vector<int64_t> index(shape.size(), 0);
    int64_t out = 0;
    for (T value : x) {
      y[out] = combine(*combiner, y[out], value);
      for (size_t d = shape.size(); d-- > 0;) {
        out += strides[d];
        if (++index[d] < shape[d])
          break;
        out -= strides[d] * shape[d];
        index[d] = 0;
      }
    }
    return single(store(in[0].dtype(), outShape, y));
  });
}

//===----------------------------------------------------------------------===//
// Along one dimension
//===----------------------------------------------------------------------===//

/// Calls fn(first, size, stride) for each line along `axis`.
template <typename Fn>
void forEachLine(const std::vector<int64_t> &shape, int64_t axis, Fn fn) {
  int64_t inner = rowMajorStrides(shape)[axis], size = shape[axis], outer = 1;
  for (int64_t d = 0; d < axis; ++d)
    outer *= shape[d];
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < inner; ++i)
      fn(o * size * inner + i, size, inner);
}

Result<Tensors> cumsum(CumSumOp op, Operands in, const RankPlace &) {
  return dispatch(in[0].dtype(), [&](auto tag) -> Result<Tensors> {
    using T = typename decltype(tag)::type;
    std::vector<T> x = load<T>(in[0]);
    forEachLine(in[0].shape(), op.getAxis(),
                [&](int64_t first, int64_t size, int64_t stride) {
                  T sum = 0;
                  for (int64_t i = 0; i < size; ++i) {
                    int64_t at = op.getReverse() ? size - 1 - i : i;
                    T &value = x[first + at * stride];
                    T next = combine(Combiner::Sum, sum, value);
                    value = op.getExclusive() ? sum : next;
                    sum = next;
                  }
                });
    return single(store(in[0].dtype(), in[0].shape(), x));
  });
}

Result<Tensors> softmax(SoftmaxOp op, Operands in, const RankPlace &) {
  if (!isFloat(in[0].dtype()))
    return typeError(op, in[0].dtype());
  std::vector<double> x = load<double>(in[0]);
  forEachLine(in[0].shape(), op.getAxis(),
              [&](int64_t first, int64_t size, int64_t stride) {
                double highest = identity<double>(Combiner::Max, DType::F64);
                for (int64_t i = 0; i < size; ++i)
                  highest =
                      combine(Combiner::Max, highest, x[first + i * stride]);
                double sum = 0;
                for (int64_t i = 0; i < size; ++i)
                  sum += std::exp(x[first + i * stride] - highest);
                for (int64_t i = 0; i < size; ++i) {
                  double &value = x[first + i * stride];
                  value = std::exp(value - highest) / sum;
                }
              });
  return single(store(in[0].dtype(), in[0].shape(), x));
}

//===----------------------------------------------------------------------===//
// Norms
//===----------------------------------------------------------------------===//

/// Each row of the last dimension: (x - mean) / sqrt(var + epsilon) * scale +
/// bias, with a mean of zero if not `centred`. `bias` may be empty.
Result<Tensors> normalize(Operation *op, const HostTensor &input,
                          const HostTensor &scaleTensor,
                          const HostTensor *biasTensor, double epsilon,
                          bool centred) {
  if (!isFloat(input.dtype()))
    return typeError(op, input.dtype());
  std::vector<double> x = load<double>(input);
  std::vector<double> scale = load<double>(scaleTensor), bias;
  if (biasTensor)
    bias = load<double>(*biasTensor);
  size_t size = scale.size();
  for (size_t first = 0; size && first < x.size(); first += size) {
    double mean = 0, variance = 0;
    for (size_t i = 0; centred && i < size; ++i)
      mean += x[first + i];
    mean /= double(size);
    for (size_t i = 0; i < size; ++i)
      variance += (x[first + i] - mean) * (x[first + i] - mean);
    double factor = 1 / std::sqrt(variance / double(size) + epsilon);
    for (size_t i = 0; i < size; ++i)
      x[first + i] = (x[first + i] - mean) * factor * scale[i] +
                     (bias.empty() ? 0 : bias[i]);
  }
  return single(store(input.dtype(), input.shape(), x));
}

Result<Tensors> layerNorm(LayerNormOp op, Operands in, const RankPlace &) {
  return normalize(op, in[0], in[1], in.size() > 2 ? &in[2] : nullptr,
                   op.getEpsilon().convertToDouble(), /*centred=*/true);
}

Result<Tensors> rmsNorm(RMSNormOp op, Operands in, const RankPlace &) {
  return normalize(op, in[0], in[1], nullptr, op.getEpsilon().convertToDouble(),
                   /*centred=*/false);
}

} // namespace

void interp::attachReductionModels(MLIRContext &context) {
  attach<ReduceOp, reduce>(context);
  attach<CumSumOp, cumsum>(context);
  attach<SoftmaxOp, softmax>(context);
  attach<LayerNormOp, layerNorm>(context);
  attach<RMSNormOp, rmsNorm>(context);
}
