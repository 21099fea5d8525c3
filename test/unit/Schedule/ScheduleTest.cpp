//===- ScheduleTest.cpp ---------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Orders against the published formulas of their kinds: bubbles, and what lanes
// keep; against what is true of every order; and broken ones against checks.
//
//===----------------------------------------------------------------------===//

#include "partita/Schedule/Schedule.h"
#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

using namespace partita;
using Kind = ScheduleKind;

namespace {
/// What a schedule does with equal chunks.
struct Run {
  Schedule schedule;
  /// From the first task to the last, and the most that a lane waits between
  /// its own first and last task.
  int64_t span = 0, idle = 0;
  std::vector<int64_t> kept; // by lane
};
} // namespace

static std::vector<int64_t> keptByLane(const Schedule &schedule) {
  std::vector<int64_t> kept(schedule.lanes.size(), 0);
  std::vector<Kept> most = keptMost(schedule);
  for (int c = 0; c < schedule.chunks(); ++c)
    kept[schedule.laneOf[c]] += most[c].all;
  return kept;
}

/// The most that a lane keeps at any time, by counting.
static std::vector<int64_t> keptByCounting(const Schedule &schedule) {
  std::vector<int64_t> kept;
  TaskKind last = schedule.splitsWeight ? TaskKind::Weight : TaskKind::Backward;
  for (const std::vector<Task> &lane : schedule.lanes) {
    int64_t now = 0, most = 0;
    for (const Task &task : lane) {
      now += task.kind == TaskKind::Forward ? 1 : task.kind == last ? -1 : 0;
      most = std::max(most, now);
    }
    kept.push_back(schedule.backward ? most : 0);
  }
  return kept;
}

static Run runOf(const ScheduleShape &shape, const ChunkTimes &times) {
  INFO(scheduleName(shape.kind)
       << " " << shape.lanes << " lanes, " << shape.chunksPerLane << " chunks, "
       << shape.microBatches << " micro-batches");
  auto schedule = makeSchedule(shape);
  if (!schedule)
    FAIL(schedule.error().str());
  if (Status right = checkSchedule(*schedule); !right)
    FAIL(right.error().str());
  auto spans =
      simulate(*schedule, std::vector<ChunkTimes>(schedule->chunks(), times));
  if (!spans)
    FAIL(spans.error().str());
  Run run{std::move(*schedule)};
  for (const LaneSpan &span : *spans) {
    run.span = std::max(run.span, span.end);
    run.idle = std::max(run.idle, span.idle());
    int64_t work = times.forward;
    if (shape.backward)
      work += times.backward + times.weight;
    CHECK(span.busy == shape.microBatches * shape.chunksPerLane * work);
  }
  run.kept = keptByLane(run.schedule);
  CHECK(run.kept == keptByCounting(run.schedule));
  return run;
}

TEST_CASE("equal lanes wait as long as the published formulas say",
          "[schedule]") {
  for (auto [F, B, W] : {std::tuple<int64_t, int64_t, int64_t>{1, 1, 1},
                         {10, 11, 9},
                         {10, 20, 10},
                         {7, 30, 2}})
    for (int64_t p : {1, 2, 3, 4, 7, 8, 16})
      for (int64_t m : {1, 2, 3, 5, 8, 16, 33, 64}) {
        INFO(p << " lanes, " << m << " micro-batches, " << F << " " << B << " "
               << W);
        const int64_t work = m * (F + B + W);
        const ChunkTimes times{F, B, W};
        Run fill = runOf({Kind::GPipe, p, 1, m, false}, times);
        CHECK(fill.span == (m + p - 1) * F);
        Run gpipe = runOf({Kind::GPipe, p, 1, m}, times);
        CHECK(gpipe.span == work + (p - 1) * (F + B + W));
        Run usual = runOf({Kind::OneForwardOneBackward, p, 1, m}, times);
        CHECK(usual.span == gpipe.span);
        for (int64_t s = 0; s < p; ++s) {
          CHECK(gpipe.kept[s] == m);
          CHECK(usual.kept[s] == std::min(m, p - s));
        }
        if (m < p)
          continue;
        Run h1 = runOf({Kind::ZeroBubbleH1, p, 1, m}, times);
        CHECK(h1.span == work + (p - 1) * (F + B - W));
        CHECK(h1.kept[0] == p);
        CHECK(*std::max_element(h1.kept.begin(), h1.kept.end()) == p);
        if (m < 2 * p - 1 || F + B < 2 * W)
          continue;
        Run h2 = runOf({Kind::ZeroBubbleH2, p, 1, m}, times);
        CHECK(h2.idle == (p - 1) * (F + B - 2 * W));
        CHECK(*std::max_element(h2.kept.begin(), h2.kept.end()) == 2 * p - 1);
      }
}

