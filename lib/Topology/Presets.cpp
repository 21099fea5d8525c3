//===- Presets.cpp - Machines that Partita knows by name ------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Topology/Presets.h"
#include "Presets.h"

using namespace partita;
using namespace partita::topology;

namespace {
struct PresetFile {
  std::string_view name, text;
};
} // namespace

/// presets/*.yaml, in the order of their names.
static const PresetFile files[] = {
#include "lib/Topology/Presets.inc"
};

static constexpr std::string_view folder = "machines/", suffix = ".yaml";

const Library &topology::presetLibrary() {
  static const Library library = [] {
    Library read;
    for (const PresetFile &file : files)
      if (!file.name.starts_with(folder)) {
        std::string place(file.name);
        readLibrary(parseYaml(file.text, place), place, read);
      }
    return read;
  }();
  return library;
}

const std::vector<std::string> &topology::presetNames() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const PresetFile &file : files)
      if (file.name.starts_with(folder))
        list.emplace_back(file.name.substr(
            folder.size(), file.name.size() - folder.size() - suffix.size()));
    return list;
  }();
  return names;
}

std::optional<Machine> topology::findPreset(const std::string &name) {
  for (const PresetFile &file : files)
    if (std::string place(file.name);
        place == std::string(folder) + name + std::string(suffix))
      return readMachine(parseYaml(file.text, place), place, presetLibrary(),
                         findPreset);
  return std::nullopt;
}

std::vector<MachinePreset> partita::machinePresets() {
  std::vector<MachinePreset> presets;
  for (const std::string &name : presetNames()) {
    Machine machine = *findPreset(name);
    presets.push_back({name, machine.summary, 0, machine.ranks[0].first});
    for (const auto &[device, count] : machine.ranks)
      presets.back().ranks += count;
  }
  return presets;
}

const std::map<std::string, DeviceType> &partita::devicePresets() {
  return presetLibrary().devices;
}

const std::map<std::string, Link> &partita::networkPresets() {
  return presetLibrary().networks;
}
