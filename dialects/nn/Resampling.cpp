//===- Resampling.cpp - Values between the elements -----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Rules and constraints. What is read with weights is a sum, so that the loop
// over the elements that are read can be split too.
//
//===----------------------------------------------------------------------===//

#include "dialects/nn/Resampling.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace partita;
using namespace partita::nn;

#define GET_OP_CLASSES
#include "dialects/nn/Resampling.cpp.inc"

static std::string numbered(const char *name, unsigned d) {
  return name + std::to_string(d);
}

static int64_t resultElements(Operation *op) {
  return cast<RankedTensorType>(op->getResult(0).getType()).getNumElements();
}

/// The operation on local operands, with attributes that say where parts begin.
static Operation *
localizeWith(Operation *op, OpBuilder &builder, ValueRange operands,
             TypeRange results,
             ArrayRef<std::pair<StringRef, Attribute>> attributes) {
  IRMapping mapping;
  mapping.map(op->getOperands(), operands);
  Operation *local = builder.clone(*op, mapping);
  for (auto [result, type] : llvm::zip_equal(local->getResults(), results))
    result.setType(type);
  for (auto [name, attribute] : attributes)
    if (attribute)
      local->setAttr(name, attribute);
  return local;
}

//===----------------------------------------------------------------------===//
// Resample
//===----------------------------------------------------------------------===//

static bool isNearest(StringRef filter) {
  return filter != "linear" && filter != "cubic";
}

ShardingRule ResampleOp::getShardingRule() {
  std::vector<int64_t> from = shapeOf(getInput()), to = shapeOf(getResult());
  unsigned axis = getAxis(), rank = from.size();
  bool isSum = !getFill() && (isNearest(getFilter()) ||
                              isa<FloatType>(getElementTypeOrSelf(getInput())));
  RuleBuilder builder({rank}, {rank});
  for (unsigned d = 0; d < rank; ++d)
    if (d != axis)
      builder.parallel(numbered("d", d), to[d], {{0, d}}, {{0, d}});
  if (isSum)
    builder.reduction("in", from[axis], Combiner::Sum, {{0, axis}})
        .contiguous("in")
        .linear({0});
  else
    builder.replicate("in", from[axis], {{0, axis}}, {});
  return builder.parallel("out", to[axis], {}, {{0, axis}})
      .contiguous("out")
      .build();
}

LogicalResult ResampleOp::verify() {
  static const StringRef known[] = {
      "floor", "ceil", "round_half_down", "round_half_up", "linear", "cubic"};
  std::vector<int64_t> from = shapeOf(getInput()), to = shapeOf(getResult());
  int64_t axis = getAxis();
  if (!llvm::is_contained(known, getFilter()))
    return emitOpError("has unknown filter \"") << getFilter() << '"';
  if (from.size() != to.size() || axis < 0 || axis >= int64_t(from.size()))
    return emitOpError("has axis ") << axis << " out of range";
  if (getElementTypeOrSelf(getInput()) != getElementTypeOrSelf(getResult()))
    return emitOpError("must keep the element type");
  if (getCoordinates().size() != 4 || getCoordinates()[2] == 0)
    return emitOpError("needs four coordinates, the third not zero");
  if (!(getFilterScale().convertToDouble() > 0))
    return emitOpError("needs a positive filter scale");
  if (from[axis] == 0 && to[axis] != 0)
    return emitOpError("has nothing to sample");
  from[axis] = to[axis];
  if (from != to)
    return emitOpError("must keep the other dimensions");
  return success();
}

Operation *ResampleOp::localize(OpBuilder &builder, ValueRange operands,
                                TypeRange results,
                                const LocalPlace &place) {
  return localizeWith(*this, builder, operands, results,
                      {{getInBaseAttrName(), place.offset("in")},
                       {getOutBaseAttrName(), place.offset("out")}});
}

int64_t ResampleOp::getFlops() {
  return isNearest(getFilter()) ? 0 : resultElements(*this) * 8;
}
KernelClass ResampleOp::getKernelClass() { return KernelClass::Memory; }
bool ResampleOp::takesStrides() { return true; }

//===----------------------------------------------------------------------===//
// Grid sample
//===----------------------------------------------------------------------===//

ShardingRule GridSampleOp::getShardingRule() {
  std::vector<int64_t> images = shapeOf(getImages()), grid = shapeOf(getGrid());
  unsigned points = grid.size() - 2;
  RuleBuilder builder({images.size(), grid.size()}, {points + 2});
  builder.parallel("n", images[0], {{0, 0}, {1, 0}}, {{0, 0}})
      .parallel("c", images[1], {{0, 1}}, {{0, 1}});
  for (unsigned d = 0; d < points; ++d)
    builder.parallel(numbered("p", d), grid[d + 1], {{1, d + 1}}, {{0, d + 2}});
  for (unsigned d = 2; d < images.size(); ++d)
    builder.replicate(numbered("s", d - 2), images[d], {{0, d}}, {});
  return builder.replicate("d", grid.back(), {{1, points + 1}}, {})
      .linear({0})
      .build();
}

