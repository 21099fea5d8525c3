//===- Failure.h - How importing stops --------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A hundred small functions look at untrusted input here, each of which can
// find something wrong. They throw; importONNX catches and returns an Error.
// No exception leaves this library, and none crosses a frame of MLIR.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_IMPORT_FAILURE_H
#define PARTITA_LIB_IMPORT_FAILURE_H

#include "partita/Support/Error.h"
#include <string>

namespace partita::importer {

/// What is thrown.
struct Failure {
  Error error;
};

/// The input is wrong: exit 2.
[[noreturn]] inline void invalid(std::string code, std::string place,
                                 std::string message, std::string hint = "") {
  throw Failure{makeError(ExitCode::InvalidInput, "import." + code,
                          std::move(place), std::move(message),
                          std::move(hint))};
}

/// The input may be right, but Partita cannot do it: exit 3.
[[noreturn]] inline void unsupported(std::string code, std::string place,
                                     std::string message,
                                     std::string hint = "") {
  throw Failure{makeError(ExitCode::Unsupported, "import." + code,
                          std::move(place), std::move(message),
                          std::move(hint))};
}

/// The value of a result, or its error thrown.
template <typename T> T take(Result<T> result) {
  if (!result)
    throw Failure{result.takeError()};
  return std::move(*result);
}

} // namespace partita::importer

#endif // PARTITA_LIB_IMPORT_FAILURE_H
