//===- Reference.h - What the outputs should be ----------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Two oracles: the interpreter, which runs the model as imported, before any
// rewriting, in this process; and ONNX Runtime, which shares no code with
// Partita and is started through Python.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOOLS_PARTITA_REFERENCE_H
#define PARTITA_TOOLS_PARTITA_REFERENCE_H

#include "Compare.h"
#include "Process.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "partita/Runtime/Program.h"
#include <map>

namespace partita::tool {

/// The function @step of a program. Errors: exit code 70 without one.
Result<mlir::func::FuncOp> entryOf(mlir::ModuleOp module);

/// Interprets @step of `module`; inputs in the order of its arguments, outputs
/// in the order of its results.
Result<std::vector<HostTensor>>
interpret(mlir::ModuleOp module, const std::vector<HostTensor> &inputs);

/// `python -m partita.reference MODEL --inputs .. --outputs ..`, with more
/// arguments to follow.
CommandLine onnxRuntimeCommand(const std::string &model,
                               const std::map<std::string, int64_t> &dims,
                               const std::string &inputs,
                               const std::string &outputs);

/// Runs ONNX Runtime on the .npy files of one folder and reads what it wrote to
/// another. Errors: those of the Python package; exit code 3 and the line that
/// installs what is missing where Python or a package is.
Result<std::vector<HostTensor>>
runOnnxRuntime(const CommandLine &command, const std::string &outputs,
               const std::vector<runtime::PortInfo> &ports);

/// Python cannot be started: exit code 3 and what installs it.
Error missingReference(const CommandLine &command, const Error &error);

/// Why the reference failed, from what it wrote to stderr.
Error referenceError(const CommandLine &command, int code,
                     const std::string &errors);

} // namespace partita::tool

#endif // PARTITA_TOOLS_PARTITA_REFERENCE_H