LogicalResult GridSampleOp::verify() {
  static const StringRef filters[] = {"nearest", "linear", "cubic"};
  static const StringRef paddings[] = {"zeros", "border", "reflection"};
  if (!llvm::is_contained(filters, getFilter()) ||
      !llvm::is_contained(paddings, getPadding()))
    return emitOpError("has an unknown filter or padding");
  std::vector<int64_t> images = shapeOf(getImages()), grid = shapeOf(getGrid());
  if (images.size() < 3 || images.size() > 5 || grid.size() < 2 ||
      grid.back() != int64_t(images.size()) - 2 || grid[0] != images[0])
    return emitOpError("has a grid that does not fit the images");
  std::vector<int64_t> expected = {images[0], images[1]};
  expected.insert(expected.end(), grid.begin() + 1, grid.end() - 1);
  if (shapeOf(getResult()) != expected)
    return emitOpError("has a result of a wrong shape");
  Type element = getElementTypeOrSelf(getImages());
  if (!isa<FloatType>(element) ||
      !isa<FloatType>(getElementTypeOrSelf(getGrid())) ||
      element != getElementTypeOrSelf(getResult()))
    return emitOpError("needs floating point numbers");
  if (llvm::is_contained(ArrayRef<int64_t>(images).drop_front(2), 0))
    return emitOpError("has nothing to sample");
  return success();
}

int64_t GridSampleOp::getFlops() { return resultElements(*this) * 16; }
KernelClass GridSampleOp::getKernelClass() { return KernelClass::Memory; }
bool GridSampleOp::takesStrides() { return true; }

//===----------------------------------------------------------------------===//
// Regions
//===----------------------------------------------------------------------===//

ShardingRule RoiAlignOp::getShardingRule() {
  std::vector<int64_t> images = shapeOf(getImages()), to = shapeOf(getResult());
  RuleBuilder builder({4, 2, 1}, {4});
  builder.reduction("n", images[0], Combiner::Sum, {{0, 0}})
      .contiguous("n")
      .parallel("r", to[0], {{1, 0}, {2, 0}}, {{0, 0}})
      .parallel("c", to[1], {{0, 1}}, {{0, 1}})
      .replicate("h", images[2], {{0, 2}}, {})
      .replicate("w", images[3], {{0, 3}}, {})
      .replicate("oh", to[2], {}, {{0, 2}})
      .replicate("ow", to[3], {}, {{0, 3}})
      .replicate("box", 4, {{1, 1}}, {});
  if (!getMax())
    builder.linear({0});
  return builder.build();
}

LogicalResult RoiAlignOp::verify() {
  std::vector<int64_t> images = shapeOf(getImages()),
                       boxes = shapeOf(getBoxes()), to = shapeOf(getResult());
  if (images.size() != 4 || boxes.size() != 2 || boxes[1] != 4 ||
      shapeOf(getNumbers()) != std::vector<int64_t>{boxes[0]})
    return emitOpError("has boxes that do not fit the images");
  if (to.size() != 4 || to[0] != boxes[0] || to[1] != images[1] || to[2] < 1 ||
      to[3] < 1)
    return emitOpError("has a result of a wrong shape");
  if (images[2] < 1 || images[3] < 1 || int64_t(getSampling()) < 0)
    return emitOpError("has nothing to sample");
  Type element = getElementTypeOrSelf(getImages());
  Type number = getElementTypeOrSelf(getNumbers());
  if (!isa<FloatType>(element) || element != getElementTypeOrSelf(getBoxes()) ||
      element != getElementTypeOrSelf(getResult()))
    return emitOpError("needs floating point numbers of one type");
  if (!number.isSignlessInteger(32) && !number.isSignlessInteger(64))
    return emitOpError("needs i32 or i64 numbers of images");
  return success();
}

Operation *RoiAlignOp::localize(OpBuilder &builder, ValueRange operands,
                                TypeRange results,
                                const LocalPlace &place) {
  return localizeWith(*this, builder, operands, results,
                      {{getBaseAttrName(), place.offset("n")}});
}

int64_t RoiAlignOp::getFlops() { return resultElements(*this) * 32; }
KernelClass RoiAlignOp::getKernelClass() { return KernelClass::Memory; }
bool RoiAlignOp::takesStrides() { return true; }
