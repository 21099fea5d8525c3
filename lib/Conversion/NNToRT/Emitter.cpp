//===- Emitter.cpp - Builds the operations of rt --------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The walk, places and buffers, and fusions. Calls.cpp builds library calls.
//
//===----------------------------------------------------------------------===//

#include "Emitter.h"
#include "partita/Conversion/Commands.h"
#include "partita/Runtime/Library.h"

using namespace mlir;
using namespace partita;
using namespace partita::rt;

std::string rt::describe(Operation *op) {
  std::string text = nn::getId(op).str();
  if (text.empty())
    text = op->getName().getStringRef().str();
  if (std::vector<std::string> nodes = nn::getNodes(op); !nodes.empty())
    text += " (" + llvm::join(nodes, ", ") + ")";
  return text;
}

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

/// All of a command that its workspace can depend on.
static std::string signature(const runtime::Command &command) {
  std::string text;
  llvm::raw_string_ostream os(text);
  auto add = [&](const std::vector<runtime::View> &views) {
    for (const runtime::View &view : views) {
      os << int(view.dtype) << '[';
      llvm::interleave(view.shape, os, ",");
      os << ';';
      llvm::interleave(view.strides, os, ",");
      os << ']';
    }
    os << '|';
  };
  os << command.callee << '|';
  for (const ShardOffset &offset : command.offsets) {
    os << offset.size << ':';
    llvm::interleave(offset.axes, os, ",");
    os << '|';
  }
  add(command.operands);
  add(command.results);
  for (const auto &[name, attr] : command.attrs) {
    os << name << '=';
    std::visit(
        [&](const auto &value) {
          if constexpr (std::is_same_v<std::decay_t<decltype(value)>,
                                       std::string>)
            os << value;
          else
            llvm::interleave(value, os, ",");
        },
        attr);
    os << ';';
  }
  return text;
}

Result<int64_t> SizeCache::workspace(runtime::Command command) {
  auto [entry, isNew] = workspaces.try_emplace(signature(command), 0);
  if (!isNew)
    return entry->second;
  // Results are in memory of their own, as they will be in the arena; operands
  // in one place says nothing, they are only read.
  for (runtime::View &view : command.results)
    view.offset += int64_t(1) << 40;
  auto bytes = runtime::workspaceBytes(command, threads);
  if (!bytes) {
    workspaces.erase(entry);
    return bytes.takeError();
  }
  return entry->second = *bytes;
}

Result<int64_t> SizeCache::packed(const runtime::Command &command) {
  auto [entry, isNew] = packs.try_emplace(signature(command), 0);
  if (!isNew)
    return entry->second;
  auto bytes = runtime::packedBytes(command, threads);
  if (!bytes) {
    packs.erase(entry);
    return bytes.takeError();
  }
  return entry->second = *bytes;
}

Emitter::Emitter(func::FuncOp func, SizeCache &sizes, bool movesInPlace)
    : func(func), builder(func), sizes(sizes), movesInPlace(movesInPlace),
      plan(func.getBody().front()) {}

NamedAttribute Emitter::ints(StringRef name, ArrayRef<int64_t> v) {
  return builder.getNamedAttr(name, builder.getDenseI64ArrayAttr(v));
}
NamedAttribute Emitter::number(StringRef name, double v) {
  return builder.getNamedAttr(name, builder.getDenseF64ArrayAttr(v));
}
NamedAttribute Emitter::text(StringRef name, StringRef v) {
  return builder.getNamedAttr(name, builder.getStringAttr(v));
}

//===----------------------------------------------------------------------===//
// Places
//===----------------------------------------------------------------------===//

Emitter::Key Emitter::keyOf(const Place &place, const void *tag) {
  return {place.buffer.getAsOpaquePointer(),
          place.offset,
          {place.shape.begin(), place.shape.end()},
          {place.strides.begin(), place.strides.end()},
          tag};
}

/// One element that every index of `type` shows.
Place Emitter::splatPlace(SplatElementsAttr splat, Type type) {
  auto one = RankedTensorType::get({1}, splat.getElementType());
  auto value = SplatElementsAttr::get(one, splat.getSplatValue<Attribute>());
  Value &buffer = splats[value];
  if (!buffer) {
    buffer = nn::ConstantOp::create(builder, current->getLoc(), value);
    nn::copyIdentity(current, buffer.getDefiningOp(), "/constant");
  }
  SmallVector<int64_t> shape = llvm::to_vector(nn::shapeOf(type));
  return {buffer, 0, shape, SmallVector<int64_t>(shape.size(), 0)};
}