TEST_CASE("chunks make less of a bubble", "[schedule]") {
  for (int64_t p : {1, 2, 3, 4, 8})
    for (int64_t v : {1, 2, 3, 4, 6})
      for (int64_t rounds : {1, 2, 3, 8}) {
        const int64_t m = rounds * p, F = 10, B = 15, W = 5;
        INFO(p << " lanes, " << v << " chunks, " << m << " micro-batches");
        // F, B and W are a chunk's here.
        Run run = runOf({Kind::Interleaved, p, v, m}, {F, B, W});
        CHECK(run.span == (m * v + p - 1) * (F + B + W));
        for (int64_t s = 0; s < p; ++s)
          CHECK(run.kept[s] ==
                std::min(m * v, 2 * (p - s - 1) + (v - 1) * p + 1));
        Run fill = runOf({Kind::Interleaved, p, v, m, false}, {F, B, W});
        CHECK(fill.span == (m * v + p - 1) * F);
      }
}

TEST_CASE("a V fills its bubble", "[schedule]") {
  for (int64_t p : {1, 2, 3, 4, 6, 8, 16})
    for (int64_t m : {p, 2 * p, 3 * p + 1, 8 * p}) {
      INFO(p << " lanes, " << m << " micro-batches");
      const int64_t unit = 10;
      Run run = runOf({Kind::ZeroBubbleV, p, 2, m}, {unit, unit, unit});
      // Chunks are halves of a lane's work: half of what it takes to fill, and
      // a little.
      CHECK(run.span >= (6 * m + p - 1) * unit);
      CHECK(run.span <= (6 * m + p + 1 + p / 8) * unit);
      for (int64_t kept : run.kept)
        CHECK(kept <= 2 * p);
      // The first chunk and the last are on one lane.
      CHECK(run.schedule.laneOf.front() == run.schedule.laneOf.back());
    }
}

/// A chain takes as long as the step that it was found in, and no longer than
/// other steps in the same order.
template <typename Draw>
static void checkChain(const Schedule &schedule, std::vector<ChunkTimes> times,
                       Draw draw) {
  std::vector<int64_t> tails;
  for (size_t lane = 0; lane < schedule.lanes.size(); ++lane)
    tails.push_back(draw());
  std::optional<TaskChain> chain;
  for (int round = 0; round < 3; ++round) {
    for (ChunkTimes &chunk : times)
      chunk = {draw(), draw(), draw(), 0, 0};
    auto spans = simulate(schedule, times);
    REQUIRE(spans);
    int64_t end = 0;
    for (size_t lane = 0; lane < tails.size(); ++lane)
      end = std::max(end, (*spans)[lane].end + tails[lane]);
    const bool isOwn = !chain;
    if (isOwn) {
      auto found = longestChain(schedule, times, tails);
      REQUIRE(found);
      chain = *found;
    }
    int64_t sum = tails[chain->lane];
    for (int c = 0; c < schedule.chunks(); ++c) {
      const ChainCounts &counts = chain->counts[c];
      sum += counts.forward * times[c].forward +
             counts.backward * times[c].backward +
             (schedule.splitsWeight ? counts.weight : counts.backward) *
                 times[c].weight;
    }
    CHECK(sum <= end);
    if (isOwn)
      CHECK(sum == end);
  }
}

