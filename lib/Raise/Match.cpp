//===- Match.cpp - What the passes of raising share -----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Match.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include <cmath>

using namespace mlir;
using namespace partita;
using namespace partita::nn;
using namespace partita::raising;

std::optional<double> raising::splatOf(Value value) {
  auto constant = value ? value.getDefiningOp<ConstantOp>() : ConstantOp();
  if (!constant)
    return std::nullopt;
  auto elements = dyn_cast<DenseElementsAttr>(constant.getValue());
  if (!elements || !elements.isSplat())
    return std::nullopt;
  Attribute element = elements.getSplatValue<Attribute>();
  if (auto number = dyn_cast<FloatAttr>(element))
    return number.getValueAsDouble();
  APInt number = cast<IntegerAttr>(element).getValue();
  if (number.getBitWidth() == 1)
    return double(number.getZExtValue());
  // Beyond this a double is not every integer.
  int64_t integer = number.getSExtValue();
  if (std::abs(double(integer)) > double(int64_t(1) << 53))
    return std::nullopt;
  return double(integer);
}

bool raising::isNear(double value, double expected, Value like) {
  // bfloat16 has eight bits: two constants that it rounded are off by 2^-8.
  double tolerance = getElementTypeOrSelf(like).isBF16() ? 1.0 / 256 : 1e-3;
  return std::abs(value - expected) <= tolerance * std::abs(expected);
}

bool raising::isFloatTensor(Value value) {
  return isa<FloatType>(getElementTypeOrSelf(value));
}

Value raising::makeSplat(OpBuilder &builder, Location loc, Type type,
                         double value) {
  auto tensor = cast<RankedTensorType>(type);
  Type element = tensor.getElementType();
  Attribute attribute;
  if (isa<FloatType>(element))
    attribute = builder.getFloatAttr(element, value);
  else // The number is from splatOf, so it is in range.
    attribute = builder.getIntegerAttr(
        element, APInt(element.getIntOrFloatBitWidth(),
                       uint64_t(int64_t(value)), false, true));
  Attribute elements = DenseElementsAttr::get(tensor, attribute);
  return ConstantOp::create(builder, loc, cast<ElementsAttr>(elements));
}

void Covered::identify(Operation *op, Operation *root) const {
  copyIdentity(root, op);
  // What others read too is not covered. Neither are constants: layers share
  // them.
  SmallVector<Operation *> sorted = {root};
  for (Operation *member : ops)
    if (member != root && !isa<ConstantOp>(member) &&
        llvm::all_of(member->getUsers(),
                     [&](Operation *user) { return ops.contains(user); }))
      sorted.push_back(member);
  llvm::sort(sorted,
             [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  llvm::SetVector<Attribute> nodes;
  for (Operation *member : sorted)
    if (auto list = member->getAttrOfType<ArrayAttr>(nodesAttrName))
      nodes.insert_range(list);
  op->setAttr(nodesAttrName,
              ArrayAttr::get(op->getContext(), nodes.getArrayRef()));
}

void raising::identifyHelper(Operation *op, Operation *root, StringRef suffix) {
  copyIdentity(root, op, suffix);
}

static void flatten(Value value, bool isRoot, Product &product) {
  if (std::optional<double> number = splatOf(value)) {
    product.constant *= *number;
    product.covered.add(value);
    return;
  }
  Operation *op = value.getDefiningOp();
  bool interior = op && (isRoot || value.hasOneUse());
  if (interior && isa<MulOp>(op)) {
    product.covered.add(op);
    flatten(op->getOperand(0), false, product);
    flatten(op->getOperand(1), false, product);
    return;
  }
  std::optional<double> divisor =
      interior && isa<DivOp>(op) && isFloatTensor(value)
          ? splatOf(op->getOperand(1))
          : std::nullopt;
  if (divisor) {
    product.covered.add(op);
    product.covered.add(op->getOperand(1));
    product.constant /= *divisor;
    flatten(op->getOperand(0), false, product);
    return;
  }
  product.factors.push_back(value);
}

Product raising::flattenProduct(Value value) {
  Product product;
  flatten(value, true, product);
  return product;
}

Value raising::lastDimVector(Value value, Covered &covered) {
  Shape shape = shapeOf(value);
  Operation *op = value.getDefiningOp();
  // Rows of one dimension need no broadcast; a single row's is a reshape.
  if (shape.size() == 1)
    return value;
  if (!isa_and_nonnull<BroadcastOp, ReshapeOp>(op))
    return Value();
  Value vector = op->getOperand(0);
  auto broadcast = dyn_cast<BroadcastOp>(op);
  if (shapeOf(vector) != Shape{shape.back()} ||
      (broadcast && broadcast.getDims()[0] + 1 != int64_t(shape.size())))
    return Value();
  covered.add(op);
  return vector;
}

LogicalResult raising::applyPatterns(Operation *root,
                                     RewritePatternSet patterns) {
  GreedyRewriteConfig config;
  config.enableFolding(false).enableConstantCSE(false);
  config.setRegionSimplificationLevel(GreedySimplifyRegionLevel::Disabled);
  config.setMaxIterations(GreedyRewriteConfig::kNoLimit);
  return applyPatternsGreedily(root, std::move(patterns), config);
}
