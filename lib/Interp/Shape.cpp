//===- Shape.cpp - Reference kernels that move elements -------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Elements are moved as bytes. Transposition, broadcast, slice, pad, concat and
// split are all one copy between two strided windows.
//
//===----------------------------------------------------------------------===//

#include "Models.h"
#include "partita/Interp/ReferenceModels.h"

using namespace mlir;
using namespace partita;
using namespace partita::interp;
using namespace partita::nn;

namespace {

/// A window of a tensor: first element and strides, in elements.
struct Window {
  int64_t offset = 0;
  std::vector<int64_t> strides;
};

Window whole(const HostTensor &tensor) {
  return {0, rowMajorStrides(tensor.shape())};
}

template <typename T>
void copyNest(const T *from, const int64_t *fromStrides, T *to,
              const int64_t *toStrides, const int64_t *shape, size_t rank) {
  if (rank == 0) {
    *to = *from;
    return;
  }
  if (rank == 1 && *fromStrides == 1 && *toStrides == 1) {
    std::memcpy(to, from, *shape * sizeof(T));
    return;
  }
  if (rank == 1) {
    for (int64_t i = 0; i < *shape; ++i)
      to[i * *toStrides] = from[i * *fromStrides];
    return;
  }
  for (int64_t i = 0; i < *shape; ++i)
    copyNest(from + i * *fromStrides, fromStrides + 1, to + i * *toStrides,
             toStrides + 1, shape + 1, rank - 1);
}

/// Copies `shape` elements between windows of tensors of one type.
void copy(const HostTensor &from, const Window &source, HostTensor &to,
          const Window &target, ArrayRef<int64_t> shape) {
  auto run = [&](auto tag) {
    using T = decltype(tag);
    copyNest(from.as<T>() + source.offset, source.strides.data(),
             to.as<T>() + target.offset, target.strides.data(), shape.data(),
             shape.size());
  };
  // The address of the first element must not be formed for an empty tensor.
  if (llvm::is_contained(shape, 0))
    return;
  switch (dtypeSize(from.dtype())) {
  case 1:
    return run(uint8_t());
  case 2:
    return run(uint16_t());
  case 4:
    return run(uint32_t());
  default:
    return run(uint64_t());
  }
}

HostTensor resultLike(const HostTensor &input, Value result) {
  return HostTensor(input.dtype(), shapeOf(result));
}

Result<Tensors> reshape(ReshapeOp op, Operands in, const RankPlace &) {
  return single(in[0].reshaped(shapeOf(op.getResult())));
}

Result<Tensors> transpose(TransposeOp op, Operands in, const RankPlace &) {
  HostTensor result = resultLike(in[0], op.getResult());
  std::vector<int64_t> strides = rowMajorStrides(in[0].shape());
  Window source;
  for (int64_t dim : op.getPermutation())
    source.strides.push_back(strides[dim]);
  copy(in[0], source, result, whole(result), result.shape());
  return single(std::move(result));
}

Result<Tensors> broadcast(BroadcastOp op, Operands in, const RankPlace &) {
  HostTensor result = resultLike(in[0], op.getResult());
  std::vector<int64_t> strides = rowMajorStrides(in[0].shape());
  Window source{0, std::vector<int64_t>(result.rank(), 0)};
  for (auto [i, dim] : llvm::enumerate(op.getDims()))
    if (in[0].shape()[i] != 1)
      source.strides[dim] = strides[i];
  copy(in[0], source, result, whole(result), result.shape());
  return single(std::move(result));
}

Result<Tensors> slice(SliceOp op, Operands in, const RankPlace &) {
  HostTensor result = resultLike(in[0], op.getResult());
  Window source = whole(in[0]);
  for (size_t d = 0; d < source.strides.size(); ++d) {
    source.offset += op.getStarts()[d] * source.strides[d];
    source.strides[d] *= op.getSteps()[d];
  }
  copy(in[0], source, result, whole(result), result.shape());
  return single(std::move(result));
}

Result<Tensors> pad(PadOp op, Operands in, const RankPlace &) {
  DType dtype = in[0].dtype();
  std::vector<int64_t> shape = shapeOf(op.getResult());
  std::optional<int64_t> count = checkedNumElements(shape);
  HostTensor result = store<double>(
      dtype, shape,
      std::vector<double>(count.value_or(0), op.getValue().convertToDouble()));
  Window target = whole(result);
  for (size_t d = 0; d < target.strides.size(); ++d)
    target.offset += op.getLow()[d] * target.strides[d];
  copy(in[0], whole(in[0]), result, target, in[0].shape());
  return single(std::move(result));
}

Result<Tensors> concat(ConcatOp op, Operands in, const RankPlace &) {
  HostTensor result = resultLike(in[0], op.getResult());
  Window target = whole(result);
  for (const HostTensor &part : in) {
    copy(part, whole(part), result, target, part.shape());
    target.offset += part.shape()[op.getAxis()] * target.strides[op.getAxis()];
  }
  return single(std::move(result));
}

Result<Tensors> split(SplitOp op, Operands in, const RankPlace &) {
  Tensors results;
  Window source = whole(in[0]);
  for (Value value : op.getResults()) {
    HostTensor part = resultLike(in[0], value);
    copy(in[0], source, part, whole(part), part.shape());
    source.offset += part.shape()[op.getAxis()] * source.strides[op.getAxis()];
    results.push_back(std::move(part));
  }
  return results;
}

/// With a base, indices count in the whole dimension and those outside of this
/// rank's part give zeros.
Result<Tensors> gather(GatherOp op, Operands in, const RankPlace &place) {
  HostTensor result = resultLike(in[0], op.getResult());
  const std::vector<int64_t> &shape = in[0].shape();
  int64_t axis = op.getAxis(), size = shape[axis], outer = 1;
  PARTITA_TRY(Offset base, offsetOf(op, op.getBaseAttr(), size, place));
  for (int64_t d = 0; d < axis; ++d)
    outer *= shape[d];
  size_t rowBytes = dtypeSize(in[0].dtype());
  for (size_t d = axis + 1; d < shape.size(); ++d)
    rowBytes *= shape[d];
  std::vector<int64_t> indices = load<int64_t>(in[1]);
  std::byte *to = result.data();
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t index : indices) {
      int64_t global = index < 0 ? index + base.size : index;
      if (global < 0 || global >= base.size)
        return valueError(op, "index " + std::to_string(index) +
                                  " is outside a dimension of " +
                                  std::to_string(base.size));
      int64_t local = global - base.begin;
      if (local >= 0 && local < size)
        std::memcpy(to, in[0].data() + (o * size + local) * rowBytes, rowBytes);
      to += rowBytes;
    }
  return single(std::move(result));
}

