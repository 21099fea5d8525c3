//===- Inject.h - Faults on purpose ----------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// For tests of what happens when a rank fails. In the environment:
//
//   PARTITA_INJECT="rank=1,command=5,kind=error"
//
// makes rank 1 fail instead of executing command 5 of `step` (an index beyond
// the end means the last command), in the step that `step=` says, the first one
// if nothing does. Kinds:
//
//   error  the command reports a failure
//   alloc  the command runs out of memory (std::bad_alloc)
//   hang   the command never returns and does not notice that others gave up
//   kill   the rank's process is killed
//   stop   the rank's process is stopped
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_INJECT_H
#define PARTITA_LIB_RUNTIME_INJECT_H

#include "partita/Support/Error.h"
#include <algorithm>
#include <cstdint>

namespace partita::runtime {

struct Injection {
  enum class Kind { None, Error, Alloc, Hang, Kill, Stop };
  Kind kind = Kind::None;
  int64_t rank = -1, command = -1, step = 1;

  /// From the environment; malformed text is an error (exit code 1).
  static Result<Injection> fromEnvironment();
  bool hits(int64_t rank, int64_t step, int64_t command,
            int64_t numCommands) const;
  /// Does it.
  Status strike() const;
};

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_INJECT_H