Result<Place> Emitter::placeOf(Value value) {
  if (auto it = places.find(value); it != places.end())
    return it->second;
  Operation *op = value.getDefiningOp();
  Place place;
  if (SplatElementsAttr splat = splatOf(value)) {
    place = splatPlace(splat, value.getType());
  } else if (isViewOp(op)) {
    PARTITA_TRY(Place input, placeOf(op->getOperand(0)));
    std::optional<Place> view = viewPlace(cast<OpResult>(value), input);
    if (!view) { // A reshape that no strides express.
      Type element = getElementTypeOrSelf(value.getType());
      PARTITA_TRY(Place dense, copied(input, element));
      view = viewPlace(cast<OpResult>(value), dense);
    }
    if (!view)
      return makeError(ExitCode::Internal, "rt.view", describe(op),
                       "has no addressing");
    place = *view;
  } else {
    place = wholeBuffer(value);
  }
  places[value] = place;
  return place;
}

Value Emitter::viewOf(const Place &place) {
  auto buffer = cast<RankedTensorType>(place.buffer.getType());
  auto type = buffer.clone(place.shape);
  if (type == buffer && isWholeRowMajor(place))
    return place.buffer;
  Value &view = views[keyOf(place)];
  if (!view)
    view = ViewOp::create(builder, current->getLoc(), type, place.buffer,
                          place.offset, place.strides);
  return view;
}

Result<Value> Emitter::operandOf(Value value) {
  PARTITA_TRY(Place place, placeOf(value));
  return viewOf(place);
}

/// `value` with its dimensions of size one, and leading ones that it lacks,
/// repeated to `shape`.
Result<Value> Emitter::operandOf(Value value, ArrayRef<int64_t> shape) {
  PARTITA_TRY(Place place, placeOf(value));
  SmallVector<int64_t> dims;
  for (size_t d = shape.size() - place.shape.size(); d < shape.size(); ++d)
    dims.push_back(d);
  return viewOf(broadcast(place, dims, shape));
}

/// The same elements, dense, in a buffer of their own.
Result<Place> Emitter::copied(const Place &place, Type elementType) {
  Value &copy = copies[keyOf(place, elementType.getAsOpaquePointer())];
  if (!copy) {
    auto type = RankedTensorType::get(place.shape, elementType);
    Call call{current, "copy", {viewOf(place)}, {}, {}, 0, "/copy"};
    PARTITA_TRY(CallOp op, build(call, TypeRange(type)));
    copy = op.getResult(0);
  }
  return wholeBuffer(copy);
}

