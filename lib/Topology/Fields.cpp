//===- Fields.cpp - Checked values of a YAML tree -------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Fields.h"
#include <algorithm>
#include <charconv>

using namespace partita;
using namespace partita::topology;

void topology::failAt(const std::string &file, const YamlNode &node,
                      std::string code, std::string message, std::string hint) {
  throw Failure{makeError(ExitCode::InvalidInput, "topology." + code,
                          placeOf(file, node), std::move(message),
                          hint.empty() ? formatHint : std::move(hint))};
}

/// Long or binary text, as far as a message shows it.
static std::string shown(std::string_view text) {
  std::string out;
  constexpr size_t longest = 40;
  for (char c : text.substr(0, longest))
    out += static_cast<unsigned char>(c) < ' ' ? '?' : c;
  return "'" + out + (text.size() > longest ? "...'" : "'");
}

const std::string &topology::asText(const std::string &file,
                                    const YamlNode &node,
                                    const std::string &what) {
  if (node.kind != YamlNode::Kind::Scalar || node.text.empty())
    failAt(file, node, "field", "this is not " + what);
  constexpr size_t longest = 4096;
  bool control = std::any_of(node.text.begin(), node.text.end(), [](char c) {
    return static_cast<unsigned char>(c) < ' ' && c != '\n';
  });
  if (control || node.text.size() > longest)
    failAt(file, node, "field",
           "this text has control characters, or more than " +
               std::to_string(longest) + " letters");
  return node.text;
}

/// A whole decimal number at the start of `text`, which is then shortened.
static bool takeNumber(std::string_view &text, int64_t &value) {
  auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return error == std::errc() && value >= 0;
}

int64_t topology::asCount(const std::string &file, const YamlNode &node,
                          int64_t least, int64_t most) {
  int64_t value = 0;
  std::string_view rest = node.text;
  if (node.kind != YamlNode::Kind::Scalar || !takeNumber(rest, value) ||
      !rest.empty() || value < least || value > most)
    failAt(file, node, "count",
           (node.kind == YamlNode::Kind::Scalar ? shown(node.text) : "this") +
               " is not a whole number from " + std::to_string(least) + " to " +
               std::to_string(most));
  return value;
}

double topology::asQuantity(const std::string &file, const YamlNode &node,
                            Dimension dimension) {
  Result<double> value = parseQuantity(
      node.kind == YamlNode::Kind::Scalar ? node.text : "a list", dimension);
  if (value)
    return *value;
  Error error = value.takeError();
  error.place = placeOf(file, node);
  throw Failure{std::move(error)};
}

bool topology::asBool(const std::string &file, const YamlNode &node) {
  if (node.text != "true" && node.text != "false")
    failAt(file, node, "field", "this is neither true nor false");
  return node.text == "true";
}

const std::vector<YamlNode> &topology::asList(const std::string &file,
                                              const YamlNode &node,
                                              const std::string &what) {
  if (node.kind != YamlNode::Kind::List || node.values.empty())
    failAt(file, node, "field", "this is not a list of " + what,
           "write it as [first, second], or in lines that begin with '- '");
  return node.values;
}

std::pair<int64_t, int64_t> topology::asRange(const std::string &file,
                                              const YamlNode &node,
                                              std::string_view text,
                                              int64_t most) {
  std::string_view rest = text;
  int64_t first = 0, last = 0;
  bool good = takeNumber(rest, first);
  last = first;
  if (good && !rest.empty()) {
    good = rest.front() == '-';
    rest.remove_prefix(1);
    good = good && takeNumber(rest, last) && rest.empty();
  }
  if (!good || first > last || last > most)
    failAt(file, node, "range",
           shown(text) +
               " is neither a number nor a range of numbers from 0 "
               "to " +
               std::to_string(most),
           "write 3, or 0-7 for eight of them");
  return {first, last};
}

Fields::Fields(const std::string &file, const YamlNode &map, std::string what,
               std::vector<std::string> known)
    : file(file), map(map), what(std::move(what)) {
  std::string names;
  for (const std::string &key : known)
    names += (names.empty() ? "" : ", ") + key;
  if (map.kind != YamlNode::Kind::Map)
    failAt(file, map, "field", "this is not " + this->what,
           "write its fields as {key: value, ...}; they are " + names);
  for (const YamlNode &key : map.keys) {
    if (std::find(known.begin(), known.end(), key.text) != known.end())
      continue;
    std::string nearest = nearestOf(key.text, known);
    failAt(file, key, "key", this->what + " has no field " + shown(key.text),
           nearest.empty() ? "fields are " + names
                           : "did you mean '" + nearest + "'?");
  }
}

const YamlNode &Fields::need(std::string_view key) const {
  if (const YamlNode *node = find(key))
    return *node;
  failAt(file, map, "missing", what + " needs '" + std::string(key) + "'");
}

void Fields::text(std::string_view key, std::string &into) const {
  if (const YamlNode *node = find(key))
    into = asText(file, *node, "text");
}

void Fields::count(std::string_view key, int64_t least, int64_t most,
                   int64_t &into) const {
  if (const YamlNode *node = find(key))
    into = asCount(file, *node, least, most);
}

void Fields::quantity(std::string_view key, Dimension dimension,
                      double &into) const {
  if (const YamlNode *node = find(key))
    into = asQuantity(file, *node, dimension);
}

void Fields::flag(std::string_view key, bool &into) const {
  if (const YamlNode *node = find(key))
    into = asBool(file, *node);
}
