//===- Passes.h - Passes of the partitioner ---------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_PARTITION_PASSES_H
#define PARTITA_PARTITION_PASSES_H

namespace partita {

/// dist-insert-reshards, dist-reshard-to-collectives, localize.
void registerPartitionPasses();

} // namespace partita

#endif // PARTITA_PARTITION_PASSES_H
