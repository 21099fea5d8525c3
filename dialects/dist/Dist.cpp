//===- Dist.cpp - Meshes, shardings and collectives -----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Spelling and verification of the dist dialect. The algebra itself is in
// Support/Sharding.h; attributes convert to and from it.
//
//===----------------------------------------------------------------------===//

#include "dialects/dist/Dist.h"
#include "mlir/IR/DialectImplementation.h"
#include <numeric>
#include <set>

using namespace mlir;
using namespace partita;
using namespace partita::dist;

#include "dialects/dist/DistDialect.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/dist/DistAttrs.cpp.inc"

#define GET_OP_CLASSES
#include "dialects/dist/Dist.cpp.inc"

void DistDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/dist/DistAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/dist/Dist.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// Spelling
//===----------------------------------------------------------------------===//

/// factor ::= integer (`:` string (`,` string)*)? halo?
/// halo   ::= `halo` `(` positions `,` stride `,` before `,` extent `)`
/// Inside braces a comma is followed by a string while axes last and by an
/// integer for the next factor.
static void printDim(AsmPrinter &p, DimAttr dim) {
  p << "{";
  llvm::interleaveComma(dim.getFactors(), p, [&](FactorAttr factor) {
    p << factor.getSize();
    const char *separator = ":";
    for (StringAttr axis : factor.getAxes()) {
      p << separator << axis;
      separator = ",";
    }
    if (!factor.getHalo().empty()) {
      p << " halo(";
      llvm::interleaveComma(factor.getHalo(), p);
      p << ")";
    }
  });
  p << "}";
}

static FailureOr<StringAttr> parseAxis(AsmParser &p) {
  std::string name;
  if (p.parseString(&name))
    return failure();
  return StringAttr::get(p.getContext(), name);
}

/// (positions, stride, before, extent)
static ParseResult parseHalo(AsmParser &p, SmallVectorImpl<int64_t> &halo) {
  SMLoc loc = p.getCurrentLocation();
  if (p.parseCommaSeparatedList(AsmParser::Delimiter::Paren, [&] {
        return p.parseInteger(halo.emplace_back());
      }))
    return failure();
  if (halo.size() != 4)
    return p.emitError(loc, "expected positions, stride, before and extent");
  return success();
}

static FailureOr<DimAttr> parseDim(AsmParser &p) {
  SmallVector<FactorAttr> factors;
  if (p.parseLBrace())
    return failure();
  bool more = true;
  while (more) {
    int64_t size;
    if (p.parseInteger(size))
      return failure();
    SmallVector<StringAttr> axes;
    more = false;
    if (succeeded(p.parseOptionalColon())) {
      FailureOr<StringAttr> axis = parseAxis(p);
      if (failed(axis))
        return failure();
      axes.push_back(*axis);
    }
    while (succeeded(p.parseOptionalComma())) {
      std::string name;
      if (failed(p.parseOptionalString(&name))) {
        more = true;
        break;
      }
      axes.push_back(StringAttr::get(p.getContext(), name));
    }
    SmallVector<int64_t> halo;
    if (succeeded(p.parseOptionalKeyword("halo")) && parseHalo(p, halo))
      return failure();
    factors.push_back(FactorAttr::get(p.getContext(), size, axes, halo));
  }
  if (p.parseRBrace())
    return failure();
  return DimAttr::get(p.getContext(), factors);
}

static FailureOr<FlatSymbolRefAttr> parseMesh(AsmParser &p) {
  StringAttr name;
  if (p.parseSymbolName(name))
    return failure();
  return FlatSymbolRefAttr::get(name);
}

void FactorAttr::print(AsmPrinter &p) const {
  p << "<";
  printDim(p, DimAttr::get(getContext(), {*this}));
  p << ">";
}

