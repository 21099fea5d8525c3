//===- Fusions.cpp - Grouping what shares an iteration space --------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One pass over the block with a set of open fusions. An operation joins the
// open fusions of its operands if they have its iteration space, and unites
// them; otherwise it opens a new one. A fusion closes as soon as anything
// outside reads one of its values, and at collectives: so it can always be
// emitted at its last member, and no two fusions can wait for each other.
//
//===----------------------------------------------------------------------===//

#include "Plan.h"
#include "Views.h"

using namespace mlir;
using namespace partita;
using namespace partita::rt;

/// Bounds a kernel's size; far above what models ask for.
static constexpr size_t maxMembers = 96;

/// Dimensions that `op` reduces, which are its operand's last; 0 if it is
/// elementwise.
static int64_t reducedDims(Operation *op) {
  if (auto reduce = dyn_cast<nn::ReduceOp>(op))
    return reduce.getAxes().size();
  return isa<nn::SoftmaxOp, nn::LayerNormOp, nn::RMSNormOp>(op) ? 1 : 0;
}

bool rt::isFusible(Operation *op) {
  if (isa<nn::NNDialect>(op->getDialect()) &&
      op->hasTrait<OpTrait::Elementwise>())
    return true;
  if (isa<nn::LayerNormOp, nn::RMSNormOp>(op))
    return true;
  int64_t rank = 0;
  if (op->getNumOperands() > 0)
    if (auto type = dyn_cast<RankedTensorType>(op->getOperand(0).getType()))
      rank = type.getRank();
  if (auto softmax = dyn_cast<nn::SoftmaxOp>(op))
    return int64_t(softmax.getAxis()) == rank - 1;
  if (auto reduce = dyn_cast<nn::ReduceOp>(op))
    return !reduce.getAxes().empty() &&
           reduce.getAxes().front() == rank - int64_t(reduce.getAxes().size());
  return false;
}

/// The iteration space of a fusible operation.
static SmallVector<int64_t> spaceOf(Operation *op) {
  Value over = reducedDims(op) ? op->getOperand(0) : op->getResult(0);
  return llvm::to_vector(nn::shapeOf(over));
}

//===----------------------------------------------------------------------===//
// How values lie in a fusion
//===----------------------------------------------------------------------===//

/// The leading dimensions, followed by any number of ones.
bool Plan::isRowShape(ArrayRef<int64_t> shape, const Fusion &fusion) const {
  size_t rows = fusion.shape.size() - fusion.cols;
  if (fusion.cols == 0 || shape.size() < rows)
    return false;
  return shape.take_front(rows) == ArrayRef(fusion.shape).take_front(rows) &&
         llvm::all_of(shape.drop_front(rows),
                      [](int64_t size) { return size == 1; });
}

std::optional<Level> Plan::levelIn(Value value, const Fusion &fusion) const {
  Operation *op = value.getDefiningOp();
  if (!op)
    return std::nullopt;
  if (auto it = memberOf.find(op); it != memberOf.end())
    return &fusions[it->second] == &fusion ? std::optional(levels.lookup(value))
                                           : std::nullopt;
  if (!isa<nn::ReshapeOp, nn::BroadcastOp>(op) ||
      levelIn(op->getOperand(0), fusion) != Level::Row)
    return std::nullopt;
  std::vector<int64_t> shape = nn::shapeOf(value);
  if (auto broadcast = dyn_cast<nn::BroadcastOp>(op))
    for (auto [i, d] : llvm::enumerate(broadcast.getDims()))
      if (int64_t(i) != d)
        return std::nullopt;
  if (isRowShape(shape, fusion))
    return Level::Row;
  if (isa<nn::BroadcastOp>(op) && ArrayRef(shape) == ArrayRef(fusion.shape))
    return Level::Full;
  return std::nullopt;
}

std::optional<unsigned> Plan::fusionOf(Value value) const {
  auto it = memberOf.find(rootOf(value).getDefiningOp());
  return it == memberOf.end() ? std::nullopt : std::optional(it->second);
}

bool Plan::escapes(Value value, const Fusion &fusion) const {
  return llvm::any_of(value.getUsers(), [&](Operation *user) {
    auto it = memberOf.find(user);
    if (it != memberOf.end() && &fusions[it->second] == &fusion)
      return !levelIn(value, fusion);
    if (!isViewOp(user))
      return true;
    return llvm::any_of(user->getResults(),
                        [&](Value alias) { return escapes(alias, fusion); });
  });
}

