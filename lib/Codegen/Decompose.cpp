//===- Decompose.cpp - Composites as reductions and elements --------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Variances are sums over squared differences from the mean, a second pass over
// a row that is in the first-level cache: the difference of two sums would lose
// digits where the mean is large.
//
//===----------------------------------------------------------------------===//

#include "Kernel.h"

using namespace mlir;
using namespace partita;
using namespace partita::codegen;

namespace {

/// Builds nn operations over a row space: the last dimension is the row.
class RowBuilder {
public:
  explicit RowBuilder(Operation *op)
      : builder(op), loc(op->getLoc()),
        full(cast<RankedTensorType>(op->getResult(0).getType())), result(full) {
    if (isHalf(full))
      full = full.clone(builder.getF32Type());
    row = RankedTensorType::get(full.getShape().drop_back(),
                                full.getElementType());
  }

  /// In the type in which the operation computes.
  Value widened(Value value) {
    auto type = cast<RankedTensorType>(value.getType());
    if (!isHalf(type))
      return value;
    return nn::CastOp::create(builder, loc, type.clone(full.getElementType()),
                              value);
  }
  Value narrowed(Value value) {
    return full == result ? value
                          : nn::CastOp::create(builder, loc, result, value);
  }
  /// A vector along the rows, repeated for each of them.
  Value alongRow(Value vector) {
    auto type = full.clone(getElementTypeOrSelf(vector.getType()));
    if (vector.getType() != type)
      vector = nn::BroadcastOp::create(builder, loc, type, vector,
                                       ArrayRef<int64_t>{full.getRank() - 1});
    return widened(vector);
  }
  Value spread(Value perRow) {
    SmallVector<int64_t> dims(row.getRank());
    std::iota(dims.begin(), dims.end(), 0);
    return nn::BroadcastOp::create(builder, loc, full, perRow, dims);
  }
  Value reduce(StringRef kind, Value value) {
    return nn::ReduceOp::create(
        builder, loc, row, builder.getStringAttr(kind), value,
        builder.getDenseI64ArrayAttr({full.getRank() - 1}));
  }
  Value perRow(double value) {
    auto attr = builder.getFloatAttr(row.getElementType(), value);
    return nn::ConstantOp::create(builder, loc,
                                  SplatElementsAttr::get(row, attr));
  }
  template <typename Op> Value make(Value x) {
    return Op::create(builder, loc, x.getType(), x);
  }
  template <typename Op> Value make(Value x, Value y) {
    return Op::create(builder, loc, x.getType(), x, y);
  }
  Value mean(Value value) {
    return make<nn::MulOp>(reduce("sum", value),
                           perRow(1.0 / double(full.getShape().back())));
  }
  /// value / sqrt(mean(value^2) + epsilon)
  Value scaledByRoot(Value value, double epsilon) {
    Value square = mean(make<nn::MulOp>(value, value));
    Value root = make<nn::RsqrtOp>(make<nn::AddOp>(square, perRow(epsilon)));
    return make<nn::MulOp>(value, spread(root));
  }

private:
  static bool isHalf(RankedTensorType type) {
    return type.getElementType().isF16() || type.getElementType().isBF16();
  }
  OpBuilder builder;
  Location loc;
  RankedTensorType full, result, row;
};

} // namespace

static Value expand(nn::SoftmaxOp op) {
  RowBuilder b(op);
  Value x = b.widened(op.getInput());
  Value shifted = b.make<nn::SubOp>(x, b.spread(b.reduce("max", x)));
  Value e = b.make<nn::ExpOp>(shifted);
  Value sum = b.reduce("sum", e);
  Value inverse = b.make<nn::ReciprocalOp>(sum);
  return b.narrowed(b.make<nn::MulOp>(e, b.spread(inverse)));
}

static Value expand(nn::LayerNormOp op) {
  RowBuilder b(op);
  Value x = b.widened(op.getInput());
  Value centred = b.make<nn::SubOp>(x, b.spread(b.mean(x)));
  Value y = b.scaledByRoot(centred, op.getEpsilon().convertToDouble());
  y = b.make<nn::MulOp>(y, b.alongRow(op.getScale()));
  if (Value bias = op.getBias())
    y = b.make<nn::AddOp>(y, b.alongRow(bias));
  return b.narrowed(y);
}

static Value expand(nn::RMSNormOp op) {
  RowBuilder b(op);
  Value y = b.scaledByRoot(b.widened(op.getInput()),
                           op.getEpsilon().convertToDouble());
  return b.narrowed(b.make<nn::MulOp>(y, b.alongRow(op.getScale())));
}

void codegen::decompose(rt::FusionOp fusion) {
  for (Operation &op : llvm::make_early_inc_range(fusion.getBody().front())) {
    Value expanded;
    if (auto softmax = dyn_cast<nn::SoftmaxOp>(op))
      expanded = expand(softmax);
    else if (auto norm = dyn_cast<nn::LayerNormOp>(op))
      expanded = expand(norm);
    else if (auto norm = dyn_cast<nn::RMSNormOp>(op))
      expanded = expand(norm);
    else
      continue;
    op.getResult(0).replaceAllUsesWith(expanded);
    op.erase();
  }
}