Attribute FactorAttr::parse(AsmParser &p, Type) {
  if (p.parseLess())
    return {};
  FailureOr<DimAttr> dim = parseDim(p);
  if (failed(dim) || p.parseGreater())
    return {};
  if (dim->getFactors().size() != 1) {
    p.emitError(p.getNameLoc(), "expected one factor");
    return {};
  }
  return dim->getFactors().front();
}

void DimAttr::print(AsmPrinter &p) const {
  p << "<";
  printDim(p, *this);
  p << ">";
}

Attribute DimAttr::parse(AsmParser &p, Type) {
  if (p.parseLess())
    return {};
  FailureOr<DimAttr> dim = parseDim(p);
  if (failed(dim) || p.parseGreater())
    return {};
  return *dim;
}

void ShardingAttr::print(AsmPrinter &p) const {
  p << "<" << getMesh() << ", [";
  llvm::interleaveComma(getDims(), p, [&](DimAttr dim) { printDim(p, dim); });
  p << "]";
  if (!getPartial().empty()) {
    p << ", partial={";
    llvm::interleaveComma(getPartial(), p);
    p << "} " << getCombiner().getValue();
  }
  p << ">";
}

Attribute ShardingAttr::parse(AsmParser &p, Type) {
  if (p.parseLess())
    return {};
  FailureOr<FlatSymbolRefAttr> mesh = parseMesh(p);
  SmallVector<DimAttr> dims;
  auto parseOne = [&]() -> ParseResult {
    FailureOr<DimAttr> dim = parseDim(p);
    if (failed(dim))
      return failure();
    dims.push_back(*dim);
    return success();
  };
  if (failed(mesh) || p.parseComma() ||
      p.parseCommaSeparatedList(AsmParser::Delimiter::Square, parseOne))
    return {};
  SmallVector<StringAttr> partial;
  StringAttr combiner = StringAttr::get(p.getContext(), "none");
  if (succeeded(p.parseOptionalComma())) {
    auto parsePartial = [&]() -> ParseResult {
      FailureOr<StringAttr> axis = parseAxis(p);
      if (failed(axis))
        return failure();
      partial.push_back(*axis);
      return success();
    };
    StringRef keyword;
    if (p.parseKeyword("partial") || p.parseEqual() ||
        p.parseCommaSeparatedList(AsmParser::Delimiter::Braces, parsePartial) ||
        p.parseKeyword(&keyword))
      return {};
    combiner = StringAttr::get(p.getContext(), keyword);
  }
  if (p.parseGreater())
    return {};
  return ShardingAttr::get(p.getContext(), *mesh, dims, partial, combiner);
}

void StrategyAttr::print(AsmPrinter &p) const {
  p << "<" << getMesh() << ", {";
  for (auto [i, name, dim] : llvm::enumerate(getNames(), getFactors())) {
    p << (i ? ", " : "");
    p.printKeywordOrString(name.getValue());
    p << " = ";
    printDim(p, dim);
  }
  p << "}>";
}

Attribute StrategyAttr::parse(AsmParser &p, Type) {
  if (p.parseLess())
    return {};
  FailureOr<FlatSymbolRefAttr> mesh = parseMesh(p);
  SmallVector<StringAttr> names;
  SmallVector<DimAttr> dims;
  auto parseOne = [&]() -> ParseResult {
    std::string name;
    if (p.parseKeywordOrString(&name) || p.parseEqual())
      return failure();
    FailureOr<DimAttr> dim = parseDim(p);
    if (failed(dim))
      return failure();
    names.push_back(StringAttr::get(p.getContext(), name));
    dims.push_back(*dim);
    return success();
  };
  if (failed(mesh) || p.parseComma() ||
      p.parseCommaSeparatedList(AsmParser::Delimiter::Braces, parseOne) ||
      p.parseGreater())
    return {};
  return StrategyAttr::get(p.getContext(), *mesh, names, dims);
}

void OffsetAttr::print(AsmPrinter &p) const {
  p << "<" << getMesh() << ", ";
  printDim(p, DimAttr::get(getContext(), {getFactor()}));
  p << ">";
}

