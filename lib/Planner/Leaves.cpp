//===- Leaves.cpp - Meshes and ways to execute on them --------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Leaves.h"
#include "Dual.h"
#include "Model.h"
#include "Reduction.h"
#include <algorithm>
#include <cassert>
#include <numeric>
#include <optional>
#include <set>

using namespace partita;
using namespace partita::planner;

//===----------------------------------------------------------------------===//
// Steps
//===----------------------------------------------------------------------===//

Steps::Steps(const Graph &whole, std::function<Result<Graph>(int64_t)> cut)
    : whole(whole), cut(std::move(cut)), phases(phasesOf(whole)),
      parts(whole, phases) {
  for (OpPhase phase : phases)
    backward |= phase == OpPhase::Backward;
  // Of every schedule that splits gradients of weights off.
  splitPhases = phases;
  if (backward)
    splitPhases =
        phasesOf(whole, {2, 1, false, {}, {ScheduleKind::ZeroBubbleH1, 1}});
  for (const GraphValue &value : whole.values)
    for (size_t d = 0; d < std::min(value.dimNames.size(), value.shape.size());
         ++d)
      if (value.dimNames[d].find("batch") != std::string::npos)
        batches.push_back(value.shape[d]);
}

bool Steps::mayDivide(int64_t microBatches) const {
  return microBatches == 1 ||
         (!batches.empty() &&
          std::all_of(batches.begin(), batches.end(),
                      [&](int64_t size) { return size % microBatches == 0; }));
}

Result<std::shared_ptr<const Step>> Steps::made(int64_t microBatches) const {
  auto step = std::make_shared<Step>();
  if (cut) {
    std::lock_guard lock(cutting);
    PARTITA_TRY(step->graph, cut(microBatches));
  } else {
    PARTITA_TRY(step->graph, microBatched(whole, microBatches));
  }
  step->classes = analyseDims(step->graph);
  return std::shared_ptr<const Step>(std::move(step));
}

Result<std::shared_ptr<const Step>> Steps::of(int64_t microBatches) {
  constexpr size_t kept = 2;
  {
    std::lock_guard lock(keeping);
    for (const auto &[count, step] : recent)
      if (count == microBatches)
        return step;
  }
  PARTITA_TRY(std::shared_ptr<const Step> step, made(microBatches));
  std::lock_guard lock(keeping);
  if (recent.size() == kept)
    recent.erase(recent.begin());
  recent.emplace_back(microBatches, step);
  return step;
}

Result<const Outline *> Steps::outline(int64_t microBatches) {
  std::unique_lock lock(keeping);
  Made &one = outlines[microBatches];
  lock.unlock();
  std::call_once(one.once, [&] {
    auto step = made(microBatches);
    if (!step) {
      one.error = step.takeError();
      return;
    }
    std::call_once(windowsFound, [&] { windows = parts.windows(splitPhases); });
    one.outline.windows =
        parts.cut(windows, (*step)->graph, (*step)->classes, splitPhases);
    findBytes((*step)->graph, one.outline);
  });
  if (one.error)
    return *one.error;
  return &one.outline;
}

/// Views may take less than their size: they are left out. What another segment
/// reads may be kept there.
void Steps::findBytes(const Graph &graph, Outline &outline) const {
  std::vector<char> inStep(graph.values.size(), 0), back(inStep);
  std::vector<int> segmentOf(graph.values.size(), -1);
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    for (int value : graph.ops[o].operands) {
      inStep[value] |= !graph.ops[o].atLoad;
      back[value] |= phases[o] == OpPhase::Backward &&
                     segmentOf[value] == parts.segmentOf()[o];
    }
    for (int value : graph.ops[o].results)
      segmentOf[value] = parts.segmentOf()[o];
  }
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    const GraphOp &op = graph.ops[o];
    double &resident = outline.residentBytes.emplace_back(0);
    double &kept = outline.keptBytes.emplace_back(0);
    bool isView =
        op.role == OpRole::Compute && op.kernelClass == KernelClass::Free;
    for (int value : op.results)
      if (isResident(op) && inStep[value] && !isView)
        resident += wholeBytes(graph.values[value]);
      else if (phases[o] == OpPhase::Forward && op.role == OpRole::Compute &&
               back[value] && !isView)
        kept += wholeBytes(graph.values[value]);
  }
}

