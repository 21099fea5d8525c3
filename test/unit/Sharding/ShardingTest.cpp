//===- ShardingTest.cpp ---------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The sharding algebra against definitions that look at single elements.
//
//===----------------------------------------------------------------------===//

#include "partita/Support/ShardingRule.h"
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>

using namespace partita;

/// Is the element at `offset` of the row-major tensor in the box?
static bool owns(const Box &box, int64_t offset) {
  for (size_t d = box.dims.size(); d-- > 0;)
    for (size_t f = box.dims[d].sizes.size(); f-- > 0;) {
      int64_t size = box.dims[d].sizes[f], digit = offset % size;
      offset /= size;
      const Interval &interval = box.dims[d].intervals[f];
      if (digit < interval.begin || digit >= interval.end)
        return false;
    }
  return true;
}

static std::vector<int64_t> elements(const Box &box) {
  int64_t count = 1;
  for (int64_t size : box.globalShape())
    count *= size;
  std::vector<int64_t> out;
  for (int64_t i = 0; i < count; ++i)
    if (owns(box, i))
      out.push_back(i);
  return out;
}

/// All layouts of one dimension of the given factor lists over all axes.
static std::vector<DimSharding>
allLayouts(const std::vector<std::vector<int64_t>> &bases, const Mesh &mesh) {
  std::set<DimSharding> out;
  for (const auto &base : bases) {
    DimSharding whole;
    for (int64_t size : base)
      whole.factors.push_back({size, {}});
    std::vector<DimSharding> reached{whole};
    for (size_t i = 0; i < reached.size(); ++i) {
      DimSharding at = reached[i];
      out.insert(at);
      std::set<int> used;
      for (auto &factor : at.factors)
        used.insert(factor.axes.begin(), factor.axes.end());
      for (int axis = 0; axis < mesh.numAxes(); ++axis)
        for (size_t f = 0; f < at.factors.size() && !used.count(axis); ++f) {
          DimSharding next = at;
          next.factors[f].axes.push_back(axis);
          reached.push_back(next);
        }
    }
  }
  std::vector<DimSharding> legal;
  for (const DimSharding &dim : out)
    if (checkSharding({{dim}, {}, Combiner::None}, {dim.size()}, mesh, ""))
      legal.push_back(dim);
  return legal;
}

TEST_CASE("meshes") {
  Mesh mesh = *Mesh::parse("dp=2,tp=3");
  CHECK(mesh.numRanks() == 6);
  CHECK(mesh.str() == "dp=2,tp=3");
  for (int64_t rank = 0; rank < 6; ++rank)
    CHECK(mesh.rankOf(mesh.coordinates(rank)) == rank);
  CHECK(mesh.group(4, {1}) == std::vector<int64_t>{3, 4, 5});
  CHECK(mesh.group(4, {0}) == std::vector<int64_t>{1, 4});
  CHECK(mesh.group(4, {1, 0}) == std::vector<int64_t>{0, 3, 1, 4, 2, 5});
  CHECK(mesh.group(4, {}) == std::vector<int64_t>{4});
  for (std::string text : {"", "dp", "dp=", "=2", "dp=0", "dp=2,dp=2", "dp=2,",
                           "d p=2", "dp=2x", "dp=9999999999"})
    CHECK(!Mesh::parse(text));
}

TEST_CASE("shards cover every element once") {
  Mesh mesh = *Mesh::parse("x=2,y=3");
  for (int64_t size = 6; size < 20; ++size)
    for (std::vector<int> axes : {std::vector<int>{0, 1}, {1, 0}}) {
      std::vector<int> owners(size, 0);
      int64_t least = size, most = 0;
      for (int64_t rank = 0; rank < 6; ++rank) {
        Interval mine = shardInterval(size, axes, mesh, mesh.coordinates(rank));
        for (int64_t i = mine.begin; i < mine.end; ++i)
          ++owners[i];
        least = std::min(least, mine.size());
        most = std::max(most, mine.size());
      }
      CHECK(std::all_of(owners.begin(), owners.end(),
                        [](int count) { return count == 1; }));
      CHECK(most - least <= 1);
    }
}

TEST_CASE("runs are the elements of a box, in order and maximal") {
  Mesh mesh = *Mesh::parse("x=2,y=2");
  for (const DimSharding &first : allLayouts({{6}, {2, 3}}, mesh))
    for (const DimSharding &second : allLayouts({{12}, {3, 2, 2}}, mesh)) {
      Sharding sharding{{first, second}, {}, Combiner::None};
      if (!checkSharding(sharding, {6, 12}, mesh, ""))
        continue;
      for (int64_t rank = 0; rank < 4; ++rank) {
        Box box = boxOf(sharding, mesh, mesh.coordinates(rank));
        std::vector<int64_t> offsets;
        int64_t last = -1;
        forEachRun(box, [&](Run run) {
          CHECK(run.local == static_cast<int64_t>(offsets.size()));
          CHECK(run.count > 0);
          CHECK(run.global > last);
          last = run.global + run.count - 1;
          for (int64_t i = 0; i < run.count; ++i)
            offsets.push_back(run.global + i);
        });
        CHECK(offsets == elements(box));
        CHECK(box.numElements() == static_cast<int64_t>(offsets.size()));
        CHECK(box.isFull() == (offsets.size() == 72));
      }
    }
}