//===----------------------------------------------------------------------===//
// Joining
//===----------------------------------------------------------------------===//

bool Plan::canJoin(Operation *op, const Fusion &fusion) const {
  if (!fusion.open || fusion.loadTime != loadTime.contains(op) ||
      fusion.members.size() >= maxMembers)
    return false;
  auto isInside = [&](Value value) {
    std::optional<unsigned> of = fusionOf(value);
    return of && &fusions[*of] == &fusion;
  };
  // What is not read element by element must come from outside.
  auto onlyLevel = [&](Value value, Level level) {
    return !isInside(value) || levelIn(value, fusion) == level;
  };
  if (int64_t cols = reducedDims(op)) {
    if (fusion.cols != 0 && fusion.cols != cols)
      return false;
    if (spaceOf(op) != fusion.shape ||
        levelIn(op->getOperand(0), fusion) != Level::Full)
      return false;
    return llvm::none_of(op->getOperands().drop_front(), isInside);
  }
  SmallVector<int64_t> shape = spaceOf(op);
  if (shape == fusion.shape)
    return llvm::all_of(op->getOperands(), [&](Value value) {
      return onlyLevel(value, Level::Full);
    });
  return isRowShape(shape, fusion) &&
         llvm::all_of(op->getOperands(), [&](Value value) {
           return onlyLevel(value, Level::Row);
         });
}

void Plan::mergeFusions(unsigned into, unsigned from) {
  Fusion &target = fusions[into], &source = fusions[from];
  for (Operation *op : source.members)
    memberOf[op] = into;
  target.members.append(source.members);
  llvm::sort(target.members,
             [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  target.cols = std::max(target.cols, source.cols);
  source = Fusion();
  source.open = false;
}

void Plan::closeFusionOf(Value value) {
  if (std::optional<unsigned> of = fusionOf(value))
    fusions[*of].open = false;
}

void Plan::join(Operation *op) {
  std::optional<unsigned> target;
  for (Value operand : op->getOperands()) {
    std::optional<unsigned> of = fusionOf(operand);
    if (!of || of == target || !canJoin(op, fusions[*of]))
      continue;
    const Fusion &fusion = fusions[*of];
    if (!target) {
      target = of;
    } else if (const Fusion &into = fusions[*target];
               into.shape == fusion.shape &&
               (into.cols == fusion.cols || !into.cols || !fusion.cols) &&
               into.members.size() + fusion.members.size() < maxMembers) {
      mergeFusions(*target, *of);
    }
  }
  if (!target) {
    target = fusions.size();
    fusions.emplace_back();
    fusions.back().shape = spaceOf(op);
    fusions.back().loadTime = loadTime.contains(op);
  }
  for (Value operand : op->getOperands())
    if (fusionOf(operand) != target)
      closeFusionOf(operand);
  Fusion &fusion = fusions[*target];
  if (int64_t cols = reducedDims(op))
    fusion.cols = cols;
  fusion.members.push_back(op);
  memberOf[op] = *target;
  bool full = nn::shapeOf(op->getResult(0)) ==
              std::vector<int64_t>(fusion.shape.begin(), fusion.shape.end());
  levels[op->getResult(0)] =
      full && !isa<nn::ReduceOp>(op) ? Level::Full : Level::Row;
}

void Plan::formFusions(Block &block) {
  for (Operation &op : block) {
    const Product *product = productAt(&op);
    if (product) {
      for (Operation *part : product->covered)
        for (Value operand : part->getOperands())
          closeFusionOf(operand);
    } else if (covered.contains(&op) || isViewOp(&op) ||
               isa<nn::ConstantOp>(op)) {
      continue;
    } else if (isFusible(&op)) {
      join(&op);
    } else {
      for (Value operand : op.getOperands())
        closeFusionOf(operand);
      // Later operations of the same phase stay behind a collective.
      if (isa<CollectiveOp>(op))
        for (Fusion &fusion : fusions)
          if (fusion.loadTime == loadTime.contains(&op))
            fusion.open = false;
    }
  }
}
