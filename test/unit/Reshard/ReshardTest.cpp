//===- ReshardTest.cpp ----------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every path between every two shardings of small tensors is carried out on
// simulated ranks. Prices are compared with a search that knows moves only by
// what they do to boxes.
//
//===----------------------------------------------------------------------===//

#include "Simulator.h"
#include <catch2/catch.hpp>
#include <map>

using namespace partita;
using namespace partita::test;

namespace {
struct Setup {
  Mesh mesh;
  CollectiveCost cost;
  ReshardPlanner planner;
  explicit Setup(const std::string &axes)
      : mesh(*Mesh::parse(axes)), cost(*Topology::parse("cpu:8"), mesh),
        planner(mesh, cost) {}
};
using Dims = std::vector<std::vector<std::vector<int64_t>>>;
} // namespace

static int64_t elementsOf(const Sharding &sharding) {
  int64_t n = 1;
  for (int64_t size : sharding.globalShape())
    n *= size;
  return n;
}

/// Carries out the path and checks all that it promises.
static void checkPath(Setup &setup, const Sharding &from, const Sharding &to) {
  const Mesh &mesh = setup.mesh;
  Result<ReshardPath> path = setup.planner.path(DType::F32, from, to);
  INFO(from.str(mesh) << " -> " << to.str(mesh));
  if (!path && to.combiner != Combiner::Sum && to.isPartial()) {
    CHECK(path.error().code == "reshard.unreachable");
    return;
  }
  REQUIRE(path);
  Simulator ranks(mesh, from, elementsOf(from));
  int64_t total = 0;
  Sharding at = from;
  for (const Move &move : path->moves) {
    INFO(moveKindName(move.kind) << " to " << move.to.str(mesh));
    REQUIRE(checkSharding(move.to, from.globalShape(), mesh, ""));
    REQUIRE(ranks.apply(move) == "");
    REQUIRE(move.picoseconds == setup.cost.picoseconds(move.kind, move.axes,
                                                       DType::F32, move.from,
                                                       move.to));
    total += move.picoseconds;
    at = move.to;
  }
  CHECK(total == path->picoseconds);
  CHECK(canonical(at, mesh) == canonical(to, mesh));
  CHECK(ranks.matches(from, at));
}

static void checkAllPairs(const std::string &axes, const Dims &dims,
                          Combiner combiner) {
  Setup setup(axes);
  std::vector<Sharding> all = allShardings(dims, setup.mesh, combiner);
  for (const Sharding &from : all)
    for (const Sharding &to : all)
      checkPath(setup, from, to);
}

TEST_CASE("every pair of shardings of plain dimensions") {
  for (std::string axes : {"x=2", "x=3", "x=4", "x=2,y=2", "x=2,y=3"}) {
    DYNAMIC_SECTION(axes) {
      checkAllPairs(axes, {}, Combiner::Sum);
      checkAllPairs(axes, {{{6}}}, Combiner::Sum);
      checkAllPairs(axes, {{{7}}}, Combiner::Max);
      checkAllPairs(axes, {{{5}}, {{4}}}, Combiner::Sum);
      checkAllPairs(axes, {{{5}}, {{1}}, {{7}}}, Combiner::Min);
    }
  }
}

TEST_CASE("every pair of shardings of factored dimensions") {
  for (std::string axes : {"x=2", "x=3", "x=4", "x=2,y=2", "x=2,y=3"}) {
    DYNAMIC_SECTION(axes) {
      checkAllPairs(axes, {{{36}, {3, 4, 3}}}, Combiner::Sum);
      // Without a common refinement.
      checkAllPairs(axes, {{{4, 6}, {6, 4}}}, Combiner::Prod);
      checkAllPairs(axes, {{{5}}, {{30}, {5, 6}, {10, 3}}}, Combiner::None);
    }
  }
}

TEST_CASE("three axes") {
  checkAllPairs("x=2,y=2,z=2", {{{9}}}, Combiner::Sum);
  checkAllPairs("x=2,y=3,z=2", {{{12}}}, Combiner::None);
}