Attribute OffsetAttr::parse(AsmParser &p, Type) {
  if (p.parseLess())
    return {};
  FailureOr<FlatSymbolRefAttr> mesh = parseMesh(p);
  if (failed(mesh) || p.parseComma())
    return {};
  FailureOr<DimAttr> dim = parseDim(p);
  if (failed(dim) || p.parseGreater())
    return {};
  if (dim->getFactors().size() != 1) {
    p.emitError(p.getNameLoc(), "expected one factor");
    return {};
  }
  return OffsetAttr::get(p.getContext(), *mesh, dim->getFactors().front());
}

//===----------------------------------------------------------------------===//
// Conversion to and from plain data
//===----------------------------------------------------------------------===//

static DimAttr dimFromData(MLIRContext *context, const Mesh &mesh,
                           const DimSharding &dim) {
  SmallVector<FactorAttr> factors;
  for (const FactorSharding &factor : dim.factors) {
    SmallVector<StringAttr> axes;
    for (int axis : factor.axes)
      axes.push_back(StringAttr::get(context, mesh.axisNames[axis]));
    SmallVector<int64_t> halo;
    if (factor.halo)
      halo = {factor.halo->positions, factor.halo->stride, factor.halo->before,
              factor.halo->extent};
    factors.push_back(FactorAttr::get(context, factor.size, axes, halo));
  }
  return DimAttr::get(context, factors);
}

static Result<int> axisOf(const Mesh &mesh, StringAttr name) {
  int axis = mesh.axis(name.str());
  if (axis < 0)
    return makeError(ExitCode::InvalidInput, "dist.unknown-axis",
                     "@" + mesh.name,
                     "axis \"" + name.str() + "\" is not in the mesh");
  return axis;
}

static Result<FactorSharding> factorToData(const Mesh &mesh, FactorAttr attr) {
  FactorSharding factor;
  factor.size = attr.getSize();
  for (StringAttr name : attr.getAxes()) {
    PARTITA_TRY(int axis, axisOf(mesh, name));
    factor.axes.push_back(axis);
  }
  if (ArrayRef<int64_t> halo = attr.getHalo(); halo.size() == 4)
    factor.halo = Halo{halo[0], halo[1], halo[2], halo[3]};
  return factor;
}

static Result<DimSharding> dimToData(const Mesh &mesh, DimAttr attr) {
  DimSharding dim;
  for (FactorAttr factorAttr : attr.getFactors()) {
    PARTITA_TRY(FactorSharding factor, factorToData(mesh, factorAttr));
    dim.factors.push_back(std::move(factor));
  }
  return dim;
}

ShardingAttr ShardingAttr::get(MLIRContext *context, FlatSymbolRefAttr mesh,
                               const Mesh &data, const Sharding &sharding) {
  SmallVector<DimAttr> dims;
  for (const DimSharding &dim : sharding.dims)
    dims.push_back(dimFromData(context, data, dim));
  SmallVector<StringAttr> partial;
  for (int axis : sharding.partialAxes)
    partial.push_back(StringAttr::get(context, data.axisNames[axis]));
  return get(context, mesh, dims, partial,
             StringAttr::get(context, combinerName(sharding.combiner)));
}

Result<Sharding> ShardingAttr::toData(const Mesh &mesh) const {
  Sharding sharding;
  for (DimAttr dimAttr : getDims()) {
    PARTITA_TRY(DimSharding dim, dimToData(mesh, dimAttr));
    sharding.dims.push_back(std::move(dim));
  }
  for (StringAttr name : getPartial()) {
    PARTITA_TRY(int axis, axisOf(mesh, name));
    sharding.partialAxes.push_back(axis);
  }
  std::optional<Combiner> combiner = parseCombiner(getCombiner().str());
  if (!combiner)
    return makeError(ExitCode::InvalidInput, "dist.unknown-combiner", "",
                     "'" + getCombiner().str() + "' is not a combiner");
  sharding.combiner = *combiner;
  llvm::sort(sharding.partialAxes);
  return sharding;
}

