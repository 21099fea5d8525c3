//===- EmitKernel.cpp - A kernel as loops over memrefs --------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A function over memrefs with static strides: scf.for over rows, in it one
// linalg.generic a stage, between them the scalars of the row. Dimensions that
// an operand repeats are not in its memref but in the indexing map. Reductions
// accumulate in a memref of rank zero, which becomes a register.
//
//===----------------------------------------------------------------------===//

#include "Kernel.h"
#include "Scalar.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace partita;
using namespace partita::codegen;

namespace {

/// What a stage reads: an operand, or what an earlier stage stored.
struct Source {
  Value value;  ///< of the body
  Value memref; ///< where it is
  AffineMap map;
  Type element; ///< null for compute types
};

/// What a stage writes: a result, a temporary or an accumulator.
struct Sink {
  Value value;  ///< of the body; the input of a reduction
  Value memref; ///< where it goes
  AffineMap map;
  Type element; ///< of the result; null for compute types
  nn::ReduceOp reduce = nullptr;
};

class KernelEmitter {
public:
  KernelEmitter(const KernelPlan &plan, ModuleOp module)
      : plan(plan), module(module), b(module.getContext()),
        loc(b.getUnknownLoc()), scalars(b, loc),
        body(const_cast<KernelPlan &>(plan).fusion.getBody().front()) {}

  Status run(StringRef name);

private:
  MemRefType memrefType(const Walk &walk) const;
  void allocate();
  void openRows();
  SmallVector<Value> rowIndices(const Walk &walk) const;
  Value rowSlice(Value memref, const Walk &walk);
  AffineMap columnMap(const Walk &walk) const;

  Status emitRowValues(int64_t level);
  Result<Value> scalarOf(Value value, DenseMap<Value, Value> &known);
  Status emitStage(int64_t stage);
  Result<SmallVector<Sink>> openSinks(int64_t stage);
  Source sourceOf(Value value) const;
  Result<Value> storedIn(const Sink &sink, Value old,
                         DenseMap<Value, Value> &known);
  void addShapeCarrier(SmallVector<Value> &ins, SmallVector<AffineMap> &maps,
                       ArrayRef<Sink> sinks);
  void collectLoads(Value value, int64_t stage, SetVector<Value> &loads) const;

  const KernelPlan &plan;
  ModuleOp module;
  OpBuilder b;
  Location loc;
  ScalarBuilder scalars;
  Block &body;
  func::FuncOp func;
  /// Memory of operands and results, then the row of it that is at work.
  SmallVector<Value> operands, results, operandRows, resultRows;
  DenseMap<Value, Value> temporaries, accumulators;
  SmallVector<Value> rowIndex;
  /// Scalars of the current row.
  DenseMap<Value, Value> rowValues;
};

} // namespace

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// Appends the dimensions along which a walk moves.
static void addMoving(ArrayRef<int64_t> sizes, ArrayRef<int64_t> strides,
                      SmallVector<int64_t> &outSizes,
                      SmallVector<int64_t> &outStrides) {
  for (auto [size, stride] : llvm::zip_equal(sizes, strides))
    if (stride != 0) {
      outSizes.push_back(size);
      outStrides.push_back(stride);
    }
}

MemRefType KernelEmitter::memrefType(const Walk &walk) const {
  SmallVector<int64_t> sizes, strides;
  addMoving(plan.space.rows, walk.rows, sizes, strides);
  addMoving(plan.space.cols, walk.cols, sizes, strides);
  auto layout = StridedLayoutAttr::get(b.getContext(), 0, strides);
  auto strided = MemRefType::get(sizes, storageType(walk.element), layout);
  auto plain = MemRefType::get(sizes, storageType(walk.element));
  return strided.getStridesAndOffset() == plain.getStridesAndOffset() ? plain
                                                                      : strided;
}

/// Accumulators and temporary rows, once for all rows.
void KernelEmitter::allocate() {
  for (Value value : plan.temporaries) {
    auto type = MemRefType::get(
        plan.space.cols, computeType(getElementTypeOrSelf(value.getType())));
    temporaries[value] =
        memref::AllocaOp::create(b, loc, type, b.getI64IntegerAttr(64));
  }
  for (auto reduce : body.getOps<nn::ReduceOp>()) {
    auto type = MemRefType::get(
        {}, computeType(getElementTypeOrSelf(reduce.getType())));
    accumulators[reduce] = memref::AllocaOp::create(b, loc, type);
  }
}

