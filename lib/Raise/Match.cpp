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
  return number.getBitWidth() == 1 ? double(number.getZExtValue())
                                   : double(number.getSExtValue());
}

bool raising::isNear(double value, double expected) {
  return std::abs(value - expected) <= 1e-3 * std::abs(expected);
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
  else
    attribute = builder.getIntegerAttr(
        element, APInt(element.getIntOrFloatBitWidth(),
                       uint64_t(int64_t(value)), false, true));
  Attribute elements = DenseElementsAttr::get(tensor, attribute);
  return ConstantOp::create(builder, loc, cast<ElementsAttr>(elements));
}

void Covered::identify(Operation *op, Operation *root) const {
  copyIdentity(root, op);
  SmallVector<Operation *> sorted(ops.begin(), ops.end());
  if (!ops.contains(root))
    sorted.push_back(root);
  llvm::sort(sorted, [](Operation *a, Operation *b) {
    return a->isBeforeInBlock(b);
  });
  llvm::SetVector<Attribute> nodes;
  for (Operation *member : sorted)
    if (auto list = member->getAttrOfType<ArrayAttr>(nodesAttrName))
      nodes.insert_range(list);
  op->setAttr(nodesAttrName,
              ArrayAttr::get(op->getContext(), nodes.getArrayRef()));
}

void raising::identifyHelper(Operation *op, Operation *root,
                             StringRef suffix) {
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
  auto broadcast = value.getDefiningOp<BroadcastOp>();
  if (!broadcast) // Rows of one dimension need none.
    return shapeOf(value).size() == 1 ? value : Value();
  int64_t last = int64_t(shapeOf(value).size()) - 1;
  Shape shape = shapeOf(broadcast.getInput());
  ArrayRef<int64_t> dims = broadcast.getDims();
  if (shape.size() != 1 || dims[0] != last ||
      shape[0] != shapeOf(value).back())
    return Value();
  covered.add(broadcast);
  return broadcast.getInput();
}

LogicalResult raising::applyPatterns(Operation *root,
                                     RewritePatternSet patterns) {
  GreedyRewriteConfig config;
  config.enableFolding(false).enableConstantCSE(false);
  config.setRegionSimplificationLevel(GreedySimplifyRegionLevel::Disabled);
  config.setMaxIterations(GreedyRewriteConfig::kNoLimit);
  return applyPatternsGreedily(root, std::move(patterns), config);
}
