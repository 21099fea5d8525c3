//===- PaceTests.cpp - Steps that follow each other closely ---------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// How far ranks go ahead of each other, and messages that are under way.
//
//===----------------------------------------------------------------------===//

#include "ProcessWorlds.h"
#include "lib/Runtime/Pace.h"
#include <atomic>
#include <catch2/catch.hpp>

using namespace partita;
using namespace partita::runtime;
using namespace partita::test;
using namespace std::chrono_literals;

TEST_CASE("ranks go ahead as far as they may", "[pace]") {
  for (int64_t ahead : {0, 1, 3}) {
    Pace pace;
    pace.begin({4, 6}, ahead);
    for (int64_t step = 0; step <= ahead; ++step) {
      REQUIRE(pace.enter(4, 10s));
      pace.leave(4);
    }
    // Rank 5 has done nothing yet.
    Status early = pace.enter(4, 10ms);
    REQUIRE_FALSE(early);
    CHECK(early.error().code == "run.timeout");
    CHECK(pace.awaitedBy(4) == 0);
    CHECK(pace.awaitedBy(5) == -1);
    CHECK(pace.late(0) == std::vector<int64_t>{5});
    CHECK_FALSE(pace.await(0, 10ms));
    REQUIRE(pace.enter(5, 10s));
    pace.leave(5);
    REQUIRE(pace.await(0, 10s));
    // Here it is done, but not everywhere.
    CHECK_FALSE(pace.enter(4, 10ms));
    pace.done();
    CHECK(pace.enter(4, 10s));
    CHECK(pace.awaitedBy(4) == -1);
  }
}

TEST_CASE("steps begin with their first rank", "[pace]") {
  Pace pace;
  pace.begin({0, 2}, 1);
  Clock::time_point begin = Clock::now();
  for (int64_t rank : {0, 1}) {
    REQUIRE(pace.enter(rank, 10s));
    std::this_thread::sleep_for(20ms);
    pace.leave(rank);
  }
  REQUIRE(pace.enter(1, 10s)); // The second step, before the first one is done.
  Clock::time_point first = pace.done();
  CHECK(first >= begin);
  CHECK(first < begin + 20ms);
  Clock::time_point second = pace.done();
  CHECK(second >= first + 40ms);
}

TEST_CASE("a series that fails ends all waits", "[pace]") {
  Pace pace;
  pace.begin({0, 2}, 0);
  REQUIRE(pace.enter(0, 10s));
  pace.leave(0);
  std::string code;
  std::thread rank([&] { code = pace.enter(0, 10s).error().code; });
  bool all = true;
  std::thread session([&] { all = pace.await(0, 10s); });
  while (pace.awaitedBy(0) < 0)
    std::this_thread::yield();
  pace.abort();
  rank.join();
  session.join();
  CHECK_FALSE(all);
  CHECK(code == "run.aborted");
}

namespace {
std::span<std::byte> bytesOf(std::vector<int> &values) {
  return std::as_writable_bytes(std::span(values));
}

/// What all transports promise of messages from rank 0 to rank 1.
void sendAhead(Transport &from, Transport &to) {
  std::vector<int> first{1, 2}, second{3}, got(2), next(1);
  auto a = from.send(1, bytesOf(first), 7);
  auto b = from.send(1, bytesOf(second), 7);
  REQUIRE(a);
  REQUIRE(b);
  Clock::time_point late = Clock::now() + 10s;
  REQUIRE(to.exchange(-1, {}, 0, bytesOf(got), 7, late));
  CHECK((*a)->wait(late));
  REQUIRE(to.exchange(-1, {}, 0, bytesOf(next), 7, late));
  CHECK((*b)->wait(late));
  CHECK(got == first);
  CHECK(next == second);
}
} // namespace

TEST_CASE("messages are under way before they are received", "[pace]") {
  Mesh mesh = *Mesh::parse("a=2");
  ThreadWorld world(mesh, 10s);
  auto from = world.transport(0), to = world.transport(1);
  sendAhead(*from, *to);
  if (!ProcessWorlds::available())
    return;
  ProcessWorlds worlds(mesh, 1);
  auto there = worlds.of(0).transport(0), here = worlds.of(1).transport(1);
  sendAhead(*there, *here);
}

TEST_CASE("a message that nobody takes is late, and taken back", "[pace]") {
  Mesh mesh = *Mesh::parse("a=2");
  ThreadWorld world(mesh, 10s);
  auto from = world.transport(0), to = world.transport(1);
  std::vector<int> lost{1}, kept{2}, got(1);
  {
    auto message = std::move(*from->send(1, bytesOf(lost), 7));
    CHECK(from->waited() == 0ns);
    Status status = message->wait(Clock::now() + 30ms);
    REQUIRE_FALSE(status);
    CHECK(status.error().code == "run.timeout");
    CHECK(from->waited() >= 30ms);
    CHECK(world.waitState(0).missing == std::vector<int64_t>{1});
  }
  auto message = std::move(*from->send(1, bytesOf(kept), 7));
  REQUIRE(to->exchange(-1, {}, 0, bytesOf(got), 7, Clock::now() + 10s));
  CHECK(got == kept);
  CHECK(message->wait(Clock::now() + 10s));
  auto never = std::move(*from->send(1, bytesOf(lost), 7));
  std::thread other([&] {
    std::this_thread::sleep_for(20ms);
    world.abort();
  });
  Status status = never->wait(Clock::now() + 10s);
  other.join();
  REQUIRE_FALSE(status);
  CHECK(status.error().code == "run.aborted");
}

TEST_CASE("two stages go through many steps", "[pace]") {
  Mesh mesh = *Mesh::parse("a=2");
  ThreadWorld world(mesh, 10s);
  Pace pace;
  const int steps = 2000, ahead = 2;
  pace.begin({0, 2}, ahead);
  std::atomic<int> finished{0}, farthest{0}, failures{0};
  std::vector<int> got;
  auto count = [&](const Status &status) { failures += status ? 0 : 1; };
  auto late = [] { return Clock::now() + 10s; };
  std::thread first([&] {
    auto transport = world.transport(0);
    std::vector<int> buffers[2] = {{0}, {0}};
    std::unique_ptr<PendingSend> underWay[2];
    for (int step = 0; step < steps; ++step) {
      count(pace.enter(0, 10s));
      farthest = std::max(farthest.load(), step - finished.load());
      std::unique_ptr<PendingSend> &message = underWay[step % 2];
      if (message)
        count(message->wait(late()));
      buffers[step % 2][0] = step;
      message = std::move(*transport->send(1, bytesOf(buffers[step % 2]), 7));
      pace.leave(0);
    }
    for (std::unique_ptr<PendingSend> &message : underWay)
      count(message->wait(late()));
  });
  std::thread second([&] {
    auto transport = world.transport(1);
    std::vector<int> value(1);
    for (int step = 0; step < steps; ++step) {
      count(pace.enter(1, 10s));
      count(transport->exchange(-1, {}, 0, bytesOf(value), 7, late()));
      got.push_back(value[0]);
      pace.leave(1);
    }
  });
  for (int step = 0; step < steps; ++step) {
    failures += !pace.await(step, 10s);
    finished = step + 1; // Before anybody may know.
    pace.done();
  }
  first.join();
  second.join();
  CHECK(failures == 0);
  CHECK(farthest <= ahead);
  REQUIRE(got.size() == steps);
  for (int step = 0; step < steps; ++step)
    REQUIRE(got[step] == step);
}
