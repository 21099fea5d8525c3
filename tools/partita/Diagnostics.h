//===- Diagnostics.h - What MLIR says, in our messages ---------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// MLIR prints diagnostics as they come; a user wants one message that says all.
// While a Diagnostics lives, errors of its context are kept, and `explain` adds
// them to the error of the phase that they made fail.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOOLS_PARTITA_DIAGNOSTICS_H
#define PARTITA_TOOLS_PARTITA_DIAGNOSTICS_H

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "partita/Support/Error.h"

namespace partita::tool {

class Diagnostics {
public:
  explicit Diagnostics(mlir::MLIRContext &context);
  ~Diagnostics();
  Diagnostics(const Diagnostics &) = delete;

  /// `error` with all that was kept since the last call, at most a screenful.
  Error explain(Error error);
  /// Forgets what was kept: the phase that caused it succeeded.
  void clear() { kept.clear(); }

private:
  mlir::MLIRContext &context;
  mlir::DiagnosticEngine::HandlerID handler;
  std::vector<std::string> kept;
};

} // namespace partita::tool

#endif // PARTITA_TOOLS_PARTITA_DIAGNOSTICS_H
