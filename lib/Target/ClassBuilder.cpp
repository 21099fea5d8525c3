//===- ClassBuilder.cpp - The commands of a rank class --------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One pass over each rank class's function:
//
//   1. Times. What depends on parameters and constants alone runs at load.
//      Parameters are read right before their first use there, so that load
//      holds few raw weights at once.
//   2. Buffers. Every value that is no view has one; a buffer lives from its
//      producer to its last use through any view. What load leaves for the step
//      is persistent; everything else shares the arena.
//   3. Commands, with views of those buffers.
//
//===----------------------------------------------------------------------===//

#include "ClassBuilder.h"
#include "dialects/nn/NN.h"
#include "dialects/rt/RT.h"
#include "partita/Conversion/Commands.h"
#include "partita/Memory/Memory.h"
#include "partita/Runtime/Transfer.h"

using namespace mlir;
using namespace partita;
using namespace partita::target;
using runtime::Command;
using runtime::CommandKind;
using runtime::Space;
using runtime::View;

static int64_t bytesOf(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  return tensor.getNumElements() *
         int64_t(dtypeSize(*getDType(tensor.getElementType())));
}

static bool isAddressing(Operation *op) {
  return isa<rt::ViewOp, nn::ConstantOp>(op);
}

namespace {

/// Where a buffer is: its space and first byte.
struct Place {
  Space space;
  int64_t offset;
};

class ClassBuilder {
public:
  ClassBuilder(func::FuncOp function, runtime::Program &program,
               const llvm::StringMap<int> &kernels,
               const llvm::StringMap<int> &parameters, int32_t stage,
               const Wiring &wiring)
      : function(function), program(program), kernels(kernels),
        parameters(parameters), stage(stage), grid(program.gridOf(stage)),
        mesh(grid.mesh), wiring(wiring) {}
  Result<runtime::RankClass> run();

private:
  void findLoadTime();
  void orderCommands();
  void addLoad(Operation *op);
  Status placeConstants();
  void placeBuffers();
  void placeList(const std::vector<Operation *> &list, bool atLoad,
                 int64_t &arenaBytes);
  bool isPersistent(Value buffer) const;

  bool isRepeated(Value buffer) const;
  Result<View> viewOf(Value value) const;
  void rebase(View &view, Value value) const;
  Result<Sharding> shardingFrom(Attribute attr);
  Result<Command> commandFor(Operation *op);
  Result<Command> callCommand(rt::CallOp op);
  Result<Command> kernelCommand(rt::KernelOp op);
  template <typename Op> Result<Command> moveCommand(Op op);
  Result<Command> collectiveCommand(rt::CollectiveOp op);
  Result<Command> shardCommand(rt::ShardOp op);
  Result<Command> parameterCommand(nn::GetParameterOp op);
  Status findWires();
  Command messageCommand(CommandKind kind, int32_t transfer, View shard);
  Status argumentCommands(runtime::RankClass &out);
  Status resultCommands(runtime::RankClass &out);
  void nameCommand(Command &command, Operation *op) const;

  func::FuncOp function;
  runtime::Program &program;
  /// Numbers by name.
  const llvm::StringMap<int> &kernels, &parameters;
  int32_t stage;
  const runtime::Grid grid;
  const Mesh &mesh;
  const Wiring &wiring;

  llvm::DenseSet<Operation *> loadTime;
  std::vector<Operation *> load, step;
  llvm::DenseSet<Operation *> emitted;
  llvm::DenseMap<Value, Place> places;
  llvm::DenseMap<Operation *, Place> workspaces;
  int64_t persistentBytes = 0, loadArena = 0, stepArena = 0;
  /// By transfer, its wire buffer.
  struct Wire {
    Place place{Space::Arena, 0};
    int64_t bytes = 0;
  };
  std::map<int32_t, Wire> wires;
};

} // namespace

//===----------------------------------------------------------------------===//
// Times
//===----------------------------------------------------------------------===//

void ClassBuilder::findLoadTime() {
  for (Operation &op : function.getBody().front()) {
    bool atLoad = !isa<func::ReturnOp>(op);
    for (Value operand : op.getOperands()) {
      Operation *producer = operand.getDefiningOp();
      atLoad &= producer && loadTime.contains(producer);
    }
    if (atLoad)
      loadTime.insert(&op);
  }
}

/// Emits `op` into the load list, its parameters first.
void ClassBuilder::addLoad(Operation *op) {
  if (isAddressing(op) || !emitted.insert(op).second)
    return;
  for (Value operand : op->getOperands()) {
    Operation *producer = rt::addressingOf(operand).buffer.getDefiningOp();
    if (producer)
      addLoad(producer);
  }
  load.push_back(op);
}

