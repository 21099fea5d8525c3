//===- Yaml.cpp - YAML with places ----------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Yaml.h"
#include <algorithm>
#include <numeric>
#include <yaml.h>

using namespace partita;
using namespace partita::topology;

const YamlNode *YamlNode::find(std::string_view key) const {
  for (size_t i = 0; i < keys.size(); ++i)
    if (keys[i].text == key)
      return &values[i];
  return nullptr;
}

static std::string placeOf(const std::string &file, int64_t line,
                           int64_t column) {
  return file + ":" + std::to_string(line) + ":" + std::to_string(column);
}

std::string topology::placeOf(const std::string &file, const YamlNode &node) {
  return ::placeOf(file, node.line, node.column);
}

//===----------------------------------------------------------------------===//
// Nearest words
//===----------------------------------------------------------------------===//

/// Letters to insert, remove or replace to make one word of the other.
static size_t editsBetween(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t(0));
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      size_t above = row[j + 1];
      row[j + 1] = std::min({above + 1, row[j] + 1, diagonal + (a[i] != b[j])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string topology::nearestOf(std::string_view name,
                                const std::vector<std::string> &candidates) {
  std::string nearest;
  constexpr size_t longest = 64; // Longer names are no typing mistakes.
  if (name.size() > longest)
    return nearest;
  size_t least = (name.size() + 1) / 2;
  for (const std::string &candidate : candidates)
    if (size_t edits = editsBetween(name, candidate); edits < least) {
      least = edits;
      nearest = candidate;
    }
  return nearest;
}

//===----------------------------------------------------------------------===//
// Building the tree
//===----------------------------------------------------------------------===//

namespace {
/// Owns libyaml's parser.
class Parser {
public:
  Parser(std::string_view text) {
    if (!yaml_parser_initialize(&parser))
      throw std::bad_alloc();
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(
        &parser, reinterpret_cast<const unsigned char *>(text.data()),
        text.size());
  }
  ~Parser() {
    yaml_event_delete(&event);
    yaml_parser_delete(&parser);
  }
  Parser(const Parser &) = delete;
  Parser &operator=(const Parser &) = delete;

  /// The next event, until the call after it; null where the text is no YAML.
  const yaml_event_t *next() {
    yaml_event_delete(&event);
    return yaml_parser_parse(&parser, &event) ? &event : nullptr;
  }

  yaml_parser_t parser;
  yaml_event_t event{};
};

class TreeBuilder {
public:
  TreeBuilder(std::string_view text, const std::string &file)
      : parser(text), file(file) {}
  YamlNode build();

private:
  [[noreturn]] void fail(int64_t line, int64_t column, std::string message,
                         std::string hint = "");
  [[noreturn]] void failAt(const yaml_event_t &event, std::string message,
                           std::string hint = "");
  [[noreturn]] void failSyntax();
  void begin(const yaml_event_t &event, YamlNode::Kind kind);
  void end();
  void add(YamlNode node);
  void checkKeys(const YamlNode &map);

  Parser parser;
  const std::string &file;
  /// From the root to the list or map that is open; a document is a list.
  std::vector<YamlNode> open;
  size_t nodes = 0;
};
} // namespace

void TreeBuilder::fail(int64_t line, int64_t column, std::string message,
                       std::string hint) {
  throw Failure{makeError(ExitCode::InvalidInput, "topology.yaml",
                          ::placeOf(file, line, column), std::move(message),
                          hint.empty() ? formatHint : std::move(hint))};
}

void TreeBuilder::failAt(const yaml_event_t &event, std::string message,
                         std::string hint) {
  fail(static_cast<int64_t>(event.start_mark.line) + 1,
       static_cast<int64_t>(event.start_mark.column) + 1, std::move(message),
       std::move(hint));
}

void TreeBuilder::failSyntax() {
  const yaml_parser_t &state = parser.parser;
  if (state.error == YAML_MEMORY_ERROR)
    throw std::bad_alloc();
  bool marked = state.error != YAML_READER_ERROR;
  const yaml_mark_t &mark = marked ? state.problem_mark : state.mark;
  fail(static_cast<int64_t>(mark.line) + 1,
       static_cast<int64_t>(mark.column) + 1,
       state.problem ? state.problem : "this is not YAML",
       "indent with spaces, put text with ': ' or '#' in quotes, and save as "
       "UTF-8");
}

void TreeBuilder::add(YamlNode node) {
  YamlNode &parent = open.back();
  bool key = parent.kind == YamlNode::Kind::Map &&
             parent.keys.size() == parent.values.size();
  if (key && (node.kind != YamlNode::Kind::Scalar || node.text.empty()))
    fail(node.line, node.column, "a key is not a word");
  (key ? parent.keys : parent.values).push_back(std::move(node));
}

void TreeBuilder::begin(const yaml_event_t &event, YamlNode::Kind kind) {
  if (open.size() > maxYamlDepth)
    failAt(event, "lists and maps are more than " +
                      std::to_string(maxYamlDepth) + " deep");
  YamlNode node;
  node.kind = kind;
  node.line = static_cast<int64_t>(event.start_mark.line) + 1;
  node.column = static_cast<int64_t>(event.start_mark.column) + 1;
  const YamlNode &parent = open.back();
  if (parent.kind == YamlNode::Kind::Map &&
      parent.keys.size() == parent.values.size())
    fail(node.line, node.column, "a key is not a word");
  open.push_back(std::move(node));
}

void TreeBuilder::checkKeys(const YamlNode &map) {
  std::vector<size_t> order(map.keys.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::tie(map.keys[a].text, a) < std::tie(map.keys[b].text, b);
  });
  for (size_t i = 1; i < order.size(); ++i) {
    const YamlNode &first = map.keys[order[i - 1]],
                   &second = map.keys[order[i]];
    if (first.text == second.text)
      fail(second.line, second.column, "'" + second.text + "' is given twice",
           "it is also in line " + std::to_string(first.line) +
               "; keep one of the two");
  }
}

void TreeBuilder::end() {
  YamlNode node = std::move(open.back());
  open.pop_back();
  checkKeys(node);
  add(std::move(node));
}

YamlNode TreeBuilder::build() {
  open.emplace_back();
  open.back().kind = YamlNode::Kind::List;
  for (;;) {
    const yaml_event_t *event = parser.next();
    if (!event)
      failSyntax();
    if (++nodes > maxYamlNodes)
      failAt(*event,
             "there are more than " + std::to_string(maxYamlNodes) + " values",
             "give many equal links as ranges, such as from: 0-1023");
    const char *plain = "write the value itself: topologies have no anchors, "
                        "aliases or tags";
    switch (event->type) {
    case YAML_ALIAS_EVENT:
      failAt(*event, "an alias", plain);
    case YAML_SCALAR_EVENT: {
      if (event->data.scalar.anchor || event->data.scalar.tag)
        failAt(*event, "an anchor or a tag", plain);
      YamlNode node;
      node.line = static_cast<int64_t>(event->start_mark.line) + 1;
      node.column = static_cast<int64_t>(event->start_mark.column) + 1;
      node.text.assign(reinterpret_cast<const char *>(event->data.scalar.value),
                       event->data.scalar.length);
      add(std::move(node));
      break;
    }
    case YAML_SEQUENCE_START_EVENT:
      if (event->data.sequence_start.anchor || event->data.sequence_start.tag)
        failAt(*event, "an anchor or a tag", plain);
      begin(*event, YamlNode::Kind::List);
      break;
    case YAML_MAPPING_START_EVENT:
      if (event->data.mapping_start.anchor || event->data.mapping_start.tag)
        failAt(*event, "an anchor or a tag", plain);
      begin(*event, YamlNode::Kind::Map);
      break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
      end();
      break;
    case YAML_DOCUMENT_START_EVENT:
      if (!open.back().values.empty())
        failAt(*event, "a second document begins here",
               "a topology is one document; remove the line ---");
      break;
    case YAML_STREAM_END_EVENT:
      if (open.back().values.empty())
        failAt(*event, "the file is empty",
               "a topology begins with partita_topology: 1");
      return std::move(open.back().values.front());
    default:
      break;
    }
  }
}

YamlNode topology::parseYaml(std::string_view text, const std::string &file) {
  return TreeBuilder(text, file).build();
}