TEST_CASE("intersections") {
  Mesh mesh = *Mesh::parse("x=2,y=3");
  std::vector<DimSharding> all = allLayouts({{24}, {4, 6}, {2, 3, 4}}, mesh);
  for (const DimSharding &a : all)
    for (const DimSharding &b : all) {
      Box from = boxOf({{a}, {}, Combiner::None}, mesh, {0, 1});
      Box to = boxOf({{b}, {}, Combiner::None}, mesh, {1, 1});
      std::vector<int64_t> left = elements(from), right = elements(to), both;
      std::set_intersection(left.begin(), left.end(), right.begin(),
                            right.end(), std::back_inserter(both));
      std::vector<int64_t> found;
      for (SharedRun run : intersect(from, to))
        for (int64_t i = 0; i < run.count; ++i) {
          REQUIRE(left[run.from + i] == right[run.to + i]);
          found.push_back(left[run.from + i]);
        }
      REQUIRE(found == both);
    }
}

TEST_CASE("canonical forms are equal exactly where boxes are") {
  for (std::string axes : {"x=2", "x=3", "x=2,y=2", "x=2,y=3"}) {
    Mesh mesh = *Mesh::parse(axes);
    std::vector<DimSharding> all = allLayouts(
        {{24}, {2, 12}, {4, 6}, {6, 4}, {2, 2, 6}, {3, 8}, {2, 3, 4}, {1, 24}},
        mesh);
    std::map<std::vector<std::vector<int64_t>>, DimSharding> byBoxes;
    std::map<DimSharding, std::vector<std::vector<int64_t>>> byForm;
    for (const DimSharding &dim : all) {
      Sharding sharding{{dim}, {}, Combiner::None};
      std::vector<std::vector<int64_t>> boxes;
      for (int64_t rank = 0; rank < mesh.numRanks(); ++rank)
        boxes.push_back(
            elements(boxOf(sharding, mesh, mesh.coordinates(rank))));
      Sharding form = canonical(sharding, mesh);
      INFO(sharding.str(mesh) << " = " << form.str(mesh));
      CHECK(checkSharding(form, {24}, mesh, ""));
      CHECK(canonical(form, mesh) == form);
      auto [it, added] = byBoxes.try_emplace(boxes, form.dims[0]);
      CHECK(it->second == form.dims[0]);
      auto [other, fresh] = byForm.try_emplace(form.dims[0], boxes);
      CHECK(other->second == boxes);
    }
  }
}

TEST_CASE("ranks hold what their windows read") {
  Halo windows[] = {{7, 1, 1, 3}, {4, 2, 1, 3}, {3, 3, 0, 1},
                    {5, 1, 0, 3}, {9, 1, 2, 3}, {4, 2, 3, 5}};
  int64_t size = 7;
  for (const char *axes : {"x=1", "x=2", "x=3", "x=2,y=2"}) {
    Mesh mesh = *Mesh::parse(axes);
    for (const Halo &halo : windows) {
      FactorSharding factor{size, {0}, halo};
      if (mesh.numAxes() == 2)
        factor.axes.push_back(1);
      Sharding sharding{{{{factor}}}, {}, Combiner::None};
      INFO(sharding.str(mesh));
      if (mesh.numRanks() > halo.positions) {
        CHECK(!checkSharding(sharding, {size}, mesh, ""));
        continue;
      }
      REQUIRE(checkSharding(sharding, {size}, mesh, ""));
      int64_t most = 0;
      for (int64_t rank = 0; rank < mesh.numRanks(); ++rank) {
        std::vector<int64_t> coords = mesh.coordinates(rank);
        Interval mine = shardInterval(halo.positions, factor.axes, mesh, coords);
        std::set<int64_t> read;
        int64_t before = 0, after = 0;
        for (int64_t p = mine.begin; p < mine.end; ++p)
          for (int64_t tap = 0; tap < halo.extent; ++tap) {
            int64_t at = p * halo.stride - halo.before + tap;
            before = std::max(before, -at);
            after = std::max(after, at - (size - 1));
            if (at >= 0 && at < size)
              read.insert(at);
          }
        if (mesh.numRanks() > 1 && halo.stride <= halo.extent)
          CHECK(elements(boxOf(sharding, mesh, coords)) ==
                std::vector<int64_t>(read.begin(), read.end()));
        if (mesh.numRanks() == 1)
          CHECK(boxOf(sharding, mesh, coords).isFull());
        CHECK(beyondEnds(factor, mesh, coords) == std::pair{before, after});
        most = std::max(most, boxOf(sharding, mesh, coords).numElements());
      }
      CHECK(maxShardSize(factor, mesh) == most);
      CHECK((canonical(sharding, mesh) == Sharding::replicated({size})) ==
            (mesh.numRanks() == 1));
      CHECK(checkSharding(sharding.withoutHalos(), {size}, mesh, ""));
    }
  }
}

