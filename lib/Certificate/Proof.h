//===- Proof.h - The lines of a certificate --------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A certificate is a text of one JSON document a line: a head, branches, and an
// end. Branches stand in the order in which one walks through the tree: after
// one that is split its first half with all that is below, then the other half.
// Numbers of values, variables and tables are those of the head.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_CERTIFICATE_PROOF_H
#define PARTITA_LIB_CERTIFICATE_PROOF_H

#include "partita/Support/File.h"
#include <optional>

namespace partita::certificate {

struct Head {
  struct Variable {
    int64_t node = 0;
    std::vector<int64_t> values;
  };
  struct Table {
    int64_t first = 0, second = 0;
    /// What the ends are given of the table in all steps: whole units.
    std::vector<int64_t> rows, columns;
  };
  std::string instance;
  int64_t target = 0;
  /// Of the fractions in steps: numbers are multiples of 2^-bits.
  int messageBits = 0, priceBits = 0;
  std::vector<Variable> variables;
  std::vector<Table> tables;
};

struct Step {
  /// Of memory: (time, price), in the order of time.
  std::vector<std::pair<int64_t, int64_t>> prices;
  /// What the ends are given of the first tables of the head.
  std::vector<std::pair<std::vector<int64_t>, std::vector<int64_t>>> given;
};

struct Line {
  std::vector<Step> steps;
  /// Of a branch that is split: the variable, and its values in the first half.
  std::optional<std::pair<int64_t, std::vector<int64_t>>> split;
  /// Of the last line only.
  std::optional<int64_t> bound;
};

/// Reads line after line. Errors: `certificate.syntax`, `certificate.field`
/// (2).
class ProofReader {
public:
  static Result<ProofReader> open(const std::string &path);
  Result<Head> head();
  Result<Line> next();
  bool atEnd() const { return at == file.size(); }
  /// An error at the line that was read last.
  Error fail(const std::string &code, const std::string &what) const;

private:
  Result<std::string> line();
  MappedFile file;
  int64_t at = 0, number = 0;
};

} // namespace partita::certificate

#endif // PARTITA_LIB_CERTIFICATE_PROOF_H
