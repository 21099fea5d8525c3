//===- WaitErrors.h - How a wait ends badly --------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The same in every backend.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_WAITERRORS_H
#define PARTITA_LIB_RUNTIME_WAITERRORS_H

#include "partita/Support/Error.h"
#include <chrono>
#include <cstdio>

namespace partita::runtime {

inline Error abortedError() {
  return makeError(ExitCode::DistributedFault, "run.aborted", "",
                   "another rank failed");
}

inline Error timeoutError(std::chrono::duration<double> timeout) {
  char seconds[32];
  std::snprintf(seconds, sizeof(seconds), "%g", timeout.count());
  return makeError(ExitCode::DistributedFault, "run.timeout", "",
                   std::string("waited ") + seconds + " s for other ranks",
                   "raise --timeout if a rank is only slow");
}

/// Whether an error says only that some other rank is to blame.
inline bool blamesOthers(const Error &error) {
  return error.code == "run.aborted" || error.code == "run.timeout" ||
         error.code == "run.lost";
}

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_WAITERRORS_H
