//===- MeasuredTest.cpp ---------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Prices of machines that were measured: exact at the points, between them and
// beyond them as documented, and never falling with bytes.
//
//===----------------------------------------------------------------------===//

#include "partita/Cost/Cost.h"
#include <catch2/catch.hpp>
#include <cmath>

using namespace partita;

static KernelWork product(double m, double n, double k) {
  KernelWork work;
  work.kernelClass = KernelClass::Gemm;
  work.m = m;
  work.n = n;
  work.k = k;
  work.flops = 2 * m * n * k;
  work.bytes = 4 * (m * k + k * n + m * n);
  return work;
}

static KernelTable products(std::vector<double> seconds) {
  return {KernelClass::Gemm,
          Precision::F32,
          1,
          {{16, 64}, {128}, {64, 256}},
          std::move(seconds)};
}

static Topology machine(CalibratedLoad load,
                        const std::string &text = "cpu:4") {
  Topology topology = *Topology::parse(text);
  topology.measured = std::make_shared<const CalibratedLoad>(std::move(load));
  return topology;
}

/// In seconds.
static double price(const KernelCost &cost, const KernelWork &work) {
  return toSeconds(cost.picoseconds(work));
}

TEST_CASE("measured shapes cost what was measured") {
  CalibratedLoad load{4, 1, {products({1e-3, 3e-3, 7e-3, 9e-3})}, {}};
  KernelCost cost(machine(load)), model(*Topology::parse("cpu:4"));
  CHECK(price(cost, product(16, 128, 64)) == Approx(1e-3));
  CHECK(price(cost, product(16, 128, 256)) == Approx(3e-3));
  CHECK(price(cost, product(64, 128, 64)) == Approx(7e-3));
  CHECK(price(cost, product(64, 128, 256)) == Approx(9e-3));
  // What there is no table of is modelled.
  KernelWork other = product(16, 128, 64);
  other.precision = Precision::F64;
  CHECK(cost.picoseconds(other) == model.picoseconds(other));
  other = product(16, 128, 64);
  other.kernelClass = KernelClass::Conv;
  CHECK(cost.picoseconds(other) == model.picoseconds(other));
}

TEST_CASE("between points, multiples of the model are interpolated") {
  CalibratedLoad load{4, 1, {products({1e-3, 3e-3, 7e-3, 9e-3})}, {}};
  KernelCost cost(machine(load)), model(*Topology::parse("cpu:4"));
  auto multiple = [&](double m, double n, double k) {
    KernelWork work = product(m, n, k);
    return price(cost, work) / price(model, work);
  };
  auto near = [](double value) { return Approx(value).epsilon(1e-6); };
  // Halfway, in logarithms, along one coordinate, and along two.
  CHECK(multiple(32, 128, 64) ==
        near(std::sqrt(multiple(16, 128, 64) * multiple(64, 128, 64))));
  CHECK(multiple(32, 128, 128) ==
        near(std::sqrt(multiple(32, 128, 64) * multiple(32, 128, 256))));
  // A quarter of the way.
  CHECK(multiple(16 * std::sqrt(2), 128, 64) ==
        near(std::pow(multiple(16, 128, 64), 0.75) *
             std::pow(multiple(64, 128, 64), 0.25)));
  // Outside, that of the nearest point.
  CHECK(multiple(1, 128, 64) == near(multiple(16, 128, 64)));
  CHECK(multiple(1000, 5000, 10000) == near(multiple(64, 128, 256)));
  CHECK(multiple(32, 1, 64) == near(multiple(32, 128, 64)));
  // Batches take so many times as long, but for the launch.
  KernelWork many = product(16, 128, 256);
  many.batch = 10;
  many.flops *= 10;
  many.bytes *= 10;
  CHECK(price(cost, many) < 30e-3);
  CHECK(price(cost, many) > 20e-3);
}

TEST_CASE("memory-bound kernels are found by bytes and intensity") {
  KernelTable memory{KernelClass::Memory,
                     Precision::F32,
                     1,
                     {{4096, 1 << 20}, {0.1, 2}},
                     {1e-6, 2e-6, 100e-6, 500e-6}};
  KernelCost cost(machine({4, 1, {memory}, {}}));
  KernelWork work;
  work.bytes = 4096;
  work.flops = 2 * 4096;
  CHECK(price(cost, work) == Approx(2e-6));
  work.bytes = 1 << 20;
  work.flops = 0.1 * (1 << 20);
  CHECK(price(cost, work) == Approx(100e-6));
  work.flops = 0; // As little as there is.
  CHECK(price(cost, work) == Approx(100e-6).epsilon(0.01));
}

TEST_CASE("measured collectives") {
  auto table = [](const std::string &move, int64_t ranks,
                  std::vector<double> seconds) {
    return CollectiveTable{
        move, ranks, {1024, 16384, 65536}, std::move(seconds)};
  };
  CalibratedLoad load{4,
                      1,
                      {},
                      {table("all_gather", 2, {1e-5, 4e-5, 2e-5}),
                       table("reduce_scatter", 2, {2e-5, 4e-5, 8e-5}),
                       table("all_to_all", 2, {3e-5, 4e-5, 8e-5})}};
  Mesh mesh = *Mesh::parse("x=2,y=2");
  CollectiveCost cost(machine(load), mesh),
      model(*Topology::parse("cpu:4"), mesh);
  auto seconds = [&](const CollectiveCost &of, MoveKind kind, uint32_t axes,
                     MoveBytes bytes) {
    return toSeconds(of.picoseconds(kind, axes, bytes));
  };
  auto gather = [&](int64_t bytes) {
    return seconds(cost, MoveKind::AllGather, 1, {bytes / 2, bytes, 0, 0});
  };
  CHECK(gather(1024) == Approx(1e-5));
  CHECK(gather(16384) == Approx(4e-5));
  CHECK(gather(4096) == Approx(2e-5));
  CHECK(gather(16) == Approx(1e-5));
  // Never less for more; then in proportion.
  CHECK(gather(65536) == Approx(4e-5));
  CHECK(gather(4 * 65536) == Approx(16e-5));
  for (int64_t bytes = 8; bytes < 1 << 20; bytes += bytes / 2)
    CHECK(gather(bytes) <= gather(bytes + bytes / 2));
  CHECK(seconds(cost, MoveKind::ReduceScatter, 2, {16384, 8192, 0, 0}) ==
        Approx(4e-5));
  CHECK(seconds(cost, MoveKind::AllToAll, 2, {4096, 4096, 1024, 0}) ==
        Approx(3e-5));
  CHECK(seconds(cost, MoveKind::Permute, 2, {16384, 16384, 16384, 0}) ==
        Approx(4e-5));
  CHECK(seconds(cost, MoveKind::HaloExchange, 2, {4096, 8192, 1024, 0}) > 3e-5);
  // Groups and moves without a table are modelled.
  for (auto [kind, axes] :
       {std::pair(MoveKind::AllGather, 3u), std::pair(MoveKind::AllReduce, 1u)})
    CHECK(seconds(cost, kind, axes, {4096, 4096, 0, 0}) ==
          seconds(model, kind, axes, {4096, 4096, 0, 0}));
  CHECK(cost.picoseconds(MoveKind::AllGather, 0, {4096, 4096, 0, 0}) == 0);
}
