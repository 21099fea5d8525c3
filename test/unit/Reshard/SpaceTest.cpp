//===- SpaceTest.cpp ------------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What is quick against what is slow, on random shapes, meshes and shardings:
// prices of moves against those that look at every rank, prices of all pairs
// at once against one search a pair.
//
//===----------------------------------------------------------------------===//

#include "lib/Reshard/TensorSpace.h"
#include "partita/Reshard/Reshard.h"
#include <catch2/catch.hpp>
#include <memory>
#include <random>

using namespace partita;
using namespace partita::reshard;

namespace {
struct Setup {
  Mesh mesh;
  CollectiveCost cost;
  Setup(const std::string &topology, const std::string &axes)
      : mesh(*Mesh::parse(axes)), cost(*Topology::parse(topology), mesh) {}
};

/// Topologies of all kinds of prices, and meshes with axes that are equal and
/// that are not.
const std::vector<std::pair<std::string, std::string>> setups = {
    {"cpu:8", "x=2,y=2,z=2"},      {"cpu:12", "x=2,y=3,z=2"},
    {"cpu:24", "x=4,y=6"},         {"dgx-h100", "x=2,y=4"},
    {"dgx-h100x2", "x=2,y=2,z=4"}, {"dgx-h100x32", "x=16,y=4,z=4"}};

class Draw {
public:
  explicit Draw(uint64_t seed) : random(seed) {}
  int below(int limit) { return static_cast<int>(random() % limit); }

  /// The factors of a dimension; few divide evenly.
  Base base() {
    static const std::vector<Base> bases = {
        {64}, {7}, {96}, {30}, {3, 8}, {4, 6, 5}, {50}, {12, 16}, {9, 2}};
    return bases[below(static_cast<int>(bases.size()))];
  }

  /// Each axis goes to a factor, if that has enough for it, or is pending or
  /// unused.
  Sharding sharding(const std::vector<Base> &dims, const Mesh &mesh) {
    Sharding out;
    for (const Base &base : dims) {
      out.dims.emplace_back();
      for (int64_t size : base)
        out.dims.back().factors.push_back({size, {}});
    }
    for (int axis = 0; axis < mesh.numAxes(); ++axis) {
      auto &factors = out.dims[below(static_cast<int>(dims.size()))].factors;
      FactorSharding &factor = factors[below(static_cast<int>(factors.size()))];
      Sharding before = out;
      switch (below(5)) {
      case 0:
        out.partialAxes.push_back(axis);
        out.combiner = Combiner::Sum;
        break;
      case 1:
        break;
      default:
        factor.axes.insert(factor.axes.begin() +
                               below(static_cast<int>(factor.axes.size()) + 1),
                           axis);
        if (!checkSharding(out, out.globalShape(), mesh, ""))
          out = before;
      }
    }
    return out;
  }

private:
  std::mt19937_64 random;
};
} // namespace

TEST_CASE("prices of moves are those of the shards of all ranks") {
  uint64_t seed = 0;
  for (auto &[topology, axes] : setups) {
    Setup setup(topology, axes);
    for (int round = 0; round < 6; ++round) {
      Draw draw(++seed);
      std::map<int64_t, DimLayouts> known;
      std::vector<std::unique_ptr<DimSpace>> owned;
      std::vector<DimSpace *> dims;
      std::vector<Base> bases;
      for (int d = 0; d < 1 + round % 3; ++d) {
        bases.push_back(draw.base());
        int64_t size = 1;
        for (int64_t factor : bases.back())
          size *= factor;
        owned.push_back(std::make_unique<DimSpace>(
            size, std::vector<Base>{{size}, bases.back()},
            known.try_emplace(size, setup.mesh).first->second, setup.mesh));
        dims.push_back(owned.back().get());
      }
      TensorSpace space(dims, 2, setup.mesh, setup.cost);
      for (int i = 0; i < 3; ++i) {
        int vertex = space.vertex(
            canonical(draw.sharding(bases, setup.mesh), setup.mesh));
        for (const MoveEdge &edge : space.edges(vertex)) {
          Sharding from = space.sharding(vertex), to = space.sharding(edge.to);
          INFO(topology << ": " << from.str(setup.mesh) << " -> "
                        << to.str(setup.mesh));
          std::vector<int> moved;
          for (int axis = 0; axis < setup.mesh.numAxes(); ++axis)
            if (edge.axes >> axis & 1)
              moved.push_back(axis);
          CHECK(edge.cost == setup.cost.picoseconds(edge.kind, moved,
                                                    DType::BF16, from, to));
        }
      }
    }
  }
}