TEST_CASE("unequal chunks: what is true of every order", "[schedule]") {
  std::mt19937_64 random(3);
  for (int round = 0; round < 2000; ++round) {
    ScheduleShape shape;
    shape.kind = static_cast<Kind>(random() % 6);
    shape.lanes = 1 + static_cast<int64_t>(random() % 6);
    shape.microBatches = 1 + static_cast<int64_t>(random() % 12);
    if (shape.kind == Kind::Interleaved) {
      shape.chunksPerLane = 1 + static_cast<int64_t>(random() % 4);
      shape.microBatches *= shape.lanes;
    }
    if (shape.kind == Kind::ZeroBubbleV)
      shape.chunksPerLane = 2;
    shape.backward = random() % 4 != 0;
    auto schedule = makeSchedule(shape);
    REQUIRE(schedule);
    std::vector<ChunkTimes> times;
    auto time = [&] { return static_cast<int64_t>(random() % 50); };
    for (int c = 0; c < schedule->chunks(); ++c)
      times.push_back({time() + 1, time(), time(), time() / 5, time() / 5});
    INFO(scheduleName(shape.kind)
         << " " << shape.lanes << " lanes, " << shape.chunksPerLane
         << " chunks, " << shape.microBatches << " micro-batches");
    REQUIRE(checkSchedule(*schedule));
    auto spans = simulate(*schedule, times);
    REQUIRE(spans);
    int64_t end = 0, path = 0;
    for (const LaneSpan &span : *spans)
      end = std::max(end, span.end);
    for (int c = 0; c < schedule->chunks(); ++c) {
      path += times[c].forward;
      if (shape.backward)
        path += times[c].backward;
      int64_t fill = 0, work = 0;
      for (int d = 0; d < schedule->chunks(); ++d) {
        if (schedule->laneOf[d] == schedule->laneOf[c])
          work += times[d].forward +
                  (shape.backward ? times[d].backward + times[d].weight : 0);
        if (d < c)
          fill += times[d].forward + times[d].sendForward;
      }
      const LaneSpan &span = (*spans)[schedule->laneOf[c]];
      CHECK(span.busy == shape.microBatches * work);
      CHECK(span.idle() >= 0);
      if (c < shape.lanes)
        CHECK(span.end >= fill + span.busy);
    }
    CHECK(end >= path);
    checkChain(*schedule, times, time);
  }
}

TEST_CASE("a cap holds", "[schedule]") {
  for (Kind kind : {Kind::OneForwardOneBackward, Kind::GPipe,
                    Kind::ZeroBubbleH1, Kind::ZeroBubbleH2})
    for (int64_t cap : {1, 2, 3, 5}) {
      INFO(scheduleName(kind) << ", cap " << cap);
      Run run = runOf({kind, 4, 1, 12, true, cap}, {1, 1, 1});
      for (int64_t kept : run.kept)
        CHECK(kept <= cap);
    }
  // A micro-batch needs both chunks of a lane.
  auto none = makeSchedule({Kind::Interleaved, 4, 2, 8, true, 1});
  REQUIRE(!none);
  CHECK(none.error().code == "schedule.cap");
  CHECK(none.error().exit == ExitCode::Usage);
}

TEST_CASE("shapes that no kind has are refused", "[schedule]") {
  const int64_t many = INT64_MAX / 2;
  for (const ScheduleShape &shape :
       {ScheduleShape{Kind::OneForwardOneBackward, 0, 1, 1},
        {Kind::OneForwardOneBackward, 2, 2, 4},
        {Kind::Interleaved, 4, 2, 6},
        {Kind::ZeroBubbleV, 4, 3, 8},
        {Kind::GPipe, 4, 1, 0},
        {Kind::GPipe, 4, 1, 4, true, -1},
        {Kind::GPipe, many, 1, many},
        {Kind::Interleaved, many, many, many}}) {
    auto schedule = makeSchedule(shape);
    REQUIRE(!schedule);
    CHECK(schedule.error().code == "schedule.shape");
  }
}

TEST_CASE("schedules have names", "[schedule]") {
  for (int kind = 0; kind < 6; ++kind) {
    auto known = static_cast<Kind>(kind);
    auto choice = ScheduleChoice::parse(scheduleName(known));
    REQUIRE(choice);
    CHECK(choice->kind == known);
    CHECK(*ScheduleChoice::parse(choice->str()) == *choice);
  }
  CHECK(ScheduleChoice::parse("interleaved:3")->chunksPerLane == 3);
  for (const char *text :
       {"", "2f2b", "interleaved:", "interleaved:0", "interleaved:-1",
        "interleaved:2x", "interleaved:99999999999999999999",
        "interleaved:1025", "1f1b:2", "zb-v:2", ":2"}) {
    INFO(text);
    auto choice = ScheduleChoice::parse(text);
    REQUIRE(!choice);
    CHECK(choice.error().code == "schedule.name");
    CHECK(choice.error().exit == ExitCode::Usage);
  }
}

