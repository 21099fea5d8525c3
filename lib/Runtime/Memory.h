//===- Memory.h - One rank's memory ----------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One mapping for the persistent space and the arena: exactly what the program
// promises, rounded up to a page at its end. Pages appear when their rank first
// touches them, on its own NUMA node.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_MEMORY_H
#define PARTITA_LIB_RUNTIME_MEMORY_H

#include "partita/Support/Error.h"
#include <cstddef>

namespace partita::runtime {

class RankMemory {
public:
  RankMemory() = default;
  RankMemory(const RankMemory &) = delete;
  RankMemory &operator=(const RankMemory &) = delete;
  ~RankMemory();

  /// Zero-filled. Fails with exit code 6 if the system refuses.
  Status allocate(int64_t persistentBytes, int64_t arenaBytes);

  std::byte *persistent() const { return base; }
  std::byte *arena() const { return base + arenaOffset; }
  int64_t arenaSize() const { return arenaBytes; }
  /// Bytes that were asked of the system for the two spaces.
  int64_t allocatedBytes() const { return arenaOffset + arenaBytes; }

private:
  void *mapping = nullptr;
  std::byte *base = nullptr;
  int64_t mappedBytes = 0, arenaOffset = 0, arenaBytes = 0;
};

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_MEMORY_H
