//===- Yaml.h - YAML with places ---------------------------------*- C++
//-*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A YAML document as a tree that remembers lines and columns. Files come from
// anywhere: anchors, aliases, tags and a second document are refused, keys are
// words that occur once, and size and depth have limits. What libyaml's event
// parser hands out is looked at one event at a time, so nothing here recurses.
//
// Readers of the tree throw Failure; the library's entry points catch it.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_TOPOLOGY_YAML_H
#define PARTITA_LIB_TOPOLOGY_YAML_H

#include "partita/Support/Error.h"
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace partita::topology {

/// What is thrown.
struct Failure {
  Error error;
};

struct YamlNode {
  enum class Kind : uint8_t { Scalar, List, Map };
  Kind kind = Kind::Scalar;
  /// From one.
  int64_t line = 0, column = 0;
  /// Of a scalar.
  std::string text;
  /// Of a map, in the order of the file; values[i] is the value of keys[i].
  std::vector<YamlNode> keys;
  /// Items of a list, values of a map.
  std::vector<YamlNode> values;

  /// The value of a key, or null.
  const YamlNode *find(std::string_view key) const;
};

inline constexpr int64_t maxYamlBytes = 32 << 20;
inline constexpr size_t maxYamlNodes = 1 << 20;
inline constexpr size_t maxYamlDepth = 16;

/// Parses one document, of which `file` is the name. Throws Failure with exit
/// code 2 and code "topology.yaml".
YamlNode parseYaml(std::string_view text, const std::string &file);

/// What to do where nothing better can be said.
inline constexpr const char *formatHint =
    "docs/topology.md describes the format";

/// "file:line:column".
std::string placeOf(const std::string &file, const YamlNode &node);

/// The candidate that differs from `name` in the fewest letters, if that is
/// less than half of them; else empty.
std::string nearestOf(std::string_view name,
                      const std::vector<std::string> &candidates);

} // namespace partita::topology

#endif // PARTITA_LIB_TOPOLOGY_YAML_H
