//===- Launcher.h - Starting the processes of a job ------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// `./OUT --processes 4`: the executable forks itself before it has started any
// thread, runs the hub while its children run the ranks, and ends when they
// have. None of them outlives it.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_LAUNCHER_H
#define PARTITA_LIB_RUNTIME_LAUNCHER_H

#include "Hub.h"

namespace partita::runtime {

/// Runs `child` in each process of the job and returns the exit code of all
/// together. What they write to stderr is written once, at the end, where it is
/// the same.
Result<int> startProcesses(Job job, Describe describe,
                           const std::function<int(const Job &)> &child);

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_LAUNCHER_H
