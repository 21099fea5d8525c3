//===- ReshardTest.cpp ----------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every pair of shardings as IR: a whole argument becomes `from` by one reshard
// and leaves as `to` by another, both lowered to collectives and localised.
//
//===----------------------------------------------------------------------===//

#include "Property.h"
#include <catch2/catch.hpp>

using namespace partita;
using namespace partita::test;

static std::string textOf(const Sharding &sharding, const Mesh &mesh) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << dist::ShardingAttr::get(
      &context(), mlir::FlatSymbolRefAttr::get(&context(), "m"), mesh,
      sharding);
  return text;
}

static void checkPair(const std::vector<int64_t> &shape, const Mesh &mesh,
                      const Sharding &from, const Sharding &to) {
  std::string type = "tensor<";
  for (int64_t size : shape)
    type += std::to_string(size) + "x";
  type += "f64>";
  Sharding whole = Sharding::replicated(shape);
  Program program("func.func @step(%a: " + type + ") -> " + type +
                      " {\n  %r = dist.reshard %a : " + type + " from " +
                      textOf(whole, mesh) + " to " + textOf(from, mesh) +
                      "\n  return %r : " + type + "\n}\n",
                  mesh, {}, 3);
  std::optional<std::string> wrong = program.check({{}, {whole}, {to}});
  INFO(from.str(mesh) << " to " << to.str(mesh) << "\n" << wrong.value_or(""));
  REQUIRE(!wrong);
}

static void checkPairs(const std::vector<int64_t> &shape,
                       const std::string &meshText, size_t samples) {
  Mesh mesh = *Mesh::parse(meshText);
  std::vector<Sharding> all = legalShardings(shape, mesh);
  std::vector<std::pair<size_t, size_t>> pairs;
  for (size_t from = 0; from < all.size(); ++from)
    for (size_t to = 0; to < all.size(); ++to)
      pairs.push_back({from, to});
  for (auto [from, to] : sample(pairs, samples, 11))
    checkPair(shape, mesh, all[from], all[to]);
}

TEST_CASE("every pair of shardings of one axis") {
  for (const char *mesh : {"a=2", "a=3", "a=4"}) {
    checkPairs({6}, mesh, 10000);
    checkPairs({7}, mesh, 10000);
    checkPairs({4, 6}, mesh, 10000);
    checkPairs({5, 3, 4}, mesh, 10000);
  }
}

TEST_CASE("samples of pairs of shardings of two axes") {
  for (const char *mesh : {"a=2,b=2", "a=2,b=3", "a=3,b=2"}) {
    checkPairs({12}, mesh, 500);
    checkPairs({7, 5}, mesh, 500);
    checkPairs({6, 8}, mesh, 500);
    checkPairs({2, 3, 4}, mesh, 500);
  }
}
