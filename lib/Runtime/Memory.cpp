//===- Memory.cpp - One rank's memory -------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Huge pages are asked for where they can help: packed weights of megabytes are
// walked once per product, and small pages cost more misses than the loads.
//
//===----------------------------------------------------------------------===//

#include "Memory.h"
#include "CountAllocations.h"
#include <cerrno>
#include <cstring>
#include <sys/mman.h>

using namespace partita;
using namespace partita::runtime;

static constexpr int64_t hugePage = 2 << 20;

RankMemory::~RankMemory() {
  if (!mapping)
    return;
  ::munmap(mapping, mappedBytes);
  countAllocation(-allocatedBytes());
}

Status RankMemory::allocate(int64_t persistentBytes, int64_t arenaSize) {
  arenaOffset = (persistentBytes + 63) / 64 * 64;
  arenaBytes = arenaSize;
  int64_t bytes = arenaOffset + arenaBytes;
  // Address space for the alignment; what is not touched takes no memory.
  bool large = bytes >= hugePage;
  mappedBytes = bytes + (large ? hugePage : 64);
  void *memory = ::mmap(nullptr, mappedBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    return makeError(ExitCode::DistributedFault, "run.memory", "",
                     "cannot allocate " + std::to_string(bytes) +
                         " bytes: " + std::strerror(errno),
                     "use more ranks or a smaller batch");
  mapping = memory;
  auto address = reinterpret_cast<uintptr_t>(memory);
  if (large)
    address = (address + hugePage - 1) / hugePage * hugePage;
  base = reinterpret_cast<std::byte *>(address);
  if (large)
    ::madvise(base, bytes / hugePage * hugePage, MADV_HUGEPAGE);
  countAllocation(allocatedBytes());
  return ok();
}
