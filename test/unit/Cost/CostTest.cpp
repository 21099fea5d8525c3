//===- CostTest.cpp -------------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What must hold of any prices whatever their constants.
//
//===----------------------------------------------------------------------===//

#include "partita/Cost/Cost.h"
#include <catch2/catch.hpp>

using namespace partita;

TEST_CASE("kernels") {
  KernelCost cost(*Topology::parse("cpu:2"));
  auto gemm = [&](int64_t flops, int64_t bytes) {
    return cost.picoseconds(KernelClass::Gemm, DType::F32, flops, bytes);
  };
  CHECK(cost.picoseconds(KernelClass::Free, DType::F32, 1 << 20, 1 << 20) == 0);
  // A launch at least; then what is slower.
  CHECK(gemm(0, 0) > 0);
  CHECK(gemm(1'000'000'000, 0) > 5'000'000'000);
  CHECK(gemm(1'000'000'000, 0) < 20'000'000'000);
  CHECK(gemm(1'000'000'000, 1000) == gemm(1'000'000'000, 0));
  CHECK(gemm(0, 1 << 30) > gemm(0, 1 << 20));
  CHECK(cost.picoseconds(KernelClass::Gemm, DType::F64, 1 << 30, 0) >
        gemm(1 << 30, 0));
  CHECK(cost.picoseconds(KernelClass::Memory, DType::F32, INT64_MAX,
                         INT64_MAX) > 0);
}

TEST_CASE("collectives") {
  Mesh mesh = *Mesh::parse("x=2,y=4");
  CollectiveCost cost(*Topology::parse("cpu:8"), mesh);
  auto price = [&](MoveKind kind, int64_t ranks, int64_t from, int64_t to) {
    return cost.picoseconds(kind, ranks, from, to, to);
  };
  int64_t n = 1 << 20;
  for (int64_t p : {2, 4, 8}) {
    int64_t gather = price(MoveKind::AllGather, p, n / p, n);
    int64_t scatter = price(MoveKind::ReduceScatter, p, n, n / p);
    int64_t reduce = price(MoveKind::AllReduce, p, n, n);
    // An all-reduce is its two halves; all-to-all moves least.
    CHECK(std::abs(reduce - gather - scatter) <= 2);
    CHECK(scatter < gather);
    CHECK(cost.picoseconds(MoveKind::AllToAll, p, n / p, n / p,
                           n / p - n / p / p) < gather);
    CHECK(price(MoveKind::Slice, p, n, n / p) < gather);
  }
  for (int kind = 0; kind < 7; ++kind)
    CHECK(price(static_cast<MoveKind>(kind), 1, n, n) == 0);
  CHECK(price(MoveKind::AllGather, 4, n, 4 * n) >
        price(MoveKind::AllGather, 2, n, 2 * n));
}

TEST_CASE("uneven shards are priced by the largest") {
  Mesh mesh = *Mesh::parse("x=2,y=3");
  auto local = [&](Sharding sharding) {
    return maxLocalBytes(sharding, mesh, DType::F32);
  };
  CHECK(local({{{{{7, {0}}}}}, {}, Combiner::None}) == 16);
  CHECK(local({{{{{7, {0, 1}}}}}, {}, Combiner::None}) == 8);
  CHECK(local({{{{{5, {1}}, {4, {}}}}}, {}, Combiner::None}) == 32);
  CHECK(local({}) == 4);
  // Rank 0 is a largest one.
  for (int64_t size = 6; size < 30; ++size) {
    Sharding sharding{{{{{size, {1, 0}}}}}, {}, Combiner::None};
    for (int64_t rank = 0; rank < mesh.numRanks(); ++rank)
      CHECK(localShape(sharding, mesh, rank)[0] * 4 <= local(sharding));
    CHECK(localShape(sharding, mesh, 0)[0] * 4 == local(sharding));
  }
}

TEST_CASE("an all-to-all is priced by what ranks lack") {
  Mesh mesh = *Mesh::parse("x=2,y=2");
  CollectiveCost cost(*Topology::parse("cpu:4"), mesh);
  auto plain = [](std::vector<FactorSharding> dims) {
    Sharding sharding;
    for (FactorSharding &factor : dims)
      sharding.dims.push_back({{factor}});
    return sharding;
  };
  auto price = [&](MoveKind kind, std::vector<int> axes, Sharding from,
                   Sharding to) {
    return cost.picoseconds(kind, axes, DType::F32, from, to);
  };
  // Everything changes its rank: no cheaper than a permutation.
  Sharding a = plain({{64, {0}}, {64, {1}}}), b = plain({{64, {1}}, {64, {0}}});
  CHECK(price(MoveKind::AllToAll, {0, 1}, a, b) ==
        price(MoveKind::Permute, {0, 1}, a, b));
  // Half of it stays.
  Sharding rows = plain({{64, {0}}, {64, {}}}),
           cols = plain({{64, {}}, {64, {0}}});
  CHECK(price(MoveKind::AllToAll, {0}, rows, cols) <
        price(MoveKind::AllGather, {0}, rows, plain({{64, {}}, {64, {}}})));
}
