//===- Leaves.cpp - Meshes and ways to execute on them --------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Leaves.h"
#include "Dominance.h"
#include "Dual.h"
#include "Model.h"
#include "Parallel.h"
#include <algorithm>
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

Result<std::unique_ptr<Step>> Steps::of(int64_t microBatches) const {
  auto step = std::make_unique<Step>();
  if (cut) {
    std::lock_guard lock(cutting);
    PARTITA_TRY(step->graph, cut(microBatches));
  } else {
    PARTITA_TRY(step->graph, microBatched(whole, microBatches));
  }
  step->classes = analyseDims(step->graph);
  return step;
}

Status Steps::outline(std::vector<int64_t> counts) {
  std::sort(counts.begin(), counts.end());
  counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
  std::erase_if(counts, [&](int64_t m) { return outlines.count(m) != 0; });
  std::vector<Status> done(counts.size(), ok());
  std::vector<std::unique_ptr<Outline>> made(counts.size());
  forAll(counts.size(), [&](size_t i) {
    auto step = of(counts[i]);
    if (!step) {
      done[i] = step.takeError();
      return;
    }
    made[i] = std::make_unique<Outline>();
    made[i]->windows = parts.windows((*step)->graph, (*step)->classes);
    findBytes((*step)->graph, *made[i]);
  });
  for (size_t i = 0; i < counts.size(); ++i) {
    PARTITA_CHECK(std::move(done[i]));
    outlines[counts[i]] = std::move(made[i]);
  }
  return ok();
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

ByPhase &ByPhase::operator+=(const ByPhase &other) {
  forward += other.forward;
  backward += other.backward;
  once += other.once;
  return *this;
}

/// By chunk; the header says why.
std::vector<ByPhase> Prober::timesOf(const Leaf &leaf, int slowest) const {
  const Execution &execution = leaf.execution;
  const auto chunks = static_cast<int>(execution.chunks());
  const int64_t m = execution.microBatches;
  const int lastStage = !backward ? execution.stageOf(chunks - 1)
                        : execution.splitsWeight() ? slowest
                                                   : 0;
  std::vector<ByPhase> times(chunks);
  bool isAfter = true; // all chunks of the slowest stage
  for (int chunk = chunks; chunk-- > 0;) {
    const int stage = execution.stageOf(chunk);
    isAfter &= stage != slowest;
    ByPhase &one = times[chunk];
    if (stage == slowest)
      one = {m, m};
    else if (chunk < slowest)
      one = {1, execution.splitsWeight() ? 0 : 1};
    else if (!backward)
      one.forward = isAfter;
    one.once = stage == lastStage;
  }
  return times;
}

/// The stage whose sum is about the most, if segments take so long; the first
/// of those that are equal.
int Prober::slowestOf(const Leaf &leaf,
                      const std::vector<int64_t> &work) const {
  const Execution &execution = leaf.execution;
  const auto chunks = static_cast<int>(execution.chunks());
  std::vector<int64_t> ofChunk(chunks, 0), sums(execution.stages, 0);
  for (size_t s = 0; s < work.size(); ++s)
    ofChunk[leaf.chunkOfSegment[s]] += work[s];
  std::vector<char> seen(execution.stages, 0);
  int64_t before = 0, after = 0;
  for (int chunk = 0; chunk < chunks; ++chunk) {
    int64_t &sum = sums[execution.stageOf(chunk)];
    sum = addPrices(sum, ofChunk[chunk] * execution.microBatches);
    if (chunk < execution.stages)
      sum = addPrices(sum, before);
    before += ofChunk[chunk];
  }
  for (int chunk = chunks; !backward && chunk-- > 0;) {
    const int stage = execution.stageOf(chunk);
    if (!seen[stage]++)
      sums[stage] = addPrices(sums[stage], after);
    after += ofChunk[chunk];
  }
  return static_cast<int>(std::max_element(sums.begin(), sums.end()) -
                          sums.begin());
}

/// One leaf's windows.
class Prober::Session {
public:
  Session(const Prober &prober, Leaf &leaf)
      : prober(prober), leaf(leaf), windows(leaf.outline->windows),
        builder(windows.graph, windows.classes, leaf.mesh, prober.topology,
                costingOf(leaf)) {}
  Status open();
  Status deal();
  void findBound();

private:
  static Costing costingOf(const Leaf &leaf);
  std::vector<int64_t> workOfSegments(bool onceToo) const;
  void setTimes();
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

/// The least time of each segment for a micro-batch, with its part of what is
/// done once a step.
std::vector<int64_t> Prober::Session::workOfSegments(bool onceToo) const {
  std::vector<int64_t> work(prober.segments.count(), 0);
  for (size_t o = 0; o < leastTimes.size(); ++o) {
    if (windows.place[o] < 0)
      continue;
    int64_t time = std::min(leastTimes[o], forbidden / 1024);
    OpPhase phase = windows.phases[o];
    if (phase == OpPhase::Forward && leaf.execution.recompute)
      time *= 2;
    if (phase != OpPhase::Forward && phase != OpPhase::Backward)
      time = onceToo ? time / leaf.execution.microBatches : 0;
    const Window &window = windows.all[windows.window[o]];
    for (int copy = 0; copy < window.copies; ++copy)
      work[window.segment(windows.place[o], copy)] += time;
  }
  return work;
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
  leaf.work = workOfSegments(true);
  leaf.workInLoop = workOfSegments(false);
  if (leaf.chunkOfSegment.empty())
    leaf.chunkOfSegment = dealtByRanks(leaf.mesh, leaf.execution, leaf.work);
  if (leaf.chunkOfSegment.empty())
    return makeError(
        ExitCode::Usage, "plan.stages", "--mesh " + leaf.mesh.str(),
        "the model falls into " + std::to_string(prober.segments.count()) +
            " segments, and there are " + std::to_string(chunks) +
            (chunks > leaf.execution.stages ? " chunks of stages" : " stages"),
        "fewer stages");
  if (chunks > 1)
    leaf.execution.chunkOf = prober.segments.byOp(leaf.chunkOfSegment);
  leaf.slowest = prober.slowestOf(leaf, leaf.workInLoop);
  return ok();
}

/// With recomputation, what is forward counts in the backward pass again.
void Prober::Session::setTimes() {
  std::vector<int64_t> forward, backward, once;
  const std::vector<ByPhase> times = prober.timesOf(leaf, leaf.slowest);
  for (size_t o = 0; o < windows.place.size(); ++o) {
    const Window &window = windows.all[windows.window[o]];
    ByPhase sum;
    for (int copy = 0; windows.place[o] >= 0 && copy < window.copies; ++copy)
      sum += times[leaf.chunkOfSegment[window.segment(windows.place[o], copy)]];
    if (leaf.execution.recompute)
      sum.forward += sum.backward;
    forward.push_back(sum.forward);
    backward.push_back(sum.backward);
    once.push_back(sum.once);
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
  // What is left to gain, the leaf's own solution finds.
  constexpr double worth = 1.0 / 256;
  leaf.parts.assign(windows.all.size(), {});
  for (size_t w = 0; w < windows.all.size(); ++w)
    leaf.parts[w].least.resize(windows.all[w].width);
  for (size_t o = 0; o < leastTimes.size(); ++o) {
    if (windows.place[o] < 0)
      continue;
    ByPhase &least = leaf.parts[windows.window[o]].least[windows.place[o]];
    int64_t &sum = windows.phases[o] == OpPhase::Forward ? least.forward
                   : isBackward(windows.phases[o])       ? least.backward
                                                         : least.once;
    sum = addPrices(sum, leastTimes[o]);
  }
  setTimes();
  builder.price(/*onlyTime=*/true);
  std::vector<Problem> parts =
      partsOf(removeDominated(builder.model.time).problem);
  int64_t sum = 0;
  for (size_t w = 0; w < parts.size(); ++w) {
    leaf.parts[w].bound = boundByMessages(parts[w], worth).bound;
    sum = addPrices(sum, leaf.parts[w].bound);
  }
  leaf.bound = std::max(leaf.bound, sum);
  leaf.probed = true;
}

Status Prober::deal(Leaf &leaf) const {
  Session session(*this, leaf);
  PARTITA_CHECK(session.open());
  return session.deal();
}

Status Prober::probe(Leaf &leaf) const {
  Session session(*this, leaf);
  PARTITA_CHECK(session.open());
  PARTITA_CHECK(session.deal());
  session.findBound();
  return ok();
}

/// What is kept for gradients of weights alone is counted as nothing.
int64_t Prober::leastBytes(const Leaf &leaf) const {
  const Outline &outline = *leaf.outline;
  const Execution &execution = leaf.execution;
  const std::vector<Kept> kept = keptMost(execution);
  std::vector<double> bytes(execution.stages, 0);
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    const GraphOp &op = graph.ops[o];
    const int chunk = execution.chunk(o);
    bool again = execution.recompute;
    for (int value : op.results)
      again &= !crossing[value];
    double &ofStage = bytes[execution.stageOf(chunk)];
    ofStage += outline.residentBytes[o];
    if (!again)
      ofStage += outline.keptBytes[o] *
                 static_cast<double>(kept[chunk].all - kept[chunk].forWeight);
  }
  auto ranks = static_cast<double>(stageOf(leaf.mesh).numRanks());
  return static_cast<int64_t>(*std::max_element(bytes.begin(), bytes.end()) /
                              ranks);
}

int64_t Prober::inherited(const Leaf &probed, const Leaf &other) const {
  return std::max(
      inherited(probed, other, probed.slowest),
      inherited(probed, other, slowestOf(other, probed.workInLoop)));
}

/// Each segment of a window counts so many times as often for the other leaf,
/// at least: of a micro-batch, less by its size.
int64_t Prober::inherited(const Leaf &probed, const Leaf &other,
                          int slowest) const {
  const int64_t before = probed.execution.microBatches,
                m = other.execution.microBatches;
  const bool again = probed.execution.recompute,
             isNew = other.execution.recompute && !again;
  if (m < before || (again && !other.execution.recompute))
    return 0;
  const double smaller = static_cast<double>(before) / static_cast<double>(m);
  const std::vector<ByPhase> then = timesOf(probed, probed.slowest),
                             now = timesOf(other, slowest);
  double sum = 0;
  for (size_t w = 0; w < probed.parts.size(); ++w) {
    const Window &window = probed.outline->windows.all[w];
    const Leaf::Part &part = probed.parts[w];
    // How often it counts; what runs again counts beside that.
    double often = 1, more = 0, kernels = 0;
    auto take = [&](int64_t count, int64_t of, double size) {
      if (of > 0)
        often = std::min(often, static_cast<double>(count) /
                                    static_cast<double>(of) * size);
    };
    for (int place = 0; place < window.width; ++place) {
      ByPhase a, b;
      for (int copy = 0; copy < window.copies; ++copy) {
        const int segment = window.segment(place, copy);
        a += then[probed.chunkOfSegment[segment]];
        b += now[other.chunkOfSegment[segment]];
      }
      if (again) {
        a.forward += a.backward;
        b.forward += b.backward;
      }
      take(b.forward, a.forward, smaller);
      take(b.backward, a.backward, smaller);
      take(b.once, a.once, 1);
      auto all = [](int64_t time, int64_t count) {
        return static_cast<double>(time) * static_cast<double>(count);
      };
      const ByPhase &least = part.least[place];
      if (isNew)
        more += all(least.forward, b.backward) * smaller;
      kernels +=
          (all(least.forward, b.forward) + all(least.backward, b.backward)) *
              smaller +
          all(least.once, b.once);
    }
    sum += std::max(static_cast<double>(part.bound) * often, kernels) + more;
  }
  return static_cast<int64_t>(sum * (1 - 1e-9));
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
    std::vector<Leaf *> &all = ofMesh[leaf.mesh.axisSizes];
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
    for (const auto &[step, number, leaf] : solved)
      if (differInSchedule(*leaf, *other))
        list.push_back(other);
  return list;
}

std::vector<Leaf *> LeafQueue::likelyFirst(const std::vector<Solved> &solved,
                                           const Prober &prober) const {
  auto ratio = [](int64_t a, int64_t b) {
    return static_cast<double>(a) /
           static_cast<double>(std::max<int64_t>(b, 1));
  };
  std::vector<std::tuple<double, size_t, Leaf *>> others;
  for (const auto &[step, number, leaf] : solved)
    for (Leaf *other : open)
      if (other->probed && differInSchedule(*leaf, *other)) {
        double room =
            ratio(prober.leastBytes(*other), prober.leastBytes(*leaf));
        others.emplace_back(static_cast<double>(other->bound) *
                                ratio(step, leaf->bound) * std::max(room, 1.0),
                            other->number, other);
      }
  std::sort(others.begin(), others.end());
  std::vector<Leaf *> list;
  for (const auto &[estimate, number, other] : others)
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

Leaf *LeafQueue::least() const {
  return *std::min_element(open.begin(), open.end(), isBefore);
}

std::vector<Leaf *> LeafQueue::leastProbed(size_t most, int64_t toBeat) const {
  std::vector<Leaf *> fresh, rest;
  for (Leaf *leaf : open)
    if (leaf->probed && leaf->bound < toBeat)
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
    std::vector<Leaf *> &all = ofMesh[leaf->mesh.axisSizes];
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
  for (Leaf *other : ofMesh[probed.mesh.axisSizes]) {
    const int64_t chunks = other->execution.chunks();
    if (other->chunkOfSegment.empty()) {
      auto [it, isNew] = cuts.try_emplace(chunks);
      if (isNew)
        it->second = dealtByRanks(other->mesh, other->execution, probed.work);
      other->chunkOfSegment = it->second;
    }
    other->bound = std::max(other->bound, prober.inherited(probed, *other));
  }
}
