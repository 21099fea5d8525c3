//===- LibraryCalls.cpp - Operations that the runtime's library computes --===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// An operation with LibraryOpInterface and without a reference kernel of its
// own is run by the kernel that compiled programs call: operands are laid out
// in an arena, results and workspace behind them, and the call is prepared and
// executed there as a rank would. What such kernels compute is checked against
// ONNX's own test data.
//
//===----------------------------------------------------------------------===//

#include "LibraryCalls.h"
#include "Models.h"
#include "partita/Runtime/Library.h"

using namespace mlir;
using namespace partita;
using namespace partita::interp;

namespace {

/// Hands out memory of the arena, aligned as the runtime's.
class Arena {
public:
  runtime::View place(DType dtype, const std::vector<int64_t> &shape) {
    int64_t offset = size;
    int64_t bytes =
        checkedNumElements(shape).value_or(0) * int64_t(dtypeSize(dtype));
    size = (offset + bytes + 63) / 64 * 64;
    return runtime::contiguousView(runtime::Space::Arena, offset, dtype, shape);
  }
  int64_t size = 0;
};

} // namespace

static runtime::Attr toRuntimeAttr(Attribute attr) {
  if (auto ints = dyn_cast<DenseI64ArrayAttr>(attr))
    return std::vector<int64_t>(ints.asArrayRef());
  if (auto doubles = dyn_cast<DenseF64ArrayAttr>(attr))
    return std::vector<double>(doubles.asArrayRef());
  return cast<StringAttr>(attr).getValue().str();
}

static Status describeTo(runtime::Command &command, LibraryOpInterface op,
                         const RankPlace &place) {
  PARTITA_TRY(LibraryCall call, libraryCallOf(op));
  command.callee = op.getLibraryCallee().str();
  command.id = nn::getId(op).str();
  command.nodes = llvm::join(nn::getNodes(op), ",");
  for (NamedAttribute named : call.config)
    command.attrs[named.getName().str()] = toRuntimeAttr(named.getValue());
  for (Attribute attr : call.offsets) {
    auto offset = dyn_cast<dist::OffsetAttr>(attr);
    if (!offset)
      return makeError(ExitCode::InvalidInput, "interp.offset", describe(op),
                       "has a base that is no #dist.offset");
    PARTITA_TRY(ShardOffset data, offset.toData(place.mesh));
    command.offsets.push_back(std::move(data));
  }
  return ok();
}

Result<Tensors> interp::evaluateLibraryCall(LibraryOpInterface op, Operands in,
                                            const RankPlace &place) {
  runtime::Command command;
  PARTITA_CHECK(describeTo(command, op, place));
  Arena arena;
  for (const HostTensor &tensor : in)
    command.operands.push_back(arena.place(tensor.dtype(), tensor.shape()));
  for (Value result : op->getResults()) {
    std::optional<DType> dtype = getDType(getElementTypeOrSelf(result));
    if (!dtype)
      return makeError(ExitCode::Unsupported, "interp.element-type",
                       describe(op), "has elements that cannot be stored");
    command.results.push_back(arena.place(*dtype, nn::shapeOf(result)));
  }
  PARTITA_TRY(int64_t workspace, runtime::workspaceBytes(command, 1));
  if (workspace)
    command.workspace.push_back(arena.place(DType::U8, {workspace}));

  HostTensor memory(DType::U8, {arena.size});
  for (auto [tensor, view] : llvm::zip_equal(in, command.operands))
    if (tensor.numBytes())
      std::memcpy(memory.data() + view.offset, tensor.data(),
                  tensor.numBytes());
  runtime::PrepareContext context{&place.mesh, place.coords, 1};
  PARTITA_TRY(std::unique_ptr<runtime::PreparedCall> call,
              runtime::prepareCall(command, context));
  std::byte *bases[3] = {memory.data(), nullptr, nullptr};
  PARTITA_CHECK(call->execute(bases));

  Tensors results;
  for (const runtime::View &view : command.results) {
    HostTensor tensor(view.dtype, view.shape);
    if (tensor.numBytes())
      std::memcpy(tensor.data(), memory.data() + view.offset,
                  tensor.numBytes());
    results.push_back(std::move(tensor));
  }
  return results;
}
