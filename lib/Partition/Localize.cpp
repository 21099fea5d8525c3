//===- Localize.cpp - One function for each rank class --------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Ranks whose local shapes are equal everywhere share one function; where their
// shards begin is the only difference, and operations that need to know carry a
// #dist.offset. With shards that divide there is one class, with uneven ones as
// many as there are combinations of larger and smaller shards. Padding counts
// as shape: a rank whose windows reach over an end of an image computes
// something else than one in its middle.
//
//===----------------------------------------------------------------------===//

#include "Shardings.h"
#include "dialects/nn/NN.h"
#include "dialects/rt/RT.h"
#include "mlir/IR/IRMapping.h"
#include <map>

using namespace mlir;
using namespace partita;

namespace {
class Localizer {
public:
  Localizer(ModuleOp module, ShardingReader &reader)
      : module(module), reader(reader), entry(reader.entry()) {}
  Status run();

private:
  Status collectShardings();
  std::vector<std::vector<int64_t>> rankClasses() const;
  Status buildClass(unsigned index, const std::vector<int64_t> &ranks);
  Status buildOp(OpBuilder &builder, Operation *op, IRMapping &map,
                 int64_t rank);
  Result<Operation *> buildPlanned(OpBuilder &builder, Operation *op,
                                   ValueRange operands, TypeRange results,
                                   int64_t rank);
  Value buildAllReduce(OpBuilder &builder, dist::SoftmaxMergeOp op, Value local,
                       bool isLse, Combiner combiner, StringRef suffix);
  void buildMerge(OpBuilder &builder, dist::SoftmaxMergeOp op,
                  ValueRange operands, IRMapping &map);
  Operation *buildMove(OpBuilder &builder, Operation *op, Value operand,
                       Type result);
  Type localType(Value value, int64_t rank);

  ModuleOp module;
  ShardingReader &reader;
  func::FuncOp entry;
  llvm::DenseMap<Value, const Sharding *> shardings;
  /// Of the class at hand, by global type and sharding.
  llvm::DenseMap<std::pair<Type, const Sharding *>, Type> localTypes;
};
} // namespace

Status Localizer::collectShardings() {
  Block &body = entry.getBody().front();
  std::vector<Value> values(body.args_begin(), body.args_end());
  for (Operation &op : body) {
    if (isa<dist::ReshardOp>(op))
      return makeError(ExitCode::Internal, "partition.reshard", placeOf(&op),
                       "reshards must be lowered first");
    values.insert(values.end(), op.result_begin(), op.result_end());
    for (unsigned i = 0; i < op.getNumOperands(); ++i) {
      PARTITA_TRY(const Sharding *wanted, reader.demanded(&op, i));
      PARTITA_TRY(const Sharding *have, reader.of(op.getOperand(i)));
      if (!reader.sameBoxes(have, wanted))
        return makeError(ExitCode::Internal, "partition.mismatch", placeOf(&op),
                         "operand " + std::to_string(i) + " arrives as " +
                             have->str(reader.mesh()) + ", demanded is " +
                             wanted->str(reader.mesh()),
                         "insert reshards first");
    }
  }
  for (Value value : values) {
    PARTITA_TRY(shardings[value], reader.of(value));
  }
  return ok();
}

Type Localizer::localType(Value value, int64_t rank) {
  const Sharding *sharding = shardings.find(value)->second;
  Type &known = localTypes[{value.getType(), sharding}];
  if (!known)
    known = nn::withShape(value.getType(),
                          localShape(*sharding, reader.mesh(), rank));
  return known;
}

/// Ranks in classes, in the order of their first rank.
std::vector<std::vector<int64_t>> Localizer::rankClasses() const {
  llvm::DenseSet<const Sharding *> used;
  for (const auto &entry : shardings)
    used.insert(entry.second);
  std::vector<Sharding> distinct;
  for (const Sharding *sharding : used)
    distinct.push_back(canonical(*sharding, reader.mesh()));
  llvm::sort(distinct);
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  std::map<std::vector<int64_t>, size_t> byShapes;
  std::vector<std::vector<int64_t>> classes;
  for (int64_t rank = 0, n = reader.mesh().numRanks(); rank < n; ++rank) {
    std::vector<int64_t> key;
    for (const Sharding &sharding : distinct) {
      std::vector<int64_t> shape = localShape(sharding, reader.mesh(), rank);
      key.insert(key.end(), shape.begin(), shape.end());
      for (const DimSharding &dim : sharding.dims) {
        if (!dim.factors[0].halo)
          continue;
        auto [before, after] = beyondEnds(dim.factors[0], reader.mesh(),
                                          reader.mesh().coordinates(rank));
        key.insert(key.end(), {before, after});
      }
    }
    auto [it, isNew] = byShapes.try_emplace(std::move(key), classes.size());
    if (isNew)
      classes.emplace_back();
    classes[it->second].push_back(rank);
  }
  return classes;
}

