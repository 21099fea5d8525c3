//===- Commands.h - Operations of rt as runtime commands -------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The one translation of rt.call and rt.kernel to what the runtime's library
// understands. The conversion asks the library for workspaces through it, and
// the emission of the command table uses the same, so that a call is promised
// the memory that it takes.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_CONVERSION_COMMANDS_H
#define PARTITA_CONVERSION_COMMANDS_H

#include "dialects/rt/RT.h"
#include "partita/Runtime/Program.h"

namespace partita {

/// The addressing of a value in its own buffer: space Arena, offset in bytes
/// from the buffer's first element. Add where the buffer is (rt::addressingOf
/// names it) to place it. Error: an element type that cannot be stored.
Result<runtime::View> toView(mlir::Value value);

/// `call` as a command: callee, attributes, shard offsets, views as toView
/// gives them (results in the order of dimensions of the callee, strided where
/// `permutations` says so), one workspace view at offset 0 if it needs any, id
/// and nodes. Errors: attributes of a kind that the table does not know, shard
/// offsets without a mesh in the module.
Result<runtime::Command> toCommand(rt::CallOp call);

/// `kernel` as a command with views only; `index` is the kernel's place in the
/// program's list.
Result<runtime::Command> toCommand(rt::KernelOp kernel, int32_t index);

} // namespace partita

#endif // PARTITA_CONVERSION_COMMANDS_H