StrategyAttr StrategyAttr::get(MLIRContext *context, FlatSymbolRefAttr mesh,
                               const Mesh &data, const ShardingRule &rule,
                               const Strategy &strategy) {
  SmallVector<StringAttr> names;
  SmallVector<DimAttr> dims;
  for (auto [factor, dim] : llvm::zip_equal(rule.factors, strategy.factors)) {
    if (dim.isReplicated())
      continue;
    names.push_back(StringAttr::get(context, factor.name));
    dims.push_back(dimFromData(context, data, dim));
  }
  return get(context, mesh, names, dims);
}

Result<Strategy> StrategyAttr::toData(const Mesh &mesh,
                                      const ShardingRule &rule) const {
  Strategy strategy = Strategy::replicated(rule);
  for (auto [name, dimAttr] : llvm::zip_equal(getNames(), getFactors())) {
    auto it = llvm::find_if(rule.factors, [&](const partita::Factor &factor) {
      return factor.name == name.getValue();
    });
    if (it == rule.factors.end())
      return makeError(ExitCode::InvalidInput, "dist.unknown-factor", "",
                       "'" + name.str() + "' is not a factor of " + rule.str());
    PARTITA_TRY(DimSharding dim, dimToData(mesh, dimAttr));
    strategy.factors[it - rule.factors.begin()] = std::move(dim);
  }
  return strategy;
}

Result<ShardOffset> OffsetAttr::toData(const Mesh &mesh) const {
  PARTITA_TRY(FactorSharding factor, factorToData(mesh, getFactor()));
  return ShardOffset{factor.size, factor.axes};
}

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

Mesh MeshOp::getMesh() {
  Mesh mesh;
  mesh.name = getSymName().str();
  for (auto name : getAxes().getAsValueRange<StringAttr>())
    mesh.axisNames.push_back(name.str());
  mesh.axisSizes.assign(getSizes().begin(), getSizes().end());
  if (getStages())
    for (auto stage : getStages()->getAsRange<ArrayAttr>()) {
      uint32_t &axes = mesh.stageAxes.emplace_back(0);
      for (auto name : stage.getAsValueRange<StringAttr>())
        axes |= uint32_t(1) << mesh.axis(name.str());
    }
  return mesh;
}

static LogicalResult verifyStages(MeshOp op) {
  ArrayAttr stages = op.getStagesAttr();
  if (!stages)
    return success();
  int64_t count = 0;
  for (auto [name, size] : llvm::zip_equal(
           op.getAxes().getAsValueRange<StringAttr>(), op.getSizes()))
    if (name == stageAxis)
      count = size;
  if (static_cast<int64_t>(stages.size()) != count || op.getRanks())
    return op.emitOpError("has ")
           << stages.size() << " stages, and axis pp has " << count;
  for (Attribute stage : stages) {
    auto names = dyn_cast<ArrayAttr>(stage);
    if (!names)
      return op.emitOpError("has a stage that is no list of axes");
    for (Attribute name : names)
      if (!llvm::is_contained(op.getAxes(), name))
        return op.emitOpError("has a stage with an axis ") << name;
  }
  return success();
}

