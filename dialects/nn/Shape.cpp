//===- Shape.cpp - Operations that move elements --------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/nn/NN.h"

using namespace mlir;
using namespace partita;
using namespace partita::nn;

#define GET_OP_CLASSES
#include "dialects/nn/Shape.cpp.inc"

static std::string dimName(unsigned d) { return "d" + std::to_string(d); }

/// Moves bytes, computes nothing.
#define PARTITA_MOVE_COST(Op, kernelClass)                                     \
  int64_t Op::getFlops() { return 0; }                                         \
  KernelClass Op::getKernelClass() { return KernelClass::kernelClass; }

PARTITA_MOVE_COST(ReshapeOp, Free)
PARTITA_MOVE_COST(TransposeOp, Free)
PARTITA_MOVE_COST(BroadcastOp, Free)
PARTITA_MOVE_COST(SplitOp, Free)
PARTITA_MOVE_COST(SliceOp, Free)
PARTITA_MOVE_COST(ConstantOp, Free)
PARTITA_MOVE_COST(PadOp, Memory)
PARTITA_MOVE_COST(ConcatOp, Memory)
PARTITA_MOVE_COST(GatherOp, Memory)
PARTITA_MOVE_COST(IotaOp, Memory)
#undef PARTITA_MOVE_COST

bool GatherOp::takesStrides() { return true; }
bool IotaOp::takesStrides() { return true; }

//===----------------------------------------------------------------------===//
// Reshape, transpose, broadcast
//===----------------------------------------------------------------------===//

ShardingRule ReshapeOp::getShardingRule() {
  return reshapeRule(shapeOf(getInput()), shapeOf(getResult()));
}

LogicalResult ReshapeOp::verify() {
  auto from = cast<RankedTensorType>(getInput().getType());
  auto to = cast<RankedTensorType>(getType());
  if (from.getElementType() != to.getElementType())
    return emitOpError("must keep the element type");
  if (from.getNumElements() != to.getNumElements())
    return emitOpError("must keep the number of elements");
  return success();
}

ShardingRule TransposeOp::getShardingRule() {
  std::vector<int64_t> shape = shapeOf(getResult());
  RuleBuilder builder({shape.size()}, {shape.size()});
  for (auto [d, from] : llvm::enumerate(getPermutation()))
    builder.parallel(dimName(from), shape[d], {{0, unsigned(from)}},
                     {{0, unsigned(d)}});
  return builder.linear({0}).build();
}

LogicalResult TransposeOp::inferReturnTypes(MLIRContext *,
                                            std::optional<Location> loc,
                                            Adaptor adaptor,
                                            SmallVectorImpl<Type> &types) {
  std::vector<int64_t> from = shapeOf(adaptor.getInput()), to;
  std::vector<char> seen(from.size(), 0);
  ArrayRef<int64_t> permutation = adaptor.getPermutation();
  if (permutation.size() != from.size())
    return emitOptionalError(loc, "permutation has ", permutation.size(),
                             " entries for rank ", from.size());
  for (int64_t dim : permutation) {
    if (dim < 0 || dim >= int64_t(from.size()) || seen[dim]++)
      return emitOptionalError(loc, "not a permutation");
    to.push_back(from[dim]);
  }
  types.push_back(withShape(adaptor.getInput().getType(), to));
  return success();
}

LogicalResult TransposeOp::verify() { return success(); }

ShardingRule BroadcastOp::getShardingRule() {
  std::vector<int64_t> from = shapeOf(getInput()), to = shapeOf(getResult());
  RuleBuilder builder({from.size()}, {to.size()});
  std::vector<int> source(to.size(), -1);
  for (auto [i, d] : llvm::enumerate(getDims()))
    if (from[i] == to[d])
      source[d] = i;
  for (unsigned d = 0; d < to.size(); ++d) {
    RuleBuilder::Places operands;
    if (source[d] >= 0)
      operands.push_back({0, unsigned(source[d])});
    builder.parallel(dimName(d), to[d], operands, {{0, d}});
  }
  return builder.linear({0}).build();
}