void KernelEmitter::openRows() {
  auto index = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(b, loc, value);
  };
  Value zero = index(0), one = index(1);
  for (int64_t size : plan.space.rows) {
    auto loop = scf::ForOp::create(b, loc, zero, index(size), one);
    rowIndex.push_back(loop.getInductionVar());
    b.setInsertionPointToStart(loop.getBody());
  }
  for (auto [memref, walk] : llvm::zip_equal(operands, plan.space.operands))
    operandRows.push_back(walk.full ? rowSlice(memref, walk) : memref);
  for (auto [memref, walk] : llvm::zip_equal(results, plan.space.results))
    resultRows.push_back(walk.full ? rowSlice(memref, walk) : memref);
}

SmallVector<Value> KernelEmitter::rowIndices(const Walk &walk) const {
  SmallVector<Value> indices;
  for (auto [index, stride] : llvm::zip_equal(rowIndex, walk.rows))
    if (stride != 0)
      indices.push_back(index);
  return indices;
}

/// The columns of the current row.
Value KernelEmitter::rowSlice(Value memref, const Walk &walk) {
  Value offset;
  for (auto [index, stride] : llvm::zip_equal(rowIndex, walk.rows)) {
    if (stride == 0)
      continue;
    Value step = arith::ConstantIndexOp::create(b, loc, stride);
    Value part = arith::MulIOp::create(b, loc, index, step);
    offset = offset ? Value(arith::AddIOp::create(b, loc, offset, part)) : part;
  }
  if (!offset)
    return memref;
  SmallVector<int64_t> sizes, strides;
  addMoving(plan.space.cols, walk.cols, sizes, strides);
  auto type = MemRefType::get(
      sizes, storageType(walk.element),
      StridedLayoutAttr::get(b.getContext(), ShapedType::kDynamic, strides));
  return memref::ReinterpretCastOp::create(
      b, loc, type, memref, OpFoldResult(offset),
      getAsIndexOpFoldResult(b.getContext(), sizes),
      getAsIndexOpFoldResult(b.getContext(), strides));
}

