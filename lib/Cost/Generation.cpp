//===- Generation.cpp - What a device's name says -------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Generation.h"
#include <cctype>
#include <string>

using namespace partita;

bool partita::hasWord(std::string_view name, std::string_view words) {
  std::string wanted = " " + std::string(words) + " ", word;
  for (char c : std::string(name) + " ") {
    if (std::isalnum(static_cast<unsigned char>(c))) {
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      continue;
    }
    if (!word.empty() && wanted.find(" " + word + " ") != std::string::npos)
      return true;
    word.clear();
  }
  return false;
}

Generation partita::generationOf(const DeviceType &device) {
  if (hasWord(device.model(), "v100 t4"))
    return Generation::Volta;
  if (hasWord(device.model(), "a100 a800 a40 a30 a10 3090"))
    return Generation::Ampere;
  if (hasWord(device.model(), "l4 l40 l40s 4090"))
    return Generation::Ada;
  if (hasWord(device.model(), "h100 h200 h800 h20 gh200"))
    return Generation::Hopper;
  if (hasWord(device.model(), "b100 b200 b300 gb200 gb300"))
    return Generation::Blackwell;
  return Generation::Unknown;
}