void ClassBuilder::orderCommands() {
  for (Operation &op : function.getBody().front()) {
    if (isAddressing(&op) || isa<func::ReturnOp>(op))
      continue;
    if (!loadTime.contains(&op))
      step.push_back(&op);
    else if (!isa<nn::GetParameterOp>(op))
      addLoad(&op);
  }
  // Parameters that the step reads as they are.
  for (Operation *op : step)
    for (Value operand : op->getOperands())
      if (Operation *producer =
              rt::addressingOf(operand).buffer.getDefiningOp())
        if (loadTime.contains(producer))
          addLoad(producer);
  for (Value result : function.getBody().front().getTerminator()->getOperands())
    if (Operation *producer = rt::addressingOf(result).buffer.getDefiningOp())
      if (loadTime.contains(producer))
        addLoad(producer);
}

//===----------------------------------------------------------------------===//
// Buffers
//===----------------------------------------------------------------------===//

/// Calls `fn` with every command (or the return) that reads a buffer, directly
/// or through views.
static void forEachReader(Value buffer, function_ref<void(Operation *)> fn) {
  for (Operation *user : buffer.getUsers()) {
    if (auto view = dyn_cast<rt::ViewOp>(user))
      forEachReader(view.getResult(), fn);
    else
      fn(user);
  }
}

bool ClassBuilder::isPersistent(Value buffer) const {
  bool usedByStep = false;
  forEachReader(buffer, [&](Operation *reader) {
    usedByStep |= !loadTime.contains(reader);
  });
  return usedByStep;
}

/// A splat constant is stored as one element, which views repeat by strides of
/// zero; generated kernels have their strides compiled in and need all of it.
bool ClassBuilder::isRepeated(Value buffer) const {
  auto constant = buffer.getDefiningOp<nn::ConstantOp>();
  if (!constant || !isa<SplatElementsAttr>(constant.getValue()))
    return false;
  bool repeated = true;
  forEachReader(
      buffer, [&](Operation *reader) { repeated &= isa<rt::CallOp>(reader); });
  return repeated;
}

/// Constants are stored once in the program.
Status ClassBuilder::placeConstants() {
  for (auto constant : function.getOps<nn::ConstantOp>()) {
    auto value = dyn_cast<DenseElementsAttr>(constant.getValue());
    std::optional<DType> dtype =
        getDType(cast<RankedTensorType>(constant.getType()).getElementType());
    if (!value || !dtype)
      return makeError(ExitCode::Unsupported, "target.constant",
                       nn::getId(constant).str(),
                       "the constant has no dense value");
    size_t width = dtypeSize(*dtype);
    size_t offset = (program.constants.size() + 63) / 64 * 64;
    program.constants.resize(offset);
    auto append = [&](const APInt &bits) {
      for (size_t i = 0; i < width; ++i)
        program.constants.push_back(std::byte(
            bits.getBitWidth() == 1 ? bits.getZExtValue()
                                    : bits.extractBitsAsZExtValue(8, 8 * i)));
    };
    int64_t count = isRepeated(constant) ? std::min<int64_t>(value.size(), 1)
                                         : value.size();
    if (isa<FloatType>(value.getElementType()))
      for (int64_t i = 0; i < count; ++i)
        append(value.getValues<APFloat>()[i].bitcastToAPInt());
    else
      for (int64_t i = 0; i < count; ++i)
        append(value.getValues<APInt>()[i]);
    places[constant.getResult()] = {Space::Constant, int64_t(offset)};
  }
  return ok();
}

