//===- CertificateTest.cpp - Certified bounds against trying everything ---===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Certificate/Certificate.h"
#include "partita/Solve/Solve.h"
#include "test/unit/Solve/Random.h"
#include <catch2/catch.hpp>
#include <cstdio>
#include <fstream>
#include <unistd.h>

using namespace partita;
using namespace partita::solve;

namespace {
/// Files that go when the test ends.
struct Files {
  std::string instance = "/tmp/partita-instance-" + std::to_string(getpid());
  std::string proof = "/tmp/partita-proof-" + std::to_string(getpid());
  ~Files() {
    std::remove(instance.c_str());
    std::remove(proof.c_str());
  }
};
} // namespace

template <typename Numbers> static std::string list(const Numbers &numbers) {
  std::string text;
  for (auto number : numbers)
    text += (text.empty() ? "" : ",") + std::to_string(number);
  return "[" + text + "]";
}

/// Lists of what `each` says of `count` things.
template <typename Each> static std::string lists(int count, const Each &each) {
  std::string text;
  for (int i = 0; i < count; ++i)
    text += (i ? "," : "") + each(i);
  return "[" + text + "]";
}

static std::string toJson(const Instance &instance) {
  int n = instance.numNodes(), m = static_cast<int>(instance.edges.size());
  auto table = [&](int e) {
    const Instance::Edge &edge = instance.edges[e];
    const int64_t *from = &instance.tables[edge.table];
    return list(std::vector<int64_t>(
        from, from + int64_t(instance.numValues(edge.first)) *
                         instance.numValues(edge.second)));
  };
  auto interval = [&](int i) {
    return list(std::vector{instance.begins[i], instance.ends[i]});
  };
  auto ends = [&](int e) {
    return list(std::vector{instance.edges[e].first, instance.edges[e].second});
  };
  return "{\"problem\":{\"name\":\"\",\"nodes\":{\"intervals\":" +
         lists(n, interval) + ",\"costs\":" +
         lists(n, [&](int i) { return list(instance.costsOf(i)); }) +
         ",\"usages\":" +
         lists(n, [&](int i) { return list(instance.usagesOf(i)); }) +
         "},\"edges\":{\"nodes\":" + lists(m, ends) +
         ",\"costs\":" + lists(m, table) +
         "},\"usage_limit\":" + std::to_string(instance.usageLimit) + "}}";
}

static void write(const std::string &path, const std::string &text) {
  std::ofstream(path, std::ios::binary) << text;
}

/// The certificate of what a search of so many rounds has proved; empty if
/// nothing fits.
static std::string certify(const Instance &instance, int64_t rounds,
                           int64_t &bound) {
  std::string text;
  Options options;
  options.threads = 1;
  options.rounds = rounds;
  options.certificate = [&](const std::string &line) {
    text += line;
    return ok();
  };
  Result<Answer> answer = solve::solve(instance, options);
  if (!answer)
    return "";
  bound = answer->bound;
  return text;
}

TEST_CASE("certified bounds are below the best, and reach it",
          "[certificate]") {
  Files files;
  int checked = 0, tight = 0;
  for (uint64_t seed = 60000; seed < 61000; ++seed) {
    INFO("seed " << seed);
    Instance instance = RandomInstance(seed).make();
    std::optional<__int128> best = bruteForce(instance);
    int64_t bound = 0;
    std::string text = certify(instance, 30, bound);
    if (!best || text.empty())
      continue;
    write(files.instance, toJson(instance));
    write(files.proof, text);
    auto result = certificate::check(files.instance, files.proof);
    if (!result)
      FAIL(result.error().str());
    REQUIRE(result->holds());
    REQUIRE(result->bound <= *best);
    ++checked;
    tight += result->bound == bound;
  }
  CHECK(checked > 500);
  CHECK(tight == checked);
}

TEST_CASE("certificates of prices near infinity hold", "[certificate]") {
  Files files;
  int checked = 0;
  for (int64_t most : {int64_t(1) << 58, infinity / 2, infinity})
    for (uint64_t seed = 62000; seed < 62300; ++seed) {
      INFO("seed " << seed << " most " << most);
      Instance instance = RandomInstance(seed, most).make();
      std::optional<__int128> best = bruteForce(instance);
      int64_t bound = 0;
      std::string text = certify(instance, 6, bound);
      if (!best || text.empty())
        continue;
      write(files.instance, toJson(instance));
      write(files.proof, text);
      auto result = certificate::check(files.instance, files.proof);
      if (!result)
        FAIL(result.error().str());
      REQUIRE(result->holds());
      REQUIRE(result->bound <= *best);
      ++checked;
    }
  CHECK(checked > 300);
}