AffineMap KernelEmitter::columnMap(const Walk &walk) const {
  SmallVector<AffineExpr> exprs;
  for (auto [d, stride] : llvm::enumerate(walk.cols))
    if (stride != 0)
      exprs.push_back(getAffineDimExpr(d, b.getContext()));
  return AffineMap::get(plan.space.cols.size(), 0, exprs, b.getContext());
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

/// `value` as a scalar, computed here from what is known.
Result<Value> KernelEmitter::scalarOf(Value value,
                                      DenseMap<Value, Value> &known) {
  value = KernelPlan::origin(value);
  if (auto it = known.find(value); it != known.end())
    return it->second;
  if (auto it = rowValues.find(value); it != rowValues.end())
    return it->second;
  Operation *op = value.getDefiningOp();
  Type element = getElementTypeOrSelf(value.getType());
  if (!op || isa<nn::ReduceOp>(op))
    return makeError(ExitCode::Internal, "codegen.order", "rt.fusion",
                     "a value is read before it is there");
  Result<Value> made = Value();
  if (auto constant = dyn_cast<nn::ConstantOp>(op)) {
    auto splat = cast<SplatElementsAttr>(constant.getValue());
    made = scalars.constant(splat.getSplatValue<Attribute>(), element);
  } else {
    SmallVector<Value> inputs;
    for (Value operand : op->getOperands()) {
      PARTITA_TRY(Value input, scalarOf(operand, known));
      inputs.push_back(input);
    }
    made = scalars.apply(op, inputs);
  }
  if (made)
    known[value] = *made;
  return made;
}

/// The scalars of a row that are known after `level` stages, and the results
/// among them.
Status KernelEmitter::emitRowValues(int64_t level) {
  if (level == 0)
    for (auto [argument, memref, walk] :
         llvm::zip_equal(body.getArguments(), operands, plan.space.operands))
      if (plan.shapeOf(argument) == Shape::Row) {
        Value loaded = memref::LoadOp::create(b, loc, memref, rowIndices(walk));
        rowValues[argument] = scalars.fromStorage(loaded, walk.element);
      }
  for (Operation &op : body.without_terminator()) {
    Value value = op.getResult(0);
    if (plan.shapeOf(value) != Shape::Row || plan.levelOf(value) != level ||
        isa<nn::ReshapeOp, nn::BroadcastOp>(op))
      continue;
    if (op.use_empty())
      continue;
    if (isa<nn::ReduceOp>(op)) {
      rowValues[value] =
          memref::LoadOp::create(b, loc, accumulators.lookup(value));
    } else {
      PARTITA_TRY(Value scalar, scalarOf(value, rowValues));
      rowValues[value] = scalar;
    }
  }
  Operation *yield = body.getTerminator();
  for (auto [value, memref, walk] :
       llvm::zip_equal(yield->getOperands(), results, plan.space.results)) {
    if (walk.full || plan.levelOf(value) != level)
      continue;
    PARTITA_TRY(Value scalar, scalarOf(value, rowValues));
    memref::StoreOp::create(b, loc, scalars.toStorage(scalar, walk.element),
                            memref, rowIndices(walk));
  }
  return ok();
}

//===----------------------------------------------------------------------===//
// Stages
//===----------------------------------------------------------------------===//

/// Values that `stage` reads from memory to compute `value`.
void KernelEmitter::collectLoads(Value value, int64_t stage,
                                 SetVector<Value> &loads) const {
  value = KernelPlan::origin(value);
  if (plan.shapeOf(value) != Shape::Full || loads.contains(value))
    return;
  Operation *op = value.getDefiningOp();
  if (!op || (plan.levelOf(value) < stage && plan.isStored(value))) {
    loads.insert(value);
    return;
  }
  for (Value operand : op->getOperands())
    collectLoads(operand, stage, loads);
}

/// Loops take their bounds from operands. If none walks along some dimension (a
/// reduction of a constant), one is added that repeats a single element.
void KernelEmitter::addShapeCarrier(SmallVector<Value> &ins,
                                    SmallVector<AffineMap> &maps,
                                    ArrayRef<Sink> sinks) {
  int64_t rank = plan.space.cols.size();
  auto mentions = [&](unsigned dim) {
    auto has = [&](AffineMap map) { return map.isFunctionOfDim(dim); };
    return llvm::any_of(maps, has) ||
           llvm::any_of(sinks, [&](const Sink &s) { return has(s.map); });
  };
  if (llvm::all_of(llvm::seq<unsigned>(0, rank), mentions))
    return;
  Type f32 = b.getF32Type();
  Value one;
  {
    // Once, not once a row.
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&func.getBody().front());
    one = memref::AllocaOp::create(b, loc, MemRefType::get({1}, f32));
  }
  SmallVector<int64_t> zeros(rank, 0);
  auto type = MemRefType::get(plan.space.cols, f32,
                              StridedLayoutAttr::get(b.getContext(), 0, zeros));
  ins.push_back(memref::ReinterpretCastOp::create(
      b, loc, type, one, /*offset=*/0, plan.space.cols, zeros));
  maps.push_back(AffineMap::getMultiDimIdentityMap(rank, b.getContext()));
}

/// What `stage` writes; accumulators are set to where they start.
Result<SmallVector<Sink>> KernelEmitter::openSinks(int64_t stage) {
  int64_t rank = plan.space.cols.size();
  SmallVector<Sink> sinks;
  Operation *yield = body.getTerminator();
  for (auto [i, value] : llvm::enumerate(yield->getOperands())) {
    const Walk &walk = plan.space.results[i];
    if (walk.full && plan.levelOf(value) == stage)
      sinks.push_back({value, resultRows[i], columnMap(walk), walk.element});
  }
  for (Value value : plan.temporaries)
    if (plan.levelOf(value) == stage)
      sinks.push_back({value, temporaries.lookup(value),
                       AffineMap::getMultiDimIdentityMap(rank, b.getContext()),
                       Type()});
  for (auto reduce : body.getOps<nn::ReduceOp>()) {
    if (plan.levelOf(reduce.getInput()) != stage || reduce->use_empty())
      continue;
    Value accumulator = accumulators.lookup(reduce);
    PARTITA_TRY(Value start,
                scalars.reductionStart(reduce.getKind(),
                                       getElementTypeOrSelf(reduce.getType())));
    memref::StoreOp::create(b, loc, start, accumulator);
    sinks.push_back({reduce.getInput(), accumulator,
                     AffineMap::get(rank, 0, b.getContext()), Type(), reduce});
  }
  return sinks;
}

