//===- Read.cpp - The contest's format ------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A pull parser over the mapped file. Instances have up to 10^8 numbers and
// little else; a document in between would take ten times their memory, which
// is why no JSON library reads them. Keys come in any order and unknown ones
// are skipped; sizes are checked when everything has been read.
//
//===----------------------------------------------------------------------===//

#include "partita/Solve/Instance.h"
#include "partita/Support/File.h"
#include <cstring>

using namespace partita;
using namespace partita::solve;

namespace {

/// Walks over JSON. After a failure every call does nothing and `failed` holds
/// the reason.
class Scanner {
public:
  explicit Scanner(std::span<const std::byte> text)
      : begin(reinterpret_cast<const char *>(text.data())), at(begin),
        end(begin + text.size()) {}

  bool ok() const { return reason.empty(); }
  const std::string &failure() const { return reason; }
  int64_t offset() const { return at - begin; }
  void fail(std::string why) {
    if (ok())
      reason = std::move(why);
  }

  /// The next character that is not space, or 0 at the end or after a failure.
  char peek() {
    while (at != end && static_cast<unsigned char>(*at) <= ' ')
      ++at;
    return ok() && at != end ? *at : 0;
  }
  bool take(char c) {
    if (peek() != c)
      return false;
    ++at;
    return true;
  }
  void expect(char c) {
    if (!take(c))
      fail(std::string("expected '") + c + "'");
  }
  /// Calls fn() for each element of an array.
  template <typename Fn> void array(const Fn &fn) {
    expect('[');
    if (take(']'))
      return;
    do
      fn();
    while (ok() && take(','));
    expect(']');
  }
  /// Calls fn(key) for each member of an object; fn takes the value.
  template <typename Fn> void object(const Fn &fn) {
    expect('{');
    if (take('}'))
      return;
    do {
      std::string key = string();
      expect(':');
      fn(key);
    } while (ok() && take(','));
    expect('}');
  }
  std::string string();
  int64_t integer();
  void skip(int depth = 0);
  void finish() {
    if (peek())
      fail("text follows the document");
  }

private:
  const char *begin, *at, *end;
  std::string reason;
};

} // namespace

/// Escapes stay as they are written: names are for people.
std::string Scanner::string() {
  expect('"');
  const char *from = at;
  while (ok() && at != end && *at != '"')
    at += *at == '\\' && end - at > 1 ? 2 : 1;
  if (at == end)
    fail("a text has no end");
  if (!ok())
    return "";
  return {from, at++};
}

int64_t Scanner::integer() {
  bool negative = take('-');
  char c = peek();
  if (c < '0' || c > '9') {
    fail("expected an integer");
    return 0;
  }
  uint64_t value = 0;
  bool fits = true;
  for (; at != end && *at >= '0' && *at <= '9'; ++at) {
    fits &= value <= (INT64_MAX - 9) / 10;
    value = value * 10 + (*at - '0');
  }
  if (!fits || (at != end && (*at == '.' || *at == 'e' || *at == 'E')))
    fail("a number is no integer of 64 bits");
  return ok() ? (negative ? -int64_t(value) : int64_t(value)) : 0;
}

void Scanner::skip(int depth) {
  if (depth > 64)
    return fail("nested too deeply");
  switch (peek()) {
  case '{':
    return object([&](const std::string &) { skip(depth + 1); });
  case '[':
    return array([&] { skip(depth + 1); });
  case '"':
    string();
    return;
  default:
    const char *from = at;
    while (at != end && (std::isalnum(static_cast<unsigned char>(*at)) ||
                         std::strchr("+-.", *at)))
      ++at;
    if (at == from)
      fail("expected a value");
  }
}

namespace {

class Reader {
public:
  explicit Reader(std::span<const std::byte> text) : in(text) {}
  Result<Instance> run(const std::string &path);

private:
  void problem();
  void nodes();
  void edges();
  void numbers(std::vector<int64_t> &into);
  /// Rows of an array of arrays, one after another, and where each begins.
  void rows(std::vector<int64_t> &into, std::vector<int64_t> &first);
  void checkNodes();
  void checkEdges();

  Scanner in;
  Instance result;
  std::vector<int64_t> firstUsage, pairs, firstPair, firstEntry, bounds,
      firstBound;
};

} // namespace

void Reader::numbers(std::vector<int64_t> &into) {
  in.array([&] {
    into.push_back(in.integer());
    if (static_cast<int64_t>(into.size()) > maxEntries)
      in.fail("too many numbers");
  });
}

