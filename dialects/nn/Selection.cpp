//===- Selection.cpp - Elements by index and by order ---------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Rules and constraints. Each gather has a scatter that is its mirror: the
// dimension that is a reduction for the one is parallel for the other, and the
// loops over the indices, parallel for the one, stay whole for the other.
//
//===----------------------------------------------------------------------===//

#include "dialects/nn/Selection.h"

using namespace mlir;
using namespace partita;
using namespace partita::nn;

#define GET_OP_CLASSES
#include "dialects/nn/Selection.cpp.inc"

/// Picks and places elements, computes nothing worth counting.
#define PARTITA_SELECTION_COST(Op)                                             \
  int64_t Op::getFlops() { return 0; }                                         \
  KernelClass Op::getKernelClass() { return KernelClass::Memory; }

PARTITA_SELECTION_COST(TopKOp)
PARTITA_SELECTION_COST(GatherElementsOp)
PARTITA_SELECTION_COST(GatherNDOp)
PARTITA_SELECTION_COST(ScatterElementsOp)
PARTITA_SELECTION_COST(ScatterNDOp)
#undef PARTITA_SELECTION_COST

bool GatherElementsOp::takesStrides() { return true; }
bool GatherNDOp::takesStrides() { return true; }
bool ScatterElementsOp::takesStrides() { return true; }
bool ScatterNDOp::takesStrides() { return true; }

/// The loop over the dimension that indices point into, which may be split.
static constexpr char indexedName[] = "v";

static std::string numbered(const char *name, unsigned d) {
  return name + std::to_string(d);
}

static LogicalResult verifyIndices(Operation *op, Value indices) {
  Type type = getElementTypeOrSelf(indices);
  if (!type.isSignlessInteger(32) && !type.isSignlessInteger(64))
    return op->emitOpError("needs i32 or i64 indices");
  return success();
}

static LogicalResult verifyKind(Operation *op, StringRef kind) {
  static const StringRef known[] = {"none", "add", "mul", "min", "max"};
  if (!llvm::is_contained(known, kind))
    return op->emitOpError("has unknown kind \"") << kind << '"';
  return success();
}

//===----------------------------------------------------------------------===//
// Top-k
//===----------------------------------------------------------------------===//

ShardingRule TopKOp::getShardingRule() {
  std::vector<int64_t> shape = shapeOf(getInput());
  unsigned axis = getAxis(), rank = shape.size();
  RuleBuilder builder({rank}, {rank, rank});
  for (unsigned d = 0; d < rank; ++d)
    if (d != axis)
      builder.parallel(numbered("d", d), shape[d], {{0, d}}, {{0, d}, {1, d}});
  return builder.replicate("n", shape[axis], {{0, axis}}, {})
      .replicate("k", shapeOf(getValues()) [axis], {}, {{0, axis}, {1, axis}})
      .build();
}

LogicalResult TopKOp::verify() {
  std::vector<int64_t> from = shapeOf(getInput()), to = shapeOf(getValues());
  int64_t axis = getAxis();
  if (axis < 0 || axis >= int64_t(from.size()))
    return emitOpError("has axis ") << axis << " out of range";
  if (to.size() != from.size() || to[axis] > from[axis])
    return emitOpError("cannot take more elements than there are");
  from[axis] = to[axis];
  if (to != from || shapeOf(getIndices()) != to)
    return emitOpError("has results of a wrong shape");
  if (getElementTypeOrSelf(getInput()) != getElementTypeOrSelf(getValues()) ||
      !getElementTypeOrSelf(getIndices()).isSignlessInteger(64))
    return emitOpError("has results of a wrong type");
  return success();
}

//===----------------------------------------------------------------------===//
// Single elements
//===----------------------------------------------------------------------===//

/// Whether indices of shape `to` may address data of shape `from`.
static bool addresses(ArrayRef<int64_t> from, ArrayRef<int64_t> to,
                      int64_t axis) {
  if (from.size() != to.size() || axis < 0 || axis >= int64_t(from.size()))
    return false;
  for (int64_t d = 0; d < int64_t(from.size()); ++d)
    if (d != axis && to[d] > from[d])
      return false;
  return true;
}

ShardingRule GatherElementsOp::getShardingRule() {
  std::vector<int64_t> data = shapeOf(getData()), at = shapeOf(getIndices());
  unsigned axis = getAxis(), rank = data.size();
  RuleBuilder builder({rank, rank}, {rank});
  for (unsigned d = 0; d < rank; ++d) {
    if (d != axis && data[d] == at[d]) {
      builder.parallel(numbered("d", d), at[d], {{0, d}, {1, d}}, {{0, d}});
      continue;
    }
    if (d != axis)
      builder.replicate(numbered("n", d), data[d], {{0, d}}, {})
          .replicate(numbered("i", d), at[d], {{1, d}}, {{0, d}});
    else
      builder.reduction(indexedName, data[d], Combiner::Sum, {{0, d}})
          .parallel("i", at[d], {{1, d}}, {{0, d}});
  }
  return builder.contiguous(indexedName).linear({0}).build();
}