/// Where `value`, an operand or what an earlier stage stored, is read from.
Source KernelEmitter::sourceOf(Value value) const {
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    const Walk &walk = plan.space.operands[argument.getArgNumber()];
    return {value, operandRows[argument.getArgNumber()], columnMap(walk),
            walk.element};
  }
  if (int64_t result = plan.resultOf(value); result >= 0) {
    const Walk &walk = plan.space.results[result];
    return {value, resultRows[result], columnMap(walk), walk.element};
  }
  int64_t rank = plan.space.cols.size();
  return {value, temporaries.lookup(value),
          AffineMap::getMultiDimIdentityMap(rank, b.getContext()), Type()};
}

/// What goes to `sink`, whose memory holds `old`.
Result<Value> KernelEmitter::storedIn(const Sink &sink, Value old,
                                      DenseMap<Value, Value> &known) {
  PARTITA_TRY(Value value, scalarOf(sink.value, known));
  if (nn::ReduceOp reduce = sink.reduce)
    return scalars.reduceStep(
        reduce.getKind(), getElementTypeOrSelf(reduce.getType()), old, value);
  return sink.element ? scalars.toStorage(value, sink.element) : value;
}

/// One loop over the columns.
Status KernelEmitter::emitStage(int64_t stage) {
  PARTITA_TRY(SmallVector<Sink> sinks, openSinks(stage));
  if (sinks.empty())
    return ok();
  SetVector<Value> loads;
  for (const Sink &sink : sinks)
    collectLoads(sink.value, stage, loads);
  SmallVector<Source> sources;
  SmallVector<Value> ins, outs;
  SmallVector<AffineMap> maps;
  for (Value value : loads) {
    sources.push_back(sourceOf(value));
    ins.push_back(sources.back().memref);
    maps.push_back(sources.back().map);
  }
  addShapeCarrier(ins, maps, sinks);
  bool reduces = false;
  for (const Sink &sink : sinks) {
    outs.push_back(sink.memref);
    maps.push_back(sink.map);
    reduces |= bool(sink.reduce);
  }
  SmallVector<utils::IteratorType> iterators(
      plan.space.cols.size(),
      reduces ? utils::IteratorType::reduction : utils::IteratorType::parallel);
  Status status = ok();
  auto build = [&](OpBuilder &inner, Location, ValueRange arguments) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(inner.getInsertionBlock(), inner.getInsertionPoint());
    DenseMap<Value, Value> known;
    for (auto [source, argument] : llvm::zip(sources, arguments))
      known[source.value] = source.element
                                ? scalars.fromStorage(argument, source.element)
                                : argument;
    SmallVector<Value> yielded;
    for (auto [sink, old] :
         llvm::zip_equal(sinks, arguments.drop_front(ins.size()))) {
      Result<Value> value = storedIn(sink, old, known);
      yielded.push_back(value ? *value : old);
      if (!value)
        status = value.takeError();
    }
    linalg::YieldOp::create(b, loc, yielded);
  };
  linalg::GenericOp::create(b, loc, ins, outs, maps, iterators, build);
  return status;
}

//===----------------------------------------------------------------------===//
// The function
//===----------------------------------------------------------------------===//

Status KernelEmitter::run(StringRef name) {
  SmallVector<Type> types;
  for (const auto *walks : {&plan.space.operands, &plan.space.results})
    for (const Walk &walk : *walks)
      types.push_back(memrefType(walk));
  b.setInsertionPointToEnd(module.getBody());
  func = func::FuncOp::create(b, loc, name, b.getFunctionType(types, {}));
  // Results overlap nothing, and operands are only read.
  for (unsigned i = 0; i < types.size(); ++i)
    func.setArgAttr(i, LLVM::LLVMDialect::getNoAliasAttrName(),
                    b.getUnitAttr());
  Block *entry = func.addEntryBlock();
  size_t numOperands = plan.space.operands.size();
  operands.assign(entry->args_begin(), entry->args_begin() + numOperands);
  results.assign(entry->args_begin() + numOperands, entry->args_end());
  b.setInsertionPointToStart(entry);
  func::ReturnOp::create(b, loc);
  b.setInsertionPointToStart(entry);
  allocate();
  openRows();
  for (int64_t stage = 0; stage < plan.stages; ++stage) {
    PARTITA_CHECK(emitRowValues(stage));
    PARTITA_CHECK(emitStage(stage));
  }
  return emitRowValues(plan.stages);
}

Status codegen::emitKernel(const KernelPlan &plan, StringRef name,
                           ModuleOp module) {
  return KernelEmitter(plan, module).run(name);
}
