//===- Problem.cpp - An instance as the checker reads it ------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The JSON library tells one value after the other, so that no document of it
// is built: tables of numbers go where they stay.
//
//===----------------------------------------------------------------------===//

#include "Problem.h"
#include "partita/Support/File.h"
#include <nlohmann/json.hpp>

using namespace partita;
using namespace partita::certificate;
using Json = nlohmann::json;

namespace {
using Rows = std::vector<std::vector<int64_t>>;

class Listener : public nlohmann::json_sax<Json> {
public:
  bool null() override { return other(); }
  bool boolean(bool) override { return other(); }
  bool number_float(double, const std::string &) override { return other(); }
  bool binary(binary_t &) override { return other(); }
  bool number_integer(int64_t value) override { return integer(value); }
  bool number_unsigned(uint64_t value) override {
    if (value > static_cast<uint64_t>(INT64_MAX))
      return other();
    return integer(static_cast<int64_t>(value));
  }
  bool string(std::string &text) override {
    if (path() == "problem.name")
      name = text;
    return other();
  }
  bool key(std::string &text) override {
    keys.back() = text;
    return true;
  }
  bool start_object(size_t) override {
    keys.emplace_back();
    return enter(false);
  }
  bool end_object() override {
    keys.pop_back();
    return leave();
  }
  bool start_array(size_t) override;
  bool end_array() override {
    // The depth of the one that ends.
    if (sink && depthInSink == 1)
      sink = nullptr;
    else if (sink)
      --depthInSink;
    return leave();
  }
  bool parse_error(size_t offset, const std::string &,
                   const nlohmann::detail::exception &) override {
    fail("this is not JSON, at byte " + std::to_string(offset));
    return false;
  }

  Rows intervals, costs, usages, ends, tables;
  std::string name, reason;
  int64_t limit = -1;

private:
  bool fail(const std::string &why) {
    if (reason.empty())
      reason = why;
    return false;
  }
  bool other() { return !sink || fail(path() + " holds what is no integer"); }
  bool integer(int64_t value);
  bool enter(bool isArray) {
    inArray.push_back(isArray);
    return inArray.size() <= 64 || fail("nested too deeply");
  }
  bool leave() {
    inArray.pop_back();
    return true;
  }
  std::string path() const;

  std::vector<char> inArray;
  /// Of the objects that are open.
  std::vector<std::string> keys;
  Rows *sink = nullptr;
  int depthInSink = 0;
};
} // namespace

std::string Listener::path() const {
  std::string text;
  for (const std::string &key : keys)
    text += (text.empty() ? "" : ".") + key;
  return text;
}

bool Listener::start_array(size_t) {
  if (sink) {
    if (++depthInSink > 2)
      return fail(path() + " is nested too deeply");
    sink->emplace_back();
    return enter(true);
  }
  bool isField = !inArray.empty() && !inArray.back();
  std::string at = isField ? path() : "";
  sink = at == "problem.nodes.intervals" ? &intervals
         : at == "problem.nodes.costs"   ? &costs
         : at == "problem.nodes.usages"  ? &usages
         : at == "problem.edges.nodes"   ? &ends
         : at == "problem.edges.costs"   ? &tables
                                         : nullptr;
  depthInSink = 1;
  if (sink && !sink->empty())
    return fail(at + " occurs twice");
  return enter(true);
}

bool Listener::integer(int64_t value) {
  if (sink) {
    if (depthInSink != 2)
      return fail(path() + " is not a list of lists");
    sink->back().push_back(value);
  } else if (path() == "problem.usage_limit") {
    limit = value;
  }
  return true;
}

static std::string fillNodes(Listener &read, Problem &problem) {
  size_t count = read.costs.size();
  if (count == 0 || count != read.usages.size() ||
      count != read.intervals.size())
    return "costs, usages and intervals are not of equally many nodes";
  __int128 all = 0;
  for (size_t i = 0; i < count; ++i) {
    std::string node = "node " + std::to_string(i);
    Problem::Node made;
    if (read.intervals[i].size() != 2)
      return node + " has no interval";
    made.begin = read.intervals[i][0];
    made.end = read.intervals[i][1];
    made.costs = std::move(read.costs[i]);
    made.usages = std::move(read.usages[i]);
    if (made.costs.empty() || made.costs.size() != made.usages.size())
      return node + " has no values, or costs and usages that do not fit";
    for (size_t k = 0; k < made.costs.size(); ++k) {
      if (made.costs[k] < 0 || made.costs[k] > infinity || made.usages[k] < 0)
        return node + " has a number out of range";
      all += made.usages[k];
    }
    problem.nodes.push_back(std::move(made));
  }
  if (all > INT64_MAX / 4 || read.limit < 0 || read.limit > INT64_MAX / 4)
    return "the usages or their limit are out of range";
  problem.limit = read.limit;
  return "";
}

static std::string fillEdges(Listener &read, Problem &problem) {
  if (read.ends.size() != read.tables.size())
    return "there are not as many tables as edges";
  auto count = static_cast<int64_t>(problem.nodes.size());
  for (size_t e = 0; e < read.ends.size(); ++e) {
    std::string edge = "edge " + std::to_string(e);
    if (read.ends[e].size() != 2)
      return edge + " has not two ends";
    int64_t a = read.ends[e][0], b = read.ends[e][1];
    if (a < 0 || b < 0 || a >= count || b >= count)
      return edge + " ends nowhere";
    if (read.tables[e].size() !=
        problem.nodes[a].costs.size() * problem.nodes[b].costs.size())
      return edge + " has a table that does not fit";
    for (int64_t cost : read.tables[e])
      if (cost < 0 || cost > infinity)
        return edge + " has a cost out of range";
    problem.edges.push_back(
        {static_cast<int>(a), static_cast<int>(b), std::move(read.tables[e])});
  }
  return "";
}

Result<Problem> certificate::readProblem(const std::string &path) {
  PARTITA_TRY(MappedFile file, MappedFile::open(path));
  const char *text = reinterpret_cast<const char *>(file.data());
  Listener read;
  bool whole = Json::sax_parse(text, text + file.size(), &read);
  Problem problem;
  problem.name = read.name;
  if (whole)
    read.reason = fillNodes(read, problem);
  if (whole && read.reason.empty())
    read.reason = fillEdges(read, problem);
  if (!whole || !read.reason.empty())
    return makeError(ExitCode::InvalidInput, "certificate.instance", path,
                     read.reason.empty() ? "this is not JSON" : read.reason,
                     "the format is that of the IOPDDL contest");
  return problem;
}
