//===- ReadGraph.cpp - Graphs of links from YAML --------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ReadGraph.h"
#include "Read.h"
#include <algorithm>
#include <map>

using namespace partita;
using namespace partita::topology;

namespace {
/// Vertices that follow each other.
struct Vertices {
  int64_t first = 0, count = 0;
};

class GraphReader {
public:
  GraphReader(const std::string &file, const YamlNode &node)
      : fields(file, node, "a graph",
               {"ranks", "switches", "links", "media", "levels"}) {}
  LinkGraph read();

private:
  void readSwitches(const YamlNode &node);
  void readMedia(const YamlNode &node);
  void readLinks(const YamlNode &item);
  Vertices verticesOf(const YamlNode &node) const;
  void connect(const YamlNode &item, int64_t from, int64_t to, const Link &link,
               int medium);

  Fields fields;
  LinkGraph graph;
  /// Vertices by the name of their switch or row of switches.
  std::map<std::string, Vertices> switches;
  std::map<std::string, int> media;
};
} // namespace

void GraphReader::readSwitches(const YamlNode &node) {
  const std::string &file = fields.file;
  auto add = [&](const YamlNode &key, int64_t count, bool row) {
    const std::string &name = asText(file, key, "the name of a switch");
    if (name.find_first_not_of("0123456789-") == std::string::npos ||
        name.find('.') != std::string::npos)
      failAt(file, key, "name", "a switch is not called '" + name + "'",
             "numbers are ranks, and a dot separates a row of switches from "
             "a number");
    Vertices all{graph.ranks + static_cast<int64_t>(graph.switches.size()),
                 count};
    if (!switches.emplace(name, all).second)
      failAt(file, key, "name", "there are two switches '" + name + "'");
    if (all.first + count > 2 * maxRanks)
      failAt(file, key, "size",
             "there are more than " + std::to_string(maxRanks) + " switches");
    for (int64_t i = 0; i < count; ++i)
      graph.switches.push_back(row ? name + "." + std::to_string(i) : name);
  };
  if (node.kind == YamlNode::Kind::Map) {
    for (size_t i = 0; i < node.keys.size(); ++i)
      add(node.keys[i], asCount(file, node.values[i], 1, maxRanks), true);
    return;
  }
  for (const YamlNode &name : asList(file, node, "names of switches"))
    add(name, 1, false);
}

void GraphReader::readMedia(const YamlNode &node) {
  if (node.kind != YamlNode::Kind::Map)
    failAt(fields.file, node, "field", "this is not a map of shared media",
           "write media: {NAME: 32 GB/s}");
  for (size_t i = 0; i < node.keys.size(); ++i) {
    media.emplace(node.keys[i].text, i);
    graph.media.push_back(
        {node.keys[i].text,
         asQuantity(fields.file, node.values[i], Dimension::Bandwidth),
         {}});
  }
}

/// "3", "0-7", "nic", "leaf.3", "leaf.0-7", or "leaf" for the whole row.
Vertices GraphReader::verticesOf(const YamlNode &node) const {
  const std::string &file = fields.file;
  std::string_view text = asText(file, node, "a vertex");
  if (text[0] >= '0' && text[0] <= '9') {
    auto [first, last] = asRange(file, node, text, graph.ranks - 1);
    return {first, last - first + 1};
  }
  size_t dot = text.find('.');
  auto found = switches.find(std::string(text.substr(0, dot)));
  if (found == switches.end()) {
    std::vector<std::string> names;
    for (const auto &[name, vertices] : switches)
      names.push_back(name);
    std::string nearest = nearestOf(text.substr(0, dot), names);
    failAt(file, node, "name",
           "there is no switch '" + std::string(text.substr(0, 64)) + "'",
           nearest.empty() ? "ranks are numbers; switches are listed by "
                             "'switches'"
                           : "did you mean '" + nearest + "'?");
  }
  if (dot == std::string_view::npos)
    return found->second;
  auto [first, last] =
      asRange(file, node, text.substr(dot + 1), found->second.count - 1);
  return {found->second.first + first, last - first + 1};
}

void GraphReader::connect(const YamlNode &item, int64_t from, int64_t to,
                          const Link &link, int medium) {
  if (from == to)
    failAt(fields.file, item, "self-link",
           "a link goes from a vertex to itself",
           "'from' and 'to' are different vertices, or the same range for all "
           "pairs in it");
  if (graph.links.size() == maxGraphLinks)
    failAt(fields.file, item, "size",
           "there are more than " + std::to_string(maxGraphLinks) + " links",
           "describe a large machine as a hierarchy");
  if (medium >= 0)
    graph.media[medium].links.push_back(
        static_cast<int64_t>(graph.links.size()));
  graph.links.push_back({from, to, link});
}

/// One entry may stand for many links: every vertex of `from` with every one of
/// `to`, or, with `spread`, the vertices of `from` in equal runs.
void GraphReader::readLinks(const YamlNode &item) {
  const std::string &file = fields.file;
  std::vector<std::string> known = {"from", "to", "spread", "medium"};
  known.insert(known.end(), linkFields.begin(), linkFields.end());
  Fields entry(file, item, "a link of a graph", known);
  Vertices from = verticesOf(entry.need("from")),
           to = verticesOf(entry.need("to"));
  Link link;
  readLinkFields(entry, true, link);
  int medium = -1;
  if (const YamlNode *name = entry.find("medium")) {
    auto found = media.find(name->text);
    if (found == media.end())
      failAt(file, *name, "name",
             "there is no medium '" + name->text.substr(0, 64) + "'",
             "shared media are listed by 'media'");
    medium = found->second;
  }
  bool spread = false, same = from.first == to.first && from.count == to.count;
  entry.flag("spread", spread);
  if (spread) {
    if (from.count % to.count != 0)
      failAt(file, item, "value",
             std::to_string(from.count) +
                 " vertices do not spread evenly over " +
                 std::to_string(to.count));
    int64_t run = from.count / to.count;
    for (int64_t i = 0; i < from.count; ++i)
      connect(item, from.first + i, to.first + i / run, link, medium);
    return;
  }
  bool single = from.count == 1;
  for (int64_t i = 0; i < from.count; ++i)
    for (int64_t j = same && !single ? i + 1 : 0; j < to.count; ++j)
      connect(item, from.first + i, to.first + j, link, medium);
}

LinkGraph GraphReader::read() {
  const std::string &file = fields.file;
  graph.ranks = asCount(file, fields.need("ranks"), 1, maxRanks);
  if (const YamlNode *node = fields.find("switches"))
    readSwitches(*node);
  if (const YamlNode *node = fields.find("media"))
    readMedia(*node);
  for (const YamlNode &item : asList(file, fields.need("links"), "links"))
    readLinks(item);
  return std::move(graph);
}

LinkGraph topology::readGraph(const std::string &file, const YamlNode &node) {
  return GraphReader(file, node).read();
}
