//===- MpiLauncher.h - Starting a job by mpirun ----------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// `./OUT --communicator mpi`: this executable becomes the hub and the parent of
// an mpirun, whose processes are this executable with the same words. They join
// as those of any launcher do, and find the hub by the variables that name the
// meeting. How they end cannot be known from mpirun: they say it on stderr,
// each in a line of JSON, which the parent reads.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_MPILAUNCHER_H
#define PARTITA_LIB_RUNTIME_MPILAUNCHER_H

#include "Hub.h"

namespace partita::runtime {

/// Runs the job and returns its exit code. Errors: 3 if there is no mpirun, 6
/// if it fails by itself.
Result<int> startMpi(Launch launch, const std::vector<std::string> &arguments,
                     Describe describe);

/// Whether this is a process of such a job.
bool hasMpiParent();
/// Tells the parent how it ended: with an error, or well.
void tellMpiParent(const std::optional<Error> &error);

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_MPILAUNCHER_H
