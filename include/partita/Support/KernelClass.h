//===- KernelClass.h - What bounds a kernel's time -------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Operations publish their kernel class; the cost model keeps an efficiency for
// each. Free operations only change how bytes are addressed.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_SUPPORT_KERNELCLASS_H
#define PARTITA_SUPPORT_KERNELCLASS_H

#include <cstdint>

namespace partita {
enum class KernelClass : uint8_t { Free, Memory, Gemm, Conv, Attention };
} // namespace partita

#endif // PARTITA_SUPPORT_KERNELCLASS_H
