//===- KernelTest.cpp -----------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What must hold of any prices whatever their constants, and published times.
//
//===----------------------------------------------------------------------===//

#include "Machines.h"
#include "partita/Cost/Cost.h"
#include <catch2/catch.hpp>

using namespace partita;
using namespace partita::test;

static KernelWork product(double batch, double m, double n, double k,
                          Precision precision = Precision::F16) {
  KernelWork work;
  work.kernelClass = KernelClass::Gemm;
  work.precision = precision;
  work.batch = batch;
  work.m = m;
  work.n = n;
  work.k = k;
  work.flops = 2 * batch * m * n * k;
  double bytes = precision == Precision::F8 ? 1 : 2;
  work.bytes = bytes * batch * (m * k + k * n + m * n);
  return work;
}

/// |log(price / published)|, in microseconds.
static double logError(const KernelCost &cost, const KernelWork &work,
                       double microseconds) {
  double price = static_cast<double>(cost.picoseconds(work)) * 1e-6;
  return std::abs(std::log(price / microseconds));
}

TEST_CASE("kernels of a processor") {
  KernelCost cost(*Topology::parse("cpu:2"));
  auto price = [&](KernelClass kernelClass, Precision precision, double flops,
                   double bytes) {
    KernelWork work;
    work.kernelClass = kernelClass;
    work.precision = precision;
    work.flops = flops;
    work.bytes = bytes;
    return cost.picoseconds(work);
  };
  auto gemm = [&](double flops, double bytes) {
    return price(KernelClass::Gemm, Precision::F32, flops, bytes);
  };
  CHECK(price(KernelClass::Free, Precision::F32, 1 << 20, 1 << 20) == 0);
  // A launch at least; then what is slower.
  CHECK(gemm(0, 0) > 0);
  CHECK(gemm(1e9, 0) > 5'000'000'000);
  CHECK(gemm(1e9, 0) < 20'000'000'000);
  CHECK(gemm(1e9, 1000) == gemm(1e9, 0));
  CHECK(gemm(0, 1 << 30) > gemm(0, 1 << 20));
  CHECK(price(KernelClass::Gemm, Precision::F64, 1e9, 0) > gemm(1e9, 0));
  CHECK(price(KernelClass::Memory, Precision::F32, 9e18, 9e18) > 0);
}

TEST_CASE("the shape of a product follows from its rule") {
  // [b,m,k] x [b,k,n], m and k split over two ranks.
  ShardingRule rule = RuleBuilder({3, 3}, {3})
                          .parallel("b", 6, {{0, 0}, {1, 0}}, {{0, 0}})
                          .parallel("m", 64, {{0, 1}}, {{0, 1}})
                          .parallel("n", 32, {{1, 2}}, {{0, 2}})
                          .reduction("k", 128, Combiner::Sum, {{0, 2}, {1, 1}})
                          .linear({0})
                          .build();
  int64_t flops = 2 * 6 * 64 * 32 * 128;
  KernelWork whole = kernelWork(rule, KernelClass::Gemm, DType::BF16, flops,
                                {6, 64, 32, 128, 1}, 1000);
  CHECK(whole.batch == 6);
  CHECK(whole.m == 64);
  CHECK(whole.n == 32);
  CHECK(whole.k == 128);
  CHECK(whole.flops == static_cast<double>(flops));
  CHECK(whole.bytes == 1000);
  CHECK(whole.precision == Precision::BF16);
  KernelWork part = kernelWork(rule, KernelClass::Gemm, DType::BF16, flops,
                               {6, 32, 32, 64, 1}, 500);
  CHECK(part.m == 32);
  CHECK(part.k == 64);
  CHECK(part.flops == static_cast<double>(flops / 4));
  // Queries are rows, keys are counted twice, heads are columns.
  ShardingRule attention =
      RuleBuilder({3, 3, 3}, {3})
          .parallel("h", 8, {{0, 0}, {1, 0}, {2, 0}}, {{0, 0}})
          .parallel("s", 16, {{0, 1}}, {{0, 1}})
          .reduction("t", 48, Combiner::Sum, {{1, 1}, {2, 1}})
          .replicate("d", 64, {{0, 2}, {1, 2}}, {})
          .parallel("e", 64, {{2, 2}}, {{0, 2}})
          .build();
  KernelWork heads = kernelWork(attention, KernelClass::Attention, DType::F16,
                                4 * 8 * 16 * 48 * 64, {8, 16, 48, 64, 64}, 0);
  CHECK(heads.batch == 8);
  CHECK(heads.m == 16);
  CHECK(heads.n == 64);
  CHECK(heads.k == 96);
  // Going back, what is known of the queries' rows comes as more operands, and
  // the size of a head stands in query and key.
  ShardingRule gradient =
      RuleBuilder({3, 3, 3, 2, 3}, {3})
          .parallel("h", 8, {{0, 0}, {1, 0}, {2, 0}, {3, 0}, {4, 0}}, {{0, 0}})
          .parallel("s", 16, {{0, 1}, {3, 1}, {4, 1}}, {{0, 1}})
          .reduction("t", 48, Combiner::Sum, {{1, 1}, {2, 1}})
          .replicate("d", 64, {{0, 2}, {1, 2}}, {{0, 2}})
          .replicate("e", 64, {{2, 2}, {4, 2}}, {})
          .build();
  KernelWork back = kernelWork(gradient, KernelClass::Attention, DType::F16,
                               10 * 8 * 16 * 48 * 64, {8, 16, 48, 64, 64}, 0);
  CHECK(back.batch == 8);
  CHECK(back.m == 16);
  CHECK(back.n == 64);
}

TEST_CASE("products of published times") {
  // Eleuther AI's cookbook, commit 827ee3b293, benchmarks/sizing: not among the
  // rows that constants were fitted on.
  KernelCost ampere(a100());
  CHECK(logError(ampere, product(128, 1024, 1024, 1024), 1209.3) < 0.08);
  CHECK(logError(ampere, product(128, 1024, 2048, 1024), 2260) < 0.08);
  CHECK(logError(ampere, product(1, 8192, 12288, 4096), 3413) < 0.08);
  CHECK(logError(ampere, product(1, 8192, 51200, 4096), 13453) < 0.1);
  // Azure's benchmarking guide, steady state.
  CHECK(logError(ampere, product(1, 8192, 8192, 8192), 4333.9) < 0.1);
  KernelCost hopper(h100());
  CHECK(logError(hopper, product(1, 8192, 8192, 8192, Precision::F8), 852.3) <
        0.1);
  CHECK(logError(hopper, product(1, 1024, 1024, 1024, Precision::F8), 7.8) <
        0.25);
  // One row is a matrix times a vector: as fast as memory.
  CHECK(logError(hopper, product(1, 1, 8192, 28672), 171) < 0.1);
}

TEST_CASE("what shapes cost") {
  KernelCost cost(a100());
  auto price = [&](double batch, double m, double n, double k) {
    return cost.picoseconds(product(batch, m, n, k));
  };
  // The edges of tiles are computed in vain.
  CHECK(price(1, 108 * 256, 136, 4096) > price(1, 108 * 256, 128, 4096));
  // Less depth, lower rate; and never more than the ceiling.
  for (double k : {64., 256., 1024., 4096.}) {
    double flops = 2 * 4096. * 4096 * k;
    double rate = flops / static_cast<double>(price(1, 4096, 4096, k)) * 1e12;
    double twice =
        2 * flops / static_cast<double>(price(1, 4096, 4096, 2 * k)) * 1e12;
    CHECK(rate < twice);
    CHECK(twice < 0.8 * 312e12);
  }
  // Ten times the batch takes at most ten times as long, and longer than once.
  CHECK(price(10, 100, 100, 100) <= 10 * price(1, 100, 100, 100));
  CHECK(price(10, 1000, 1000, 1000) > price(1, 1000, 1000, 1000));
  // A product that few units could share is cut along k.
  double flops = 2 * 64. * 64 * (1 << 20);
  CHECK(static_cast<double>(price(1, 64, 64, 1 << 20)) <
        flops / (312e12 / 108) * 1e12 / 4);
  // Nothing to compute is a launch.
  CHECK(price(1, 0, 10, 10) < 10'000'000);
  // Prices grow with what is read, whatever the class.
  for (KernelClass kernelClass : {KernelClass::Memory, KernelClass::Gemm,
                                  KernelClass::Conv, KernelClass::Attention}) {
    int64_t before = 0;
    for (double bytes : {0., 1e3, 1e6, 1e9, 1e12, 1e300}) {
      KernelWork work = product(2, 128, 64, 32);
      work.kernelClass = kernelClass;
      work.bytes = bytes;
      CHECK(cost.picoseconds(work) >= before);
      before = cost.picoseconds(work);
    }
    CHECK(before == 1'000'000'000'000'000);
  }
}

TEST_CASE("attention of published rates") {
  auto attention = [](double heads, double queries, double keys, double size) {
    KernelWork work;
    work.kernelClass = KernelClass::Attention;
    work.precision = Precision::F16;
    work.batch = heads;
    work.m = queries;
    work.n = size;
    work.k = 2 * keys;
    work.flops = 4 * heads * queries * keys * size;
    work.bytes = 2 * heads * size * (2 * queries + 2 * keys);
    return work;
  };
  // FlashAttention-3 on H100, 16 heads of 128, 16,384 tokens in all
  // (pytorch/benchmark #2391); FlashAttention-2 on A100, heads of 64 (Azure).
  struct Row {
    double keys, rate;
  };
  KernelCost hopper(h100());
  for (Row row : {Row{512, 430.3},
                  {1024, 517.1},
                  {2048, 565.5},
                  {8192, 614.2},
                  {16384, 620.7}}) {
    KernelWork work = attention(16 * 16384 / row.keys, row.keys, row.keys, 128);
    CHECK(logError(hopper, work, work.flops / row.rate * 1e-6) < 0.1);
  }
  KernelWork work = attention(64, 8192, 8192, 64);
  CHECK(logError(KernelCost(a100()), work, work.flops / 179.5 * 1e-6) < 0.1);
  // One query against many keys: the keys are cut, and reading them counts.
  KernelWork decode = attention(8, 1, 1 << 16, 128);
  CHECK(static_cast<double>(hopper.picoseconds(decode)) <
        10 * decode.bytes / 3.35e12 * 1e12);
}

TEST_CASE("constants of devices") {
  auto named = [](std::string name) {
    DeviceType device = h100();
    device.name = std::move(name);
    return kernelConstants(device, Precision::BF16).ceiling;
  };
  CHECK(named("H100-PCIe-80GB") == named("nvidia h100"));
  CHECK(named("A100-SXM4-40GB") == named("a100"));
  CHECK(named("h1000") != named("h100"));
  // What is not known takes what its best shape sustains, and a little less.
  DeviceType other = h100();
  other.name = "accelerator";
  other.sustained[static_cast<size_t>(Precision::BF16)] = 494.7e12;
  CHECK(kernelConstants(other, Precision::BF16).ceiling == Approx(0.93 * 0.5));
}