//===----------------------------------------------------------------------===//
// Probing
//===----------------------------------------------------------------------===//

/// No more than the sum, whatever was rounded.
static int64_t asPrice(double sum) {
  return static_cast<int64_t>(
      std::min(sum * (1 - 1e-9), static_cast<double>(forbidden)));
}

/// Of a window, where chunks count so. With recomputation, what is forward
/// counts in the backward pass again.
static std::vector<CountsOfCopies>
countsOf(const Leaf &leaf, const Window &window, const Counts &ofChunk) {
  std::vector<CountsOfCopies> list;
  Counts counts(window.width);
  for (int copy = 0; copy < window.copies; ++copy) {
    for (int place = 0; place < window.width; ++place) {
      counts[place] = ofChunk[leaf.chunkOfSegment[window.segment(place, copy)]];
      if (leaf.execution.recompute)
        counts[place].forward += counts[place].backward;
    }
    if (list.empty() || list.back().counts != counts)
      list.push_back({counts, 0});
    ++list.back().copies;
  }
  return list;
}

/// What segments do for a micro-batch, by chunk.
static std::vector<ByPhase> workOfChunks(const Leaf &leaf,
                                         const std::vector<ByPhase> &work) {
  std::vector<ByPhase> ofChunk(leaf.execution.chunks());
  for (size_t s = 0; s < work.size(); ++s)
    ofChunk[leaf.chunkOfSegment[s]] += work[s];
  return ofChunk;
}

Counts planner::longestChain(const Execution &execution, bool backward,
                             const std::vector<ByPhase> &ofChunk) {
  auto schedule = makeSchedule(shapeOf(execution, backward));
  assert(schedule && "there is a schedule of each leaf");
  std::vector<ChunkTimes> times;
  std::vector<int64_t> tails(execution.stages, 0);
  for (const ByPhase &chunk : ofChunk) {
    tails[execution.stageOf(static_cast<int>(times.size()))] += chunk.once;
    times.push_back({chunk.forward, chunk.backward, chunk.weight});
  }
  auto chain = partita::longestChain(*schedule, times, tails);
  Counts counts;
  for (const ChainCounts &chunk : chain->counts)
    counts.push_back({chunk.forward, chunk.backward,
                      schedule->splitsWeight ? chunk.weight : chunk.backward,
                      0});
  for (size_t chunk = 0; chunk < counts.size(); ++chunk)
    counts[chunk].once =
        execution.stageOf(static_cast<int>(chunk)) == chain->lane;
  return counts;
}

/// A chain in any order of a schedule's tasks: stage `slowest` waits for the
/// first micro-batch, works on all of them, and the last one goes back through
/// the chunks before it. Without a backward pass micro-batches go on instead.
/// Where gradients of weights are split off, the last task may be one that
/// nobody waits for.
Counts Prober::laneChain(const Leaf &leaf, int slowest) const {
  const Execution &execution = leaf.execution;
  const auto chunks = static_cast<int>(execution.chunks());
  const int64_t m = execution.microBatches;
  const bool back = backward && !execution.splitsWeight();
  const int lastStage = !backward ? execution.stageOf(chunks - 1)
                        : back    ? 0
                                  : slowest;
  Counts counts(chunks);
  bool isAfter = true; // all chunks of the slowest stage
  for (int chunk = chunks; chunk-- > 0;) {
    const int stage = execution.stageOf(chunk);
    isAfter &= stage != slowest;
    ByPhase &one = counts[chunk];
    if (stage == slowest)
      one = {m, m, m};
    else if (chunk < slowest)
      one = {1, back, back};
    else if (!backward)
      one.forward = isAfter;
    one.once = stage == lastStage;
  }
  return counts;
}

