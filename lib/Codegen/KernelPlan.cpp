//===- KernelPlan.cpp - Levels, stages and walks --------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Kernel.h"
#include "Scalar.h"
#include <numeric>

using namespace mlir;
using namespace partita;
using namespace partita::codegen;

/// Rows that a later stage needs live on the stack, up to this many bytes.
static constexpr int64_t maxTemporaryBytes = 64 * 1024;
/// What computing a value again may cost before it is kept instead.
static constexpr int64_t maxRecomputedCost = 6;

static Error kernelError(Operation *op, std::string message) {
  return makeError(ExitCode::Internal, "codegen.fusion",
                   op->getName().getStringRef().str(), std::move(message));
}

int64_t Space::rowElements() const {
  int64_t elements = 1;
  for (int64_t size : cols)
    elements *= size;
  return elements;
}

//===----------------------------------------------------------------------===//
// What the values are
//===----------------------------------------------------------------------===//

Value KernelPlan::origin(Value value) {
  while (value.getDefiningOp<nn::ReshapeOp>() ||
         value.getDefiningOp<nn::BroadcastOp>())
    value = value.getDefiningOp()->getOperand(0);
  return value;
}

Shape KernelPlan::shapeOf(Value value) const { return shapes.lookup(value); }

/// The iteration space follows from any reduction; without one, all values have
/// the shape of the results.
static Status findSpace(rt::FusionOp fusion, SmallVector<int64_t> &shape,
                        int64_t &cols) {
  Block &body = fusion.getBody().front();
  for (auto reduce : body.getOps<nn::ReduceOp>()) {
    std::vector<int64_t> over = nn::shapeOf(reduce.getInput());
    int64_t n = reduce.getAxes().size();
    bool trailing =
        n > 0 && reduce.getAxes().front() == int64_t(over.size()) - n;
    if (!trailing)
      return kernelError(reduce, "does not reduce trailing dimensions");
    if (cols != 0 && (cols != n || shape != ArrayRef(over)))
      return kernelError(reduce, "reduces other rows than its fusion");
    shape.assign(over.begin(), over.end());
    cols = n;
  }
  if (cols == 0 && fusion->getNumResults() > 0) {
    std::vector<int64_t> first =
        nn::shapeOf(body.getTerminator()->getOperand(0));
    shape.assign(first.begin(), first.end());
  }
  return ok();
}

/// Shape and level of each value.
Status KernelPlan::classify() {
  PARTITA_CHECK(findSpace(fusion, shape, cols));
  Block &body = fusion.getBody().front();
  for (BlockArgument argument : body.getArguments()) {
    bool full = ArrayRef(nn::shapeOf(argument)) == ArrayRef(shape);
    shapes[argument] = full ? Shape::Full : Shape::Row;
    levels[argument] = 0;
  }
  for (Operation &op : body.without_terminator()) {
    if (op.getNumResults() != 1)
      return kernelError(&op, "has more than one result");
    Value result = op.getResult(0);
    int64_t level = 0;
    Shape kind = Shape::Splat;
    for (Value operand : op.getOperands()) {
      level = std::max(level, levels.lookup(operand));
      kind = std::max(kind, shapes.lookup(operand));
    }
    if (isa<nn::ReduceOp>(op)) {
      ++level;
      kind = Shape::Row;
    } else if (isa<nn::BroadcastOp>(op)) {
      bool full = ArrayRef(nn::shapeOf(result)) == ArrayRef(shape);
      if (kind == Shape::Row && full)
        kind = Shape::Full;
    } else if (auto constant = dyn_cast<nn::ConstantOp>(op)) {
      if (!isa<SplatElementsAttr>(constant.getValue()))
        return kernelError(&op, "is no splat");
    } else if (!isa<nn::ReshapeOp>(op) &&
               !op.hasTrait<OpTrait::Elementwise>()) {
      return kernelError(&op, "cannot be in a fusion");
    }
    levels[result] = level;
    shapes[result] = kind;
    if (kind == Shape::Full && ArrayRef(nn::shapeOf(result)) != ArrayRef(shape))
      return kernelError(&op, "does not have the shape of its fusion");
  }
  return ok();
}

//===----------------------------------------------------------------------===//
// How memory is walked
//===----------------------------------------------------------------------===//