Operation *Localizer::buildMove(OpBuilder &builder, Operation *op,
                                Value operand, Type result) {
  bool local = isa<dist::SliceOp, dist::ToPartialOp>(op);
  OperationState state(op->getLoc(),
                       local ? rt::ShardOp::getOperationName()
                             : rt::CollectiveOp::getOperationName());
  state.addOperands(operand);
  state.addTypes(result);
  state.addAttribute("kind",
                     builder.getStringAttr(op->getName().stripDialect()));
  for (StringRef name : {"axes", "from", "to"})
    state.addAttribute(name, op->getAttr(name));
  return builder.create(state);
}

/// An all-reduce over the axes of a merge, of a local value with the dimensions
/// of out or lse.
Value Localizer::buildAllReduce(OpBuilder &builder, dist::SoftmaxMergeOp op,
                                Value local, bool isLse, Combiner combiner,
                                StringRef suffix) {
  Sharding to = *shardings[isLse ? op.getResultLse() : op.getResult()];
  Sharding from = to;
  for (auto name : op.getAxes().getAsValueRange<StringAttr>())
    from.partialAxes.push_back(reader.mesh().axis(name.str()));
  from.combiner = combiner;
  auto reduced = rt::CollectiveOp::create(builder, op.getLoc(), local.getType(),
                                          builder.getStringAttr("all_reduce"),
                                          local, op.getAxes(),
                                          reader.attr(from), reader.attr(to));
  nn::copyIdentity(op, reduced, suffix);
  return reduced;
}

/// The formulas of dist.softmax_merge on local values. The maximum is kept
/// finite, so that rows without any key give zero instead of inf - inf.
void Localizer::buildMerge(OpBuilder &builder, dist::SoftmaxMergeOp op,
                           ValueRange operands, IRMapping &map) {
  Location loc = op.getLoc();
  Value out = operands[0], lse = operands[1];
  auto outType = cast<RankedTensorType>(out.getType());
  auto lseType = cast<RankedTensorType>(lse.getType());
  int count = 0;
  auto named = [&](Operation *local) {
    nn::copyIdentity(op, local, "." + std::to_string(count++));
    return local->getResult(0);
  };
  auto splat = [&](double value) {
    return named(nn::ConstantOp::create(
        builder, loc,
        SplatElementsAttr::get(
            lseType, builder.getFloatAttr(lseType.getElementType(), value))));
  };
  auto widen = [&](Value value) {
    SmallVector<int64_t> dims =
        llvm::to_vector(llvm::seq<int64_t>(0, lseType.getRank()));
    return named(nn::BroadcastOp::create(builder, loc, outType, value,
                                         builder.getDenseI64ArrayAttr(dims)));
  };
  Value top = buildAllReduce(builder, op, lse, true, Combiner::Max, "/max");
  top = named(nn::MaxOp::create(builder, loc, top, splat(-1e30)));
  Value weight = named(nn::ExpOp::create(
      builder, loc, named(nn::SubOp::create(builder, loc, lse, top))));
  Value scaled = named(nn::MulOp::create(builder, loc, out, widen(weight)));
  Value sum = buildAllReduce(builder, op, scaled, false, Combiner::Sum, "/out");
  Value total =
      buildAllReduce(builder, op, weight, true, Combiner::Sum, "/weight");
  Value divisor = named(nn::MaxOp::create(builder, loc, total, splat(1e-30)));
  map.map(op.getResult(),
          named(nn::DivOp::create(builder, loc, sum, widen(divisor))));
  Value log = named(nn::LogOp::create(builder, loc, total));
  map.map(op.getResultLse(), named(nn::AddOp::create(builder, loc, top, log)));
}

/// The factor called `name` and how it is split into intervals, if it is.
static std::optional<std::pair<const Factor *, FactorSharding>>
splitFactor(const ShardingReader::Planned &plan, StringRef name,
            const Mesh &mesh) {
  for (auto [factor, parts] :
       llvm::zip_equal(plan.rule->factors, plan.strategy.factors)) {
    if (factor.name != name || parts.isReplicated())
      continue;
    Sharding merged = canonical(Sharding{{parts}, {}, Combiner::None}, mesh);
    const FactorSharding &part = merged.dims[0].factors[0];
    if (!part.axes.empty())
      return std::pair{&factor, part};
  }
  return std::nullopt;
}