/// Some that are long, found without looking at each task.
std::vector<Counts> Prober::chainsOf(const Leaf &leaf,
                                     const std::vector<ByPhase> &work) const {
  const Execution &execution = leaf.execution;
  const auto chunks = static_cast<int>(execution.chunks());
  const int64_t p = execution.stages, m = execution.microBatches;
  std::vector<int64_t> times, sums(p, 0);
  for (const ByPhase &chunk : workOfChunks(leaf, work))
    times.push_back(chunk.forward + chunk.backward + chunk.weight);
  for (int chunk = 0; chunk < chunks; ++chunk)
    sums[execution.stageOf(chunk)] += times[chunk];
  const auto slowest = static_cast<int>(
      std::max_element(sums.begin(), sums.end()) - sums.begin());
  std::vector<Counts> chains{laneChain(leaf, slowest)};
  const int64_t most = m - p + slowest + 1;
  if (!backward || p == 1 || most < 2 ||
      execution.schedule.kind != ScheduleKind::OneForwardOneBackward)
    return chains;
  // As the header has it.
  Counts &counts = chains.emplace_back(p);
  for (int64_t s = 0; s < p; ++s) {
    const int64_t often = s < slowest ? 1 : s == slowest ? most : 2;
    counts[s] = {often, often, often, s == 0};
  }
  return chains;
}

/// One leaf's windows.
class Prober::Session {
public:
  Session(const Prober &prober, Leaf &leaf)
      : prober(prober), leaf(leaf), windows(leaf.outline->windows),
        builder(windows.graph, windows.classes, leaf.mesh, prober.topology,
                costingOf(leaf), prober.reshards.lend(leaf.mesh)) {}
  Status open();
  Status deal();
  void findBound();

private:
  static Costing costingOf(const Leaf &leaf);
  std::vector<ByPhase> workOfSegments() const;
  void setTimes(const std::vector<Counts> &counts);
  std::vector<Problem> partsOf(const Problem &problem) const;

  const Prober &prober;
  Leaf &leaf;
  const Windows &windows;
  ModelBuilder builder;
  std::vector<int64_t> leastTimes; // by operation
};

/// Each operation counts by its number.
Costing Prober::Session::costingOf(const Leaf &leaf) {
  const Windows &windows = leaf.outline->windows;
  Costing costing(windows.graph);
  costing.phases = windows.phases;
  if (!leaf.execution.splitsWeight())
    std::replace(costing.phases.begin(), costing.phases.end(), OpPhase::Weight,
                 OpPhase::Backward);
  costing.execution = leaf.execution;
  costing.execution.chunkOf.clear();
  if (leaf.execution.stages > 1)
    costing.placeOf = windows.place;
  return costing;
}

Status Prober::Session::open() {
  PARTITA_CHECK(builder.addOperations(
      std::vector<std::vector<const Pin *>>(windows.graph.ops.size())));
  leastTimes = builder.leastTimes();
  for (size_t o = 0; o < leastTimes.size(); ++o)
    if (windows.place[o] < 0)
      leastTimes[o] = 0;
  return ok();
}

static int64_t &ofPhase(ByPhase &all, OpPhase phase) {
  switch (phase) {
  case OpPhase::Forward:
    return all.forward;
  case OpPhase::Backward:
    return all.backward;
  case OpPhase::Weight:
    return all.weight;
  case OpPhase::Once:
  case OpPhase::Update:
    break;
  }
  return all.once;
}

std::vector<ByPhase> Prober::Session::workOfSegments() const {
  std::vector<ByPhase> work(prober.segments.count());
  for (size_t o = 0; o < leastTimes.size(); ++o) {
    if (windows.place[o] < 0)
      continue;
    const int64_t time = std::min(leastTimes[o], forbidden / 1024);
    const Window &window = windows.all[windows.window[o]];
    for (int copy = 0; copy < window.copies; ++copy)
      ofPhase(work[window.segment(windows.place[o], copy)],
              windows.phases[o]) += time;
  }
  if (leaf.execution.recompute)
    for (ByPhase &segment : work)
      segment.backward += segment.forward;
  return work;
}

/// For a micro-batch, with a part of what is done once a step.
static std::vector<int64_t> partsOfStep(const std::vector<ByPhase> &work,
                                        const Execution &execution) {
  std::vector<int64_t> parts;
  for (const ByPhase &segment : work)
    parts.push_back(segment.forward + segment.backward + segment.weight +
                    segment.once / execution.microBatches);
  return parts;
}

