//===- Emit.cpp - Building operations of nn -------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Emit.h"

using namespace mlir;
using namespace partita;
using namespace partita::training;

Shape training::dimensions(size_t rank, const Shape &without) {
  Shape dims;
  for (int64_t d = 0; d < int64_t(rank); ++d)
    if (!llvm::is_contained(without, d))
      dims.push_back(d);
  return dims;
}

Value Emit::splat(Type type, double value) {
  auto tensor = mlir::cast<RankedTensorType>(type);
  Type element = tensor.getElementType();
  Attribute attr = isa<FloatType>(element)
                       ? Attribute(builder.getFloatAttr(element, value))
                       : builder.getIntegerAttr(element, int64_t(value));
  Attribute elements = DenseElementsAttr::get(tensor, attr);
  for (auto &[known, constant] : constants)
    if (known == elements)
      return constant;
  Value constant = create<nn::ConstantOp>(mlir::cast<ElementsAttr>(elements));
  constants.push_back({elements, constant});
  return constant;
}

Value Emit::cast(Value x, Type element) {
  auto type = mlir::cast<RankedTensorType>(x.getType());
  return type.getElementType() == element
             ? x
             : Value(create<nn::CastOp>(type.clone(element), x));
}

Value Emit::reshape(Value x, const Shape &shape) {
  return nn::shapeOf(x) == shape ? x
                                 : Value(create<nn::ReshapeOp>(
                                       nn::withShape(x.getType(), shape), x));
}

Value Emit::transpose(Value x, const Shape &permutation) {
  return permutation == dimensions(permutation.size())
             ? x
             : Value(create<nn::TransposeOp>(x, permutation));
}

Value Emit::transposed(Value x) {
  Shape permutation = dimensions(nn::shapeOf(x).size());
  std::swap(permutation.back(), permutation[permutation.size() - 2]);
  if (auto before = x.getDefiningOp<nn::TransposeOp>();
      before && before.getPermutation() == ArrayRef<int64_t>(permutation))
    return before.getInput();
  return transpose(x, permutation);
}

Value Emit::broadcast(Value x, const Shape &shape, const Shape &dims) {
  return nn::shapeOf(x) == shape
             ? x
             : Value(create<nn::BroadcastOp>(nn::withShape(x.getType(), shape),
                                             x, dims));
}

Value Emit::reduce(const char *kind, Value x, const Shape &axes) {
  return axes.empty() ? x : Value(create<nn::ReduceOp>(kind, x, axes));
}

Value Emit::spread(Value x, const Shape &shape, const Shape &axes) {
  return broadcast(x, shape, dimensions(shape.size(), axes));
}

Value Emit::slice(Value x, int64_t axis, int64_t start, int64_t count) {
  Shape shape = nn::shapeOf(x), starts(shape.size(), 0), steps(shape.size(), 1);
  if (shape[axis] == count)
    return x;
  starts[axis] = start;
  shape[axis] = count;
  return create<nn::SliceOp>(nn::withShape(x.getType(), shape), x, starts,
                             steps);
}

Value Emit::pad(Value x, const Shape &low, const Shape &high) {
  Shape shape = nn::shapeOf(x);
  for (size_t d = 0; d < shape.size(); ++d)
    shape[d] += low[d] + high[d];
  return shape == nn::shapeOf(x)
             ? x
             : Value(create<nn::PadOp>(nn::withShape(x.getType(), shape), x,
                                       low, high, APFloat(0.0)));
}

Value Emit::concat(ValueRange parts, int64_t axis) {
  if (parts.size() == 1)
    return parts.front();
  Shape shape = nn::shapeOf(parts.front());
  shape[axis] = 0;
  for (Value part : parts)
    shape[axis] += nn::shapeOf(part)[axis];
  return create<nn::ConcatOp>(nn::withShape(parts.front().getType(), shape),
                              parts, uint64_t(axis));
}