/// Lays out the arena of one list of commands; persistent results are put at
/// the end of the persistent space instead.
void ClassBuilder::placeList(const std::vector<Operation *> &list, bool atLoad,
                             int64_t &arenaBytes) {
  llvm::DenseMap<Operation *, int64_t> time;
  for (auto [i, op] : llvm::enumerate(list))
    time[op] = i + 1;
  int64_t end = list.size() + 1;
  std::vector<BufferLife> lives;
  std::vector<Value> values;
  std::vector<Operation *> calls;
  auto addValue = [&](Value value, int64_t first) {
    int64_t last = first;
    forEachReader(value, [&](Operation *reader) {
      auto it = time.find(reader);
      last = std::max(last, it == time.end() ? end : it->second);
    });
    lives.push_back({bytesOf(value.getType()), first, last});
    values.push_back(value);
  };
  if (!atLoad)
    for (Value arg : function.getArguments())
      addValue(arg, 0);
  for (Operation *op : list)
    for (Value result : op->getResults()) {
      if (atLoad && isPersistent(result)) {
        places[result] = {Space::Persistent, persistentBytes};
        persistentBytes += (bytesOf(result.getType()) + 63) / 64 * 64;
      } else {
        addValue(result, time[op]);
      }
    }
  for (Operation *op : list)
    if (auto call = dyn_cast<rt::CallOp>(op); call && call.getWorkspace()) {
      lives.push_back({int64_t(call.getWorkspace()), time[op], time[op]});
      calls.push_back(op);
    }
  // What is received comes one message after the other, before everything else.
  // What is sent is under way while other micro-batches are computed.
  auto isReceived = [&](int32_t transfer) {
    return program.transfers[transfer].toStage == stage;
  };
  if (!atLoad) {
    int64_t most = 0;
    for (auto &[number, wire] : wires) {
      if (isReceived(number)) {
        most = std::max(most, wire.bytes);
        continue;
      }
      wire.place = {Space::Persistent, persistentBytes};
      persistentBytes += (wire.bytes + 63) / 64 * 64;
    }
    lives.push_back({most, 0, 0});
  }
  ArenaLayout layout = layoutArena(lives);
  for (auto &[number, wire] : wires)
    if (!atLoad && isReceived(number))
      wire.place.offset = layout.offsets[lives.size() - 1];
  for (auto [i, value] : llvm::enumerate(values))
    places[value] = {Space::Arena, layout.offsets[i]};
  for (auto [i, op] : llvm::enumerate(calls))
    workspaces[op] = {Space::Arena, layout.offsets[values.size() + i]};
  arenaBytes = layout.bytes;
}

void ClassBuilder::placeBuffers() {
  placeList(load, /*atLoad=*/true, loadArena);
  placeList(step, /*atLoad=*/false, stepArena);
}

//===----------------------------------------------------------------------===//
// Commands
//===----------------------------------------------------------------------===//

/// Moves a view that is relative to its buffer to where the buffer is.
void ClassBuilder::rebase(View &view, Value value) const {
  Value buffer = rt::addressingOf(value).buffer;
  Place place = places.find(buffer)->second;
  view.space = place.space;
  if (isRepeated(buffer)) {
    view.offset = place.offset;
    std::fill(view.strides.begin(), view.strides.end(), 0);
    return;
  }
  view.offset += place.offset;
}

Result<View> ClassBuilder::viewOf(Value value) const {
  PARTITA_TRY(View view, toView(value));
  rebase(view, value);
  return view;
}

void ClassBuilder::nameCommand(Command &command, Operation *op) const {
  command.id = nn::getId(op).str();
  command.nodes = llvm::join(nn::getNodes(op), ",");
}

Result<Sharding> ClassBuilder::shardingFrom(Attribute attr) {
  auto sharding = dyn_cast_or_null<dist::ShardingAttr>(attr);
  if (!sharding)
    return makeError(ExitCode::Internal, "target.sharding",
                     function.getName().str(), "a sharding is missing");
  return sharding.toData(mesh);
}

Result<Command> ClassBuilder::callCommand(rt::CallOp op) {
  PARTITA_TRY(Command command, toCommand(op));
  for (auto [view, value] : llvm::zip_equal(command.operands, op.getInputs()))
    rebase(view, value);
  for (auto [view, value] : llvm::zip_equal(command.results, op.getResults()))
    rebase(view, value);
  command.workspace.clear();
  if (op.getWorkspace()) {
    Place place = workspaces.lookup(op);
    command.workspace.push_back({place.space,
                                 place.offset,
                                 DType::U8,
                                 {int64_t(op.getWorkspace())},
                                 {1}});
  }
  return command;
}

Result<Command> ClassBuilder::kernelCommand(rt::KernelOp op) {
  auto it = kernels.find(op.getKernel());
  if (it == kernels.end())
    return makeError(ExitCode::Internal, "target.kernel", nn::getId(op).str(),
                     "there is no kernel '" + op.getKernel().str() + "'");
  PARTITA_TRY(Command command, toCommand(op, it->second));
  for (auto [view, value] : llvm::zip_equal(command.operands, op.getInputs()))
    rebase(view, value);
  for (auto [view, value] : llvm::zip_equal(command.results, op.getResults()))
    rebase(view, value);
  return command;
}