TEST_CASE("broken orders are refused where they are broken", "[schedule]") {
  const Schedule right = *makeSchedule({Kind::ZeroBubbleH1, 3, 1, 5});
  REQUIRE(checkSchedule(right));
  auto refused = [](const Schedule &schedule, const std::string &code,
                    const std::string &place, const std::string &what) {
    Status status = checkSchedule(schedule);
    REQUIRE(!status);
    CHECK(status.error().code == code);
    CHECK(status.error().exit == ExitCode::InvalidInput);
    CHECK(status.error().place.find(place) == 0);
    CHECK(status.error().message.find(what) != std::string::npos);
  };
  Schedule broken = right;
  broken.lanes[1].erase(broken.lanes[1].begin() + 4);
  refused(broken, "schedule.missing", "lane 1",
          right.lanes[1][4].str() + " is not there");
  broken = right;
  broken.lanes[2].push_back(broken.lanes[2][3]);
  refused(broken, "schedule.repeated", "lane 2, entry 15",
          right.lanes[2][3].str());
  broken = right;
  std::swap(broken.lanes[2][0], broken.lanes[2][1]);
  refused(broken, "schedule.order", "lane 2, entry 0",
          "backward of chunk 2, micro-batch 0 comes before forward of chunk 2");
  broken = right;
  broken.lanes[0][0].chunk = 1;
  refused(broken, "schedule.lane", "lane 0, entry 0", "belongs to lane 1");
  broken.lanes[0][0].chunk = 7;
  refused(broken, "schedule.task", "lane 0, entry 0", "there is no forward");
  broken = right;
  broken.splitsWeight = false;
  refused(broken, "schedule.task", "lane 0", "there is no weight gradient");
  // Lane 0 wants micro-batch 0 back before it sends out what lane 1 wants
  // first.
  broken = *makeSchedule({Kind::OneForwardOneBackward, 2, 1, 2});
  broken.lanes[0] = {{0, 0, TaskKind::Forward},
                     {0, 0, TaskKind::Backward},
                     {0, 1, TaskKind::Forward},
                     {0, 1, TaskKind::Backward}};
  broken.lanes[1] = {{1, 1, TaskKind::Forward},
                     {1, 1, TaskKind::Backward},
                     {1, 0, TaskKind::Forward},
                     {1, 0, TaskKind::Backward}};
  refused(broken, "schedule.cycle", "lane 0, entry 1", "backward of chunk 0");
  // Data may come in another order than they are taken in.
  broken = *makeSchedule({Kind::GPipe, 2, 1, 3});
  std::swap(broken.lanes[1][0], broken.lanes[1][1]);
  CHECK(checkSchedule(broken));
}

TEST_CASE("swapped entries are refused or change nothing that matters",
          "[schedule]") {
  std::mt19937_64 random(7);
  int refused = 0, allowed = 0;
  for (int round = 0; round < 600; ++round) {
    auto kind = static_cast<Kind>(random() % 6);
    bool twice = kind == Kind::Interleaved || kind == Kind::ZeroBubbleV;
    Schedule schedule = *makeSchedule({kind, 3, twice ? 2 : 1, 6});
    std::vector<Task> &lane = schedule.lanes[random() % 3];
    std::swap(lane[random() % lane.size()], lane[random() % lane.size()]);
    bool runs = bool(simulate(
        schedule, std::vector<ChunkTimes>(schedule.chunks(), {1, 1, 1})));
    Status status = checkSchedule(schedule);
    // What is accepted runs.
    CHECK((runs || !status));
    (status ? allowed : refused) += 1;
  }
  CHECK(refused > 300);
  CHECK(allowed > 0);
}

//===----------------------------------------------------------------------===//
// Exchanges
//===----------------------------------------------------------------------===//

using Exchanges = std::vector<std::vector<Exchange>>;

