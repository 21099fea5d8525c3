//===- LibraryCalls.h - The runtime's kernels as references ----*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_INTERP_LIBRARYCALLS_H
#define PARTITA_LIB_INTERP_LIBRARYCALLS_H

#include "dialects/interfaces/Interfaces.h"

namespace partita::interp {

/// Computes the operation by the runtime's library, with one thread.
Result<std::vector<HostTensor>>
evaluateLibraryCall(LibraryOpInterface op, llvm::ArrayRef<HostTensor> operands,
                    const RankPlace &place);

} // namespace partita::interp

#endif // PARTITA_LIB_INTERP_LIBRARYCALLS_H