TEST_CASE("paths from every sharding to what windows read") {
  std::vector<Halo> windows = {{7, 1, 1, 3}, {4, 2, 1, 3}, {4, 2, 1, 2},
                               {5, 1, 0, 3}, {9, 1, 2, 3}, {3, 1, 1, 7}};
  for (std::string axes : {"x=2", "x=3", "x=2,y=2", "x=2,y=3"}) {
    Setup setup(axes);
    std::vector<int> all;
    for (int axis = 0; axis < setup.mesh.numAxes(); ++axis)
      all.push_back(axis);
    for (const Halo &window : windows) {
      for (const std::vector<int> &split : {std::vector<int>{0}, all}) {
        for (std::vector<int> pending : {std::vector<int>{}, {1}}) {
          Sharding to{{{{{7, split, window}}}, {{{4, {}}}}}, {}, Combiner::None};
          if (!pending.empty() && (all.size() < 2 || split.size() > 1))
            continue;
          if (!pending.empty())
            to.partialAxes = pending, to.combiner = Combiner::Sum;
          if (!checkSharding(to, {7, 4}, setup.mesh, ""))
            continue; // Six ranks, three positions.
          for (const Sharding &from :
               allShardings({{{7}}, {{4}}}, setup.mesh, Combiner::Sum))
            checkPath(setup, from, to);
        }
      }
    }
  }
}

TEST_CASE("borders are exchanged, and a whole tensor is cut") {
  Setup setup("x=3");
  Sharding blocks{{{{{9, {0}}}}}, {}, Combiner::None};
  Sharding reads{{{{{9, {0}, Halo{9, 1, 1, 3}}}}}, {}, Combiner::None};
  auto exchange = setup.planner.path(DType::F32, blocks, reads);
  REQUIRE(exchange);
  REQUIRE(exchange->moves.size() == 1);
  CHECK(exchange->moves[0].kind == MoveKind::HaloExchange);
  auto cut = setup.planner.path(DType::F32, Sharding::replicated({9}), reads);
  REQUIRE(cut);
  REQUIRE(cut->moves.size() == 1);
  CHECK(cut->moves[0].kind == MoveKind::Slice);
  auto back = setup.planner.path(DType::F32, reads, blocks);
  REQUIRE(!back);
  CHECK(back.error().code == "reshard.unreachable");
}

//===----------------------------------------------------------------------===//
// Prices
//===----------------------------------------------------------------------===//

/// The price of going from one layout to another in one move along `axes`, if
/// boxes allow it, by `kind` alone.
static int64_t oneMove(Setup &setup, MoveKind kind,
                       const std::vector<int> &axes, const Sharding &from,
                       const Sharding &to) {
  Move move{kind, axes, from, to, 0};
  const Mesh &mesh = setup.mesh;
  uint64_t set = 0;
  for (int axis : axes)
    set |= uint64_t(1) << axis;
  uint64_t before = 0, after = 0;
  for (int axis : from.partialAxes)
    before |= uint64_t(1) << axis;
  for (int axis : to.partialAxes)
    after |= uint64_t(1) << axis;
  bool reduces = kind == MoveKind::AllReduce || kind == MoveKind::ReduceScatter;
  uint64_t expected = reduces                       ? before & ~set
                      : kind == MoveKind::ToPartial ? before | set
                                                    : before;
  if (after != expected || (reduces && (before & set) != set) ||
      (kind != MoveKind::ToPartial && !reduces && (before & set)) ||
      (kind == MoveKind::ToPartial && (before & set)))
    return ReshardPlanner::unreachable;
  // Moves whose meaning is a kind of their own must not pass as another.
  if (kind == MoveKind::ToPartial && from.dims != to.dims)
    return ReshardPlanner::unreachable;
  if (kind == MoveKind::AllGather && (to.dimAxes() & set))
    return ReshardPlanner::unreachable;
  if (kind == MoveKind::AllToAll &&
      ((from.dimAxes() & set) != set || (to.dimAxes() & set) != set))
    return ReshardPlanner::unreachable;
  if (kind == MoveKind::ReduceScatter && (to.dimAxes() & set) != set)
    return ReshardPlanner::unreachable;
  // A move that also slices along other axes would be two.
  if ((from.dimAxes() & ~set) != (to.dimAxes() & ~set) ||
      (kind == MoveKind::Slice && (from.dimAxes() & set)))
    return ReshardPlanner::unreachable;
  if (kind == MoveKind::Permute) {
    // Each rank takes one whole box of another.
    for (int64_t rank = 0; rank < mesh.numRanks(); ++rank) {
      bool found = false;
      for (int64_t other : mesh.group(rank, axes))
        found |= offsetsOf(from, mesh, other) == offsetsOf(to, mesh, rank);
      if (!found)
        return ReshardPlanner::unreachable;
    }
    // As many copies before as after, so that it is a permutation.
    std::map<std::vector<int64_t>, int> copies;
    for (int64_t rank = 0; rank < mesh.numRanks(); ++rank) {
      ++copies[offsetsOf(from, mesh, rank)];
      --copies[offsetsOf(to, mesh, rank)];
    }
    for (auto &[box, count] : copies)
      if (count != 0)
        return ReshardPlanner::unreachable;
  }
  Simulator ranks(mesh, from, elementsOf(from));
  if (ranks.apply(move) != "" || !ranks.matches(from, to))
    return ReshardPlanner::unreachable;
  return setup.cost.picoseconds(kind, axes, DType::F32, from, to);
}

