//===- CollectiveTests.cpp - Every way to move shards ---------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The oracle holds the whole tensor: each rank's operand is cut from it
// (pending values: from as many whole tensors as there are pending
// coordinates), and each rank's result must be the cut of their combination.
// All backends run as threads of the test: those of processes too, which meet,
// connect and talk as if they were alone.
//
//===----------------------------------------------------------------------===//

#include "ProcessWorlds.h"
#include "partita/Support/HostTensor.h"
#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <random>
#include <thread>

using namespace partita;
using namespace partita::runtime;
using namespace partita::test;

namespace {

struct Shards {
  std::vector<HostTensor> operands, expected;
};

/// Whole tensors by the digits of a rank along `axes`.
HostTensor wholeOf(const CollectiveSpec &spec, uint64_t digits) {
  HostTensor whole(spec.dtype, spec.from.globalShape());
  std::mt19937_64 random(digits + 7);
  for (int64_t i = 0; i < whole.numElements(); ++i)
    whole.setInt(i, static_cast<int64_t>(random() % 9) - 4);
  return whole;
}

uint64_t digitsOf(const Mesh &mesh, int64_t rank,
                  const std::vector<int> &axes) {
  uint64_t digits = 0;
  std::vector<int64_t> coords = mesh.coordinates(rank);
  for (int axis : axes)
    digits = digits * 16 + coords[axis] + 1;
  return digits;
}

HostTensor cut(const HostTensor &whole, const Box &box) {
  HostTensor shard(whole.dtype(), box.localShape());
  size_t size = dtypeSize(whole.dtype());
  forEachRun(box, [&](Run run) {
    std::memcpy(shard.data() + run.local * size,
                whole.data() + run.global * size, run.count * size);
  });
  return shard;
}

Shards oracle(const CollectiveSpec &spec, const Mesh &mesh) {
  Shards shards;
  for (int64_t r = 0; r < mesh.numRanks(); ++r) {
    std::vector<int64_t> coords = mesh.coordinates(r);
    shards.operands.push_back(
        cut(wholeOf(spec, digitsOf(mesh, r, spec.from.partialAxes)),
            boxOf(spec.from, mesh, coords)));
    // Combine over the ranks that differ along the axes that go away.
    std::vector<int> removed;
    for (int axis : spec.from.partialAxes)
      if (std::find(spec.to.partialAxes.begin(), spec.to.partialAxes.end(),
                    axis) == spec.to.partialAxes.end())
        removed.push_back(axis);
    HostTensor sum;
    for (int64_t member : mesh.group(r, removed)) {
      HostTensor term =
          wholeOf(spec, digitsOf(mesh, member, spec.from.partialAxes));
      if (!sum.defined())
        sum = term;
      else
        combineElements(spec.from.combiner, spec.dtype, sum.data(), term.data(),
                        sum.numElements());
    }
    shards.expected.push_back(cut(sum, boxOf(spec.to, mesh, coords)));
  }
  return shards;
}

/// What moves shards, for one mesh.
class Backend {
public:
  virtual ~Backend() = default;
  virtual std::unique_ptr<Communicator> communicator(int64_t rank) = 0;
  virtual void abort() = 0;
  /// The ranks that this process has, if not all.
  virtual std::optional<Interval> ranks() const { return std::nullopt; }
};

/// Reads in place, or sends messages through memory.
class Threads : public Backend {
public:
  Threads(const Mesh &mesh, bool direct)
      : mesh(mesh), direct(direct), world(mesh, std::chrono::seconds(20)) {}
  std::unique_ptr<Communicator> communicator(int64_t rank) override {
    if (direct)
      return world.communicator(rank, wholeGrid(mesh));
    transports.resize(mesh.numRanks());
    transports[rank] = world.transport(rank);
    return makeTransportCommunicator(*transports[rank], mesh,
                                     std::chrono::seconds(20));
  }
  void abort() override { world.abort(); }

private:
  Mesh mesh;
  bool direct;
  ThreadWorld world;
  std::vector<std::unique_ptr<Transport>> transports;
};

class Processes : public Backend {
public:
  Processes(const Mesh &mesh, int64_t ranksPerProcess)
      : mesh(mesh), worlds(mesh, ranksPerProcess) {}
  std::unique_ptr<Communicator> communicator(int64_t rank) override {
    return worlds.of(rank).communicator(rank, wholeGrid(mesh));
  }
  void abort() override { worlds.abort(); }

private:
  Mesh mesh;
  ProcessWorlds worlds;
};

/// One process of several.
class Launched : public Backend {
public:
  Launched(const Job &job, const Mesh &mesh) : mesh(mesh), world(job, mesh) {}
  std::unique_ptr<Communicator> communicator(int64_t rank) override {
    return (*world).communicator(rank, wholeGrid(mesh));
  }
  void abort() override { (*world).abort(); }
  std::optional<Interval> ranks() const override { return world.ranks(); }

private:
  Mesh mesh;
  OwnWorld world;
};

/// All backends that are there, made for a mesh.
std::vector<std::unique_ptr<Backend>> allBackends(const Mesh &mesh) {
  std::vector<std::unique_ptr<Backend>> all;
  if (std::optional<Job> job = launchedJob()) {
    if (mesh.numRanks() % job->processes == 0)
      all.push_back(std::make_unique<Launched>(*job, mesh));
    return all;
  }
  all.push_back(std::make_unique<Threads>(mesh, true));
  all.push_back(std::make_unique<Threads>(mesh, false));
  if (!ProcessWorlds::available() || mesh.numRanks() == 1)
    return all;
  all.push_back(std::make_unique<Processes>(mesh, 1));
  if (mesh.numRanks() % 2 == 0 && mesh.numRanks() > 2)
    all.push_back(std::make_unique<Processes>(mesh, 2));
  return all;
}

/// Runs the collective three times on all ranks; the failures, as text.
std::string runOn(const CollectiveSpec &spec, const Mesh &mesh,
                  Backend &backend, const Shards &shards,
                  bool inPlace = false) {
  std::vector<std::string> failures(mesh.numRanks());
  std::vector<std::unique_ptr<Communicator>> communicators(mesh.numRanks());
  Interval here = backend.ranks().value_or(Interval{0, mesh.numRanks()});
  for (int64_t r = here.begin; r < here.end; ++r)
    communicators[r] = backend.communicator(r);
  std::vector<std::thread> threads;
  for (int64_t r = here.begin; r < here.end; ++r)
    threads.emplace_back([&, r] {
      auto prepared = communicators[r]->prepare(spec);
      if (!prepared) {
        failures[r] = prepared.error().str();
        backend.abort();
        return;
      }
      for (int round = 0; round < 3; ++round) {
        HostTensor operand = shards.operands[r].clone();
        HostTensor result =
            inPlace ? operand
                    : HostTensor(spec.dtype, shards.expected[r].shape());
        Status status = (*prepared)->execute(operand.data(), result.data());
        if (!status)
          failures[r] = status.error().str();
        else if (std::memcmp(result.data(), shards.expected[r].data(),
                             result.numBytes()) != 0)
          failures[r] = "rank " + std::to_string(r) + " has wrong values";
        // Whoever still reads our memory must be done.
        std::memset(operand.data(), 0xee, operand.numBytes());
        std::memset(result.data(), 0xee, result.numBytes());
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  std::string all;
  for (const std::string &failure : failures)
    all += failure;
  return all;
}

/// A random legal sharding of `shape` over a random subset of `axes`.
Sharding randomSharding(const std::vector<int64_t> &shape, const Mesh &mesh,
                        std::vector<int> axes, std::mt19937_64 &random) {
  while (true) {
    Sharding sharding = Sharding::replicated(shape);
    for (DimSharding &dim : sharding.dims)
      if (dim.factors[0].size % 2 == 0 && random() % 2) {
        int64_t half = dim.factors[0].size / 2;
        dim.factors = random() % 2
                          ? std::vector<FactorSharding>{{2, {}}, {half, {}}}
                          : std::vector<FactorSharding>{{half, {}}, {2, {}}};
      }
    std::shuffle(axes.begin(), axes.end(), random);
    for (int axis : axes) {
      size_t d = random() % (sharding.dims.size() + 1);
      if (d < sharding.dims.size()) {
        auto &factors = sharding.dims[d].factors;
        factors[random() % factors.size()].axes.push_back(axis);
      }
    }
    if (checkSharding(sharding, shape, mesh, "random"))
      return sharding;
  }
}

CollectiveSpec randomSpec(const Mesh &mesh, std::mt19937_64 &random) {
  const std::vector<int64_t> shapes[] = {
      {12}, {7}, {6, 8}, {5, 7}, {4, 6, 10}, {3, 5, 9}, {2, 1, 30}};
  const std::vector<int64_t> &shape = shapes[random() % 7];
  std::vector<int> all, pending, split;
  for (int axis = 0; axis < mesh.numAxes(); ++axis)
    all.push_back(axis);
  for (int axis : all)
    (random() % 3 == 0 ? pending : split).push_back(axis);
  CollectiveSpec spec;
  const DType types[] = {DType::F32, DType::F64, DType::I64, DType::I32};
  const Combiner combiners[] = {Combiner::Sum, Combiner::Max, Combiner::Min};
  spec.dtype = types[random() % 4];
  spec.from = randomSharding(shape, mesh, split, random);
  if (!pending.empty()) {
    spec.from.partialAxes = pending;
    spec.from.combiner = combiners[random() % 3];
  }
  std::vector<int> free = split, remain;
  for (int axis : pending)
    (random() % 3 == 0 ? remain : free).push_back(axis);
  spec.to = randomSharding(shape, mesh, free, random);
  if (!remain.empty()) {
    spec.to.partialAxes = remain;
    spec.to.combiner = spec.from.combiner;
  }
  // Pending axes that remain are not communicated over.
  for (int axis : all)
    if (std::find(remain.begin(), remain.end(), axis) == remain.end())
      spec.axes.push_back(axis);
  spec.kind = CollectiveKind::Permute;
  return spec;
}

} // namespace

TEST_CASE("random reshards equal the oracle", "[collective][backends]") {
  std::mt19937_64 random(3);
  for (const char *text : {"a=2", "a=3", "a=2,b=2", "a=2,b=3", "a=1,b=2"}) {
    Mesh mesh = *Mesh::parse(text);
    auto backends = allBackends(mesh);
    for (int i = 0; i < 60; ++i) {
      CollectiveSpec spec = randomSpec(mesh, random);
      INFO(text << " " << dtypeName(spec.dtype) << " " << spec.from.str(mesh)
                << " -> " << spec.to.str(mesh));
      Shards shards = oracle(spec, mesh);
      for (auto &backend : backends)
        REQUIRE(runOn(spec, mesh, *backend, shards) == "");
    }
  }
}

TEST_CASE("borders of neighbours equal the oracle", "[collective][backends]") {
  const Halo halos[] = {{24, 1, 1, 3},  {12, 2, 1, 3}, {12, 2, 0, 2},
                        {24, 1, 6, 13}, {18, 1, 0, 7}, {4, 6, 2, 9}};
  for (const char *text : {"a=2", "a=3", "a=2,b=2"}) {
    Mesh mesh = *Mesh::parse(text);
    auto backends = allBackends(mesh);
    for (const Halo &halo : halos)
      for (size_t dim : {0, 1}) {
        CollectiveSpec spec;
        spec.kind = CollectiveKind::HaloExchange;
        spec.from =
            Sharding::replicated(dim == 0 ? std::vector<int64_t>{24, 5}
                                          : std::vector<int64_t>{5, 24});
        spec.axes =
            mesh.numAxes() == 2 ? std::vector<int>{0, 1} : std::vector<int>{0};
        spec.from.dims[dim].factors[0].axes = spec.axes;
        spec.to = spec.from;
        spec.to.dims[dim].factors[0].halo = halo;
        INFO(text << " " << spec.from.str(mesh) << " -> " << spec.to.str(mesh));
        Shards shards = oracle(spec, mesh);
        for (auto &backend : backends)
          REQUIRE(runOn(spec, mesh, *backend, shards) == "");
      }
  }
}

TEST_CASE("all-reduce of any length, in place too", "[collective][backends]") {
  for (const char *text : {"a=2", "a=3", "a=5", "a=2,b=2"}) {
    Mesh mesh = *Mesh::parse(text);
    auto backends = allBackends(mesh);
    for (int64_t count : {1, 15, 16, 17, 100, 1023, 5000, 40000})
      for (DType type : {DType::F32, DType::F16, DType::Bool}) {
        CollectiveSpec spec;
        spec.dtype = type;
        spec.from = spec.to = Sharding::replicated({count});
        spec.axes = {mesh.numAxes() - 1};
        spec.from.partialAxes = spec.axes;
        spec.from.combiner = Combiner::Sum;
        INFO(text << " " << count << " " << dtypeName(type));
        Shards shards = oracle(spec, mesh);
        for (auto &backend : backends)
          for (bool inPlace : {false, true})
            REQUIRE(runOn(spec, mesh, *backend, shards, inPlace) == "");
      }
  }
}

TEST_CASE("long messages arrive whole", "[collective][backends]") {
  for (const char *text : {"a=2", "a=3", "a=5", "a=2,b=2"}) {
    Mesh mesh = *Mesh::parse(text);
    CollectiveSpec spec;
    spec.kind = CollectiveKind::AllGather;
    spec.from = spec.to = Sharding::replicated({3'000'000});
    spec.from.dims[0].factors[0].axes = spec.axes = {0};
    auto backends = allBackends(mesh);
    Shards shards = backends.empty() ? Shards() : oracle(spec, mesh);
    for (auto &backend : backends)
      REQUIRE(runOn(spec, mesh, *backend, shards) == "");
  }
}

TEST_CASE("strided runs are grouped", "[collective]") {
  Mesh mesh = *Mesh::parse("a=2");
  CollectiveSpec spec;
  spec.to = Sharding::replicated({1000, 8});
  spec.from = spec.to;
  spec.from.dims[1].factors[0].axes = {0};
  spec.axes = {0};
  Result<ExchangePlan> plan = planExchange(spec, mesh, 1);
  REQUIRE(plan);
  REQUIRE(plan->terms.size() == 1);
  REQUIRE(plan->terms[0].size() == 2);
  for (const Piece &piece : plan->terms[0]) {
    CHECK(piece.runs.size() == 1);
    CHECK(piece.elements() == 4000);
  }
}

TEST_CASE("a group that does not own the result is refused", "[collective]") {
  Mesh mesh = *Mesh::parse("a=2,b=2");
  CollectiveSpec spec;
  spec.to = Sharding::replicated({8});
  spec.from = spec.to;
  spec.from.dims[0].factors[0].axes = {0};
  spec.axes = {1};
  CHECK_FALSE(planExchange(spec, mesh, 0));
  spec.from = Sharding::replicated({8});
  spec.to.partialAxes = {0};
  spec.to.combiner = Combiner::Sum;
  CHECK_FALSE(planExchange(spec, mesh, 0));
}

TEST_CASE("blocks that overlap are no beginning", "[collective]") {
  Mesh mesh = *Mesh::parse("a=2");
  CollectiveSpec spec;
  spec.to = spec.from = Sharding::replicated({8});
  spec.from.dims[0].factors[0] = {8, {0}, Halo{8, 1, 1, 3}};
  spec.axes = {0};
  CHECK_FALSE(planExchange(spec, mesh, 0));
}

TEST_CASE("a missing rank times out, a failing one wakes the rest",
          "[collective]") {
  Mesh mesh = *Mesh::parse("a=3");
  CollectiveSpec spec;
  spec.from = spec.to = Sharding::replicated({64});
  spec.from.partialAxes = {0};
  spec.from.combiner = Combiner::Sum;
  spec.axes = {0};
  for (bool abort : {false, true}) {
    ThreadWorld world(mesh, abort ? std::chrono::duration<double>(30)
                                  : std::chrono::duration<double>(0.3));
    std::vector<std::string> codes(2);
    Clock::time_point begin = Clock::now();
    std::vector<std::thread> threads;
    for (int64_t r = 0; r < 2; ++r)
      threads.emplace_back([&, r] {
        auto communicator = world.communicator(r, wholeGrid(mesh));
        auto prepared = communicator->prepare(spec);
        HostTensor in(DType::F32, {64}), out(DType::F32, {64});
        Status status = (*prepared)->execute(in.data(), out.data());
        codes[r] = status ? "" : status.error().code;
      });
    if (abort) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      CHECK(world.waitState(0).waiting);
      CHECK(world.waitState(0).missing == std::vector<int64_t>{2});
      world.abort();
    }
    for (std::thread &thread : threads)
      thread.join();
    CHECK(codes[0] == (abort ? "run.aborted" : "run.timeout"));
    CHECK(codes[1] == codes[0]);
    CHECK(Clock::now() - begin < std::chrono::seconds(2));
  }
}

TEST_CASE("processes agree on who is missing", "[collective]") {
  if (!ProcessWorlds::available())
    return;
  Mesh mesh = *Mesh::parse("a=3");
  ProcessWorlds worlds(mesh, 1, /*timeoutSeconds=*/0.3);
  CollectiveSpec spec;
  spec.from = spec.to = Sharding::replicated({64});
  spec.from.partialAxes = {0};
  spec.from.combiner = Combiner::Sum;
  spec.axes = {0};
  std::vector<Error> verdicts(2);
  Clock::time_point begin = Clock::now();
  std::vector<std::thread> threads;
  for (int64_t r = 0; r < 2; ++r)
    threads.emplace_back([&, r] {
      auto communicator = worlds.of(r).communicator(r, wholeGrid(mesh));
      auto prepared = communicator->prepare(spec);
      HostTensor in(DType::F32, {64}), out(DType::F32, {64});
      Status status = (*prepared)->execute(in.data(), out.data());
      verdicts[r] = worlds.of(r).settle(status.error());
    });
  for (std::thread &thread : threads)
    thread.join();
  CHECK(Clock::now() - begin < std::chrono::seconds(2));
  for (const Error &verdict : verdicts) {
    CHECK(verdict.code == "run.timeout");
    CHECK(verdict.place == "rank 2");
    CHECK(verdict.str() == verdicts[0].str());
  }
}

TEST_CASE("worlds that come and go leave nothing behind", "[collective]") {
  if (!ProcessWorlds::available())
    return;
  auto entries = [](const char *folder) {
    auto begin = std::filesystem::directory_iterator(folder);
    return std::distance(begin, std::filesystem::directory_iterator());
  };
  Mesh mesh = *Mesh::parse("a=2");
  ptrdiff_t descriptors = 0, threads = 0;
  for (int round = 0; round < 50; ++round) {
    ProcessWorlds worlds(mesh, 1);
    if (round == 5) {
      descriptors = entries("/proc/self/fd");
      threads = entries("/proc/self/task");
    } else if (round > 5) {
      REQUIRE(entries("/proc/self/fd") == descriptors);
      REQUIRE(entries("/proc/self/task") == threads);
    }
  }
}