LogicalResult MeshOp::verify() {
  if (getAxes().size() != getSizes().size())
    return emitOpError("has ") << getAxes().size() << " axis names and "
                               << getSizes().size() << " sizes";
  if (getAxes().size() > 16)
    return emitOpError("has more than 16 axes");
  llvm::StringSet<> seen;
  for (auto name : getAxes().getAsValueRange<StringAttr>())
    if (!seen.insert(name).second)
      return emitOpError("names axis \"") << name << "\" twice";
  int64_t count = 1;
  for (int64_t size : getSizes())
    if (size < 1 || __builtin_mul_overflow(count, size, &count))
      return emitOpError("has an axis of size ") << size;
  if (failed(verifyStages(*this)))
    return failure();
  if (!getRanks())
    return success();
  const ArrayRef<int64_t> given = *getRanks();
  llvm::DenseSet<int64_t> ranks;
  for (int64_t rank : given)
    if (rank < 0 || !ranks.insert(rank).second)
      return emitOpError("has rank ") << rank << " twice, or it is none";
  if (static_cast<int64_t>(ranks.size()) != count)
    return emitOpError("has ")
           << count << " places and " << ranks.size() << " ranks";
  return success();
}

std::vector<int64_t> MeshOp::rankNumbers() {
  if (getRanks())
    return getRanks()->vec();
  std::vector<int64_t> ranks(getMesh().numRanks());
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

MeshOp dist::getMesh(Operation *module) {
  for (Operation &op : module->getRegion(0).front())
    if (auto mesh = dyn_cast<MeshOp>(op))
      return mesh;
  return nullptr;
}

MeshOp dist::findMesh(Operation *op, FlatSymbolRefAttr name) {
  auto module = op->getParentOfType<ModuleOp>();
  return module ? module.lookupSymbol<MeshOp>(name.getAttr()) : nullptr;
}

MeshOp dist::meshOf(Operation *function) {
  if (auto name = function->getAttrOfType<FlatSymbolRefAttr>(meshAttrName))
    return findMesh(function, name);
  return getMesh(function->getParentOfType<ModuleOp>());
}

bool dist::isMove(Operation *op) {
  return isa<AllGatherOp, ReduceScatterOp, AllReduceOp, AllToAllOp, PermuteOp,
             HaloExchangeOp, SliceOp, ToPartialOp, SoftmaxMergeOp>(op);
}

namespace {
/// Both shardings of a move, checked against the tensor's type.
struct Ends {
  Mesh mesh;
  Sharding from, to;
};
} // namespace

/// The canonical form of `attr`, if it is legal for `value` on `mesh`.
static FailureOr<Sharding> verifySharding(Operation *op, Value value,
                                          ShardingAttr attr, const Mesh &mesh) {
  auto type = cast<RankedTensorType>(value.getType());
  if (!type.hasStaticShape())
    return op->emitOpError("needs a static shape"), failure();
  std::vector<int64_t> shape(type.getShape().begin(), type.getShape().end());
  auto data = attr.toData(mesh);
  if (!data)
    return op->emitOpError() << data.error().message, failure();
  auto legal = checkSharding(*data, shape, mesh, "");
  if (!legal)
    return op->emitOpError() << legal.error().message, failure();
  return canonical(*data, mesh);
}

static FailureOr<Ends> verifyEnds(Operation *op, Value value, ShardingAttr from,
                                  ShardingAttr to) {
  auto module = op->getParentOfType<ModuleOp>();
  if (!module || !getMesh(module))
    return op->emitOpError("needs a dist.mesh in its module"), failure();
  MeshOp mesh = findMesh(op, from.getMesh());
  if (!mesh || from.getMesh() != to.getMesh())
    return op->emitOpError("names mesh ")
               << (mesh ? to.getMesh() : from.getMesh()),
           failure();
  Ends ends{mesh.getMesh(), {}, {}};
  for (auto [attr, out] :
       {std::pair{from, &ends.from}, std::pair{to, &ends.to}}) {
    FailureOr<Sharding> legal = verifySharding(op, value, attr, ends.mesh);
    if (failed(legal))
      return failure();
    *out = std::move(*legal);
  }
  if (ends.from.hasHalo())
    return op->emitOpError("starts from blocks that overlap: only what an "
                           "operation reads has halos"),
           failure();
  return ends;
}

template <typename Op> static FailureOr<Ends> verifyEnds(Op op) {
  return verifyEnds(op, op.getInput(), op.getFrom(), op.getTo());
}

static bool isSubset(uint64_t a, uint64_t b) { return (a & ~b) == 0; }
static uint64_t partialSet(const Sharding &sharding) {
  uint64_t set = 0;
  for (int axis : sharding.partialAxes)
    set |= uint64_t(1) << axis;
  return set;
}

LogicalResult ReshardOp::verify() { return verifyEnds(*this); }

LogicalResult AllGatherOp::verify() {
  FailureOr<Ends> e = verifyEnds(*this);
  if (failed(e))
    return failure();
  if (e->from.partialAxes != e->to.partialAxes ||
      !isSubset(e->to.dimAxes(), e->from.dimAxes()) ||
      e->to.dimAxes() == e->from.dimAxes())
    return emitOpError("must remove axes from dimensions and nothing else");
  return success();
}

LogicalResult SliceOp::verify() {
  FailureOr<Ends> e = verifyEnds(*this);
  if (failed(e))
    return failure();
  if (e->from.partialAxes != e->to.partialAxes ||
      !isSubset(e->from.dimAxes(), e->to.dimAxes()))
    return emitOpError("must add axes to dimensions and nothing else");
  return success();
}

LogicalResult AllReduceOp::verify() {
  FailureOr<Ends> e = verifyEnds(*this);
  if (failed(e))
    return failure();
  if (e->from.dims != e->to.dims ||
      !isSubset(partialSet(e->to), partialSet(e->from)) ||
      e->from.partialAxes.size() == e->to.partialAxes.size())
    return emitOpError("must remove partial axes and nothing else");
  return success();
}

LogicalResult ToPartialOp::verify() {
  FailureOr<Ends> e = verifyEnds(*this);
  if (failed(e))
    return failure();
  if (e->from.dims != e->to.dims || e->to.combiner != Combiner::Sum ||
      !isSubset(partialSet(e->from), partialSet(e->to)))
    return emitOpError("must add partial axes of a sum and nothing else");
  return success();
}

LogicalResult ReduceScatterOp::verify() {
  FailureOr<Ends> e = verifyEnds(*this);
  if (failed(e))
    return failure();
  uint64_t moved = partialSet(e->from) & ~partialSet(e->to);
  if (!moved || !isSubset(partialSet(e->to), partialSet(e->from)) ||
      (e->from.dimAxes() | moved) != e->to.dimAxes())
    return emitOpError("must move axes from partial to dimensions");
  return success();
}

LogicalResult AllToAllOp::verify() {
  FailureOr<Ends> e = verifyEnds(*this);
  if (failed(e))
    return failure();
  if (e->from.partialAxes != e->to.partialAxes ||
      e->from.dimAxes() != e->to.dimAxes())
    return emitOpError("must move axes between factors and nothing else");
  return success();
}

LogicalResult HaloExchangeOp::verify() {
  FailureOr<Ends> e = verifyEnds(*this);
  if (failed(e))
    return failure();
  if (!e->to.hasHalo() || e->from != canonical(e->to.withoutHalos(), e->mesh))
    return emitOpError("must add halos and nothing else");
  return success();
}

LogicalResult PermuteOp::verify() {
  FailureOr<Ends> e = verifyEnds(*this);
  if (failed(e))
    return failure();
  if (e->from.partialAxes != e->to.partialAxes)
    return emitOpError("must not change partial axes");
  // The elements of each dimension that a rank owns, as runs: spelled so, boxes
  // of differently factored shardings can be compared.
  auto key = [&](const Sharding &sharding, int64_t rank) {
    Box box = boxOf(sharding, e->mesh, e->mesh.coordinates(rank));
    std::vector<std::pair<int64_t, int64_t>> runs;
    for (Box::Dim &dim : box.dims) {
      forEachRun(Box{{dim}},
                 [&](Run run) { runs.push_back({run.global, run.count}); });
      runs.push_back({-1, -1});
    }
    return runs;
  };
  std::set<std::vector<std::pair<int64_t, int64_t>>> held;
  for (int64_t rank = 0, n = e->mesh.numRanks(); rank < n; ++rank)
    held.insert(key(e->from, rank));
  for (int64_t rank = 0, n = e->mesh.numRanks(); rank < n; ++rank)
    if (!held.count(key(e->to, rank)))
      return emitOpError("gives rank ") << rank << " a shard that no rank has";
  return success();
}

LogicalResult SoftmaxMergeOp::verify() {
  FailureOr<Ends> out = verifyEnds(*this, getOut(), getFrom(), getTo());
  if (failed(out))
    return failure();
  FailureOr<Ends> lse = verifyEnds(*this, getLse(), getFromLse(), getToLse());
  if (failed(lse))
    return failure();
  for (const Ends &ends : {*out, *lse})
    if (ends.from.dims != ends.to.dims || ends.to.isPartial() ||
        ends.from.combiner != Combiner::SoftmaxMerge)
      return emitOpError("must resolve softmax_merge and nothing else");
  auto outType = cast<RankedTensorType>(getOut().getType());
  if (outType.getRank() == 0 ||
      outType.getShape().drop_back() !=
          cast<RankedTensorType>(getLse().getType()).getShape())
    return emitOpError(
        "needs an lse of out's shape without the last dimension");
  return success();
}

//===----------------------------------------------------------------------===//
// Stages
//===----------------------------------------------------------------------===//

static bool shareRank(MeshOp a, MeshOp b) {
  std::vector<int64_t> ranks = a.rankNumbers();
  for (int64_t rank : b.rankNumbers())
    if (llvm::is_contained(ranks, rank))
      return true;
  return false;
}

LogicalResult StageOp::verify() {
  MeshOp mesh = findMesh(*this, getMeshAttr());
  if (!mesh)
    return emitOpError("names mesh ") << getMeshAttr();
  for (Operation *op = (*this)->getPrevNode(); op; op = op->getPrevNode()) {
    auto earlier = dyn_cast<StageOp>(op);
    if (!earlier)
      continue;
    if (earlier.getNumber() >= getNumber())
      return emitOpError("is number ")
             << getNumber() << " after number " << earlier.getNumber();
    MeshOp other = findMesh(*this, earlier.getMeshAttr());
    if (other && shareRank(mesh, other))
      return emitOpError("has a rank of stage ") << earlier.getNumber();
  }
  for (Value operand : getInputs()) {
    if (isa<BlockArgument>(operand))
      continue;
    auto transfer = operand.getDefiningOp<TransferOp>();
    if (!transfer || transfer.getTo().getMesh() != getMeshAttr())
      return emitOpError("reads what was not transferred to it");
  }
  return success();
}

LogicalResult TransferOp::verify() {
  auto producer = getInput().getDefiningOp<StageOp>();
  if (!producer || producer.getMeshAttr() != getFrom().getMesh())
    return emitOpError("must read a result of a stage on mesh ")
           << getFrom().getMesh();
  MeshOp source = findMesh(*this, getFrom().getMesh());
  MeshOp target = findMesh(*this, getTo().getMesh());
  if (!source || !target)
    return emitOpError("names mesh ")
           << (source ? getTo().getMesh() : getFrom().getMesh());
  if (shareRank(source, target))
    return emitOpError("needs two meshes without a common rank");
  FailureOr<Sharding> from =
      verifySharding(*this, getInput(), getFrom(), source.getMesh());
  if (failed(from))
    return failure();
  FailureOr<Sharding> to =
      verifySharding(*this, getInput(), getTo(), target.getMesh());
  if (failed(to))
    return failure();
  if (from->isPartial() || to->isPartial())
    return emitOpError("cannot transfer pending values");
  if (from->hasHalo())
    return emitOpError("starts from blocks that overlap");
  return success();
}
