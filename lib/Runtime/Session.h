//===- Session.h - A program that is loaded and can be run -----*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Ranks as threads of this process, each walking its command table. The session
// hands them work, waits for all of them, and turns the failure of one into one
// message that names the rank, its command, and what every other rank did.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_SESSION_H
#define PARTITA_LIB_RUNTIME_SESSION_H

#include "Rank.h"

namespace partita::runtime {

struct SessionOptions {
  std::string weightsDirectory;
  double timeoutSeconds = 30;
  bool checkArena = false, pin = false, trace = false, skipWeightCheck = false;
};

/// A caller's tensor.
struct NamedTensor {
  std::string name;
  DType dtype = DType::F32;
  std::vector<int64_t> shape;
  std::byte *data = nullptr;
};

/// The error of running a program without weights.
Error weightsAbsentError(const Program &program);

/// Checks names, element types and shapes against the program's inputs; data is
/// not looked at. Errors (exit code 2) list what is expected.
Status checkInputs(const Program &program,
                   const std::vector<NamedTensor> &inputs);

class Session {
public:
  static Result<std::unique_ptr<Session>> create(const partita_module &module,
                                                 const SessionOptions &options);
  ~Session();

  /// Checks names, shapes and element types (exit code 2, listing what is
  /// expected), then runs `entry` on all ranks. Every input must be given,
  /// outputs may be a subset. After a failure the session only fails.
  Status run(const std::string &entry, const std::vector<NamedTensor> &inputs,
             const std::vector<NamedTensor> &outputs);

  const Program &program() const;
  const Rank &rank(int64_t number) const;
  /// Whether a thread of any session so far could not be ended. The process
  /// should then end without running destructors of globals.
  static bool anyStuckThread();

private:
  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl;
};

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_SESSION_H