static void checkPrices(const std::string &axes, const Dims &dims) {
  Setup setup(axes);
  const Mesh &mesh = setup.mesh;
  std::vector<Sharding> all = allShardings(dims, mesh, Combiner::Sum);
  size_t n = all.size();
  std::vector<std::vector<int64_t>> price(
      n, std::vector<int64_t>(n, ReshardPlanner::unreachable));
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < n; ++j)
      for (int set = 1; set < 1 << mesh.numAxes(); ++set) {
        std::vector<int> axes;
        for (int axis = 0; axis < mesh.numAxes(); ++axis)
          if (set >> axis & 1)
            axes.push_back(axis);
        for (MoveKind kind :
             {MoveKind::AllGather, MoveKind::ReduceScatter, MoveKind::AllReduce,
              MoveKind::AllToAll, MoveKind::Permute, MoveKind::Slice,
              MoveKind::ToPartial})
          price[i][j] = std::min(price[i][j],
                                 oneMove(setup, kind, axes, all[i], all[j]));
      }
  for (size_t i = 0; i < n; ++i)
    price[i][i] = 0;
  for (size_t k = 0; k < n; ++k)
    for (size_t i = 0; i < n; ++i)
      for (size_t j = 0; j < n; ++j)
        price[i][j] = std::min(price[i][j], price[i][k] + price[k][j]);
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < n; ++j) {
      INFO(all[i].str(mesh) << " -> " << all[j].str(mesh));
      auto path = setup.planner.path(DType::F32, all[i], all[j]);
      REQUIRE(path);
      CHECK(path->picoseconds == price[i][j]);
    }
}

TEST_CASE("no cheaper path exists") {
  checkPrices("x=2", {{{6}}, {{6}}});
  checkPrices("x=3", {{{7}}, {{6}}});
  checkPrices("x=2,y=2", {{{8}}});
  checkPrices("x=2,y=2", {{{5}}, {{4}}});
  checkPrices("x=2,y=3", {{{7}}, {{6}}});
}

//===----------------------------------------------------------------------===//
// Single paths
//===----------------------------------------------------------------------===//

static Sharding plain(std::vector<FactorSharding> dims,
                      std::vector<int> partial = {}) {
  Sharding sharding;
  for (FactorSharding &factor : dims)
    sharding.dims.push_back({{factor}});
  sharding.partialAxes = partial;
  sharding.combiner = partial.empty() ? Combiner::None : Combiner::Sum;
  return sharding;
}

static std::string kinds(const ReshardPath &path) {
  std::string text;
  for (const Move &move : path.moves)
    text += (text.empty() ? "" : " ") + std::string(moveKindName(move.kind));
  return text;
}

TEST_CASE("the moves that are expected") {
  Setup setup("dp=2,tp=2");
  auto path = [&](const Sharding &from, const Sharding &to) {
    auto path = setup.planner.path(DType::F32, from, to);
    REQUIRE(path);
    return kinds(*path);
  };
  auto whole = plain({{512, {}}, {768, {}}});
  CHECK(path(whole, whole) == "");
  CHECK(path(plain({{512, {0}}, {768, {}}}), whole) == "all_gather");
  CHECK(path(plain({{512, {0}}, {768, {1}}}), whole) == "all_gather");
  CHECK(path(plain({{512, {1}}, {768, {}}}), plain({{512, {}}, {768, {1}}})) ==
        "all_to_all");
  CHECK(path(plain({{512, {}}, {768, {}}}, {1}),
             plain({{512, {1}}, {768, {}}})) == "reduce_scatter");
  CHECK(path(plain({{512, {}}, {768, {}}}, {1}), whole) == "all_reduce");
  CHECK(path(plain({{512, {}}, {768, {}}}, {0, 1}), whole) == "all_reduce");
  CHECK(path(whole, plain({{512, {}}, {768, {}}}, {1})) == "to_partial");
  CHECK(path(whole, plain({{512, {0}}, {768, {1}}})) == "slice");
  CHECK(path(plain({{512, {0, 1}}, {768, {}}}),
             plain({{512, {1, 0}}, {768, {}}})) == "permute");
  CHECK(path(plain({{512, {0}}, {768, {1}}}),
             plain({{512, {1}}, {768, {0}}})) == "permute");
  // The same with axes of different sizes.
  Setup uneven("tp=3,dp=2");
  auto swap = uneven.planner.path(DType::F32, plain({{600, {0, 1}}}),
                                  plain({{600, {1, 0}}}));
  REQUIRE(swap);
  CHECK(kinds(*swap) == "permute");
}

