//===- CountAllocations.h - What the process really allocates --*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// With PARTITA_COUNT_ALLOCATIONS=1 in the environment every malloc of the
// process is counted, ours and the libraries', and so are the ranks' memories.
// The maximum is reported as `counted_peak_bytes`: the promise is checked by
// something that does not know of it.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_COUNTALLOCATIONS_H
#define PARTITA_LIB_RUNTIME_COUNTALLOCATIONS_H

#include <cstdint>

namespace partita::runtime {

/// Whether this process counts.
bool countsAllocations();
/// Adds memory that did not come from malloc (negative: given back).
void countAllocation(int64_t bytes);
/// The most bytes that were in use at once; zero if nothing is counted.
int64_t countedPeakBytes();

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_COUNTALLOCATIONS_H
