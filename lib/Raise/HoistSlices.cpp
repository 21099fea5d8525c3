//===- HoistSlices.cpp - Slices before what they are taken of -------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A classifier that reads one token makes most rows of the last layer useless:
//
//   slice(f(x, w)) = f(slice(x), w)
//
// wherever the loop that the slice cuts is parallel: iterations are
// independent, and those that nothing reads need not run. Which loops are says
// the sharding rule, so this holds for products, norms, the queries of
// attention and whatever else publishes one. Reversed order sees a slice again
// above what it was moved over, until something else reads the whole.
//
//===----------------------------------------------------------------------===//

#include "Match.h"
#include "Passes.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include <map>

namespace partita::raising {
#define GEN_PASS_DEF_HOISTSLICES
#include "lib/Raise/Passes.h.inc"
} // namespace partita::raising

using namespace mlir;
using namespace partita;
using namespace partita::nn;
using namespace partita::raising;

namespace {

/// What is kept of a loop.
struct Cut {
  int64_t start, step, size;
};
/// By factor of the rule.
using Cuts = std::map<unsigned, Cut>;

/// The slice that all who read `value` take of it, if it is smaller.
SliceOp commonSlice(Value value) {
  SliceOp common;
  for (Operation *user : value.getUsers()) {
    auto slice = dyn_cast<SliceOp>(user);
    if (!slice || (common && (slice.getType() != common.getType() ||
                              slice.getStarts() != common.getStarts() ||
                              slice.getSteps() != common.getSteps())))
      return SliceOp();
    common = slice;
  }
  if (common && cast<RankedTensorType>(common.getType()).getNumElements() <
                    cast<RankedTensorType>(value.getType()).getNumElements())
    return common;
  return SliceOp();
}

/// Whether an operation with smaller types and the same attributes is the same
/// on a part. Those that say how they are split have attributes that change;
/// those of attention do so where it is causal, which its rule says. Slices of
/// slices are joined instead, and what has no operands computes nothing.
bool isResizable(Operation *op) {
  return isa<ShardingRuleOpInterface>(op) && !isa<SliceOp>(op) && isPure(op) &&
         op->getNumRegions() == 0 && op->getNumOperands() > 0 &&
         (!isa<LocalizeOpInterface>(op) || isa<AttentionOp>(op));
}

/// The loops that `slice` cuts of what computes its input, or nothing if one of
/// them is not parallel or shares a dimension with another.
std::optional<Cuts> cutsOf(SliceOp slice, const ShardingRule &rule) {
  Cuts cuts;
  Shape from = shapeOf(slice.getInput()), to = shapeOf(slice.getResult());
  for (size_t d = 0; d < from.size(); ++d) {
    if (from[d] == to[d] && slice.getSteps()[d] == 1)
      continue;
    ArrayRef<unsigned> walked = rule.results[0][d];
    if (walked.size() != 1)
      return std::nullopt;
    const Factor &factor = rule.factors[walked[0]];
    if (factor.kind != FactorKind::Parallel || factor.contiguous)
      return std::nullopt;
    cuts[walked[0]] = {slice.getStarts()[d], slice.getSteps()[d], to[d]};
  }
  for (const auto *tensors : {&rule.operands, &rule.results})
    for (const TensorMap &tensor : *tensors)
      for (ArrayRef<unsigned> walked : tensor)
        if (walked.size() > 1 && llvm::any_of(walked, [&](unsigned factor) {
              return cuts.contains(factor);
            }))
          return std::nullopt;
  return cuts;
}

/// The shape with its cut dimensions, and the slice that makes it.
struct CutShape {
  Shape shape, starts, steps;
  bool isCut = false;

  CutShape(Value value, const TensorMap &map, const Cuts &cuts)
      : shape(shapeOf(value)), starts(shape.size(), 0), steps(shape.size(), 1) {
    for (auto [d, walked] : llvm::enumerate(map))
      if (auto it = walked.empty() ? cuts.end() : cuts.find(walked[0]);
          it != cuts.end()) {
        starts[d] = it->second.start;
        steps[d] = it->second.step;
        shape[d] = it->second.size;
        isCut = true;
      }
  }
};

/// Moves the slice that is taken of `op` before it.
void hoist(Operation *op) {
  if (op->getNumResults() == 0 || !isResizable(op) ||
      !llvm::all_of(llvm::drop_begin(op->getResults()),
                    [](Value result) { return result.use_empty(); }))
    return;
  SliceOp slice = commonSlice(op->getResult(0));
  if (!slice)
    return;
  ShardingRule rule = cast<ShardingRuleOpInterface>(op).getShardingRule();
  std::optional<Cuts> cuts = cutsOf(slice, rule);
  if (!cuts)
    return;
  OpBuilder builder(op);
  SmallVector<Value> operands;
  for (auto [i, operand] : llvm::enumerate(op->getOperands())) {
    CutShape cut(operand, rule.operands[i], *cuts);
    if (!cut.isCut) {
      operands.push_back(operand);
      continue;
    }
    auto part = SliceOp::create(builder, slice.getLoc(),
                                withShape(operand.getType(), cut.shape),
                                operand, cut.starts, cut.steps);
    copyIdentity(slice, part); // Ids become unique when raising ends.
    operands.push_back(part);
  }
  SmallVector<Type> types;
  for (auto [i, result] : llvm::enumerate(op->getResults()))
    types.push_back(withShape(result.getType(),
                              CutShape(result, rule.results[i], *cuts).shape));
  Operation *part = builder.insert(Operation::create(
      op->getLoc(), op->getName(), types, operands,
      op->getDiscardableAttrDictionary(), op->getPropertiesStorage(),
      BlockRange(), /*numRegions=*/0));
  for (Operation *user : llvm::make_early_inc_range(op->getUsers())) {
    user->getResult(0).replaceAllUsesWith(part->getResult(0));
    user->erase();
  }
  op->erase();
}

struct HoistSlices : raising::impl::HoistSlicesBase<HoistSlices> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      Block &block = function.getBody().front();
      // Slices that were made stand before the operation, where the walk goes.
      for (Operation *op = &block.back(); op;) {
        Operation *before = op->getPrevNode();
        hoist(op);
        op = before;
      }
    }
  }
};

} // namespace