LogicalResult GatherElementsOp::inferReturnTypes(MLIRContext *,
                                                 std::optional<Location> loc,
                                                 Adaptor adaptor,
                                                 SmallVectorImpl<Type> &types) {
  std::vector<int64_t> data = shapeOf(adaptor.getData()),
                       at = shapeOf(adaptor.getIndices());
  if (!addresses(data, at, adaptor.getAxis()))
    return emitOptionalError(loc, "indices do not fit the data");
  types.push_back(withShape(adaptor.getData().getType(), at));
  return success();
}

LogicalResult GatherElementsOp::verify() {
  return verifyIndices(*this, getIndices());
}

Operation *
GatherElementsOp::localize(OpBuilder &builder, ValueRange operands,
                           TypeRange results,
                           const LocalPlace &place) {
  return GatherElementsOp::create(builder, getLoc(), results[0], operands[0],
                                  operands[1], getAxis(), place.offset(indexedName));
}

/// Partial sums flow through what replaces or adds in data and updates
/// together, through a product in data alone.
static void addScatterLinearity(RuleBuilder &builder, StringRef kind) {
  if (kind == "none" || kind == "add")
    builder.linear({0, 2});
  else if (kind == "mul")
    builder.linear({0});
}

ShardingRule ScatterElementsOp::getShardingRule() {
  std::vector<int64_t> data = shapeOf(getData()), at = shapeOf(getIndices());
  unsigned axis = getAxis(), rank = data.size();
  RuleBuilder builder({rank, rank, rank}, {rank});
  for (unsigned d = 0; d < rank; ++d) {
    if (d != axis && data[d] == at[d]) {
      builder.parallel(numbered("d", d), at[d], {{0, d}, {1, d}, {2, d}},
                       {{0, d}});
      continue;
    }
    if (d != axis)
      builder.replicate(numbered("n", d), data[d], {{0, d}}, {{0, d}});
    else
      builder.parallel(indexedName, data[d], {{0, d}}, {{0, d}});
    builder.replicate(numbered("i", d), at[d], {{1, d}, {2, d}}, {});
  }
  addScatterLinearity(builder.contiguous(indexedName), getKind());
  return builder.build();
}

LogicalResult ScatterElementsOp::verify() {
  if (!addresses(shapeOf(getData()), shapeOf(getIndices()), getAxis()) ||
      shapeOf(getUpdates()) != shapeOf(getIndices()))
    return emitOpError("has indices or updates that do not fit the data");
  if (getElementTypeOrSelf(getUpdates()) != getElementTypeOrSelf(getData()))
    return emitOpError("must keep the element type");
  if (failed(verifyKind(*this, getKind())))
    return failure();
  return verifyIndices(*this, getIndices());
}

Operation *
ScatterElementsOp::localize(OpBuilder &builder, ValueRange operands,
                            TypeRange results,
                            const LocalPlace &place) {
  return ScatterElementsOp::create(builder, getLoc(), results[0], getKind(),
                                   operands[0], operands[1], operands[2],
                                   getAxis(), place.offset(indexedName));
}

//===----------------------------------------------------------------------===//
// Slices
//===----------------------------------------------------------------------===//

namespace {

/// The dimensions of data [b.., n.., t..], indices [b.., i.., k] and what they
/// select, [b.., i.., t..].
struct SliceShape {
  std::vector<int64_t> data, indices, selected;
  unsigned batch, depth;

  static std::optional<SliceShape>
  get(ArrayRef<int64_t> data, ArrayRef<int64_t> indices, int64_t batch) {
    if (indices.empty() || batch < 0 || batch >= int64_t(indices.size()) ||
        batch >= int64_t(data.size()))
      return std::nullopt;
    int64_t depth = indices.back();
    if (depth < 1 || depth > int64_t(data.size()) - batch ||
        data.take_front(batch) != indices.take_front(batch))
      return std::nullopt;
    SliceShape shape{{data.begin(), data.end()},
                     {indices.begin(), indices.end()},
                     {indices.begin(), indices.end() - 1},
                     unsigned(batch),
                     unsigned(depth)};
    shape.selected.insert(shape.selected.end(), data.begin() + batch + depth,
                          data.end());
    return shape;
  }
  /// Where t.. begins in data and in what is selected.
  unsigned dataTail() const { return batch + depth; }
  unsigned selectedTail() const { return indices.size() - 1; }
  unsigned tailRank() const { return data.size() - dataTail(); }
};

} // namespace

