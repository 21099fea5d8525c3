//===- Presets.h - The presets as read --------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_TOPOLOGY_PRESETS_H
#define PARTITA_LIB_TOPOLOGY_PRESETS_H

#include "Read.h"

namespace partita::topology {

/// The devices and networks of the presets.
const Library &presetLibrary();
/// The names of the machines, in order.
const std::vector<std::string> &presetNames();
/// The machine of that name, or nothing.
std::optional<Machine> findPreset(const std::string &name);

} // namespace partita::topology

#endif // PARTITA_LIB_TOPOLOGY_PRESETS_H