/// `value` as a buffer or as a reshape of one.
Result<Value> Emitter::contiguous(Value value) {
  PARTITA_TRY(Place place, placeOf(value));
  if (!isWholeRowMajor(place)) {
    Type element = getElementTypeOrSelf(value.getType());
    PARTITA_TRY(place, copied(place, element));
  }
  return viewOf(place);
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

/// The order in which channels, dimension 1, are stored last.
Emitter::Permutation Emitter::channelsLast(int64_t rank) {
  Permutation order = {0, rank - 1};
  for (int64_t d = 2; d < rank; ++d)
    order.push_back(d - 1);
  return order;
}

/// Whether channels, and spatial dimensions too, are there and in that order.
bool Emitter::isChannelsLast(const Place &place) {
  int64_t rank = place.shape.size();
  if (rank < 3 || place.shape[1] == 1 || place.strides[1] != 1 ||
      llvm::all_of(
          ArrayRef(place.shape).drop_front(2),
          [](int64_t size) { return size == 1; }))
    return false;
  SmallVector<int64_t> order = channelsLast(rank);
  SmallVector<int64_t> strides(rank);
  for (int64_t d = 0; d < rank; ++d)
    strides[order[d]] = place.shape[d] == 1 ? 0 : place.strides[d];
  int64_t inner = 0;
  for (int64_t stride : llvm::reverse(strides)) {
    if (stride != 0 && stride < inner)
      return false;
    inner = std::max(inner, stride);
  }
  return true;
}

/// The order in which to store `value`: dimension i of it is dimension order[i]
/// of the buffer. Empty: as it is. If all that reads it is a transpose that
/// keeps the last dimension, the order of that; convolutions store channels
/// last, and what is computed from `from` lies as those do.
Emitter::Permutation Emitter::permutationFor(Value value, ValueRange from) {
  if (value.hasOneUse())
    if (auto transpose = dyn_cast<nn::TransposeOp>(*value.user_begin())) {
      ArrayRef<int64_t> permutation = transpose.getPermutation();
      Permutation order(permutation.size());
      for (auto [to, from] : llvm::enumerate(permutation))
        order[from] = to;
      if (permutation.back() == int64_t(permutation.size()) - 1)
        return order;
    }
  size_t rank = nn::shapeOf(value).size();
  for (Value operand : from)
    if (auto it = places.find(operand); it != places.end() &&
                                        it->second.shape.size() == rank &&
                                        isChannelsLast(it->second))
      return channelsLast(rank);
  return {};
}

RankedTensorType Emitter::bufferType(Type type, const Permutation &order) {
  SmallVector<int64_t> shape = llvm::to_vector(nn::shapeOf(type)),
                       permuted = shape;
  for (auto [i, dim] : llvm::enumerate(order))
    permuted[dim] = shape[i];
  return nn::withShape(type, permuted);
}

ArrayAttr Emitter::permutationsAttr(ArrayRef<Permutation> orders) {
  if (llvm::all_of(orders, [](auto &order) { return order.empty(); }))
    return nullptr;
  SmallVector<Attribute> attrs;
  for (const Permutation &order : orders)
    attrs.push_back(builder.getDenseI64ArrayAttr(order));
  return builder.getArrayAttr(attrs);
}

void Emitter::setResult(Value value, Value buffer, ArrayAttr permutations,
                        unsigned index) {
  places[value] = {buffer, 0, llvm::to_vector(nn::shapeOf(value)),
                   calleeStrides(buffer.getType(), permutations, index)};
}

/// `operand`, or a copy of it if it reads a dimension backwards: of the library
/// only a copy does.
Result<Value> Emitter::forward(Value operand) {
  Addressing addressing = addressingOf(operand);
  if (llvm::all_of(addressing.strides, [](int64_t s) { return s >= 0; }))
    return operand;
  PARTITA_TRY(Place dense, copied({addressing.buffer, addressing.offset,
                                   llvm::to_vector(nn::shapeOf(operand)),
                                   llvm::to_vector(addressing.strides)},
                                  getElementTypeOrSelf(operand.getType())));
  return viewOf(dense);
}

Result<CallOp> Emitter::build(const Call &call, TypeRange buffers,
                              ArrayAttr permutations) {
  SmallVector<Value> operands = call.operands;
  if (call.callee != "copy")
    for (Value &operand : operands) {
      PARTITA_TRY(operand, forward(operand));
    }
  ArrayAttr bases =
      call.bases.empty() ? nullptr : builder.getArrayAttr(call.bases);
  DictionaryAttr config =
      call.config.empty() ? nullptr : builder.getDictionaryAttr(call.config);
  auto op = CallOp::create(builder, call.from->getLoc(), buffers, call.callee,
                           operands, permutations, bases, config,
                           /*workspace=*/0, call.matmulFlops);
  nn::copyIdentity(call.from, op, call.suffix);
  PARTITA_TRY(runtime::Command command, toCommand(op));
  PARTITA_TRY(int64_t bytes, sizes.workspace(std::move(command)));
  op.setWorkspace(bytes);
  return op;
}

/// Builds a call whose results stand for `results`.
Status Emitter::buildFor(const Call &call, ValueRange results) {
  SmallVector<Permutation> orders;
  SmallVector<Type> types;
  for (Value result : results) {
    orders.push_back(permutationFor(result, call.from->getOperands()));
    types.push_back(bufferType(result.getType(), orders.back()));
  }
  ArrayAttr permutations = permutationsAttr(orders);
  PARTITA_TRY(CallOp op, build(call, types, permutations));
  for (auto [i, result] : llvm::enumerate(results))
    setResult(result, op.getResult(i), permutations, i);
  return ok();
}

//===----------------------------------------------------------------------===//
// Fusions
//===----------------------------------------------------------------------===//

namespace {
/// Fills the region of a fusion: operands from outside become arguments, splats
/// and the reshapes and broadcasts between members are repeated inside.
class BodyBuilder {
public:
  BodyBuilder(const Plan &plan, const Fusion &fusion, OpBuilder &builder,
              Block &body)
      : plan(plan), fusion(fusion), builder(builder), body(body) {}

  Value get(Value value) {
    if (Value known = mapping.lookupOrNull(value))
      return known;
    Value made;
    if (SplatElementsAttr splat = splatOf(value)) {
      auto type = cast<ShapedType>(value.getType());
      made = nn::ConstantOp::create(
          builder, value.getLoc(),
          SplatElementsAttr::get(type, splat.getSplatValue<Attribute>()));
    } else if (plan.levelIn(value, fusion)) {
      Operation *alias = value.getDefiningOp();
      IRMapping inner;
      inner.map(alias->getOperand(0), get(alias->getOperand(0)));
      made = cloned(alias, inner);
    } else {
      made = body.addArgument(value.getType(), value.getLoc());
      outside.push_back(value);
    }
    mapping.map(value, made);
    return made;
  }

  void add(Operation *member) {
    IRMapping inner;
    for (Value operand : member->getOperands())
      inner.map(operand, get(operand));
    mapping.map(member->getResult(0), cloned(member, inner));
  }

  /// What the arguments stand for.
  SmallVector<Value> outside;

private:
  Value cloned(Operation *op, IRMapping &inner) {
    Operation *copy = builder.clone(*op, inner);
    copy->removeAttr(nn::idAttrName);
    copy->removeAttr(nn::nodesAttrName);
    return copy->getResult(0);
  }

  const Plan &plan;
  const Fusion &fusion;
  OpBuilder &builder;
  Block &body;
  IRMapping mapping;
};
} // namespace

void rt::mergeIdentity(ArrayRef<Operation *> members, Operation *to) {
  nn::copyIdentity(members.back(), to);
  SetVector<Attribute> nodes;
  for (Operation *member : members)
    if (auto list = member->getAttrOfType<ArrayAttr>(nn::nodesAttrName))
      nodes.insert_range(list);
  if (!nodes.empty())
    to->setAttr(nn::nodesAttrName,
                ArrayAttr::get(to->getContext(), nodes.getArrayRef()));
}

Status Emitter::emitFusion(const Fusion &fusion) {
  SmallVector<Value> results;
  for (Operation *member : fusion.members)
    if (plan.escapes(member->getResult(0), fusion))
      results.push_back(member->getResult(0));
  auto region = std::make_unique<Region>();
  Block &body = region->emplaceBlock();
  OpBuilder inner(func.getContext());
  inner.setInsertionPointToEnd(&body);
  BodyBuilder bodyBuilder(plan, fusion, inner, body);
  for (Operation *member : fusion.members)
    bodyBuilder.add(member);
  SmallVector<Value> yielded, operands;
  SmallVector<Permutation> orders;
  SmallVector<Type> types;
  for (Value value : bodyBuilder.outside) {
    PARTITA_TRY(Value operand, operandOf(value));
    operands.push_back(operand);
  }
  // Rows of a reduction stay in order.
  ArrayRef<Value> like = fusion.cols ? ArrayRef<Value>() : bodyBuilder.outside;
  for (Value result : results) {
    yielded.push_back(bodyBuilder.get(result));
    orders.push_back(permutationFor(result, like));
    types.push_back(bufferType(result.getType(), orders.back()));
  }
  YieldOp::create(inner, current->getLoc(), yielded);
  ArrayAttr permutations = permutationsAttr(orders);
  auto op = FusionOp::create(builder, current->getLoc(), types, operands,
                             permutations);
  op.getBody().takeBody(*region);
  mergeIdentity(fusion.members, op);
  for (auto [i, result] : llvm::enumerate(results))
    setResult(result, op.getResult(i), permutations, i);
  return ok();
}

/// A fusion of one operation, all of whose operands come from outside.
Status Emitter::emitAlone(Operation *op) {
  SmallVector<Value> operands;
  for (Value value : op->getOperands()) {
    PARTITA_TRY(Value operand, operandOf(value));
    operands.push_back(operand);
  }
  Value result = op->getResult(0);
  SmallVector<Permutation> orders = {permutationFor(result, op->getOperands())};
  ArrayAttr permutations = permutationsAttr(orders);
  Type type = bufferType(result.getType(), orders.front());
  auto fusion =
      FusionOp::create(builder, op->getLoc(), type, operands, permutations);
  Block &body = fusion.getBody().emplaceBlock();
  IRMapping mapping;
  for (Value value : op->getOperands())
    mapping.map(value, body.addArgument(value.getType(), value.getLoc()));
  OpBuilder inner = OpBuilder::atBlockEnd(&body);
  Operation *copy = inner.clone(*op, mapping);
  copy->removeAttr(nn::idAttrName);
  copy->removeAttr(nn::nodesAttrName);
  YieldOp::create(inner, op->getLoc(), copy->getResults());
  nn::copyIdentity(op, fusion);
  setResult(result, fusion.getResult(0), permutations, 0);
  return ok();
}

//===----------------------------------------------------------------------===//
// The walk
//===----------------------------------------------------------------------===//

Status Emitter::makeOperandsContiguous(Operation *op) {
  for (OpOperand &operand : op->getOpOperands()) {
    PARTITA_TRY(Value value, contiguous(operand.get()));
    operand.set(value);
  }
  return ok();
}

static dist::ShardingAttr permuted(Attribute attr,
                                   ArrayRef<int64_t> order) {
  auto sharding = cast<dist::ShardingAttr>(attr);
  SmallVector<dist::DimAttr> dims(order.size());
  for (auto [i, dim] : llvm::enumerate(sharding.getDims()))
    dims[order[i]] = dim;
  return dist::ShardingAttr::get(attr.getContext(), sharding.getMesh(), dims,
                                 sharding.getPartial(), sharding.getCombiner());
}

/// Collectives want dense tensors. One whose channels are stored last is dense
/// with its dimensions in that order, and so is what becomes of it: the move is
/// made of that tensor, and nothing is copied on either side.
Status Emitter::emitMove(Operation *op) {
  PARTITA_TRY(Place place, placeOf(op->getOperand(0)));
  if (!movesInPlace || !isChannelsLast(place))
    return makeOperandsContiguous(op);
  Permutation order = channelsLast(place.shape.size());
  Place stored = place;
  for (auto [i, dim] : llvm::enumerate(order)) {
    stored.shape[dim] = place.shape[i];
    stored.strides[dim] = place.strides[i];
  }
  if (!isWholeRowMajor(stored)) {
    Type element = getElementTypeOrSelf(op->getOperand(0).getType());
    PARTITA_TRY(stored, copied(stored, element));
  }
  Value result = op->getResult(0);
  NamedAttrList attributes(op->getAttrDictionary());
  for (StringRef end : {"from", "to"})
    attributes.set(end, permuted(op->getAttr(end), order));
  OperationState state(op->getLoc(), op->getName(), {viewOf(stored)},
                       {bufferType(result.getType(), order)}, attributes);
  Operation *move = builder.create(state);
  setResult(result, move->getResult(0), permutationsAttr({order}), 0);
  replaced.insert(op);
  return ok();
}

Status Emitter::run() {
  SmallVector<Operation *> ops;
  for (Operation &op : func.getBody().front())
    ops.push_back(&op);
  for (Operation *op : ops) {
    current = op;
    builder.setInsertionPoint(op);
    PARTITA_CHECK(emit(op));
  }
  return eraseConverted();
}

Status Emitter::emit(Operation *op) {
  if (const Product *product = plan.productAt(op))
    return emitProduct(*product);
  if (const Fusion *fusion = plan.fusionAt(op))
    return emitFusion(*fusion);
  if (plan.isCovered(op) || isViewOp(op) ||
      isa<nn::ConstantOp, nn::GetParameterOp>(op))
    return ok();
  if (isa<CollectiveOp, ShardOp>(op))
    return emitMove(op);
  if (isa<func::ReturnOp>(op))
    return makeOperandsContiguous(op);
  if (isa<nn::ConcatOp, nn::PadOp>(op))
    return emitAlone(op);
  return emitCall(op);
}

/// All that is left of nn are parameters and constants, and of moves those that
/// count.
Status Emitter::eraseConverted() {
  Block &body = func.getBody().front();
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(body))) {
    if (!isa<nn::NNDialect>(op.getDialect()) && !replaced.contains(&op))
      continue;
    bool kept = isa<nn::GetParameterOp, nn::ConstantOp>(op);
    if (kept && !op.use_empty())
      continue;
    if (!op.use_empty())
      return makeError(ExitCode::Internal, "rt.leftover", describe(&op),
                       "is still used after its conversion");
    op.erase();
  }
  return ok();
}