template <typename Op>
static Result<std::vector<int>> axesOf(Op op, const Mesh &mesh) {
  std::vector<int> axes;
  for (auto name : op.getAxes().template getAsValueRange<StringAttr>()) {
    int axis = mesh.axis(name.str());
    if (axis < 0)
      return makeError(ExitCode::Internal, "target.axis", nn::getId(op).str(),
                       "axis \"" + name.str() + "\" is not in the mesh");
    axes.push_back(axis);
  }
  return axes;
}

/// What collectives and shards have in common: ends, axes, one view each.
template <typename Op> Result<Command> ClassBuilder::moveCommand(Op op) {
  Command command;
  PARTITA_TRY(command.from, shardingFrom(op.getFrom()));
  PARTITA_TRY(command.to, shardingFrom(op.getTo()));
  PARTITA_TRY(command.axes, axesOf(op, mesh));
  PARTITA_TRY(View operand, viewOf(op.getInput()));
  PARTITA_TRY(View result, viewOf(op.getResult()));
  command.operands = {std::move(operand)};
  command.results = {std::move(result)};
  return command;
}

Result<Command> ClassBuilder::collectiveCommand(rt::CollectiveOp op) {
  using runtime::CollectiveKind;
  static const std::pair<StringRef, CollectiveKind> kinds[] = {
      {"all_reduce", CollectiveKind::AllReduce},
      {"reduce_scatter", CollectiveKind::ReduceScatter},
      {"all_gather", CollectiveKind::AllGather},
      {"all_to_all", CollectiveKind::AllToAll},
      {"permute", CollectiveKind::Permute},
      {"halo_exchange", CollectiveKind::HaloExchange}};
  PARTITA_TRY(Command command, moveCommand(op));
  command.kind = CommandKind::Collective;
  for (auto [name, kind] : kinds)
    if (op.getKind() == name)
      command.collective = kind;
  return command;
}

Result<Command> ClassBuilder::shardCommand(rt::ShardOp op) {
  PARTITA_TRY(Command command, moveCommand(op));
  command.kind = CommandKind::Call;
  command.callee =
      op.getKind() == "slice" ? "shard_slice" : "zero_unless_first";
  return command;
}

Result<Command> ClassBuilder::parameterCommand(nn::GetParameterOp op) {
  Command command;
  command.kind = CommandKind::LoadParameter;
  auto found = parameters.find(op.getParameter());
  if (found == parameters.end())
    return makeError(ExitCode::Internal, "target.parameter",
                     op.getParameter().str(), "there is no such parameter");
  command.index = found->second;
  if (Attribute sharding = op.getSharding().value_or(Attribute())) {
    PARTITA_TRY(command.to, shardingFrom(sharding));
  } else {
    command.to = Sharding::replicated(nn::shapeOf(op.getResult()));
  }
  PARTITA_TRY(View result, viewOf(op.getResult()));
  command.results = {std::move(result)};
  return command;
}

Result<Command> ClassBuilder::commandFor(Operation *op) {
  Result<Command> command =
      makeError(ExitCode::Internal, "target.no-command", nn::getId(op).str(),
                op->getName().getStringRef().str() + " is no command");
  if (auto call = dyn_cast<rt::CallOp>(op))
    command = callCommand(call);
  else if (auto kernel = dyn_cast<rt::KernelOp>(op))
    command = kernelCommand(kernel);
  else if (auto collective = dyn_cast<rt::CollectiveOp>(op))
    command = collectiveCommand(collective);
  else if (auto shard = dyn_cast<rt::ShardOp>(op))
    command = shardCommand(shard);
  else if (auto parameter = dyn_cast<nn::GetParameterOp>(op))
    command = parameterCommand(parameter);
  if (command)
    nameCommand(*command, op);
  return command;
}

/// How large the messages of this class are: of the rank that has most.
Status ClassBuilder::findWires() {
  auto ranks = function->getAttrOfType<DenseI64ArrayAttr>(rt::ranksAttrName);
  auto add = [&](int32_t transfer, bool sends) -> Status {
    for (int64_t place : ranks.asArrayRef()) {
      PARTITA_TRY(std::vector<runtime::Parcel> parcels,
                  runtime::planTransfer(program.transfers[transfer], program,
                                        grid.ranks[place]));
      int64_t &bytes = wires[transfer].bytes;
      bytes = std::max(
          bytes,
          runtime::wireBytes(parcels, sends,
                             dtypeSize(program.transfers[transfer].dtype)));
    }
    return ok();
  };
  for (const Wiring::Argument &argument : wiring.arguments)
    if (argument.received)
      PARTITA_CHECK(add(argument.number, /*sends=*/false));
  for (const Wiring::Result &result : wiring.results)
    for (int32_t transfer : result.transfers)
      PARTITA_CHECK(add(transfer, /*sends=*/true));
  return ok();
}