static std::string codeOf(const Exchanges &ranks,
                          const std::vector<std::vector<int>> &groups,
                          int64_t ahead) {
  Status status = checkExchanges(ranks, groups, ahead);
  return status ? "" : status.error().code;
}

TEST_CASE("ranks that wait for each other are found", "[schedule]") {
  constexpr auto send = Exchange::Send, receive = Exchange::Receive,
                 all = Exchange::Collective;
  const std::vector<std::vector<int>> groups{{0, 1}, {0, 1, 2}};
  // Each sends first: only messages that are under way help.
  Exchanges both{{{send, 1, 5}, {receive, 1, 6}},
                 {{send, 0, 6}, {receive, 0, 5}}};
  CHECK(codeOf(both, groups, 0) == "schedule.deadlock");
  CHECK(codeOf(both, groups, 1).empty());
  Exchanges waiting{{{receive, 1, 6}, {send, 1, 5}},
                    {{receive, 0, 5}, {send, 0, 6}}};
  CHECK(codeOf(waiting, groups, 9) == "schedule.deadlock");
  Status status = checkExchanges(waiting, groups);
  CHECK(status.error().message.find("rank 0, entry 0") != std::string::npos);
  CHECK(status.error().message.find("rank 1, entry 0") != std::string::npos);
  // Two collectives in two orders.
  Exchanges crossed{
      {{all, 0, 1}, {all, 1, 2}}, {{all, 1, 2}, {all, 0, 1}}, {{all, 1, 2}}};
  CHECK(codeOf(crossed, groups, 1) == "schedule.deadlock");
  Exchanges agreed{
      {{all, 0, 1}, {all, 1, 2}}, {{all, 0, 1}, {all, 1, 2}}, {{all, 1, 2}}};
  CHECK(codeOf(agreed, groups, 1).empty());
  agreed[2][0].tag = 3;
  CHECK(codeOf(agreed, groups, 1) == "schedule.mismatch");
  // A collective on one side, a message on the other.
  CHECK(codeOf({{{all, 0, 1}, {send, 1, 2}}, {{receive, 0, 2}, {all, 0, 1}}},
               groups, 1) == "schedule.deadlock");
  // Nobody takes it, nobody sends it, another is sent.
  CHECK(codeOf({{{send, 1, 2}}, {}}, groups, 1) == "schedule.mismatch");
  CHECK(codeOf({{{send, 1, 2}}, {}}, groups, 0) == "schedule.deadlock");
  CHECK(codeOf({{}, {{receive, 0, 2}}}, groups, 1) == "schedule.deadlock");
  CHECK(codeOf({{{send, 1, 2}}, {{receive, 0, 3}}}, groups, 1) ==
        "schedule.mismatch");
  // Ranks and groups that are not there.
  CHECK(codeOf({{{send, 1, 2}}}, groups, 1) == "schedule.exchange");
  CHECK(codeOf({{{send, 0, 2}}}, groups, 1) == "schedule.exchange");
  CHECK(codeOf({{{all, 2, 2}}, {}}, groups, 1) == "schedule.exchange");
  CHECK(codeOf({{{all, 0, 1}}, {{all, 0, 1}}}, {{1, 0}}, 1) ==
        "schedule.exchange");
  CHECK(codeOf({{}, {}, {{all, 0, 1}}}, groups, 1) == "schedule.exchange");
}

TEST_CASE("two messages under way are enough for every kind", "[schedule]") {
  for (int number = 0; number < 6; ++number)
    for (int64_t p : {2, 3, 4, 8}) {
      auto kind = static_cast<Kind>(number);
      bool twice = kind == Kind::Interleaved || kind == Kind::ZeroBubbleV;
      Schedule schedule = *makeSchedule({kind, p, twice ? 2 : 1, 3 * p});
      INFO(scheduleName(kind) << " " << p << " lanes");
      Exchanges exchanges = exchangesOf(schedule);
      CHECK(checkExchanges(exchanges, {}, 2));
      if (!twice)
        CHECK(checkExchanges(exchanges, {}, 1));
      // Lanes that send to each other at the same time wait without.
      if (kind != Kind::GPipe)
        CHECK(codeOf(exchanges, {}, 0) == "schedule.deadlock");
    }
}
