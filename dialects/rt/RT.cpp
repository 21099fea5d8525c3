//===- RT.cpp - One rank's program ----------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/rt/RT.h"
#include "mlir/IR/BuiltinOps.h"

using namespace mlir;
using namespace partita;
using namespace partita::rt;

#include "dialects/rt/RTDialect.cpp.inc"

#define GET_OP_CLASSES
#include "dialects/rt/RT.cpp.inc"

void RTDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "dialects/rt/RT.cpp.inc"
      >();
}

static std::vector<int64_t> rowMajor(ArrayRef<int64_t> shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t d = shape.size(); d-- > 1;)
    strides[d - 1] = strides[d] * shape[d];
  return strides;
}

Addressing rt::addressingOf(Value value) {
  if (auto view = value.getDefiningOp<ViewOp>())
    return {view.getSource(), int64_t(view.getOffset()),
            view.getStrides().vec()};
  return {value, 0,
          rowMajor(cast<RankedTensorType>(value.getType()).getShape())};
}

//===----------------------------------------------------------------------===//
// Verification
//===----------------------------------------------------------------------===//

/// `type` is the local type of `sharding` on the first rank of the class.
static LogicalResult verifyLocal(Operation *op, Attribute sharding, Type type,
                                 StringRef end) {
  auto attr = dyn_cast<dist::ShardingAttr>(sharding);
  if (!attr)
    return op->emitOpError("needs a #dist.sharding ") << end;
  dist::MeshOp meshOp = dist::findMesh(op, attr.getMesh());
  if (!meshOp)
    return op->emitOpError("needs a dist.mesh in its module called ")
           << attr.getMesh();
  Mesh mesh = meshOp.getMesh();
  auto data = attr.toData(mesh);
  if (!data)
    return op->emitOpError() << data.error().message;
  auto legal = checkSharding(*data, data->globalShape(), mesh, "");
  if (!legal)
    return op->emitOpError() << legal.error().message;
  auto ranks =
      op->getParentOp()->getAttrOfType<DenseI64ArrayAttr>(ranksAttrName);
  if (!ranks)
    return success();
  // Where everything divides one rank stands for all, however many there are.
  ArrayRef<int64_t> looked = ranks.asArrayRef();
  if (isEven(*data, mesh))
    looked = looked.take_front();
  for (int64_t rank : looked)
    if (ArrayRef<int64_t>(localShape(*data, mesh, rank)) !=
        cast<RankedTensorType>(type).getShape())
      return op->emitOpError("has a type that is not the shard of rank ")
             << rank << ' ' << end;
  return success();
}

template <typename Op> static LogicalResult verifyEnds(Op op) {
  if (failed(verifyLocal(op, op.getFrom(), op.getInput().getType(), "from")) ||
      failed(verifyLocal(op, op.getTo(), op.getType(), "to")))
    return failure();
  return success();
}

LogicalResult CollectiveOp::verify() {
  static const StringRef known[] = {"all_reduce", "reduce_scatter",
                                    "all_gather", "all_to_all",
                                    "permute",    "halo_exchange"};
  if (!llvm::is_contained(known, getKind()))
    return emitOpError("has unknown kind \"") << getKind() << '"';
  return verifyEnds(*this);
}

LogicalResult ShardOp::verify() {
  if (getKind() != "slice" && getKind() != "to_partial")
    return emitOpError("has unknown kind \"") << getKind() << '"';
  return verifyEnds(*this);
}

LogicalResult ViewOp::verify() {
  if (getSource().getDefiningOp<ViewOp>())
    return emitOpError("has a view as its source");
  auto source = cast<RankedTensorType>(getSource().getType());
  auto result = cast<RankedTensorType>(getType());
  if (source.getElementType() != result.getElementType())
    return emitOpError("must keep the element type");
  if (getStrides().size() != size_t(result.getRank()))
    return emitOpError("needs one stride a dimension");
  int64_t low = getOffset(), high = getOffset();
  for (auto [size, stride] : llvm::zip_equal(result.getShape(), getStrides())) {
    if (size == 0)
      return success();
    (stride < 0 ? low : high) += (size - 1) * stride;
  }
  if (low < 0 || high >= source.getNumElements())
    return emitOpError("leaves its source");
  return success();
}

/// `permutations` has one order of dimensions, maybe empty, for each result.
static LogicalResult verifyPermutations(Operation *op, ArrayAttr permutations) {
  if (!permutations)
    return success();
  if (permutations.size() != op->getNumResults())
    return op->emitOpError("needs one permutation a result");
  for (auto [attr, type] :
       llvm::zip_equal(permutations, op->getResultTypes())) {
    auto order = dyn_cast<DenseI64ArrayAttr>(attr);
    if (!order)
      return op->emitOpError("needs permutations that are i64 arrays");
    if (order.empty())
      continue;
    int64_t rank = cast<RankedTensorType>(type).getRank();
    SmallVector<bool> seen(rank, false);
    if (order.size() != rank)
      return op->emitOpError("has a permutation of the wrong rank");
    for (int64_t dim : order.asArrayRef()) {
      if (dim < 0 || dim >= rank || seen[dim])
        return op->emitOpError("has a permutation that is none");
      seen[dim] = true;
    }
  }
  return success();
}

RankedTensorType rt::calleeType(Type buffer, ArrayAttr permutations,
                                unsigned i) {
  auto type = cast<RankedTensorType>(buffer);
  if (!permutations)
    return type;
  auto order = cast<DenseI64ArrayAttr>(permutations[i]).asArrayRef();
  if (order.empty())
    return type;
  SmallVector<int64_t> shape;
  for (int64_t dim : order)
    shape.push_back(type.getDimSize(dim));
  return type.clone(shape);
}

SmallVector<int64_t> rt::calleeStrides(Type buffer, ArrayAttr permutations,
                                       unsigned i) {
  std::vector<int64_t> all =
      rowMajor(cast<RankedTensorType>(buffer).getShape());
  SmallVector<int64_t> strides(all.begin(), all.end());
  if (!permutations)
    return strides;
  auto order = cast<DenseI64ArrayAttr>(permutations[i]).asArrayRef();
  for (auto [d, dim] : llvm::enumerate(order))
    strides[d] = all[dim];
  return strides;
}

LogicalResult CallOp::verify() {
  return verifyPermutations(*this, getPermutationsAttr());
}

LogicalResult FusionOp::verify() {
  Block &body = getBody().front();
  if (body.getArgumentTypes() != getInputs().getTypes())
    return emitOpError("needs one region argument an operand");
  if (failed(verifyPermutations(*this, getPermutationsAttr())))
    return failure();
  auto yield = dyn_cast<YieldOp>(body.getTerminator());
  if (!yield || yield.getValues().size() != getResults().size())
    return emitOpError("must yield its results");
  for (auto [i, value] : llvm::enumerate(yield.getValues()))
    if (value.getType() !=
        calleeType(getResult(i).getType(), getPermutationsAttr(), i))
      return emitOpError("must yield its results");
  return success();
}