/// The chunk of each segment, dealt evenly to ranks where stages have different
/// numbers of them, as parts of several if all stages have several.
static std::vector<int> dealtByRanks(const Mesh &mesh,
                                     const Execution &execution,
                                     const std::vector<int64_t> &work) {
  const auto chunks = static_cast<int>(execution.chunks());
  if (mesh.stageAxes.empty())
    return dealt(chunks, work);
  int64_t common = 0;
  for (int64_t stage = 0; stage < mesh.numStages(); ++stage)
    common = std::gcd(common, mesh.gridOf(stage).numRanks());
  std::vector<int> chunkOfPart;
  for (int chunk = 0; chunk < chunks; ++chunk)
    chunkOfPart.insert(
        chunkOfPart.end(),
        mesh.gridOf(execution.stageOf(chunk)).numRanks() / common, chunk);
  std::vector<int> chunkOf =
      dealt(static_cast<int64_t>(chunkOfPart.size()), work);
  for (int &part : chunkOf)
    part = chunkOfPart[part];
  return chunkOf;
}

Status Prober::Session::deal() {
  const int64_t chunks = leaf.execution.chunks();
  leaf.work = workOfSegments();
  if (leaf.chunkOfSegment.empty())
    leaf.chunkOfSegment = dealtByRanks(leaf.mesh, leaf.execution,
                                       partsOfStep(leaf.work, leaf.execution));
  if (leaf.chunkOfSegment.empty())
    return makeError(
        ExitCode::Usage, "plan.stages", "--mesh " + leaf.mesh.str(),
        "the model falls into " + std::to_string(prober.segments.count()) +
            " segments, and there are " + std::to_string(chunks) +
            (chunks > leaf.execution.stages ? " chunks of stages" : " stages"),
        "fewer stages");
  if (chunks > 1)
    leaf.execution.chunkOf = prober.segments.byOp(leaf.chunkOfSegment);
  return ok();
}

/// By window; empty: it does not count.
void Prober::Session::setTimes(const std::vector<Counts> &counts) {
  std::vector<int64_t> forward, backward, once;
  for (size_t o = 0; o < windows.place.size(); ++o) {
    const Counts &ofWindow = counts[windows.window[o]];
    ByPhase own;
    if (windows.place[o] >= 0 && !ofWindow.empty())
      own = ofWindow[windows.place[o]];
    forward.push_back(own.forward);
    backward.push_back(windows.phases[o] == OpPhase::Weight ? own.weight
                                                            : own.backward);
    once.push_back(own.once);
  }
  builder.setTimes(std::move(forward), std::move(backward), std::move(once));
}

/// The windows' own problems: no edge goes from one to another.
std::vector<Problem> Prober::Session::partsOf(const Problem &problem) const {
  std::vector<Problem> parts(windows.all.size());
  std::vector<int> windowOf, place;
  for (size_t v = 0; v < problem.unary.size(); ++v) {
    windowOf.push_back(windows.window[problem.positions[v]]);
    Problem &part = parts[windowOf[v]];
    place.push_back(static_cast<int>(part.unary.size()));
    part.unary.push_back(problem.unary[v]);
    part.positions.push_back(problem.positions[v]);
  }
  for (const PriceEdge &edge : problem.edges)
    parts[windowOf[edge.first]].edges.push_back(
        {place[edge.first], place[edge.second], edge.table});
  return parts;
}