Result<Operation *> Localizer::buildPlanned(OpBuilder &builder, Operation *op,
                                            ValueRange operands,
                                            TypeRange results, int64_t rank) {
  PARTITA_TRY(const ShardingReader::Planned *plan, reader.planned(op));
  if (auto get = dyn_cast<nn::GetParameterOp>(op))
    return nn::GetParameterOp::create(builder, op->getLoc(), results[0],
                                      get.getParameterAttr(),
                                      reader.attr(*shardings[get.getResult()]))
        .getOperation();
  auto offset = [&](StringRef name) -> Attribute {
    auto part = splitFactor(*plan, name, reader.mesh());
    if (!part)
      return nullptr;
    SmallVector<StringAttr> axes;
    for (int axis : part->second.axes)
      axes.push_back(builder.getStringAttr(reader.mesh().axisNames[axis]));
    return dist::OffsetAttr::get(builder.getContext(), reader.meshRef(),
                                 dist::FactorAttr::get(builder.getContext(),
                                                       part->second.size, axes,
                                                       /*halo=*/{}));
  };
  auto beyond =
      [&](StringRef name) -> std::optional<std::pair<int64_t, int64_t>> {
    auto part = splitFactor(*plan, name, reader.mesh());
    if (!part || part->first->kind != FactorKind::Halo)
      return std::nullopt;
    return beyondEnds(
        {part->first->elements, part->second.axes, part->first->halo},
        reader.mesh(), reader.mesh().coordinates(rank));
  };
  if (auto local = dyn_cast<LocalizeOpInterface>(op))
    return local.localize(builder, operands, results, {offset, beyond});
  NamedAttrList attributes(op->getDiscardableAttrDictionary());
  attributes.erase(dist::strategyAttrName);
  attributes.erase(dist::stageAttrName);
  return builder.insert(Operation::create(
      op->getLoc(), op->getName(), results, operands,
      attributes.getDictionary(op->getContext()), op->getPropertiesStorage(),
      BlockRange(), /*numRegions=*/0));
}

Status Localizer::buildOp(OpBuilder &builder, Operation *op, IRMapping &map,
                          int64_t rank) {
  SmallVector<Value> operands;
  for (Value operand : op->getOperands())
    operands.push_back(map.lookup(operand));
  if (isa<func::ReturnOp>(op)) {
    func::ReturnOp::create(builder, op->getLoc(), operands);
    return ok();
  }
  SmallVector<Type> types;
  for (Value result : op->getResults())
    types.push_back(localType(result, rank));
  if (auto merge = dyn_cast<dist::SoftmaxMergeOp>(op)) {
    buildMerge(builder, merge, operands, map);
    return ok();
  }
  Operation *local;
  if (dist::isMove(op)) {
    local = buildMove(builder, op, operands[0], types[0]);
  } else {
    PARTITA_TRY(local, buildPlanned(builder, op, operands, types, rank));
  }
  nn::copyIdentity(op, local);
  map.map(op->getResults(), local->getResults());
  return ok();
}

Status Localizer::buildClass(unsigned index,
                             const std::vector<int64_t> &ranks) {
  localTypes.clear();
  Block &body = entry.getBody().front();
  auto typesOf = [&](ValueRange values) {
    SmallVector<Type> types;
    for (Value value : values)
      types.push_back(localType(value, ranks[0]));
    return types;
  };
  OpBuilder builder(entry);
  auto type =
      builder.getFunctionType(typesOf(body.getArguments()),
                              typesOf(body.getTerminator()->getOperands()));
  auto function = func::FuncOp::create(
      builder, entry.getLoc(),
      entry.getName().str() + "_class" + std::to_string(index), type);
  SmallVector<DictionaryAttr> arguments, results;
  entry.getAllArgAttrs(arguments);
  entry.getAllResultAttrs(results);
  function.setAllArgAttrs(arguments);
  function.setAllResultAttrs(results);
  function->setAttr(rt::ranksAttrName, builder.getDenseI64ArrayAttr(ranks));
  if (Attribute mesh = entry->getAttr(dist::meshAttrName))
    function->setAttr(dist::meshAttrName, mesh);
  Block *block = function.addEntryBlock();
  IRMapping map;
  map.map(body.getArguments(), block->getArguments());
  builder.setInsertionPointToStart(block);
  for (Operation &op : body)
    PARTITA_CHECK(buildOp(builder, &op, map, ranks[0]));
  return ok();
}

Status Localizer::run() {
  PARTITA_CHECK(collectShardings());
  for (auto [index, ranks] : llvm::enumerate(rankClasses()))
    PARTITA_CHECK(buildClass(index, ranks));
  entry.erase();
  return ok();
}

Status partita::localize(ModuleOp module, ShardingReader &reader) {
  return Localizer(module, reader).run();
}