ShardingRule GatherNDOp::getShardingRule() {
  SliceShape s = *SliceShape::get(shapeOf(getData()), shapeOf(getIndices()),
                                  getBatchDims());
  unsigned last = s.selectedTail();
  RuleBuilder builder({s.data.size(), s.indices.size()}, {s.selected.size()});
  for (unsigned d = 0; d < s.batch; ++d)
    builder.parallel(numbered("b", d), s.data[d], {{0, d}, {1, d}}, {{0, d}});
  for (unsigned d = s.batch; d < last; ++d)
    builder.parallel(numbered("i", d), s.indices[d], {{1, d}}, {{0, d}});
  for (unsigned d = 0; d < s.tailRank(); ++d)
    builder.parallel(numbered("t", d), s.data[s.dataTail() + d],
                     {{0, s.dataTail() + d}}, {{0, last + d}});
  builder.reduction(indexedName, s.data[s.batch], Combiner::Sum,
                    {{0, s.batch}});
  for (unsigned d = s.batch + 1; d < s.dataTail(); ++d)
    builder.replicate(numbered("n", d), s.data[d], {{0, d}}, {});
  return builder.replicate("k", s.depth, {{1, last}}, {})
      .contiguous(indexedName)
      .linear({0})
      .build();
}

LogicalResult GatherNDOp::inferReturnTypes(MLIRContext *,
                                           std::optional<Location> loc,
                                           Adaptor adaptor,
                                           SmallVectorImpl<Type> &types) {
  auto shape =
      SliceShape::get(shapeOf(adaptor.getData()), shapeOf(adaptor.getIndices()),
                      adaptor.getBatchDims());
  if (!shape)
    return emitOptionalError(loc, "indices do not fit the data");
  types.push_back(withShape(adaptor.getData().getType(), shape->selected));
  return success();
}

LogicalResult GatherNDOp::verify() {
  return verifyIndices(*this, getIndices());
}

Operation *GatherNDOp::localize(OpBuilder &builder, ValueRange operands,
                                TypeRange results,
                                const LocalPlace &place) {
  return GatherNDOp::create(builder, getLoc(), results[0], operands[0],
                            operands[1], getBatchDims(), place.offset(indexedName));
}

ShardingRule ScatterNDOp::getShardingRule() {
  SliceShape s = *SliceShape::get(shapeOf(getData()), shapeOf(getIndices()),
                                  getBatchDims());
  unsigned last = s.selectedTail();
  RuleBuilder builder({s.data.size(), s.indices.size(), s.selected.size()},
                      {s.data.size()});
  for (unsigned d = 0; d < s.batch; ++d)
    builder.parallel(numbered("b", d), s.data[d], {{0, d}, {1, d}, {2, d}},
                     {{0, d}});
  builder.parallel(indexedName, s.data[s.batch], {{0, s.batch}},
                   {{0, s.batch}});
  for (unsigned d = s.batch + 1; d < s.dataTail(); ++d)
    builder.replicate(numbered("n", d), s.data[d], {{0, d}}, {{0, d}});
  for (unsigned d = 0; d < s.tailRank(); ++d)
    builder.parallel(numbered("t", d), s.data[s.dataTail() + d],
                     {{0, s.dataTail() + d}, {2, last + d}},
                     {{0, s.dataTail() + d}});
  for (unsigned d = s.batch; d < last; ++d)
    builder.replicate(numbered("i", d), s.indices[d], {{1, d}, {2, d}}, {});
  builder.replicate("k", s.depth, {{1, last}}, {});
  addScatterLinearity(builder.contiguous(indexedName), getKind());
  return builder.build();
}

LogicalResult ScatterNDOp::verify() {
  auto shape = SliceShape::get(shapeOf(getData()), shapeOf(getIndices()),
                               getBatchDims());
  if (!shape || shapeOf(getUpdates()) != shape->selected)
    return emitOpError("has indices or updates that do not fit the data");
  if (getElementTypeOrSelf(getUpdates()) != getElementTypeOrSelf(getData()))
    return emitOpError("must keep the element type");
  if (failed(verifyKind(*this, getKind())))
    return failure();
  return verifyIndices(*this, getIndices());
}

Operation *ScatterNDOp::localize(OpBuilder &builder, ValueRange operands,
                                 TypeRange results,
                                 const LocalPlace &place) {
  return ScatterNDOp::create(builder, getLoc(), results[0], getKind(),
                             operands[0], operands[1], operands[2],
                             getBatchDims(), place.offset(indexedName));
}