TEST_CASE("damaged certificates prove nothing false", "[certificate]") {
  Files files;
  std::mt19937_64 random(7);
  int refused = 0, accepted = 0, others = 0;
  for (uint64_t seed = 63000; seed < 63060; ++seed) {
    Instance instance = RandomInstance(seed).make();
    std::optional<__int128> best = bruteForce(instance);
    int64_t bound = 0;
    std::string text = certify(instance, 30, bound);
    if (!best || text.empty())
      continue;
    write(files.instance, toJson(instance));
    for (int round = 0; round < 40; ++round) {
      INFO("seed " << seed << " round " << round);
      std::string damaged = text;
      size_t at = random() % damaged.size();
      if (round % 4 == 0)
        damaged.resize(at);
      else if (round % 4 == 1)
        damaged.erase(at, 1 + random() % 9);
      else if (round % 4 == 2)
        damaged[at] = "0123456789,[]-\n"[random() % 15];
      else if (isdigit(damaged[at]))
        damaged.insert(at, std::to_string(random() % 1000));
      if (damaged == text)
        continue;
      write(files.proof, damaged);
      auto result = certificate::check(files.instance, files.proof);
      if (!result) {
        REQUIRE(result.error().exit == ExitCode::InvalidInput);
        ++refused;
        continue;
      }
      REQUIRE(result->bound <= *best);
      ++accepted;
      others += !result->holds() || result->bound != bound;
    }
  }
  CHECK(refused > 300);
  CHECK(accepted > 30);
  CHECK(others > 3);
}

TEST_CASE("a bound is not taken from the claim", "[certificate]") {
  Files files;
  // Costs 1 and 2, no edge, no memory: the best is 1.
  write(files.instance,
        R"({"problem":{"name":"x","nodes":{"intervals":[[0,0]],)"
        R"("costs":[[1,2]],"usages":[[0,0]]},)"
        R"("edges":{"nodes":[],"costs":[]},"usage_limit":0}})");
  auto head = [](int target) {
    return R"({"format":"partita-certificate","version":1,"instance":"x",)"
           R"("target":)" +
           std::to_string(target) +
           R"(,"message_bits":0,"price_bits":0,"variables":[[0,[0,1]]],)"
           R"("tables":[]})"
           "\n";
  };
  const std::string step = R"({"prices":[],"given":[]})";
  auto check = [&](const std::string &text) {
    write(files.proof, text);
    return certificate::check(files.instance, files.proof);
  };
  auto result = check(head(1) + "{\"steps\":[" + step + "]}\n{\"bound\":1}\n");
  REQUIRE(result);
  CHECK(result->bound == 1);
  CHECK(result->holds());
  result = check(head(5) + "{\"steps\":[" + step + "]}\n{\"bound\":5}\n");
  REQUIRE(result);
  CHECK(result->bound == 1);
  CHECK_FALSE(result->holds());
  // Half of the choices only.
  CHECK_FALSE(check(head(5) + "{\"steps\":[],\"split\":[0,[1]]}\n{\"steps\":[" +
                    step + "]}\n{\"bound\":2}\n"));
  // Both halves, the second without a step.
  result = check(head(5) + "{\"steps\":[],\"split\":[0,[1]]}\n{\"steps\":[" +
                 step + "]}\n{\"steps\":[]}\n{\"bound\":2}\n");
  REQUIRE(result);
  CHECK(result->bound == 0);
  for (const std::string &line :
       {std::string("{\"steps\":[{\"prices\":[[0,-1]],\"given\":[]}]}"),
        std::string("{\"steps\":[{\"prices\":[[1,1],[1,1]],\"given\":[]}]}"),
        std::string("{\"steps\":[{\"prices\":[],\"given\":[[[1],[1]]]}]}"),
        std::string("{\"steps\":[],\"split\":[1,[0]]}"),
        std::string("{\"steps\":[],\"split\":[0,[2]]}"),
        std::string("{\"steps\":") + std::string(100, '[') + "}",
        std::string("{\"steps\":[1.5]}"), std::string("[]"), std::string()}) {
    INFO(line);
    result = check(head(5) + line + "\n{\"bound\":1}\n");
    REQUIRE_FALSE(result);
    CHECK(result.error().exit == ExitCode::InvalidInput);
  }
}
