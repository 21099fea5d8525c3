//===- Npy.h - Tensors from files of other programs ------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// NumPy has no bfloat16, so `.npy` files hold such tensors widened to f32. Who
// knows which type a file stands for reads it here.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_SUPPORT_NPY_H
#define PARTITA_SUPPORT_NPY_H

#include "partita/Support/HostTensor.h"

namespace partita {

/// readNpy, and f32 rounded to bf16 where `wanted` is that. Any other type
/// stays what the file says: the caller compares.
Result<HostTensor> readNpyAs(const std::string &path, DType wanted);

} // namespace partita

#endif // PARTITA_SUPPORT_NPY_H