Result<Tensors> iota(IotaOp op, Operands, const RankPlace &place) {
  std::optional<DType> dtype = getDType(getElementTypeOrSelf(op.getResult()));
  if (!dtype)
    return makeError(ExitCode::Unsupported, "interp.element-type", describe(op),
                     "has elements that cannot be stored");
  std::vector<int64_t> shape = shapeOf(op.getResult());
  int64_t axis = op.getAxis(), size = shape[axis];
  int64_t stride = rowMajorStrides(shape)[axis];
  PARTITA_TRY(Offset base, offsetOf(op, op.getBaseAttr(), size, place));
  double start = op.getStart().convertToDouble();
  double step = op.getStep().convertToDouble();
  std::vector<double> values(checkedNumElements(shape).value_or(0));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = start + step * double(base.begin + i / stride % size);
  return single(store(*dtype, shape, values));
}

Result<Tensors> constant(ConstantOp op, Operands, const RankPlace &) {
  PARTITA_TRY(HostTensor tensor, tensorFromAttr(op.getValue()));
  return single(std::move(tensor));
}

} // namespace

void interp::attachShapeModels(MLIRContext &context) {
  attach<ReshapeOp, reshape>(context);
  attach<TransposeOp, transpose>(context);
  attach<BroadcastOp, broadcast>(context);
  attach<SliceOp, slice>(context);
  attach<PadOp, pad>(context);
  attach<ConcatOp, concat>(context);
  attach<SplitOp, split>(context);
  attach<GatherOp, gather>(context);
  attach<IotaOp, iota>(context);
  attach<ConstantOp, constant>(context);
}