LogicalResult BroadcastOp::verify() {
  std::vector<int64_t> from = shapeOf(getInput()), to = shapeOf(getResult());
  if (getDims().size() != from.size())
    return emitOpError("needs one entry of dims per input dimension");
  int64_t last = -1;
  for (auto [i, d] : llvm::enumerate(getDims())) {
    if (d <= last || d >= int64_t(to.size()))
      return emitOpError("needs ascending dims inside the result");
    last = d;
    if (from[i] != to[d] && from[i] != 1)
      return emitOpError("cannot repeat dimension ")
             << i << " of size " << from[i] << " to " << to[d];
  }
  if (getElementTypeOrSelf(getInput()) != getElementTypeOrSelf(getResult()))
    return emitOpError("must keep the element type");
  return success();
}

//===----------------------------------------------------------------------===//
// Slice, pad
//===----------------------------------------------------------------------===//

/// Dimensions for which `whole(d)` holds are parallel, the others stay whole on
/// both sides.
static ShardingRule windowRule(Value input, Value result, bool linear,
                               function_ref<bool(unsigned)> whole) {
  std::vector<int64_t> from = shapeOf(input), to = shapeOf(result);
  RuleBuilder builder({from.size()}, {to.size()});
  for (unsigned d = 0; d < to.size(); ++d) {
    if (whole(d))
      builder.parallel(dimName(d), to[d], {{0, d}}, {{0, d}});
    else
      builder.replicate("in" + std::to_string(d), from[d], {{0, d}}, {})
          .replicate("out" + std::to_string(d), to[d], {}, {{0, d}});
  }
  if (linear)
    builder.linear({0});
  return builder.build();
}

ShardingRule SliceOp::getShardingRule() {
  std::vector<int64_t> from = shapeOf(getInput()), to = shapeOf(getResult());
  return windowRule(getInput(), getResult(), true, [&](unsigned d) {
    return getStarts()[d] == 0 && getSteps()[d] == 1 && from[d] == to[d];
  });
}

LogicalResult SliceOp::verify() {
  std::vector<int64_t> from = shapeOf(getInput()), to = shapeOf(getResult());
  if (from.size() != to.size() || getStarts().size() != from.size() ||
      getSteps().size() != from.size())
    return emitOpError("needs equal ranks and one start and step a dimension");
  if (getElementTypeOrSelf(getInput()) != getElementTypeOrSelf(getResult()))
    return emitOpError("must keep the element type");
  for (size_t d = 0; d < from.size(); ++d) {
    int64_t first = getStarts()[d], step = getSteps()[d];
    if (step == 0)
      return emitOpError("has a step of zero");
    if (to[d] == 0)
      continue;
    int64_t last = first + (to[d] - 1) * step;
    if (first < 0 || first >= from[d] || last < 0 || last >= from[d])
      return emitOpError("leaves dimension ") << d << " of size " << from[d];
  }
  return success();
}

ShardingRule PadOp::getShardingRule() {
  return windowRule(
      getInput(), getResult(), getValue().convertToDouble() == 0.0,
      [&](unsigned d) { return getLow()[d] == 0 && getHigh()[d] == 0; });
}

LogicalResult PadOp::verify() {
  std::vector<int64_t> from = shapeOf(getInput()), to = shapeOf(getResult());
  if (from.size() != to.size() || getLow().size() != from.size() ||
      getHigh().size() != from.size())
    return emitOpError("needs equal ranks and one low and high a dimension");
  if (getElementTypeOrSelf(getInput()) != getElementTypeOrSelf(getResult()))
    return emitOpError("must keep the element type");
  for (size_t d = 0; d < from.size(); ++d)
    if (getLow()[d] < 0 || getHigh()[d] < 0 ||
        to[d] != getLow()[d] + from[d] + getHigh()[d])
      return emitOpError("has a wrong size in dimension ") << d;
  return success();
}

//===----------------------------------------------------------------------===//
// Concat and split
//===----------------------------------------------------------------------===//

