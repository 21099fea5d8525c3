//===- RaiseRope.cpp - Finds rotary embeddings ----------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Looked for is x * C + concat(-x2, x1) * S, where x1 and x2 are the halves of
// x along the last dimension and C and S are tables spread over the heads.
// nn.rope takes tables of half the width, and computes the same only if both
// halves of C, and of S, are equal. Exporters make them so: cos(concat(f, f)).
// That is proved by walking back to the concat, and the tables are built again
// from f. Layers share them.
//
//===----------------------------------------------------------------------===//

#include "Match.h"
#include "Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace partita::raising {
#define GEN_PASS_DEF_RAISEROPE
#include "lib/Raise/Passes.h.inc"
} // namespace partita::raising

using namespace mlir;
using namespace partita;
using namespace partita::nn;
using namespace partita::raising;

namespace {

/// Builds the first half, along the last dimension, of values whose halves are
/// equal by construction.
class Halves {
public:
  /// Null if the halves are not known to be equal.
  Value of(Value value) {
    auto [it, isNew] = known.try_emplace(value, Value());
    if (isNew) {
      Value half = build(value);
      known[value] = half;
      return half;
    }
    return it->second;
  }

private:
  Value build(Value value) {
    Operation *op = value.getDefiningOp();
    Shape shape = shapeOf(value);
    if (!op || op->getNumResults() != 1 || shape.empty() ||
        shape.back() % 2 != 0)
      return Value();
    Shape half = shape;
    half.back() /= 2;
    if (auto concat = dyn_cast<ConcatOp>(op)) {
      bool same = concat.getInputs().size() == 2 &&
                  concat.getInputs()[0] == concat.getInputs()[1] &&
                  concat.getAxis() + 1 == shape.size();
      return same ? concat.getInputs()[0] : Value();
    }
    OpBuilder builder(op);
    builder.setInsertionPointAfter(op);
    if (std::optional<double> number = splatOf(value)) {
      Value result = makeSplat(builder, op->getLoc(),
                               withShape(value.getType(), half), *number);
      identifyHelper(result.getDefiningOp(), op, ".half");
      return result;
    }
    bool moves =
        (isa<ReshapeOp>(op) || isa<BroadcastOp>(op)) && keepsLastDim(op);
    if (!moves && !op->hasTrait<OpTrait::Elementwise>())
      return Value();
    SmallVector<Value> operands;
    for (Value operand : op->getOperands()) {
      operands.push_back(of(operand));
      if (!operands.back())
        return Value();
    }
    builder.setInsertionPointAfter(op);
    OperationState state(op->getLoc(), op->getName());
    state.addOperands(operands);
    state.addTypes(withShape(value.getType(), half));
    state.addAttributes(llvm::to_vector(op->getDiscardableAttrs()));
    state.propertiesAttr = op->getPropertiesAsAttribute();
    Operation *copy = builder.create(state);
    identifyHelper(copy, op, ".half");
    return copy->getResult(0);
  }

  /// Whether the last dimension of the result is that of the operand.
  static bool keepsLastDim(Operation *op) {
    Shape from = shapeOf(op->getOperand(0)), to = shapeOf(op->getResult(0));
    if (from.empty() || from.back() != to.back())
      return false;
    auto broadcast = dyn_cast<BroadcastOp>(op);
    return !broadcast || broadcast.getDims().back() == int64_t(to.size()) - 1;
  }