void codegen::mergeDims(SmallVector<int64_t> &sizes,
                        ArrayRef<SmallVector<int64_t> *> strides) {
  SmallVector<int64_t> merged;
  std::vector<SmallVector<int64_t>> out(strides.size());
  for (size_t d = 0; d < sizes.size(); ++d) {
    if (sizes[d] == 1)
      continue;
    bool merges = !merged.empty();
    for (size_t t = 0; merges && t < strides.size(); ++t)
      merges = out[t].back() == (*strides[t])[d] * sizes[d];
    if (merges)
      merged.back() *= sizes[d];
    else
      merged.push_back(sizes[d]);
    for (size_t t = 0; t < strides.size(); ++t) {
      if (merges)
        out[t].back() = (*strides[t])[d];
      else
        out[t].push_back((*strides[t])[d]);
    }
  }
  sizes = merged;
  for (size_t t = 0; t < strides.size(); ++t)
    *strides[t] = out[t];
}

/// Whether `value`, a vector along the columns, is only used repeated for each
/// row.
static bool isAlongColumns(Value value) {
  return !value.use_empty() &&
         llvm::all_of(value.getUsers(), [](Operation *op) {
           auto broadcast = dyn_cast<nn::BroadcastOp>(op);
           return broadcast && !broadcast.getDims().empty() &&
                  broadcast.getDims().front() != 0;
         });
}

/// The leading dimensions, followed by any number of ones.
bool KernelPlan::isRowShape(ArrayRef<int64_t> dims) const {
  size_t rows = shape.size() - cols;
  return dims.size() >= rows &&
         dims.take_front(rows) == ArrayRef(shape).take_front(rows) &&
         llvm::all_of(dims.drop_front(rows),
                      [](int64_t size) { return size == 1; });
}

/// Without a reduction the order of loops is free: that of the first result's
/// memory, so that what channels-last results are made of is walked forward.
void KernelPlan::orderColumns() {
  if (space.results.empty())
    return;
  SmallVector<int64_t> order(space.cols.size());
  std::iota(order.begin(), order.end(), 0);
  const SmallVector<int64_t> like = space.results.front().cols;
  llvm::sort(order, [&](int64_t a, int64_t b) {
    return std::pair(-like[a], a) < std::pair(-like[b], b);
  });
  auto permute = [&](SmallVector<int64_t> &numbers) {
    SmallVector<int64_t> old = numbers;
    for (auto [to, from] : llvm::enumerate(order))
      numbers[to] = old[from];
  };
  permute(space.cols);
  for (auto *walks : {&space.operands, &space.results})
    for (Walk &w : *walks)
      permute(w.cols);
}

Status KernelPlan::layOut() {
  size_t rank = shape.size(), rows = cols ? rank - cols : 0;
  // Without a reduction there are no rows: one loop nest over everything.
  ArrayRef<int64_t> all = shape;
  space.rows.assign(all.begin(), all.begin() + rows);
  space.cols.assign(all.begin() + rows, all.end());
  auto walk = [&](Type element, Shape kind, bool alongColumns,
                  ArrayRef<int64_t> strides) -> Result<Walk> {
    bool full = kind == Shape::Full;
    Walk w{element, full || alongColumns, SmallVector<int64_t>(rows, 0),
           SmallVector<int64_t>(rank - rows, 0)};
    size_t expected = full ? rank : alongColumns ? rank - rows : rows;
    if (strides.size() < expected || !storageType(element) ||
        (cols == 0 && !full))
      return kernelError(fusion, "has an operand that does not fit its rows");
    for (size_t d = 0; d < expected; ++d) {
      size_t at = full ? d : alongColumns ? rows + d : d;
      (at < rows ? w.rows[at] : w.cols[at - rows]) = strides[d];
    }
    return w;
  };
  for (auto [operand, argument] :
       llvm::zip_equal(fusion.getInputs(), fusion.getBody().getArguments())) {
    bool columns =
        shapes.lookup(argument) == Shape::Row && isAlongColumns(argument);
    if (shapes.lookup(argument) == Shape::Row && !columns &&
        !isRowShape(nn::shapeOf(argument)))
      return kernelError(fusion, "has an operand that does not fit its rows");
    PARTITA_TRY(Walk w, walk(getElementTypeOrSelf(operand.getType()),
                             shapes.lookup(argument), columns,
                             rt::addressingOf(operand).strides));
    space.operands.push_back(std::move(w));
    if (columns)
      shapes[argument] = Shape::Full;
  }
  Operation *yield = fusion.getBody().front().getTerminator();
  for (auto [i, value] : llvm::enumerate(yield->getOperands())) {
    bool full = ArrayRef(nn::shapeOf(value)) == ArrayRef(shape) &&
                shapes.lookup(value) != Shape::Row;
    Shape kind = full ? Shape::Full : Shape::Row;
    PARTITA_TRY(Walk w,
                walk(getElementTypeOrSelf(value.getType()), kind, false,
                     rt::calleeStrides(fusion.getResult(i).getType(),
                                       fusion.getPermutationsAttr(), i)));
    space.results.push_back(std::move(w));
  }
  if (cols == 0)
    orderColumns();
  SmallVector<SmallVector<int64_t> *> rowStrides, colStrides;
  for (auto *walks : {&space.operands, &space.results})
    for (Walk &w : *walks) {
      rowStrides.push_back(&w.rows);
      colStrides.push_back(&w.cols);
    }
  mergeDims(space.rows, rowStrides);
  mergeDims(space.cols, colStrides);
  if (space.cols.empty()) { // One element a row is a loop still.
    space.cols.push_back(1);
    for (auto *walks : {&space.operands, &space.results})
      for (Walk &w : *walks)
        w.cols.push_back(w.full);
  }
  return ok();
}