void Prober::Session::findBound() {
  leaf.parts.assign(windows.all.size(), {});
  for (size_t w = 0; w < windows.all.size(); ++w)
    leaf.parts[w].least.resize(windows.all[w].width);
  for (size_t o = 0; o < leastTimes.size(); ++o) {
    if (windows.place[o] < 0)
      continue;
    ByPhase &least = leaf.parts[windows.window[o]].least[windows.place[o]];
    int64_t &sum = ofPhase(least, windows.phases[o]);
    sum = addPrices(sum, leastTimes[o]);
  }
  leaf.counts = longestChain(leaf.execution, prober.backward,
                             workOfChunks(leaf, leaf.work));
  std::vector<std::vector<CountsOfCopies>> ofCopies;
  std::vector<std::vector<Counts>> toKnow;
  std::vector<double> kernels(windows.all.size(), 0);
  size_t rounds = 0;
  for (size_t w = 0; w < windows.all.size(); ++w) {
    ofCopies.push_back(countsOf(leaf, windows.all[w], leaf.counts));
    toKnow.push_back(leaf.parts[w].worthKnowing(ofCopies[w]));
    rounds = std::max(rounds, toKnow[w].size());
    for (const auto &[counts, copies] : ofCopies[w])
      kernels[w] += copies * leaf.parts[w].kernels(counts);
  }
  const double all = std::accumulate(kernels.begin(), kernels.end(), 0.0);
  // What is left to gain, the leaf's own solution finds: of a part of the model
  // with few kernels that may be much of what it takes.
  auto enough = [&](size_t w, const Counts &counts) {
    constexpr double worth = 1.0 / 256;
    return asPrice(worth * all * leaf.parts[w].kernels(counts) /
                   std::max(kernels[w], 1.0));
  };
  for (size_t round = 0; round < rounds; ++round) {
    std::vector<Counts> counts(windows.all.size());
    for (size_t w = 0; w < counts.size(); ++w)
      if (round < toKnow[w].size())
        counts[w] = toKnow[w][round];
    setTimes(counts);
    builder.price(/*onlyTime=*/true);
    std::vector<Problem> parts = partsOf(builder.model.time);
    for (size_t w = 0; w < parts.size(); ++w)
      if (!counts[w].empty())
        leaf.parts[w].known.push_back(
            {counts[w],
             leastByMessages(withoutEnds(parts[w]), enough(w, counts[w]))});
  }
  double sum = 0;
  for (size_t w = 0; w < windows.all.size(); ++w)
    for (const auto &[counts, copies] : ofCopies[w])
      sum += copies * leaf.parts[w].bound(counts);
  leaf.bound = std::max(leaf.bound, asPrice(sum));
  leaf.probed = true;
}

Status Prober::deal(Leaf &leaf) const {
  PARTITA_TRY(leaf.outline, steps.outline(leaf.execution.microBatches));
  Session session(*this, leaf);
  PARTITA_CHECK(session.open());
  return session.deal();
}

Status Prober::probe(Leaf &leaf) const {
  PARTITA_TRY(leaf.outline, steps.outline(leaf.execution.microBatches));
  Session session(*this, leaf);
  PARTITA_CHECK(session.open());
  PARTITA_CHECK(session.deal());
  session.findBound();
  return ok();
}

int64_t Prober::leastBytes(const Leaf &leaf, bool forWeightToo) const {
  const Outline &outline = *leaf.outline;
  const Execution &execution = leaf.execution;
  std::vector<int> stageOfChunk;
  std::vector<double> keptOfChunk, bytes(execution.stages, 0);
  for (const Kept &kept : keptMost(execution)) {
    stageOfChunk.push_back(
        execution.stageOf(static_cast<int>(stageOfChunk.size())));
    keptOfChunk.push_back(static_cast<double>(
        forWeightToo ? kept.all : kept.all - kept.forWeight));
  }
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    const GraphOp &op = graph.ops[o];
    const int chunk = execution.chunk(o);
    bool again = execution.recompute;
    for (int value : op.results)
      again &= !crossing[value];
    double &ofStage = bytes[stageOfChunk[chunk]];
    ofStage += outline.residentBytes[o];
    if (!again)
      ofStage += outline.keptBytes[o] * keptOfChunk[chunk];
  }
  auto ranks = static_cast<double>(stageOf(leaf.mesh).numRanks());
  return static_cast<int64_t>(*std::max_element(bytes.begin(), bytes.end()) /
                              ranks);
}

int64_t Prober::inherited(const Leaf &probed, const Leaf &other) const {
  int64_t most = 0;
  for (const Counts &counts : chainsOf(other, probed.work))
    most = std::max(most, inherited(probed, other, counts));
  return most;
}