  DenseMap<Value, Value> known;
};

/// Elements [begin, begin + size) of the last dimension of x.
Value matchLastSlice(Value value, int64_t begin, Covered &covered) {
  if (auto split = value.getDefiningOp<SplitOp>()) {
    bool halves = split.getNumResults() == 2 &&
                  split.getAxis() + 1 == shapeOf(value).size() &&
                  split.getResult(0).getType() == split.getResult(1).getType();
    unsigned part = begin == 0 ? 0 : 1;
    covered.add(split);
    return halves && split.getResult(part) == value ? split.getInput()
                                                    : Value();
  }
  auto slice = value.getDefiningOp<SliceOp>();
  if (!slice)
    return Value();
  Shape from = shapeOf(slice.getInput()), to = shapeOf(value);
  for (size_t d = 0; d < from.size(); ++d) {
    bool last = d + 1 == from.size();
    if (slice.getSteps()[d] != 1 ||
        slice.getStarts()[d] != (last ? begin : 0) ||
        to[d] != (last ? from[d] / 2 : from[d]))
      return Value();
  }
  covered.add(slice);
  return slice.getInput();
}

/// x, if the value is concat(-x2, x1).
Value matchRotated(Value value, Covered &covered) {
  auto concat = value.getDefiningOp<ConcatOp>();
  Shape shape = shapeOf(value);
  if (!concat || concat.getInputs().size() != 2 ||
      concat.getAxis() + 1 != shape.size() || shape.back() % 2 != 0)
    return Value();
  auto neg = concat.getInputs()[0].getDefiningOp<NegOp>();
  Value x =
      neg ? matchLastSlice(neg.getInput(), shape.back() / 2, covered) : Value();
  if (!x || x.getType() != value.getType() ||
      matchLastSlice(concat.getInputs()[1], 0, covered) != x)
    return Value();
  covered.add(neg);
  covered.add(concat);
  return x;
}

struct Rope {
  Value x, cos, sin;
  Covered covered;
};

/// x * cos + rotated(x) * sin, operands in any order.
std::optional<Rope> matchRope(AddOp add) {
  auto a = add.getLhs().getDefiningOp<MulOp>(),
       b = add.getRhs().getDefiningOp<MulOp>();
  if (!a || !b)
    return std::nullopt;
  for (int order = 0; order < 8; ++order) {
    auto [plain, turned] = order & 1 ? std::pair(b, a) : std::pair(a, b);
    Rope rope;
    Value rotated = turned->getOperand(order & 2 ? 1 : 0);
    rope.sin = turned->getOperand(order & 2 ? 0 : 1);
    rope.x = plain->getOperand(order & 4 ? 1 : 0);
    rope.cos = plain->getOperand(order & 4 ? 0 : 1);
    if (matchRotated(rotated, rope.covered) != rope.x)
      continue;
    rope.covered.add(add);
    rope.covered.add(plain);
    rope.covered.add(turned);
    return rope;
  }
  return std::nullopt;
}

struct RaiseRope : raising::impl::RaiseRopeBase<RaiseRope> {
  void runOnOperation() override {
    Halves halves;
    SmallVector<AddOp> candidates;
    getOperation().walk([&](AddOp op) { candidates.push_back(op); });
    for (AddOp op : candidates)
      if (std::optional<Rope> rope = matchRope(op))
        rewrite(op, *rope, halves);
  }

private:
  /// The table [b|1, s, d/2] behind what multiplies x of rank 4, whose heads
  /// are dimension `heads`; null if it differs between heads.
  static Value table(Value full, unsigned heads, Halves &halves,
                     OpBuilder &builder, AddOp root, Covered &covered,
                     StringRef suffix) {
    auto broadcast = full.getDefiningOp<BroadcastOp>();
    if (!broadcast)
      return Value();
    Shape to = shapeOf(full), from = shapeOf(broadcast.getInput());
    unsigned sequence = heads == 1 ? 2 : 1;
    Shape kept = {1, 1, 1, 1};
    for (auto [size, dim] : llvm::zip(from, broadcast.getDims()))
      kept[dim] = size;
    if (kept[heads] != 1 || kept[3] != to[3] || kept[sequence] != to[sequence])
      return Value();
    Value half = halves.of(broadcast.getInput());
    if (!half)
      return Value();
    covered.add(broadcast);
    RankedTensorType type =
        withShape(half.getType(), {kept[0], kept[sequence], kept[3] / 2});
    if (half.getType() == type)
      return half;
    Value result = ReshapeOp::create(builder, root.getLoc(), type, half);
    identifyHelper(result.getDefiningOp(), root, suffix);
    return result;
  }

  static void rewrite(AddOp op, Rope &rope, Halves &halves) {
    if (shapeOf(op).size() != 4)
      return;
    OpBuilder builder(op);
    for (unsigned heads : {1u, 2u}) {
      Covered covered = rope.covered;
      Value cos = table(rope.cos, heads, halves, builder, op, covered, ".cos");
      Value sin =
          cos ? table(rope.sin, heads, halves, builder, op, covered, ".sin")
              : Value();
      if (!cos || !sin || cos.getType() != sin.getType())
        continue;
      // nn.rope has the heads before the sequence.
      auto swapped = [&](Value value, StringRef suffix) -> Value {
        if (heads == 1)
          return value;
        auto transpose = TransposeOp::create(builder, op.getLoc(), value,
                                             ArrayRef<int64_t>{0, 2, 1, 3});
        identifyHelper(transpose, op, suffix);
        return transpose;
      };
      auto raised = RopeOp::create(builder, op.getLoc(),
                                   swapped(rope.x, ".heads"), cos, sin, false);
      covered.identify(raised, op);
      Value result = swapped(raised, ".rows");
      op.replaceAllUsesWith(result);
      op.erase();
      return;
    }
  }
};

} // namespace
