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
#include <algorithm>
#include <set>

using namespace partita;
using namespace partita::planner;

//===----------------------------------------------------------------------===//
// Steps
//===----------------------------------------------------------------------===//

Steps::Steps(const Graph &whole)
    : whole(whole), phases(phasesOf(whole)), parts(whole, phases) {
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

Result<const Step *> Steps::of(int64_t microBatches) {
  auto it = steps.find(microBatches);
  if (it != steps.end())
    return static_cast<const Step *>(it->second.get());
  auto step = std::make_unique<Step>();
  PARTITA_TRY(step->graph, microBatched(whole, microBatches));
  step->classes = analyseDims(step->graph);
  step->windows = parts.windows(step->graph, step->classes);
  findBytes(*step);
  return static_cast<const Step *>(
      (steps[microBatches] = std::move(step)).get());
}

static int64_t bytesOf(const GraphValue &value) {
  double bytes = static_cast<double>(dtypeSize(value.dtype));
  for (int64_t size : value.shape)
    bytes *= static_cast<double>(size);
  return static_cast<int64_t>(
      std::min(bytes, static_cast<double>(forbidden) / 1024));
}

/// Views may take less than their size: they are left out. What another segment
/// reads may be kept there.
void Steps::findBytes(Step &step) const {
  const Graph &graph = step.graph;
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
    int64_t &resident = step.residentBytes.emplace_back(0);
    int64_t &kept = step.keptBytes.emplace_back(0);
    bool isView =
        op.role == OpRole::Compute && op.kernelClass == KernelClass::Free;
    for (int value : op.results)
      if (isResident(op) && inStep[value] && !isView)
        resident += bytesOf(graph.values[value]);
      else if (phases[o] == OpPhase::Forward && op.role == OpRole::Compute &&
               back[value] && !isView)
        kept += bytesOf(graph.values[value]);
  }
}

//===----------------------------------------------------------------------===//
// Probing
//===----------------------------------------------------------------------===//

/// How often a micro-batch in `stage` counts.
int64_t Prober::timesOf(const Leaf &leaf, int64_t microBatches,
                        int stage) const {
  if (stage == leaf.slowest)
    return microBatches;
  return stage < leaf.slowest || !backward ? 1 : 0;
}

int64_t Prober::timesOnce(const Leaf &leaf, int stage) const {
  return stage == (backward ? 0 : leaf.execution.stages - 1) ? 1 : 0;
}