TEST_CASE("halos that are none") {
  Mesh mesh = *Mesh::parse("x=2");
  auto legal = [&](std::vector<FactorSharding> factors, int64_t size) {
    return bool(checkSharding({{{std::move(factors)}}, {}, Combiner::None},
                              {size}, mesh, ""));
  };
  CHECK(legal({{8, {0}, Halo{8, 1, 1, 3}}}, 8));
  CHECK(!legal({{2, {}}, {4, {0}, Halo{4, 1, 1, 3}}}, 8));
  CHECK(!legal({{8, {0}, Halo{1, 1, 0, 3}}}, 8));
  // All that rank 0 (or rank 1) reads is padding.
  CHECK(!legal({{8, {0}, Halo{8, 1, 6, 3}}}, 8));
  CHECK(!legal({{8, {0}, Halo{16, 1, 0, 1}}}, 8));
  CHECK(!legal({{8, {0}, Halo{8, 0, 0, 1}}}, 8));
  CHECK(!legal({{8, {0}, Halo{8, int64_t(1) << 40, 0, 1}}}, 8));
  CHECK(!legal({{8, {0}, Halo{8, 1, -1, 1}}}, 8));
}

TEST_CASE("strategies of a window") {
  Mesh mesh = *Mesh::parse("x=2,y=2");
  ShardingRule rule = RuleBuilder({1}, {1})
                          .halo("h", {4, 2, 1, 3}, 7, {{0, 0}}, {{0, 0}})
                          .build();
  CHECK(rule.str() == "([h]) -> ([h]) halo{h}");
  Strategy strategy = Strategy::replicated(rule);
  CHECK(operandSharding(rule, strategy, 0) == Sharding::replicated({7}));
  strategy.factors[0].factors = {{4, {0}}};
  REQUIRE(checkStrategy(rule, strategy, mesh, ""));
  CHECK(operandSharding(rule, strategy, 0).str(mesh) ==
        "[{7:x halo(4, 2, 1, 3)}]");
  CHECK(resultSharding(rule, strategy, 0).str(mesh) == "[{4:x}]");
  strategy.factors[0].factors = {{2, {}}, {2, {0}}};
  CHECK(!checkStrategy(rule, strategy, mesh, ""));
  strategy.factors[0].factors = {{2, {0}}, {2, {1}}};
  REQUIRE(checkStrategy(rule, strategy, mesh, ""));
  CHECK(operandSharding(rule, strategy, 0).str(mesh) ==
        "[{7:x,y halo(4, 2, 1, 3)}]");
}

TEST_CASE("what is no sharding") {
  Mesh mesh = *Mesh::parse("x=2,y=3");
  auto legal = [&](DimSharding dim, std::vector<int> partial = {},
                   Combiner combiner = Combiner::None) {
    return static_cast<bool>(
        checkSharding({{dim}, partial, combiner}, {12}, mesh, ""));
  };
  CHECK(legal({{{12, {0, 1}}}}));
  CHECK(legal({{{12, {0}}}}, {1}, Combiner::Sum));
  CHECK(!legal({{{12, {0, 0}}}}));
  CHECK(!legal({{{12, {2}}}}));
  CHECK(!legal({{{12, {-1}}}}));
  CHECK(!legal({{{11, {0}}}}));
  CHECK(!legal({{}}));
  CHECK(!legal({{{1, {0}}, {12, {}}}}));
  CHECK(!legal({{{12, {0}}}}, {0}, Combiner::Sum));
  CHECK(!legal({{{12, {0}}}}, {1}));
  CHECK(!legal({{{12, {0}}}}, {}, Combiner::Sum));
}

//===----------------------------------------------------------------------===//
// Rules
//===----------------------------------------------------------------------===//

