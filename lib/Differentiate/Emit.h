//===- Emit.h - Building operations of nn ----------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_DIFFERENTIATE_EMIT_H
#define PARTITA_LIB_DIFFERENTIATE_EMIT_H

#include "dialects/nn/NN.h"

namespace partita::training {

using Shape = std::vector<int64_t>;
using mlir::Value;

/// Builds operations where an OpBuilder stands, in the words in which gradients
/// are written down. Operands have one type where the operation demands it.
class Emit {
public:
  Emit(mlir::OpBuilder &builder, mlir::Location location)
      : builder(builder), location(location) {}

  template <typename Op, typename... Args> Op create(Args &&...args) {
    return Op::create(builder, location, std::forward<Args>(args)...);
  }
  template <typename Op> Value unary(Value x) {
    return create<Op>(x.getType(), x);
  }
  template <typename Op> Value binary(Value x, Value y) {
    return create<Op>(x.getType(), x, y);
  }
  Value add(Value x, Value y) { return binary<nn::AddOp>(x, y); }
  Value sub(Value x, Value y) { return binary<nn::SubOp>(x, y); }
  Value mul(Value x, Value y) { return binary<nn::MulOp>(x, y); }
  Value div(Value x, Value y) { return binary<nn::DivOp>(x, y); }
  Value neg(Value x) { return unary<nn::NegOp>(x); }
  Value square(Value x) { return mul(x, x); }

  /// All elements equal to `value`.
  Value splat(mlir::Type type, double value);
  Value zeros(mlir::Type type) { return splat(type, 0); }
  Value plus(Value x, double y) { return add(x, splat(x.getType(), y)); }
  Value times(Value x, double y) { return mul(x, splat(x.getType(), y)); }
  /// y - x.
  Value from(double y, Value x) { return sub(splat(x.getType(), y), x); }

  Value compare(const char *predicate, Value x, Value y) {
    return create<nn::CompareOp>(predicate, x, y);
  }
  Value select(Value condition, Value x, Value y) {
    return create<nn::SelectOp>(x.getType(), condition, x, y);
  }
  /// x where the condition holds, else zero.
  Value keep(Value condition, Value x) {
    return select(condition, x, zeros(x.getType()));
  }
  Value cast(Value x, mlir::Type element);

  Value reshape(Value x, const Shape &shape);
  Value transpose(Value x, const Shape &permutation);
  /// Exchanges the last two dimensions.
  Value transposed(Value x);
  /// Dimension i of x becomes dims[i].
  Value broadcast(Value x, const Shape &shape, const Shape &dims);
  /// Repeats a scalar.
  Value broadcast(Value scalar, const Shape &shape) {
    return broadcast(scalar, shape, {});
  }
  /// Reduced dimensions vanish.
  Value reduce(const char *kind, Value x, const Shape &axes);
  Value sum(Value x, const Shape &axes) { return reduce("sum", x, axes); }
  /// The inverse of a reduction of `shape`: repeats along the axes that are not
  /// there.
  Value spread(Value x, const Shape &shape, const Shape &axes);
  /// `count` elements from `start` on along a dimension.
  Value slice(Value x, int64_t axis, int64_t start, int64_t count);
  /// Zeros around x.
  Value pad(Value x, const Shape &low, const Shape &high);
  Value concat(mlir::ValueRange parts, int64_t axis);
  Value matmul(Value x, Value y) { return create<nn::MatMulOp>(x, y); }

protected:
  mlir::OpBuilder &builder;
  mlir::Location location;

private:
  /// Equal constants are one, as long as this object is used.
  std::vector<std::pair<mlir::Attribute, Value>> constants;
};

/// 0, 1, .., rank - 1 but for `without`.
Shape dimensions(size_t rank, const Shape &without = {});

} // namespace partita::training

#endif // PARTITA_LIB_DIFFERENTIATE_EMIT_H
