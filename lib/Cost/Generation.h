//===- Generation.h - What a device's name says -----------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Measured constants belong to generations of devices. A data sheet does not
// name its generation, so the device's name decides.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_COST_GENERATION_H
#define PARTITA_LIB_COST_GENERATION_H

#include "partita/Topology/Device.h"
#include <string_view>

namespace partita {

enum class Generation : uint8_t {
  Unknown,
  Volta,
  Ampere,
  Ada,
  Hopper,
  Blackwell
};

/// Whether `name` has one of `words`, which are separated by blanks:
/// "NVIDIA-A100-80GB" has "a100", but not "a10".
bool hasWord(std::string_view name, std::string_view words);

Generation generationOf(const DeviceType &device);

} // namespace partita

#endif // PARTITA_LIB_COST_GENERATION_H
