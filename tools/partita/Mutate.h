//===- Mutate.h - Programs that are wrong on purpose -----------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A check that never fails checks nothing. `partita verify --mutate M` breaks
// the finished program in one place; the comparison has to find it:
//
//   drop-collective:I   collective I moves nothing: each rank goes on with what
//                       it has itself (zeros where that is another shape)
//   shift-shard:I       one rank's shard I of a weight begins one unit later,
//   or
//                       earlier where the file ends
//   swap-ranks:A,B      ranks A and B read each other's shards of the weights
//
// Collectives and shards are counted from 0 in the order of the commands of the
// first rank class, then of the next. The compiler's own code has no part in
// it: only the command table is edited.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOOLS_PARTITA_MUTATE_H
#define PARTITA_TOOLS_PARTITA_MUTATE_H

#include "partita/Runtime/Program.h"

namespace partita::tool {

/// Breaks `program` as `text` says, and says what that was. Errors: exit code 1
/// for a text that is none of the above, or a number that is not there (the
/// message has the count).
Result<std::string> mutate(runtime::Program &program, const std::string &text);

} // namespace partita::tool

#endif // PARTITA_TOOLS_PARTITA_MUTATE_H