Command ClassBuilder::messageCommand(CommandKind kind, int32_t transfer,
                                     View shard) {
  Command command;
  command.kind = kind;
  command.index = transfer;
  command.id = program.transfers[transfer].name;
  bool sends = kind == CommandKind::Send;
  (sends ? command.operands : command.results) = {std::move(shard)};
  if (const Wire &wire = wires[transfer]; wire.bytes)
    command.workspace.push_back(runtime::contiguousView(
        wire.place.space, wire.place.offset, DType::U8, {wire.bytes}));
  return command;
}

/// In the order of sending stages and transfers, then of receiving stages:
/// Runtime/Messages.h says why.
static void sortMessages(std::vector<Command> &messages,
                         const runtime::Program &program) {
  llvm::sort(messages, [&](const Command &a, const Command &b) {
    auto key = [&](const Command &command) {
      const runtime::TransferInfo &t = program.transfers[command.index];
      return std::tuple(t.fromStage, t.toStage, command.index);
    };
    return key(a) < key(b);
  });
}

/// Inputs are loaded, and what other stages send is received, before anything
/// else is done.
Status ClassBuilder::argumentCommands(runtime::RankClass &out) {
  std::vector<Command> loads, messages;
  for (auto [i, argument] : llvm::enumerate(wiring.arguments)) {
    Value value = function.getArgument(i);
    PARTITA_TRY(View view, viewOf(value));
    if (argument.received) {
      messages.push_back(messageCommand(CommandKind::Receive, argument.number,
                                        std::move(view)));
      continue;
    }
    Command command;
    command.kind = CommandKind::LoadInput;
    command.index = argument.number;
    PARTITA_TRY(command.to,
                shardingFrom(function.getArgAttr(i, dist::shardingAttrName)));
    command.results = {std::move(view)};
    command.id = "input:" + program.inputs[argument.number].name;
    loads.push_back(std::move(command));
  }
  sortMessages(messages, program);
  loads.insert(loads.end(), messages.begin(), messages.end());
  out.step.insert(out.step.begin(), loads.begin(), loads.end());
  return ok();
}

/// Outputs are stored, and what other stages want is sent, after everything
/// else.
Status ClassBuilder::resultCommands(runtime::RankClass &out) {
  Operation *end = function.getBody().front().getTerminator();
  std::vector<Command> messages;
  for (auto [i, result] : llvm::enumerate(wiring.results)) {
    PARTITA_TRY(View view, viewOf(end->getOperand(i)));
    for (int32_t transfer : result.transfers)
      messages.push_back(messageCommand(CommandKind::Send, transfer, view));
    for (int32_t output : result.outputs) {
      Command command;
      command.kind = CommandKind::StoreOutput;
      command.index = output;
      PARTITA_TRY(command.from, shardingFrom(function.getResultAttr(
                                    i, dist::shardingAttrName)));
      command.operands = {view};
      command.id = "output:" + program.outputs[output].name;
      out.step.push_back(std::move(command));
    }
  }
  sortMessages(messages, program);
  out.step.insert(out.step.end(), messages.begin(), messages.end());
  return ok();
}

Result<runtime::RankClass> ClassBuilder::run() {
  findLoadTime();
  orderCommands();
  PARTITA_CHECK(placeConstants());
  PARTITA_CHECK(findWires());
  placeBuffers();
  runtime::RankClass out;
  out.stage = stage;
  for (Operation *op : load) {
    PARTITA_TRY(Command command, commandFor(op));
    out.init.push_back(std::move(command));
  }
  for (Operation *op : step) {
    PARTITA_TRY(Command command, commandFor(op));
    out.step.push_back(std::move(command));
  }
  PARTITA_CHECK(argumentCommands(out));
  PARTITA_CHECK(resultCommands(out));
  out.arenaBytes = std::max(loadArena, stepArena);
  out.persistentBytes = persistentBytes;
  return out;
}

Result<runtime::RankClass>
target::buildClass(func::FuncOp function, runtime::Program &program,
                   const llvm::StringMap<int> &kernels,
                   const llvm::StringMap<int> &parameters, int32_t stage,
                   const Wiring &wiring) {
  return ClassBuilder(function, program, kernels, parameters, stage, wiring)
      .run();
}