/// Concat and split are one relation between a joined tensor and its parts.
/// Equal parts refine the joined dimension into (part, element).
static void addPartsRule(RuleBuilder &builder, ArrayRef<int64_t> joined,
                         ValueRange parts, unsigned axis, bool concat) {
  bool equal = llvm::all_of(parts, [&](Value part) {
    return shapeOf(part)[axis] == shapeOf(parts[0])[axis];
  });
  unsigned n = parts.size();
  auto add = [&](bool parallel, std::string name, int64_t size,
                 RuleBuilder::Places onJoined, RuleBuilder::Places onParts) {
    auto &operands = concat ? onParts : onJoined;
    auto &results = concat ? onJoined : onParts;
    parallel ? builder.parallel(name, size, operands, results)
             : builder.replicate(name, size, operands, results);
  };
  for (unsigned d = 0; d < joined.size(); ++d) {
    RuleBuilder::Places onParts;
    for (unsigned i = 0; i < n; ++i)
      onParts.push_back({i, d});
    if (d != axis) {
      add(true, dimName(d), joined[d], {{0, d}}, onParts);
    } else if (equal) {
      add(false, "part", n, {{0, d}}, {});
      add(true, dimName(d), joined[d] / n, {{0, d}}, onParts);
    } else {
      add(false, dimName(d), joined[d], {{0, d}}, {});
      for (unsigned i = 0; i < n; ++i)
        add(false, "part" + std::to_string(i), shapeOf(parts[i])[axis], {},
            {{i, d}});
    }
  }
}

static LogicalResult verifyParts(Operation *op, Value whole, ValueRange parts,
                                 int64_t axis) {
  std::vector<int64_t> joined = shapeOf(whole);
  if (parts.empty())
    return op->emitOpError("needs at least one part");
  if (axis < 0 || axis >= int64_t(joined.size()))
    return op->emitOpError("has axis ") << axis << " out of range";
  int64_t total = 0;
  for (Value part : parts) {
    std::vector<int64_t> shape = shapeOf(part);
    if (shape.size() != joined.size())
      return op->emitOpError("needs equal ranks");
    if (getElementTypeOrSelf(part) != getElementTypeOrSelf(whole))
      return op->emitOpError("must keep the element type");
    for (size_t d = 0; d < joined.size(); ++d)
      if (int64_t(d) != axis && shape[d] != joined[d])
        return op->emitOpError("has parts that differ in dimension ") << d;
    total += shape[axis];
  }
  if (total != joined[axis])
    return op->emitOpError("has parts whose sizes add up to ")
           << total << ", not " << joined[axis];
  return success();
}

ShardingRule ConcatOp::getShardingRule() {
  std::vector<int64_t> shape = shapeOf(getResult());
  unsigned n = getInputs().size();
  RuleBuilder builder(std::vector<size_t>(n, shape.size()), {shape.size()});
  addPartsRule(builder, shape, getInputs(), getAxis(), /*concat=*/true);
  std::vector<unsigned> all(n);
  for (unsigned i = 0; i < n; ++i)
    all[i] = i;
  return builder.linear(all).build();
}

LogicalResult ConcatOp::verify() {
  return verifyParts(*this, getResult(), getInputs(), getAxis());
}

ShardingRule SplitOp::getShardingRule() {
  std::vector<int64_t> shape = shapeOf(getInput());
  unsigned n = getResults().size();
  RuleBuilder builder({shape.size()}, std::vector<size_t>(n, shape.size()));
  addPartsRule(builder, shape, getResults(), getAxis(), /*concat=*/false);
  return builder.linear({0}).build();
}

LogicalResult SplitOp::verify() {
  return verifyParts(*this, getInput(), getResults(), getAxis());
}

//===----------------------------------------------------------------------===//
// Gather
//===----------------------------------------------------------------------===//

ShardingRule GatherOp::getShardingRule() {
  std::vector<int64_t> data = shapeOf(getData()),
                       indices = shapeOf(getIndices());
  unsigned axis = getAxis(), rank = indices.size();
  RuleBuilder builder({data.size(), indices.size()},
                      {data.size() + indices.size() - 1});
  for (unsigned d = 0; d < axis; ++d)
    builder.parallel("o" + std::to_string(d), data[d], {{0, d}}, {{0, d}});
  for (unsigned d = 0; d < rank; ++d)
    builder.parallel("i" + std::to_string(d), indices[d], {{1, d}},
                     {{0, axis + d}});
  for (unsigned d = axis + 1; d < data.size(); ++d)
    builder.parallel("p" + std::to_string(d), data[d], {{0, d}},
                     {{0, d + rank - 1}});
  builder.reduction("v", data[axis], Combiner::Sum, {{0, axis}});
  return builder.contiguous("v").linear({0}).build();
}