TEST_CASE("a fused projection reaches its heads without a gather") {
  Setup setup("tp=2");
  Sharding blocks = plain({{128, {}}, {2304, {0}}});
  Sharding heads = plain({{128, {}}, {2304, {}}});
  heads.dims[1].factors = {{3, {}}, {12, {0}}, {64, {}}};
  auto path = setup.planner.path(DType::F32, blocks, heads);
  REQUIRE(path);
  CHECK(kinds(*path) == "all_to_all");
  CHECK(path->moves.back().to == heads);
  path = setup.planner.path(DType::F32, plain({{128, {}}, {2304, {}}}), heads);
  REQUIRE(path);
  CHECK(kinds(*path) == "slice");
}

TEST_CASE("other spellings of the same boxes need no move") {
  Setup setup("tp=2,one=1");
  Sharding a = plain({{768, {0, 1}}}), b = plain({{768, {}}});
  b.dims[0].factors = {{12, {0}}, {64, {}}};
  auto path = setup.planner.path(DType::F32, a, b);
  REQUIRE(path);
  CHECK(path->moves.empty());
  CHECK(path->picoseconds == 0);
}

TEST_CASE("answers do not depend on earlier questions") {
  Dims dims{{{12}, {3, 4}}, {{6}}};
  Setup first("x=2,y=2"), second("x=2,y=2");
  std::vector<Sharding> all = allShardings(dims, first.mesh, Combiner::Sum);
  std::map<std::pair<size_t, size_t>, std::string> answers;
  auto describe = [&](Setup &setup, size_t i, size_t j) {
    auto path = setup.planner.path(DType::F32, all[i], all[j]);
    std::string text;
    for (const Move &move : path->moves)
      text += moveKindName(move.kind) + move.to.str(setup.mesh);
    return text;
  };
  for (size_t i = 0; i < all.size(); ++i)
    for (size_t j = 0; j < all.size(); ++j)
      answers[{i, j}] = describe(first, i, j);
  for (size_t i = all.size(); i-- > 0;)
    for (size_t j = all.size(); j-- > 0;)
      REQUIRE(describe(second, i, j) == answers[{i, j}]);
}

TEST_CASE("parts of a softmax are merged by one all-reduce") {
  Setup setup("x=2,y=2");
  Sharding merge = plain({{4, {}}, {6, {}}}, {0, 1});
  merge.combiner = Combiner::SoftmaxMerge;
  auto path = setup.planner.path(DType::F32, merge, plain({{4, {0}}, {6, {}}}));
  REQUIRE(path);
  REQUIRE(path->moves.size() == 2);
  CHECK(path->moves[0].kind == MoveKind::AllReduce);
  CHECK(path->moves[0].axes == std::vector<int>{0, 1});
  CHECK(path->moves[1].kind == MoveKind::Slice);
}

TEST_CASE("refused reshards") {
  Setup setup("x=2");
  Sharding softmax = plain({{4, {}}}, {0});
  softmax.combiner = Combiner::SoftmaxMerge;
  auto path = setup.planner.path(DType::F32, plain({{4, {}}}), softmax);
  REQUIRE(!path);
  CHECK(path.error().exit == ExitCode::Unsupported);
  path = setup.planner.path(DType::F32, plain({{4, {}}}), plain({{5, {}}}));
  REQUIRE(!path);
  CHECK(path.error().code == "reshard.illegal");
  path = setup.planner.path(DType::F32, plain({{1, {0}}}), plain({{1, {}}}));
  REQUIRE(!path);
  CHECK(path.error().code == "reshard.illegal");
}

TEST_CASE("a value with several uses is gathered once") {
  Setup setup("tp=4");
  Sharding rows = plain({{512, {0}}, {768, {}}});
  Sharding whole = plain({{512, {}}, {768, {}}});
  auto shared =
      setup.planner.sharedLayout(DType::F32, rows, {whole, whole, whole, rows});
  REQUIRE(shared);
  CHECK(*shared == whole);
  shared = setup.planner.sharedLayout(DType::F32, rows, {whole, rows});
  REQUIRE(shared);
  CHECK(*shared == rows);
}