TEST_CASE("prices of all pairs are those of each pair") {
  uint64_t seed = 100;
  for (auto &[topology, axes] : setups) {
    Setup setup(topology, axes);
    for (int round = 0; round < 4; ++round) {
      Draw draw(++seed);
      auto spaces = std::make_shared<ReshardSpaces>(setup.mesh, setup.cost);
      ReshardPlanner together(spaces), single(setup.mesh, setup.cost);
      std::vector<Base> plain, factored;
      for (int d = 0; d < 1 + round % 3; ++d) {
        factored.push_back(draw.base());
        plain.push_back({1});
        for (int64_t factor : factored.back())
          plain.back()[0] *= factor;
      }
      std::vector<int> from, to;
      std::vector<Sharding> sources, targets;
      auto drawInto = [&](std::vector<int> &numbers,
                          std::vector<Sharding> &shardings) {
        for (int i = 0; i < 6; ++i) {
          shardings.push_back(
              draw.sharding(draw.below(2) ? plain : factored, setup.mesh));
          auto number = together.intern(shardings.back());
          REQUIRE(number);
          numbers.push_back(*number);
        }
      };
      drawInto(from, sources);
      drawInto(to, targets);
      // Nobody starts from halos, and pending maxima are never made.
      int64_t size = plain[0][0];
      Sharding halos = Sharding::replicated(sources[0].globalShape());
      halos.dims[0].factors = {{size, {0}, Halo{size, 1, 1, 3}}};
      Sharding maxima = Sharding::replicated(sources[0].globalShape());
      maxima.partialAxes = {1};
      maxima.combiner = Combiner::Max;
      for (const Sharding &special : {halos, maxima})
        if (auto number = together.intern(special))
          for (auto [numbers, shardings] :
               {std::pair(&from, &sources), std::pair(&to, &targets)}) {
            numbers->push_back(*number);
            shardings->push_back(special);
          }
      std::vector<int64_t> prices = together.picoseconds(DType::F32, from, to);
      REQUIRE(prices.size() == from.size() * to.size());
      CHECK(spaces->numPrices() > 0);
      ReshardPlanner heir(spaces);
      // Those that nobody asked for at first, in spaces that are known.
      std::vector<int> late;
      std::vector<Sharding> others;
      drawInto(late, others);
      std::vector<int64_t> more = together.picoseconds(DType::F32, late, to);
      for (size_t i = 0; i < late.size(); ++i)
        for (size_t j = 0; j < to.size(); ++j) {
          auto path = single.path(DType::F32, others[i], targets[j]);
          CHECK(more[i * to.size() + j] ==
                (path ? path->picoseconds : ReshardPlanner::unreachable));
        }
      for (size_t i = 0; i < from.size(); ++i)
        for (size_t j = 0; j < to.size(); ++j) {
          INFO(topology << ": " << sources[i].str(setup.mesh) << " -> "
                        << targets[j].str(setup.mesh));
          auto path = single.path(DType::F32, sources[i], targets[j]);
          CHECK(prices[i * to.size() + j] ==
                (path ? path->picoseconds : ReshardPlanner::unreachable));
          // Moves are found where all prices are known, too.
          auto after = together.path(DType::F32, sources[i], targets[j]);
          REQUIRE(bool(after) == bool(path));
          if (path)
            CHECK(after->moves.size() == path->moves.size());
          // Nor does what another planner asked before change anything.
          auto next = heir.path(DType::F32, sources[i], targets[j]);
          REQUIRE(bool(next) == bool(path));
          if (path)
            CHECK(next->picoseconds == path->picoseconds);
        }
    }
  }
}