LogicalResult GatherOp::inferReturnTypes(MLIRContext *,
                                         std::optional<Location> loc,
                                         Adaptor adaptor,
                                         SmallVectorImpl<Type> &types) {
  std::vector<int64_t> data = shapeOf(adaptor.getData()),
                       indices = shapeOf(adaptor.getIndices());
  int64_t axis = adaptor.getAxis();
  if (axis < 0 || axis >= int64_t(data.size()))
    return emitOptionalError(loc, "axis ", axis, " is out of range");
  std::vector<int64_t> shape(data.begin(), data.begin() + axis);
  shape.insert(shape.end(), indices.begin(), indices.end());
  shape.insert(shape.end(), data.begin() + axis + 1, data.end());
  types.push_back(withShape(adaptor.getData().getType(), shape));
  return success();
}

LogicalResult GatherOp::verify() {
  Type type = getElementTypeOrSelf(getIndices());
  if (!type.isSignlessInteger(32) && !type.isSignlessInteger(64))
    return emitOpError("needs i32 or i64 indices");
  return success();
}

Operation *GatherOp::localize(OpBuilder &builder, ValueRange operands,
                              TypeRange results,
                              const LocalPlace &place) {
  return GatherOp::create(builder, getLoc(), results[0], operands[0],
                          operands[1], getAxis(), place.offset("v"));
}

//===----------------------------------------------------------------------===//
// Iota and constants
//===----------------------------------------------------------------------===//

static RuleBuilder sourceRule(Value result,
                              function_ref<bool(unsigned)> whole) {
  std::vector<int64_t> shape = shapeOf(result);
  RuleBuilder builder({}, {shape.size()});
  for (unsigned d = 0; d < shape.size(); ++d)
    whole(d) ? builder.replicate(dimName(d), shape[d], {}, {{0, d}})
             : builder.parallel(dimName(d), shape[d], {}, {{0, d}});
  return builder;
}

ShardingRule IotaOp::getShardingRule() {
  return sourceRule(getResult(), [](unsigned) { return false; })
      .contiguous(dimName(getAxis()))
      .build();
}

LogicalResult IotaOp::verify() {
  if (int64_t(getAxis()) < 0 ||
      int64_t(getAxis()) >= cast<RankedTensorType>(getType()).getRank())
    return emitOpError("has axis ") << int64_t(getAxis()) << " out of range";
  return success();
}

Operation *IotaOp::localize(OpBuilder &builder, ValueRange, TypeRange results,
                            const LocalPlace &place) {
  return IotaOp::create(builder, getLoc(), results[0], getAxis(),
                        getStart(), getStep(),
                        place.offset(dimName(getAxis())));
}

ShardingRule ConstantOp::getShardingRule() {
  bool splat = isa<SplatElementsAttr>(getValue());
  return sourceRule(getResult(), [&](unsigned) { return !splat; }).build();
}

LogicalResult ConstantOp::verify() {
  if (getValue().getShapedType() != getType())
    return emitOpError("has a value of another type");
  auto type = cast<RankedTensorType>(getType());
  if (!isa<SplatElementsAttr>(getValue()) &&
      type.getNumElements() * type.getElementTypeBitWidth() / 8 > 4096)
    return emitOpError("is larger than 4096 bytes: use a parameter");
  return success();
}

OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValue(); }

Operation *ConstantOp::localize(OpBuilder &builder, ValueRange,
                                TypeRange results,
                                const LocalPlace &) {
  ElementsAttr value = getValue();
  if (results[0] != getType())
    value = SplatElementsAttr::get(cast<ShapedType>(results[0]),
                                   cast<SplatElementsAttr>(value)
                                       .getSplatValue<Attribute>());
  return ConstantOp::create(builder, getLoc(), results[0], value);
}
