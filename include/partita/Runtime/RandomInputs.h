//===- RandomInputs.h - Reproducible inputs --------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What `--random-inputs SEED` feeds a model. Each element is a function of the
// seed, the number of the input and the index of the element, so that every
// tool and every rank sees the same tensor.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_RUNTIME_RANDOMINPUTS_H
#define PARTITA_RUNTIME_RANDOMINPUTS_H

#include "partita/Runtime/Program.h"
#include "partita/Support/HostTensor.h"

namespace partita::runtime {

/// Floats are normal (mean 0, deviation 1). Integers are uniform in the port's
/// range "lo:hi" (hi excluded), in 0:2 without one. "mask" gives rows (along
/// the last dimension) of ones with up to a quarter of trailing zeros. A
/// malformed range is an error (exit code 2).
Result<HostTensor> randomInput(const PortInfo &port, uint64_t seed,
                               uint64_t number);

} // namespace partita::runtime

#endif // PARTITA_RUNTIME_RANDOMINPUTS_H
