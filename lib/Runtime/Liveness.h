//===- Liveness.h - Which bytes of the arena are dead ----------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// For --check-arena: after each command, the bytes of the arena that it touched
// and that nothing reads before writing again. The runtime fills them with NaN;
// if the arena's offsets are right, no output changes.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_LIVENESS_H
#define PARTITA_LIB_RUNTIME_LIVENESS_H

#include "partita/Runtime/Program.h"

namespace partita::runtime {

/// For each command, intervals of arena bytes that are dead once it is done and
/// were not dead before it began, or were written by it.
std::vector<std::vector<Interval>>
deadAfter(const std::vector<Command> &commands);

/// Bytes of the pattern: a NaN in every float type.
constexpr unsigned char deadByte = 0xff;

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_LIVENESS_H