/// One leaf's windows.
class Prober::Session {
public:
  Session(const Prober &prober, Leaf &leaf)
      : prober(prober), leaf(leaf), windows(leaf.step->windows),
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
  const Windows &windows = leaf.step->windows;
  Costing costing(windows.graph);
  costing.phases = windows.phases;
  costing.execution = leaf.execution;
  costing.execution.stageOf.clear();
  if (leaf.execution.recompute)
    costing.forward = {2, 1};
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

Status Prober::Session::deal() {
  const int64_t stages = leaf.execution.stages, m = leaf.execution.microBatches;
  if (leaf.stageOfSegment.empty())
    leaf.stageOfSegment = dealt(stages, workOfSegments(true));
  if (leaf.stageOfSegment.empty())
    return makeError(
        ExitCode::Usage, "plan.stages", "--mesh " + leaf.mesh.str(),
        "the model falls into " + std::to_string(prober.segments.count()) +
            " segments, and there are " + std::to_string(stages) + " stages",
        "fewer stages");
  if (stages > 1)
    leaf.execution.stageOf = prober.segments.byOp(leaf.stageOfSegment);
  std::vector<int64_t> segments = workOfSegments(false), work(stages, 0);
  for (size_t s = 0; s < segments.size(); ++s)
    work[leaf.stageOfSegment[s]] += segments[s];
  int64_t most = -1;
  int slowest = 0;
  for (leaf.slowest = 0; leaf.slowest < stages; ++leaf.slowest) {
    int64_t sum = 0;
    for (int stage = 0; stage < stages; ++stage)
      sum = addPrices(sum, work[stage] * prober.timesOf(leaf, m, stage));
    if (sum > most) {
      most = sum;
      slowest = leaf.slowest;
    }
  }
  leaf.slowest = slowest;
  return ok();
}

void Prober::Session::setTimes() {
  std::vector<int64_t> inLoop, once;
  for (size_t o = 0; o < windows.place.size(); ++o) {
    const Window &window = windows.all[windows.window[o]];
    int64_t loops = 0, steps = 0;
    for (int copy = 0; windows.place[o] >= 0 && copy < window.copies; ++copy) {
      int stage = leaf.stageOfSegment[window.segment(windows.place[o], copy)];
      loops += prober.timesOf(leaf, leaf.execution.microBatches, stage);
      steps += prober.timesOnce(leaf, stage);
    }
    inLoop.push_back(loops);
    once.push_back(steps);
  }
  builder.setTimes(std::move(inLoop), std::move(once));
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
    leaf.parts[w].forward.assign(windows.all[w].width, 0);
  for (size_t o = 0; o < leastTimes.size(); ++o)
    if (windows.place[o] >= 0 && windows.phases[o] == OpPhase::Forward) {
      int64_t &sum = leaf.parts[windows.window[o]].forward[windows.place[o]];
      sum = addPrices(sum, leastTimes[o]);
    }
  setTimes();
  builder.price();
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

int64_t Prober::leastBytes(const Leaf &leaf) const {
  const Step &step = *leaf.step;
  const Execution &execution = leaf.execution;
  std::vector<double> bytes(execution.stages, 0);
  for (size_t o = 0; o < step.graph.ops.size(); ++o) {
    const GraphOp &op = step.graph.ops[o];
    int stage = execution.stage(o);
    bool again = execution.recompute;
    for (int value : op.results)
      again &= !crossing[value];
    bytes[stage] += static_cast<double>(step.residentBytes[o]);
    if (!again)
      bytes[stage] += static_cast<double>(step.keptBytes[o]) *
                      static_cast<double>(inFlight(execution, stage));
  }
  auto ranks = static_cast<double>(stageOf(leaf.mesh).numRanks());
  return static_cast<int64_t>(*std::max_element(bytes.begin(), bytes.end()) /
                              ranks);
}

/// The other leaf is cut as this one.
int64_t Prober::inherited(const Leaf &probed, const Leaf &other) const {
  const int64_t before = probed.execution.microBatches,
                m = other.execution.microBatches;
  bool again = other.execution.recompute && !probed.execution.recompute;
  if (m < before || (probed.execution.recompute && !other.execution.recompute))
    return 0;
  double smaller = static_cast<double>(before) / static_cast<double>(m);
  double sum = 0;
  for (size_t w = 0; w < probed.parts.size(); ++w) {
    const Window &window = probed.step->windows.all[w];
    const Leaf::Part &part = probed.parts[w];
    double least = 1 / smaller;
    for (int place = 0; place < window.width; ++place) {
      int64_t then = 0, now = 0;
      for (int copy = 0; copy < window.copies; ++copy) {
        int stage = probed.stageOfSegment[window.segment(place, copy)];
        then += timesOf(probed, before, stage);
        now += timesOf(probed, m, stage);
      }
      if (then > 0)
        least = std::min(least,
                         static_cast<double>(now) / static_cast<double>(then));
      if (again)
        sum += static_cast<double>(part.forward[place]) *
               static_cast<double>(now) * smaller;
    }
    sum += static_cast<double>(part.bound) * least * smaller;
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
    leaf.number = open.size();
    open.push_back(&leaf);
    ofMesh[leaf.mesh.axisSizes].push_back(&leaf);
  }
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

Leaf *LeafQueue::leastProbed() const {
  Leaf *found = nullptr;
  for (Leaf *leaf : open)
    if (leaf->probed && (!found || isBefore(leaf, found)))
      found = leaf;
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
  for (Leaf *other : ofMesh[probed.mesh.axisSizes]) {
    if (other->stageOfSegment.empty())
      other->stageOfSegment = probed.stageOfSegment;
    other->bound = std::max(other->bound, prober.inherited(probed, *other));
  }
}