int64_t Prober::inherited(const Leaf &probed, const Leaf &other,
                          const Counts &ofOther) const {
  const int64_t before = probed.execution.microBatches,
                m = other.execution.microBatches;
  if (m < before || (probed.execution.recompute && !other.execution.recompute))
    return 0;
  const double smaller = static_cast<double>(before) / static_cast<double>(m);
  double sum = 0;
  for (size_t w = 0; w < probed.parts.size(); ++w)
    for (const auto &[counts, copies] :
         countsOf(other, probed.outline->windows.all[w], ofOther))
      sum += copies * probed.parts[w].bound(counts, smaller);
  return asPrice(sum);
}

//===----------------------------------------------------------------------===//
// The queue
//===----------------------------------------------------------------------===//

static bool isBefore(const Leaf *a, const Leaf *b) {
  return std::tuple(a->bound, a->execution.recompute, a->number) <
         std::tuple(b->bound, b->execution.recompute, b->number);
}

LeafQueue::LeafQueue(std::vector<Leaf> &leaves) {
  for (Leaf &leaf : leaves) {
    leaf.number = static_cast<size_t>(&leaf - leaves.data());
    std::vector<Leaf *> &all = ofMesh[keyOf(leaf)];
    all.push_back(&leaf);
    bool isFirst = leaf.execution.schedule == all[0]->execution.schedule;
    (isFirst ? open : others).push_back(&leaf);
  }
}

void LeafQueue::admitOthers() {
  open.insert(open.end(), others.begin(), others.end());
  others.clear();
}

static bool differInSchedule(const Leaf &a, const Leaf &b) {
  return a.mesh == b.mesh &&
         a.execution.microBatches == b.execution.microBatches &&
         a.execution.recompute == b.execution.recompute &&
         a.execution.schedule != b.execution.schedule;
}

std::vector<Leaf *>
LeafQueue::otherSchedulesOf(const std::vector<Solved> &solved) const {
  std::vector<Leaf *> list;
  for (Leaf *other : open)
    for (const Solved &one : solved)
      if (differInSchedule(*one.leaf, *other))
        list.push_back(other);
  return list;
}

std::vector<Leaf *> LeafQueue::likelyFirst(const std::vector<Solved> &solved,
                                           const Prober &prober, int64_t limit,
                                           int64_t toBeat) const {
  auto ratio = [](int64_t a, int64_t b) {
    return static_cast<double>(a) /
           static_cast<double>(std::max<int64_t>(b, 1));
  };
  std::vector<std::tuple<double, size_t, Leaf *>> others;
  for (const Solved &one : solved)
    for (Leaf *other : open)
      if (other->probed && differInSchedule(*one.leaf, *other)) {
        double bytes = static_cast<double>(one.bytes) *
                       ratio(prober.leastBytes(*other, true),
                             prober.leastBytes(*one.leaf, true));
        double full = limit > 0 ? bytes / static_cast<double>(limit) : 0;
        others.emplace_back(static_cast<double>(other->bound) *
                                ratio(one.step, one.leaf->bound) *
                                std::max(full, 1.0),
                            other->number, other);
      }
  std::sort(others.begin(), others.end());
  std::vector<Leaf *> list;
  for (const auto &[estimate, number, other] : others)
    if (estimate < static_cast<double>(toBeat))
      list.push_back(other);
  return list;
}

std::vector<Leaf *> LeafQueue::firstOfMeshes() const {
  std::vector<Leaf *> first;
  for (const auto &[sizes, all] : ofMesh)
    first.push_back(all[0]);
  std::sort(first.begin(), first.end(), [](const Leaf *a, const Leaf *b) {
    return std::tuple(-a->execution.stages, a->number) <
           std::tuple(-b->execution.stages, b->number);
  });
  return first;
}

std::vector<Leaf *> LeafQueue::usual(int64_t ranksOfMachine) const {
  auto farFromUsual = [](const Leaf *leaf) {
    return std::pair(
        std::abs(leaf->execution.microBatches - 8 * leaf->execution.stages),
        leaf->number);
  };
  std::map<std::pair<int64_t, bool>, Leaf *> found;
  for (Leaf *leaf : open) {
    if (leaf->mesh.axisSizes.back() != ranksOfMachine)
      continue;
    Leaf *&known = found[{leaf->execution.stages, leaf->execution.recompute}];
    if (!known || farFromUsual(leaf) < farFromUsual(known))
      known = leaf;
  }
  std::vector<Leaf *> list;
  for (const auto &[key, leaf] : found)
    list.push_back(leaf);
  return list;
}