//===----------------------------------------------------------------------===//
// Stages
//===----------------------------------------------------------------------===//

int64_t KernelPlan::resultOf(Value value) const {
  Type element = getElementTypeOrSelf(value.getType());
  bool exact = isa<FloatType>(element)
                   ? storageType(element) == computeType(element)
                   : true;
  if (!exact || shapeOf(value) != Shape::Full)
    return -1;
  Operation *yield =
      const_cast<rt::FusionOp &>(fusion).getBody().front().getTerminator();
  for (auto [i, yielded] : llvm::enumerate(yield->getOperands()))
    if (yielded == value)
      return i;
  return -1;
}

/// Instructions to compute `value` from memory.
int64_t KernelPlan::costOf(Value value, DenseMap<Value, int64_t> &known) const {
  value = origin(value);
  Operation *op = value.getDefiningOp();
  if (!op || shapeOf(value) != Shape::Full || isStored(value))
    return 1;
  if (auto it = known.find(value); it != known.end())
    return it->second;
  int64_t cost = elementCost(op);
  for (Value operand : op->getOperands())
    cost += costOf(operand, known);
  return known[value] = cost;
}

/// Follows what `stage` computes to get `value`, and keeps what is too dear to
/// be computed again.
void KernelPlan::visitStage(Value value, int64_t stage, DenseSet<Value> &seen) {
  Operation *op = value.getDefiningOp();
  if (!op || shapeOf(value) != Shape::Full || !seen.insert(value).second)
    return;
  if (isa<nn::BroadcastOp>(op))
    return;
  if (levelOf(value) < stage) {
    if (isStored(value))
      return;
    DenseMap<Value, int64_t> known;
    int64_t bytes = (temporaries.size() + 1) * space.rowElements() * 8;
    if (costOf(value, known) > maxRecomputedCost &&
        bytes <= maxTemporaryBytes) {
      temporaries.insert(value);
      return;
    }
  }
  for (Value operand : op->getOperands())
    visitStage(operand, stage, seen);
}

void KernelPlan::chooseTemporaries() {
  Block &body = fusion.getBody().front();
  for (Value value : body.getTerminator()->getOperands())
    stages = std::max(stages,
                      levelOf(value) + (shapeOf(value) == Shape::Full ? 1 : 0));
  for (auto reduce : body.getOps<nn::ReduceOp>())
    if (!reduce->use_empty())
      stages = std::max(stages, levelOf(reduce.getResult()));
  for (int64_t stage = stages - 1; stage > 0; --stage) {
    DenseSet<Value> seen;
    for (Value value : body.getTerminator()->getOperands())
      if (levelOf(value) == stage)
        visitStage(value, stage, seen);
    for (auto reduce : body.getOps<nn::ReduceOp>())
      if (levelOf(reduce.getInput()) == stage)
        visitStage(reduce.getInput(), stage, seen);
    for (Value value : SmallVector<Value>(temporaries.getArrayRef()))
      if (levelOf(value) == stage)
        visitStage(value, stage, seen);
  }
}

Result<KernelPlan> KernelPlan::create(rt::FusionOp fusion) {
  KernelPlan plan(fusion);
  PARTITA_CHECK(plan.classify());
  PARTITA_CHECK(plan.layOut());
  plan.chooseTemporaries();
  return plan;
}
