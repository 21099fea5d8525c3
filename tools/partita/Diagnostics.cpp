//===- Diagnostics.cpp - What MLIR says, in our messages ------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Diagnostics.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace partita;
using namespace partita::tool;

/// More than this is not read, only scrolled past.
static constexpr size_t maxShown = 8, maxLength = 400;

static std::string textOf(const Diagnostic &diagnostic) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (!isa<UnknownLoc>(diagnostic.getLocation()))
    stream << diagnostic.getLocation() << ": ";
  stream << diagnostic;
  if (text.size() > maxLength)
    text = text.substr(0, maxLength) + " ...";
  return text;
}

Diagnostics::Diagnostics(MLIRContext &context) : context(context) {
  handler =
      context.getDiagEngine().registerHandler([this](Diagnostic &diagnostic) {
        if (diagnostic.getSeverity() == DiagnosticSeverity::Error)
          kept.push_back(textOf(diagnostic));
        return success();
      });
}

Diagnostics::~Diagnostics() { context.getDiagEngine().eraseHandler(handler); }

Error Diagnostics::explain(Error error) {
  for (size_t i = 0; i < std::min(kept.size(), maxShown); ++i)
    if (error.message.find(kept[i]) == std::string::npos)
      error.message += "\n  " + kept[i];
  if (kept.size() > maxShown)
    error.message +=
        "\n  and " + std::to_string(kept.size() - maxShown) + " more";
  kept.clear();
  return error;
}