Leaf *LeafQueue::least() const {
  return *std::min_element(open.begin(), open.end(), isBefore);
}

Leaf *LeafQueue::leastLoose() const {
  Leaf *least = nullptr;
  for (Leaf *leaf : open)
    if (leaf->tightPrice == 0 && (!least || isBefore(leaf, least)))
      least = leaf;
  return least;
}

std::vector<Leaf *> LeafQueue::leastTight(size_t most, int64_t toBeat) const {
  std::vector<Leaf *> found;
  for (Leaf *leaf : open)
    if (leaf->tightPrice > 0 &&
        std::max(leaf->tightPrice, leaf->bound) < toBeat)
      found.push_back(leaf);
  std::sort(found.begin(), found.end(), [](const Leaf *a, const Leaf *b) {
    return std::pair(a->tightPrice, a->number) <
           std::pair(b->tightPrice, b->number);
  });
  found.resize(std::min(found.size(), most));
  return found;
}

std::vector<Leaf *> LeafQueue::leastProbed(size_t most, int64_t toBeat) const {
  std::vector<Leaf *> fresh, rest;
  for (Leaf *leaf : open)
    if (leaf->probed && leaf->tightPrice == 0 && leaf->bound < toBeat)
      (leaf->solved ? rest : fresh).push_back(leaf);
  std::vector<Leaf *> &found = fresh.empty() ? rest : fresh;
  std::sort(found.begin(), found.end(), isBefore);
  found.resize(std::min(found.size(), most));
  return found;
}

Leaf *LeafQueue::roomiest() const {
  auto before = [](const Leaf *a, const Leaf *b) {
    return std::tuple(a->bound == 0, -a->execution.microBatches, a->bound,
                      a->number) < std::tuple(b->bound == 0,
                                              -b->execution.microBatches,
                                              b->bound, b->number);
  };
  return *std::min_element(open.begin(), open.end(), before);
}

/// Of the leaves of a mesh between the last one that was probed and `leaf`:
/// less is known of more micro-batches, and the one in the middle says
/// something of all that come after it.
static Leaf *halfway(const Leaf &leaf, const std::vector<Leaf *> &ofMesh,
                     int64_t toBeat) {
  std::vector<Leaf *> between;
  for (Leaf *other : ofMesh) {
    if (other->execution.recompute != leaf.execution.recompute ||
        other->execution.schedule != leaf.execution.schedule ||
        other->execution.microBatches > leaf.execution.microBatches)
      continue;
    if (other->probed)
      between.clear();
    else if (other->bound < toBeat)
      between.push_back(other);
  }
  return between[between.size() / 2];
}

std::vector<Leaf *> LeafQueue::unprobed(size_t most, int64_t toBeat) {
  std::sort(open.begin(), open.end(), isBefore);
  std::vector<Leaf *> found;
  std::set<const std::vector<Leaf *> *> meshes;
  for (Leaf *leaf : open) {
    std::vector<Leaf *> &all = ofMesh[keyOf(*leaf)];
    if (!leaf->probed && leaf->bound < toBeat && found.size() < most &&
        meshes.insert(&all).second)
      found.push_back(halfway(*leaf, all, toBeat));
  }
  return found;
}

void LeafQueue::tell(const Leaf &probed, const Prober &prober) {
  // By the number of chunks.
  std::map<int64_t, std::vector<int>> cuts;
  cuts[probed.execution.chunks()] = probed.chunkOfSegment;
  for (Leaf *other : ofMesh[keyOf(probed)]) {
    const int64_t chunks = other->execution.chunks();
    if (other->chunkOfSegment.empty()) {
      auto [it, isNew] = cuts.try_emplace(chunks);
      if (isNew)
        it->second = dealtByRanks(other->mesh, other->execution,
                                  partsOfStep(probed.work, probed.execution));
      other->chunkOfSegment = it->second;
    }
    other->bound = std::max(other->bound, prober.inherited(probed, *other));
  }
}