TEST_CASE("a reshape's rule moves no data") {
  Mesh mesh = *Mesh::parse("x=2,y=3");
  std::vector<std::vector<int64_t>> shapes{
      {72},      {6, 12}, {12, 6},    {2, 36}, {36, 2},
      {6, 3, 4}, {3, 24}, {8, 9},     {9, 8},  {2, 3, 12},
      {1, 72},   {72, 1}, {6, 1, 12}, {4, 18}, {2, 2, 18}};
  for (const auto &from : shapes)
    for (const auto &to : shapes) {
      ShardingRule rule = reshapeRule(from, to);
      INFO(rule.str());
      for (size_t f = 0; f < rule.factors.size(); ++f)
        for (std::vector<int> axes : {std::vector<int>{0}, {1}, {1, 0}}) {
          Strategy strategy = Strategy::replicated(rule);
          strategy.factors[f].factors[0].axes = axes;
          if (rule.factors[f].kind == FactorKind::Linear ||
              !checkStrategy(rule, strategy, mesh, ""))
            continue;
          Sharding in = operandSharding(rule, strategy, 0);
          Sharding out = resultSharding(rule, strategy, 0);
          REQUIRE(in.globalShape() == from);
          REQUIRE(out.globalShape() == to);
          for (int64_t rank = 0; rank < 6; ++rank) {
            auto coords = mesh.coordinates(rank);
            REQUIRE(elements(boxOf(in, mesh, coords)) ==
                    elements(boxOf(out, mesh, coords)));
          }
        }
    }
  // Heads are found.
  ShardingRule heads = reshapeRule({4, 10, 96}, {4, 10, 6, 16});
  CHECK(heads.operands[0][2].size() == 2);
  // Nothing to split without elements.
  ShardingRule empty = reshapeRule({0, 4}, {2, 0});
  CHECK(operandSharding(empty, Strategy::replicated(empty), 0).globalShape() ==
        std::vector<int64_t>{0, 4});
}

TEST_CASE("strategies of a product") {
  ShardingRule rule = RuleBuilder({2, 2}, {2})
                          .parallel("m", 4, {{0, 0}}, {{0, 0}})
                          .parallel("n", 8, {{1, 1}}, {{0, 1}})
                          .reduction("k", 6, Combiner::Sum, {{0, 1}, {1, 0}})
                          .linear({0})
                          .linear({1})
                          .build();
  CHECK(rule.str() == "([m,k], [k,n]) -> ([m,n]) reduce{k: sum} linear{0} "
                      "linear{1}");
  Mesh mesh = *Mesh::parse("x=2,y=2");
  Strategy strategy = Strategy::replicated(rule);
  CHECK(checkStrategy(rule, strategy, mesh, ""));
  CHECK(strategy.str(rule, mesh) == "replicated");
  strategy.factors[2].factors[0].axes = {0};
  strategy.factors[1].factors[0].axes = {1};
  CHECK(checkStrategy(rule, strategy, mesh, ""));
  CHECK(operandSharding(rule, strategy, 0).str(mesh) == "[{4}, {6:x}]");
  CHECK(operandSharding(rule, strategy, 1).str(mesh) == "[{6:x}, {8:y}]");
  CHECK(resultSharding(rule, strategy, 0).str(mesh) ==
        "[{4}, {8:y}] partial{x} sum");
  // Sums may pass through one operand.
  strategy = Strategy::replicated(rule);
  strategy.factors[3].factors[0].axes = {0};
  CHECK(checkStrategy(rule, strategy, mesh, ""));
  CHECK(operandSharding(rule, strategy, 0).str(mesh) ==
        "[{4}, {6}] partial{x} sum");
  CHECK(operandSharding(rule, strategy, 1).str(mesh) == "[{6}, {8}]");
  CHECK(resultSharding(rule, strategy, 0).str(mesh) ==
        "[{4}, {8}] partial{x} sum");
  strategy.factors[0].factors[0].axes = {0};
  CHECK(!checkStrategy(rule, strategy, mesh, ""));
  strategy = Strategy::replicated(rule);
  strategy.factors[0].factors = {{2, {0, 1}}, {2, {}}};
  CHECK(!checkStrategy(rule, strategy, mesh, ""));
  strategy.factors[0].factors = {{2, {0}}, {2, {1}}};
  CHECK(checkStrategy(rule, strategy, mesh, ""));
  strategy.factors[0].factors = {{3, {0}}};
  CHECK(!checkStrategy(rule, strategy, mesh, ""));
}

TEST_CASE("contiguous factors are split into intervals") {
  ShardingRule rule = RuleBuilder({1}, {0})
                          .reduction("v", 12, Combiner::Sum, {{0, 0}})
                          .contiguous("v")
                          .build();
  Mesh mesh = *Mesh::parse("x=2");
  Strategy strategy = Strategy::replicated(rule);
  strategy.factors[0].factors = {{12, {0}}};
  CHECK(checkStrategy(rule, strategy, mesh, ""));
  strategy.factors[0].factors = {{6, {0}}, {2, {}}};
  CHECK(checkStrategy(rule, strategy, mesh, ""));
  strategy.factors[0].factors = {{3, {}}, {4, {0}}};
  CHECK(!checkStrategy(rule, strategy, mesh, ""));
}
