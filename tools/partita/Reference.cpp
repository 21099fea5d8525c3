//===- Reference.cpp - What the outputs should be -------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Reference.h"
#include "Inputs.h"
#include "partita/Interp/Interpreter.h"

using namespace partita;
using namespace partita::tool;

Result<mlir::func::FuncOp> tool::entryOf(mlir::ModuleOp module) {
  auto entry = module.lookupSymbol<mlir::func::FuncOp>("step");
  if (!entry)
    return makeError(ExitCode::Internal, "reference.entry", "interpreter",
                     "the program has no @step",
                     "this is a defect; please report it");
  return entry;
}

Result<std::vector<HostTensor>>
tool::interpret(mlir::ModuleOp module, const std::vector<HostTensor> &inputs) {
  PARTITA_TRY(mlir::func::FuncOp entry, entryOf(module));
  FileParameters parameters(module);
  return Interpreter().run(entry, inputs, parameters);
}

CommandLine tool::onnxRuntimeCommand(const std::string &model,
                                     const std::map<std::string, int64_t> &dims,
                                     const std::string &inputs,
                                     const std::string &outputs) {
  CommandLine command = pythonModule("partita.reference");
  auto &arguments = command.arguments;
  arguments.insert(arguments.end(),
                   {model, "--inputs", inputs, "--outputs", outputs});
  for (const auto &[name, size] : dims)
    arguments.insert(arguments.end(),
                     {"--dim", name + "=" + std::to_string(size)});
  return command;
}

static Error missingPython(const std::string &python, const std::string &what) {
  return makeError(
      ExitCode::Unsupported, "reference.missing", "--reference onnxruntime",
      what,
      python + " -m pip install numpy onnx onnxruntime, with Partita's folder "
               "python on PYTHONPATH; PARTITA_PYTHON names the interpreter");
}

Error tool::missingReference(const CommandLine &command, const Error &error) {
  const std::string &python = command.arguments[0];
  return missingPython(python, python + " " + error.message);
}

/// The rest of the first line that begins with `prefix`; empty without one.
static std::string lineAfter(const std::string &text,
                             const std::string &prefix) {
  for (size_t begin = 0; begin < text.size();) {
    size_t end = std::min(text.find('\n', begin), text.size());
    if (text.compare(begin, prefix.size(), prefix) == 0)
      return text.substr(begin + prefix.size(), end - begin - prefix.size());
    begin = end + 1;
  }
  return {};
}

Error tool::referenceError(const CommandLine &command, int code,
                           const std::string &errors) {
  const std::string &python = command.arguments[0];
  if (errors.find("No module named") != std::string::npos &&
      errors.find("partita") != std::string::npos)
    return missingPython(python, python + " does not find the package partita");
  std::string message = lineAfter(errors, "partita.reference: error: ");
  std::string hint = lineAfter(errors, "partita.reference: hint: ");
  if (hint.empty())
    hint = "start it by itself to see why: " + python + " -m partita.reference";
  bool known = code == 2 || code == 3;
  if (message.empty())
    message = "ended with " + std::to_string(code) +
              (errors.empty() ? "" : ":\n" + errors);
  if (hint.empty())
    hint = "try it by itself: " + command.str();
  return makeError(known ? ExitCode(code) : ExitCode::Internal,
                   "reference.failed", "ONNX Runtime", message, hint);
}

Result<std::vector<HostTensor>>
tool::runOnnxRuntime(const CommandLine &command, const std::string &outputs,
                     const std::vector<runtime::PortInfo> &ports) {
  auto finished = runProcess(command);
  if (!finished)
    return missingReference(command, finished.error());
  if (finished->code != 0)
    return referenceError(command, finished->code, finished->errors);
  std::vector<HostTensor> tensors;
  for (const runtime::PortInfo &port : ports) {
    PARTITA_TRY(HostTensor tensor,
                readNpy(outputs + "/" + tensorFileName(port.name)));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}
