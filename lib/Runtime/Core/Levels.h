//===- Levels.h - One source, several processors ---------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Vector code is compiled for x86-64-v2, v3 (AVX2) and v4 (AVX-512), in the
// namespaces v1, v3 and v4, and chosen when the program runs. x86-64-v4 prefers
// vectors of 256 bits unless told; ours have 512 on purpose (min_vector_width).
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_CORE_LEVELS_H
#define PARTITA_LIB_RUNTIME_CORE_LEVELS_H

namespace partita::runtime {

/// 4, 3 or 1: the level of this processor.
int processorLevel();

/// From now on this processor has at most this level: for tests.
void limitProcessorLevel(int level);

} // namespace partita::runtime

/// Returns the result of the function that was compiled for this processor.
#define PARTITA_DISPATCH(function, ...)                                        \
  switch (processorLevel()) {                                                  \
  case 4:                                                                      \
    return v4::function(__VA_ARGS__);                                          \
  case 3:                                                                      \
    return v3::function(__VA_ARGS__);                                          \
  default:                                                                     \
    return v1::function(__VA_ARGS__);                                          \
  }

#endif // PARTITA_LIB_RUNTIME_CORE_LEVELS_H
