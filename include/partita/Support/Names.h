//===- Names.h - Many names as one -----------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A model of a hundred layers has a hundred operations of each kind, whose names
// differ in numbers only. What is said of all of them is said once.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_SUPPORT_NAMES_H
#define PARTITA_SUPPORT_NAMES_H

#include <string>
#include <vector>

namespace partita {

/// Equal for names that differ in numbers only.
std::string namePattern(const std::string &name);

/// A name for such names: "layer.[0-11].fc1". Numbers that leave gaps are
/// listed, or shortened to "[0..11]" if they are many.
std::string commonName(const std::vector<std::string> &names);

/// The parts between marks, empty ones too; one of an empty text.
std::vector<std::string> splitAt(const std::string &text, char mark);

} // namespace partita

#endif // PARTITA_SUPPORT_NAMES_H
