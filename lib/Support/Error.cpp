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

/// Names come from models and may hold anything: what a terminal would obey or a
/// C string end at is spelled out.
static std::string printable(const std::string &text) {
  std::string result;
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    bool harmless = byte >= 0x20 || c == '\n' || c == '\t';
    if (harmless && byte != 0x7f) {
      result += c;
      continue;
    }
    const char *digits = "0123456789abcdef";
    result += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
  }
  return result;
}

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
  return printable(text);
}
