//===- Proof.cpp - The lines of a certificate -----------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Proof.h"
#include <nlohmann/json.hpp>

using namespace partita;
using namespace partita::certificate;
using Json = nlohmann::json;

/// Of one line.
static constexpr int64_t maxLineBytes = int64_t(256) << 20;
static constexpr int maxDepth = 8;
/// Of numbers in steps: two of them, and the fractions, fit 128 bits.
static constexpr int64_t most = int64_t(1) << 61;

namespace {
/// What is wrong with a field; caught where the line's number is known.
struct Wrong {
  std::string what;
};
} // namespace

static const Json &field(const Json &json, const char *name) {
  if (!json.is_object() || !json.contains(name))
    throw Wrong{std::string("the field '") + name + "' is missing"};
  return json[name];
}

static const Json &list(const Json &json, const char *what) {
  if (!json.is_array())
    throw Wrong{std::string(what) + " must be a list"};
  return json;
}

static int64_t integer(const Json &json, const char *what, int64_t least,
                       int64_t greatest) {
  bool fits = json.is_number_integer() &&
              (!json.is_number_unsigned() ||
               json.get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX));
  if (!fits || json.get<int64_t>() < least || json.get<int64_t>() > greatest)
    throw Wrong{std::string(what) + " must be an integer from " +
                std::to_string(least) + " to " + std::to_string(greatest)};
  return json.get<int64_t>();
}

static std::vector<int64_t> integers(const Json &json, const char *what,
                                     int64_t least, int64_t greatest) {
  std::vector<int64_t> numbers;
  for (const Json &item : list(json, what))
    numbers.push_back(integer(item, what, least, greatest));
  return numbers;
}

/// A list of `count` things.
static const Json &tuple(const Json &json, const char *what, size_t count) {
  if (list(json, what).size() != count)
    throw Wrong{std::string(what) + " must be lists of " +
                std::to_string(count)};
  return json;
}

static Step readStep(const Json &json) {
  Step step;
  for (const Json &price : list(field(json, "prices"), "prices")) {
    tuple(price, "prices", 2);
    int64_t time = integer(price[0], "a time", INT64_MIN, INT64_MAX);
    if (!step.prices.empty() && step.prices.back().first >= time)
      throw Wrong{"the times of prices must ascend"};
    step.prices.push_back({time, integer(price[1], "a price", 0, most)});
  }
  for (const Json &table : list(field(json, "given"), "given")) {
    tuple(table, "given", 2);
    step.given.push_back({integers(table[0], "given", -most, most),
                          integers(table[1], "given", -most, most)});
  }
  return step;
}

static Head readHead(const Json &json) {
  Head head;
  if (field(json, "format") != "partita-certificate")
    throw Wrong{"the format is not 'partita-certificate'"};
  if (field(json, "version") != 1)
    throw Wrong{"the version is not 1"};
  if (!field(json, "instance").is_string())
    throw Wrong{"the instance must be a name"};
  head.instance = json["instance"].get<std::string>();
  head.target = integer(field(json, "target"), "the target", 0,
                        1'000'000'000'000'000'000);
  head.priceBits =
      static_cast<int>(integer(field(json, "price_bits"), "price_bits", 0, 60));
  head.messageBits = static_cast<int>(
      integer(field(json, "message_bits"), "message_bits", 0, head.priceBits));
  for (const Json &item : list(field(json, "variables"), "variables")) {
    tuple(item, "variables", 2);
    head.variables.push_back({integer(item[0], "a node", 0, INT64_MAX),
                              integers(item[1], "values", 0, INT64_MAX)});
  }
  for (const Json &item : list(field(json, "tables"), "tables")) {
    tuple(item, "tables", 3);
    auto ends = integers(tuple(item[0], "ends", 2), "ends", 0,
                         static_cast<int64_t>(head.variables.size()) - 1);
    head.tables.push_back({ends[0], ends[1],
                           integers(item[1], "rows", -most, most),
                           integers(item[2], "columns", -most, most)});
  }
  return head;
}

static Line readLine(const Json &json) {
  Line line;
  if (json.is_object() && json.contains("bound")) {
    line.bound =
        integer(json["bound"], "the bound", 0, 1'000'000'000'000'000'000);
    return line;
  }
  for (const Json &step : list(field(json, "steps"), "steps"))
    line.steps.push_back(readStep(step));
  if (!json.contains("split"))
    return line;
  const Json &split = tuple(json["split"], "split", 2);
  line.split = {integer(split[0], "a variable", 0, INT64_MAX),
                integers(split[1], "values", 0, INT64_MAX)};
  return line;
}

Result<ProofReader> ProofReader::open(const std::string &path) {
  ProofReader reader;
  PARTITA_TRY(reader.file, MappedFile::open(path));
  return reader;
}

Error ProofReader::fail(const std::string &code,
                        const std::string &what) const {
  return makeError(ExitCode::InvalidInput, "certificate." + code,
                   file.path() + ":" + std::to_string(number), what,
                   "a certificate is what `partita-solve --certificate F` "
                   "writes");
}

Result<std::string> ProofReader::line() {
  ++number;
  const char *begin = reinterpret_cast<const char *>(file.data()) + at;
  int64_t left = file.size() - at;
  const void *end = left > 0 ? std::memchr(begin, '\n', left) : nullptr;
  if (!end)
    return fail("syntax", "the file ends before the certificate does");
  std::string text(begin, static_cast<const char *>(end));
  at += static_cast<int64_t>(text.size()) + 1;
  if (static_cast<int64_t>(text.size()) > maxLineBytes)
    return fail("syntax", "the line is too long");
  return text;
}

/// Reads a line by `read`.
template <typename T>
static Result<T> parse(const ProofReader &reader, const std::string &text,
                       T (*read)(const Json &)) {
  try {
    auto callback = [](int depth, Json::parse_event_t, Json &) {
      if (depth > maxDepth)
        throw Wrong{"the line is nested too deeply"};
      return true;
    };
    return read(Json::parse(text, callback));
  } catch (const Wrong &wrong) {
    return reader.fail("field", wrong.what);
  } catch (const Json::exception &) {
    return reader.fail("syntax", "this is not JSON");
  }
}

Result<Head> ProofReader::head() {
  PARTITA_TRY(std::string text, line());
  return parse<Head>(*this, text, readHead);
}

Result<Line> ProofReader::next() {
  PARTITA_TRY(std::string text, line());
  return parse<Line>(*this, text, readLine);
}
