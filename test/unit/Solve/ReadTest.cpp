//===- ReadTest.cpp - The contest's format, well and badly formed ---------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Solve/Instance.h"
#include <catch2/catch.hpp>
#include <cstdio>
#include <fstream>
#include <unistd.h>

using namespace partita;
using namespace partita::solve;

static Result<Instance> read(const std::string &text) {
  std::string path = "/tmp/partita-solve-" + std::to_string(getpid());
  std::ofstream(path) << text;
  Result<Instance> result = readInstance(path);
  std::remove(path.c_str());
  return result;
}

static const std::string whole = R"({"problem": {
  "name": "two", "unknown": {"a": [1.5e3, null, "x\"y"]},
  "edges": {"nodes": [[0, 1]], "costs": [[1, 2, 3, 4, 5, 6]]},
  "nodes": {"intervals": [[0, 3], [2, 2]], "costs": [[7, 8], [9, 0, 1]],
            "usages": [[1, 2], [3, 4, 5]]},
  "usage_limit": 10}})";

TEST_CASE("an instance is read", "[solve]") {
  Result<Instance> instance = read(whole);
  if (!instance)
    FAIL(instance.error().str());
  CHECK(instance->name == "two");
  CHECK(instance->numNodes() == 2);
  CHECK(instance->numValues(1) == 3);
  CHECK(instance->ends == std::vector<int64_t>{3, 2});
  Verdict verdict = evaluate(*instance, {1, 2});
  CHECK(verdict.cost == 8 + 1 + 6);
  CHECK(verdict.peak == 2);
  CHECK(verdict.valid);
  CHECK_FALSE(evaluate(*instance, {2, 0}).valid);
  CHECK_FALSE(evaluate(*instance, {0}).valid);
}

TEST_CASE("every truncation is refused", "[solve]") {
  for (size_t size = 0; size < whole.size(); ++size) {
    Result<Instance> instance = read(whole.substr(0, size));
    REQUIRE_FALSE(instance);
    REQUIRE(instance.error().code == "solve.read");
    REQUIRE(instance.error().exit == ExitCode::InvalidInput);
  }
}

TEST_CASE("what does not fit is refused", "[solve]") {
  auto refused = [](const std::string &from, const std::string &to) {
    std::string text = whole;
    size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    text.replace(at, from.size(), to);
    INFO(text);
    CHECK_FALSE(read(text));
  };
  refused("[7, 8]", "[7, 8, 9]");
  refused("[7, 8]", "[]");
  refused("[7, 8]", "[7, -8]");
  refused("[7, 8]", "[7, 1.5]");
  refused("[7, 8]", "[7, 99999999999999999999]");
  refused("[7, 8]", "[7, 1000000000000000001]");
  refused("[0, 3]", "[0]");
  refused("[[0, 1]]", "[[0, 2]]");
  refused("[[0, 1]]", "[[0]]");
  refused("[[0, 1]]", "[[0, 1], [0, 1]]");
  refused("[1, 2, 3, 4, 5, 6]", "[1, 2, 3, 4, 5]");
  refused("\"usage_limit\"", "\"nodes\": {\"costs\": []}, \"x\"");
  refused("10}}", "10}} x");
  CHECK_FALSE(read("{\"problem\": " + std::string(100000, '[') + "}"));
  CHECK_FALSE(readInstance("/nonexistent"));
}
