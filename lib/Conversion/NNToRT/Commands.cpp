//===- Commands.cpp - Operations of rt as runtime commands ----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Conversion/Commands.h"
#include "dialects/interfaces/Interfaces.h"
#include "dialects/nn/NN.h"

using namespace mlir;
using namespace partita;

static Error commandError(Operation *op, std::string message) {
  std::string place = nn::getId(op).str();
  if (place.empty())
    place = op->getName().getStringRef().str();
  return makeError(ExitCode::Unsupported, "rt.command", std::move(place),
                   std::move(message));
}

/// A view whose type is `type` with the given addressing in elements.
static Result<runtime::View> makeView(RankedTensorType type, int64_t offset,
                                      ArrayRef<int64_t> strides) {
  std::optional<DType> dtype = getDType(type.getElementType());
  if (!dtype) {
    std::string text;
    llvm::raw_string_ostream(text) << type;
    return makeError(ExitCode::Unsupported, "rt.element-type", text,
                     "elements of this type cannot be stored");
  }
  runtime::View view;
  view.dtype = *dtype;
  view.offset = offset * int64_t(dtypeSize(*dtype));
  view.shape = nn::shapeOf(type);
  view.strides.assign(strides.begin(), strides.end());
  return view;
}

Result<runtime::View> partita::toView(Value value) {
  rt::Addressing addressing = rt::addressingOf(value);
  return makeView(cast<RankedTensorType>(value.getType()), addressing.offset,
                  addressing.strides);
}

static void setIdentity(Operation *op, runtime::Command &command) {
  command.id = nn::getId(op).str();
  command.nodes = llvm::join(nn::getNodes(op), ",");
}

static Result<runtime::Attr> toAttr(Operation *op, NamedAttribute named) {
  using Ints = std::vector<int64_t>;
  using Doubles = std::vector<double>;
  Attribute attr = named.getValue();
  if (auto ints = dyn_cast<DenseI64ArrayAttr>(attr))
    return runtime::Attr(Ints(ints.asArrayRef()));
  if (auto doubles = dyn_cast<DenseF64ArrayAttr>(attr))
    return runtime::Attr(Doubles(doubles.asArrayRef()));
  if (auto text = dyn_cast<StringAttr>(attr))
    return runtime::Attr(text.getValue().str());
  return commandError(op, "attribute '" + named.getName().str() +
                              "' is no i64 array, f64 array or string");
}

static Status addOffsets(rt::CallOp call, runtime::Command &command) {
  ArrayAttr bases = call.getBasesAttr();
  if (!bases)
    return ok();
  for (Attribute base : bases) {
    auto offset = dyn_cast<dist::OffsetAttr>(base);
    if (!offset)
      return commandError(call, "has a base that is no #dist.offset");
    dist::MeshOp mesh = dist::findMesh(call, offset.getMesh());
    if (!mesh)
      return commandError(call, "has shard offsets of an unknown mesh");
    PARTITA_TRY(ShardOffset data, offset.toData(mesh.getMesh()));
    command.offsets.push_back(std::move(data));
  }
  return ok();
}

Result<runtime::Command> partita::toCommand(rt::CallOp call) {
  runtime::Command command;
  command.kind = runtime::CommandKind::Call;
  command.callee = call.getCallee().str();
  command.matmulFlops = call.getMatmulFlops();
  setIdentity(call, command);
  for (Value operand : call.getInputs()) {
    PARTITA_TRY(runtime::View view, toView(operand));
    command.operands.push_back(std::move(view));
  }
  ArrayAttr permutations = call.getPermutationsAttr();
  for (auto [i, type] : llvm::enumerate(call.getResultTypes())) {
    PARTITA_TRY(runtime::View view,
                makeView(rt::calleeType(type, permutations, i), 0,
                         rt::calleeStrides(type, permutations, i)));
    command.results.push_back(std::move(view));
  }
  if (int64_t bytes = call.getWorkspace())
    command.workspace.push_back(
        runtime::contiguousView(runtime::Space::Arena, 0, DType::U8, {bytes}));
  if (DictionaryAttr config = call.getConfigAttr())
    for (NamedAttribute named : config) {
      PARTITA_TRY(runtime::Attr attr, toAttr(call, named));
      command.attrs[named.getName().str()] = std::move(attr);
    }
  PARTITA_CHECK(addOffsets(call, command));
  return command;
}

Result<runtime::Command> partita::toCommand(rt::KernelOp kernel,
                                            int32_t index) {
  runtime::Command command;
  command.kind = runtime::CommandKind::Kernel;
  command.index = index;
  setIdentity(kernel, command);
  for (Value operand : kernel.getInputs()) {
    PARTITA_TRY(runtime::View view, toView(operand));
    command.operands.push_back(std::move(view));
  }
  for (Value result : kernel.getResults()) {
    PARTITA_TRY(runtime::View view, toView(result));
    command.results.push_back(std::move(view));
  }
  return command;
}