void Reader::rows(std::vector<int64_t> &into, std::vector<int64_t> &first) {
  if (!first.empty())
    return in.fail("a key occurs twice");
  first.push_back(0);
  in.array([&] {
    numbers(into);
    first.push_back(static_cast<int64_t>(into.size()));
  });
}

void Reader::nodes() {
  in.object([&](const std::string &key) {
    if (key == "intervals")
      rows(bounds, firstBound);
    else if (key == "costs")
      rows(result.costs, result.firstValue);
    else if (key == "usages")
      rows(result.usages, firstUsage);
    else
      in.skip();
  });
}

void Reader::edges() {
  in.object([&](const std::string &key) {
    if (key == "nodes")
      rows(pairs, firstPair);
    else if (key == "costs")
      rows(result.tables, firstEntry);
    else
      in.skip();
  });
}

void Reader::problem() {
  in.object([&](const std::string &key) {
    if (key == "name")
      result.name = in.string();
    else if (key == "nodes")
      nodes();
    else if (key == "edges")
      edges();
    else if (key == "usage_limit")
      result.usageLimit = in.integer();
    else
      in.skip();
  });
}

void Reader::checkNodes() {
  if (result.firstValue.size() < 2 || result.firstValue != firstUsage)
    return in.fail("costs and usages of the nodes do not fit each other");
  size_t count = result.firstValue.size() - 1;
  if (firstBound.size() != count + 1)
    return in.fail("there are not as many intervals as nodes");
  for (size_t i = 0; i < count; ++i) {
    std::string node = "node " + std::to_string(i);
    if (result.firstValue[i] == result.firstValue[i + 1])
      return in.fail(node + " has no values");
    if (firstBound[i + 1] - firstBound[i] != 2)
      return in.fail(node + " has an interval without two ends");
    result.begins.push_back(bounds[2 * i]);
    result.ends.push_back(bounds[2 * i + 1]);
  }
  // All of them together fit 64 bits, with room for differences.
  __int128 use = 0;
  for (size_t v = 0; v < result.costs.size(); ++v) {
    if (result.costs[v] < 0 || result.costs[v] > infinity ||
        result.usages[v] < 0)
      return in.fail("a node has a price or a use of memory out of range");
    use += result.usages[v];
  }
  if (use > INT64_MAX / 4 || result.usageLimit < 0 ||
      result.usageLimit > INT64_MAX / 4)
    return in.fail("the use of memory or its limit is out of range");
}

void Reader::checkEdges() {
  if (firstPair.empty() && firstEntry.empty())
    return;
  if (firstPair.size() != firstEntry.size())
    return in.fail("there are not as many tables as edges");
  for (size_t e = 0; e + 1 < firstPair.size(); ++e) {
    std::string edge = "edge " + std::to_string(e);
    if (firstPair[e + 1] - firstPair[e] != 2)
      return in.fail(edge + " has not two ends");
    int64_t a = pairs[firstPair[e]], b = pairs[firstPair[e] + 1];
    if (a < 0 || b < 0 || a >= result.numNodes() || b >= result.numNodes())
      return in.fail(edge + " ends at a node that does not exist");
    Instance::Edge made{static_cast<int>(a), static_cast<int>(b),
                        firstEntry[e]};
    if (firstEntry[e + 1] - firstEntry[e] !=
        int64_t(result.numValues(made.first)) * result.numValues(made.second))
      return in.fail(edge + " has a table that does not fit its ends");
    result.edges.push_back(made);
  }
  for (int64_t price : result.tables)
    if (price < 0 || price > infinity)
      return in.fail("an edge has a price out of range");
}

Result<Instance> Reader::run(const std::string &path) {
  in.object([&](const std::string &key) {
    if (key == "problem")
      problem();
    else
      in.skip();
  });
  in.finish();
  int64_t offset = in.offset();
  if (in.ok())
    checkNodes();
  if (in.ok())
    checkEdges();
  if (!in.ok())
    return makeError(ExitCode::InvalidInput, "solve.read",
                     path + ":" + std::to_string(offset), in.failure(),
                     "the format is that of the IOPDDL contest");
  return std::move(result);
}

Result<Instance> solve::readInstance(const std::string &path) {
  PARTITA_TRY(MappedFile file, MappedFile::open(path));
  return Reader(file.span()).run(path);
}
