//===- Exchange.h - Data between simulated ranks ---------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every collective is one thing: each rank's new box, put together from what
// its group holds. Which collective it was called is checked against the
// shardings, but not used.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_INTERP_EXCHANGE_H
#define PARTITA_LIB_INTERP_EXCHANGE_H

#include "partita/Support/HostTensor.h"
#include "partita/Support/Sharding.h"

namespace partita::interp {

/// Moves a tensor from one sharding to another, `inputs` and results by rank.
/// Ranks that differ only along `axes` may exchange data; partial axes of
/// `from` that are not partial in `to` are combined in ascending rank order.
/// Fails if part of a box is held by nobody in the group.
Result<std::vector<HostTensor>> exchange(const Mesh &mesh, const Sharding &from,
                                         const Sharding &to,
                                         const std::vector<int> &axes,
                                         const std::vector<HostTensor> &inputs);

/// The value on the first rank of each group along `axes`, zeros on the others.
std::vector<HostTensor> zeroUnlessFirst(const Mesh &mesh,
                                        const std::vector<int> &axes,
                                        const std::vector<HostTensor> &inputs);

/// The global tensor of which `parts` are the shards; pending values are
/// combined. Ranks that hold the same element may differ by `tolerance` times
/// the largest magnitude; else exit code 5.
Result<HostTensor> assemble(const Mesh &mesh, const Sharding &sharding,
                            const std::vector<HostTensor> &parts,
                            double tolerance);

} // namespace partita::interp

#endif // PARTITA_LIB_INTERP_EXCHANGE_H
