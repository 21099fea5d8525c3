//===- Fields.h - Checked values of a YAML tree -----------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A map of known keys, each read as what it has to be. All functions throw
// Failure with the place of what is wrong, exit code 2 and a hint.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_TOPOLOGY_FIELDS_H
#define PARTITA_LIB_TOPOLOGY_FIELDS_H

#include "Yaml.h"
#include "partita/Topology/Units.h"

namespace partita::topology {

/// Without a hint, the message points to the format's description.
[[noreturn]] void failAt(const std::string &file, const YamlNode &node,
                         std::string code, std::string message,
                         std::string hint = "");

/// A scalar's text; `what` is what it should be ("the name of a device").
const std::string &asText(const std::string &file, const YamlNode &node,
                          const std::string &what);
int64_t asCount(const std::string &file, const YamlNode &node, int64_t least,
                int64_t most);
double asQuantity(const std::string &file, const YamlNode &node,
                  Dimension dimension);
bool asBool(const std::string &file, const YamlNode &node);
/// The items of a list, which is not empty.
const std::vector<YamlNode> &
asList(const std::string &file, const YamlNode &node, const std::string &what);
/// "3" or "3-7", both at most `most`: first and last.
std::pair<int64_t, int64_t> asRange(const std::string &file,
                                    const YamlNode &node, std::string_view text,
                                    int64_t most);

/// A map that has no other keys than `known`; `what` is what it describes ("a
/// link").
class Fields {
public:
  Fields(const std::string &file, const YamlNode &map, std::string what,
         std::vector<std::string> known);

  const YamlNode *find(std::string_view key) const { return map.find(key); }
  /// Fails where the key is absent.
  const YamlNode &need(std::string_view key) const;

  /// These set `into` where the key is there.
  void text(std::string_view key, std::string &into) const;
  void count(std::string_view key, int64_t least, int64_t most,
             int64_t &into) const;
  void quantity(std::string_view key, Dimension dimension, double &into) const;
  void flag(std::string_view key, bool &into) const;

  const std::string &file;
  const YamlNode &map;

private:
  std::string what;
};

} // namespace partita::topology

#endif // PARTITA_LIB_TOPOLOGY_FIELDS_H
