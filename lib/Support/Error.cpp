//===- Error.cpp - Failures that a user reads -----------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The one spelling of an error message, so that tests and editors can rely on
// it.
//
//===----------------------------------------------------------------------===//

#include "partita/Support/Error.h"

using namespace partita;

std::string Error::str() const {
  std::string text = "error";
  if (!code.empty())
    text += "[" + code + "]";
  text += ": ";
  if (!place.empty())
    text += place + ": ";
  text += message;
  if (!hint.empty())
    text += "\n  hint: " + hint;
  return text;
}
