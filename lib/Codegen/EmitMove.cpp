//===- EmitMove.cpp - Kernels that only move elements ---------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// nn.concat and nn.pad stand alone in a fusion: each operand is copied to its
// place in the result, and what pad adds is filled before. Elements move as
// they are stored.
//
//===----------------------------------------------------------------------===//

#include "Kernel.h"
#include "Scalar.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace partita;
using namespace partita::codegen;

namespace {

/// A box of a buffer: sizes and strides of its dimensions, in elements.
struct Region {
  SmallVector<int64_t> sizes, strides;
};

class MoveEmitter {
public:
  MoveEmitter(rt::FusionOp fusion, Operation *move, ModuleOp module)
      : fusion(fusion), move(move), module(module), b(module.getContext()),
        loc(b.getUnknownLoc()) {}
  Status run(StringRef name);

private:
  MemRefType typeOf(const Region &region, int64_t offset) const;
  Value castTo(Value memref, const Region &region, int64_t offset);
  void copy(Value from, SmallVector<int64_t> fromStrides, Value to,
            SmallVector<int64_t> toStrides, SmallVector<int64_t> sizes,
            int64_t toOffset);
  Status fill(Value to, const Region &region, double value);
  AffineMap mapOf(ArrayRef<int64_t> strides) const;

  rt::FusionOp fusion;
  Operation *move;
  ModuleOp module;
  OpBuilder b;
  Location loc;
  Type element;
};

} // namespace

Operation *codegen::moveOf(rt::FusionOp fusion) {
  Block &body = fusion.getBody().front();
  Operation &first = body.front();
  bool alone =
      body.getOperations().size() == 2 && isa<nn::ConcatOp, nn::PadOp>(first) &&
      llvm::all_of(first.getOperands(),
                   [](Value value) { return isa<BlockArgument>(value); });
  return alone ? &first : nullptr;
}

/// Without the dimensions that repeat.
MemRefType MoveEmitter::typeOf(const Region &region, int64_t offset) const {
  SmallVector<int64_t> sizes, strides;
  for (auto [size, stride] : llvm::zip_equal(region.sizes, region.strides))
    if (stride != 0) {
      sizes.push_back(size);
      strides.push_back(stride);
    }
  return MemRefType::get(
      sizes, storageType(element),
      StridedLayoutAttr::get(b.getContext(), offset, strides));
}

Value MoveEmitter::castTo(Value memref, const Region &region, int64_t offset) {
  MemRefType type = typeOf(region, offset);
  auto [strides, first] = type.getStridesAndOffset();
  return memref::ReinterpretCastOp::create(b, loc, type, memref, first,
                                           type.getShape(), strides);
}

AffineMap MoveEmitter::mapOf(ArrayRef<int64_t> strides) const {
  SmallVector<AffineExpr> exprs;
  for (auto [d, stride] : llvm::enumerate(strides))
    if (stride != 0)
      exprs.push_back(getAffineDimExpr(d, b.getContext()));
  return AffineMap::get(strides.size(), 0, exprs, b.getContext());
}

/// Copies a box into the result, from its element `toOffset` on.
void MoveEmitter::copy(Value from, SmallVector<int64_t> fromStrides, Value to,
                       SmallVector<int64_t> toStrides,
                       SmallVector<int64_t> sizes, int64_t toOffset) {
  mergeDims(sizes, {&fromStrides, &toStrides});
  Value source = castTo(from, {sizes, fromStrides}, 0);
  Value target = castTo(to, {sizes, toStrides}, toOffset);
  SmallVector<AffineMap> maps = {mapOf(fromStrides), mapOf(toStrides)};
  SmallVector<utils::IteratorType> loops(sizes.size(),
                                         utils::IteratorType::parallel);
  linalg::GenericOp::create(
      b, loc, source, target, maps, loops,
      [](OpBuilder &inner, Location at, ValueRange arguments) {
        linalg::YieldOp::create(inner, at, arguments.front());
      });
}

Status MoveEmitter::fill(Value to, const Region &region, double value) {
  ScalarBuilder scalars(b, loc);
  Attribute number =
      isa<FloatType>(element)
          ? Attribute(b.getF64FloatAttr(value))
          : Attribute(b.getI64IntegerAttr(static_cast<int64_t>(value)));
  PARTITA_TRY(Value constant, scalars.constant(number, element));
  Value stored = scalars.toStorage(constant, element);
  SmallVector<int64_t> sizes = region.sizes, strides = region.strides;
  mergeDims(sizes, {&strides});
  Value target = castTo(to, {sizes, strides}, 0);
  linalg::FillOp::create(b, loc, stored, target);
  return ok();
}

Status MoveEmitter::run(StringRef name) {
  Type result = fusion.getResult(0).getType();
  ArrayAttr permutations = fusion.getPermutationsAttr();
  element = getElementTypeOrSelf(result);
  if (!storageType(element))
    return makeError(ExitCode::Unsupported, "codegen.element-type", name.str(),
                     "elements of this type cannot be stored");
  Region whole{llvm::to_vector(nn::shapeOf(move->getResult(0))),
               rt::calleeStrides(result, permutations, 0)};
  SmallVector<Region> parts;
  SmallVector<Type> types;
  for (Value argument : move->getOperands()) {
    Value operand =
        fusion.getInputs()[cast<BlockArgument>(argument).getArgNumber()];
    parts.push_back({llvm::to_vector(nn::shapeOf(operand)),
                     llvm::to_vector(rt::addressingOf(operand).strides)});
  }
  for (Value operand : fusion.getInputs())
    types.push_back(typeOf({llvm::to_vector(nn::shapeOf(operand)),
                            llvm::to_vector(rt::addressingOf(operand).strides)},
                           0));
  types.push_back(typeOf(whole, 0));
  b.setInsertionPointToEnd(module.getBody());
  auto func = func::FuncOp::create(b, loc, name, b.getFunctionType(types, {}));
  for (unsigned i = 0; i < types.size(); ++i)
    func.setArgAttr(i, LLVM::LLVMDialect::getNoAliasAttrName(),
                    b.getUnitAttr());
  Block *entry = func.addEntryBlock();
  b.setInsertionPointToStart(entry);
  Value to = entry->getArguments().back();
  auto from = [&](unsigned i) {
    auto argument = cast<BlockArgument>(move->getOperand(i));
    return entry->getArgument(argument.getArgNumber());
  };
  if (auto concat = dyn_cast<nn::ConcatOp>(move)) {
    int64_t axis = concat.getAxis(), offset = 0;
    for (auto [i, part] : llvm::enumerate(parts)) {
      copy(from(i), part.strides, to, whole.strides, part.sizes, offset);
      offset += part.sizes[axis] * whole.strides[axis];
    }
  } else {
    auto pad = cast<nn::PadOp>(move);
    PARTITA_CHECK(fill(to, whole, pad.getValue().convertToDouble()));
    int64_t offset = 0;
    for (auto [low, stride] : llvm::zip_equal(pad.getLow(), whole.strides))
      offset += low * stride;
    copy(from(0), parts[0].strides, to, whole.strides, parts[0].sizes, offset);
  }
  func::ReturnOp::create(b, loc);
  return ok();
}

Status codegen::emitMove(rt::FusionOp fusion, StringRef name, ModuleOp module) {
  return MoveEmitter(fusion, moveOf(fusion), module).run(name);
}
