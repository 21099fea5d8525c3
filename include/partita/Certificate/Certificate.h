//===- Certificate.h - Checks what partita-solve claims --------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A lower bound is only worth what its proof is, and whoever searches should
// not judge the proof. This library reads an instance of the IOPDDL contest and
// a certificate (docs/solver.md has its format) and computes, in 128-bit
// integers, the bound that the certificate proves. It shares no code with
// lib/Solve, and takes nothing that the certificate says for granted:
//
//   - it reads the instance by itself, with the JSON library;
//   - it makes one variable of nodes whose values determine each other, and
//   takes
//     away values that are infinite or overflow memory, by itself;
//   - of the certificate it takes numbers only, of which any are sound, and the
//     order in which branches cover all choices.
//
// So a damaged certificate is refused or proves less, never too much.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_CERTIFICATE_CERTIFICATE_H
#define PARTITA_CERTIFICATE_CERTIFICATE_H

#include "partita/Support/Error.h"
#include <cstdint>
#include <string>

namespace partita::certificate {

struct Checked {
  std::string instance;
  /// At most the cost of everything that fits.
  int64_t bound = 0;
  /// What the certificate says that it proves.
  int64_t claimed = 0;
  int64_t branches = 0, steps = 0;
  bool holds() const { return bound >= claimed; }
};

/// Errors (exit code 2): `certificate.instance` for an instance that is none,
/// `certificate.syntax`, `certificate.field`, and `certificate.range` for a
/// certificate that is none, is for another instance, does not cover all
/// choices, or whose numbers do not fit.
Result<Checked> check(const std::string &instance,
                      const std::string &certificate);

} // namespace partita::certificate

#endif // PARTITA_CERTIFICATE_CERTIFICATE_H
