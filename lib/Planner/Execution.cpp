//===- Execution.cpp - Stages, micro-batches and schedules ----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Planner/Execution.h"
#include "Segments.h"
#include <algorithm>
#include <utility>

using namespace partita;

//===----------------------------------------------------------------------===//
// Phases
//===----------------------------------------------------------------------===//

std::vector<OpPhase> partita::phasesOf(const Graph &graph) {
  std::vector<OpPhase> phases(graph.ops.size(), OpPhase::Once);
  std::vector<OpPhase> made(graph.values.size(), OpPhase::Once);
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    const GraphOp &op = graph.ops[o];
    OpPhase &phase = phases[o];
    // Numbers like a learning rate are no data.
    bool isData = op.role == OpRole::Input && op.nextState < 0 &&
                  !graph.values[op.results[0]].shape.empty();
    if (isData)
      phase = OpPhase::Forward;
    for (int value : op.operands)
      phase = std::max(phase, made[value]);
    if (phase == OpPhase::Forward && op.isBackward)
      phase = OpPhase::Backward;
    if (phase != OpPhase::Once && op.isUpdate)
      phase = OpPhase::Update;
    for (int value : op.results)
      made[value] = phase;
  }
  return phases;
}

std::vector<OpPhase> partita::phasesOf(const Graph &graph,
                                       const Execution &execution) {
  std::vector<OpPhase> phases = phasesOf(graph);
  if (!execution.splitsWeight())
    return phases;
  const std::vector<OpPhase> whole = phases;
  const planner::Segments segments(graph, whole);
  // By value: something of the backward pass that is not split off reads it, or
  // another layer.
  using Layer = std::pair<int, int>;
  std::vector<std::vector<Layer>> layersOf(graph.values.size());
  std::vector<char> isNeeded(graph.values.size(), 0);
  for (size_t o = graph.ops.size(); o-- > 0;) {
    const GraphOp &op = graph.ops[o];
    if (phases[o] != OpPhase::Backward)
      continue;
    const Layer layer{execution.chunk(o), segments.segmentOf()[o]};
    bool needed = false;
    for (int value : op.results) {
      needed |= isNeeded[value];
      for (const Layer &other : layersOf[value])
        needed |= other != layer;
    }
    if (!needed)
      phases[o] = OpPhase::Weight;
    for (int value : op.operands) {
      isNeeded[value] |= needed;
      layersOf[value].push_back(layer);
    }
  }
  return phases;
}

int Execution::stageOf(int chunk) const {
  return static_cast<int>(shapeOf(*this, true).laneOf(chunk));
}

Mesh partita::evenStages(Mesh mesh) {
  mesh.stageAxes.clear();
  return mesh;
}

Mesh partita::stageOf(Mesh mesh) {
  if (int axis = mesh.axis(stageAxis); axis >= 0)
    mesh.axisSizes[axis] = 1;
  mesh.stageAxes.clear();
  return mesh;
}

//===----------------------------------------------------------------------===//
// Micro-batches
//===----------------------------------------------------------------------===//

namespace {
/// Follows the batch from the inputs that name it through all rules.
class Splitter {
public:
  Splitter(const Graph &graph, int64_t count)
      : graph(graph), count(count), numBatch(graph.values.size(), 0),
        isBatch(graph.values.size()) {}
  /// Fills in how operations are split, if that is wanted.
  Result<Graph> run(std::vector<Strategy> *strategies = nullptr);

private:
  Error refusal(const std::string &what) const {
    return makeError(ExitCode::Usage, "plan.micro-batches",
                     "--micro-batches " + std::to_string(count), what,
                     "a number that divides the batch");
  }
  bool findNamed();
  Status follow(std::vector<Strategy> *strategies);
  /// Of a dimension that is new.
  bool mark(size_t value, size_t dim) {
    ++numBatch[value];
    return isBatch[value][dim] = 1;
  }
  int batchesAt(const GraphOp &op) const;
  Result<std::vector<char>> splitFactors(const GraphOp &op) const;
  bool claim(const GraphOp &op, const std::vector<char> &split);

  Graph graph;
  int64_t count;
  /// By value: in how many dimensions it has the batch; and in which.
  std::vector<int> numBatch;
  std::vector<std::vector<char>> isBatch;
};
} // namespace

/// Inputs whose dimensions are called so.
bool Splitter::findNamed() {
  bool any = false;
  for (size_t v = 0; v < graph.values.size(); ++v) {
    const GraphValue &value = graph.values[v];
    isBatch[v].assign(value.shape.size(), 0);
    for (size_t d = 0; d < value.dimNames.size() && d < value.shape.size(); ++d)
      if (value.dimNames[d].find("batch") != std::string::npos)
        any = mark(v, d);
  }
  return any;
}

/// The dimensions at an operation that have the batch: most operations of a
/// training step have weights only.
int Splitter::batchesAt(const GraphOp &op) const {
  int count = 0;
  for (int value : op.operands)
    count += numBatch[value];
  for (int value : op.results)
    count += numBatch[value];
  return count;
}

/// The factors that walk the batch. Where several make up a dimension, the
/// batch is in the first that has room for it.
Result<std::vector<char>> Splitter::splitFactors(const GraphOp &op) const {
  std::vector<char> split(op.rule.factors.size(), 0);
  bool fits = true;
  auto look = [&](const TensorMap &dims, int value) {
    for (size_t d = 0; d < dims.size(); ++d) {
      auto has = [&](unsigned f) { return split[f] != 0; };
      if (!isBatch[value][d] ||
          std::any_of(dims[d].begin(), dims[d].end(), has))
        continue;
      auto place =
          std::find_if(dims[d].begin(), dims[d].end(), [&](unsigned f) {
            return op.rule.factors[f].size % count == 0 &&
                   op.rule.factors[f].kind != FactorKind::Halo;
          });
      fits &= place != dims[d].end();
      if (place != dims[d].end())
        split[*place] = 1;
    }
  };
  for (size_t i = 0; i < op.operands.size(); ++i)
    look(op.rule.operands[i], op.operands[i]);
  for (size_t i = 0; i < op.results.size(); ++i)
    look(op.rule.results[i], op.results[i]);
  bool stored = op.role == OpRole::Parameter || op.nextState >= 0;
  if (!fits || (stored && std::count(split.begin(), split.end(), 1)))
    return refusal("the batch at '" + op.id + "' does not divide");
  return split;
}

/// Whatever these factors walk has the batch in it; whether that is new.
bool Splitter::claim(const GraphOp &op, const std::vector<char> &split) {
  bool isNew = false;
  auto markAll = [&](const TensorMap &dims, int value) {
    for (size_t d = 0; d < dims.size(); ++d)
      for (unsigned f : dims[d])
        if (split[f] && !isBatch[value][d])
          isNew = mark(value, d);
  };
  for (size_t i = 0; i < op.operands.size(); ++i)
    markAll(op.rule.operands[i], op.operands[i]);
  for (size_t i = 0; i < op.results.size(); ++i)
    markAll(op.rule.results[i], op.results[i]);
  return isNew;
}

/// Marks every dimension that has the batch in it, down from inputs and up from
/// what meets them, and makes factors smaller.
Status Splitter::follow(std::vector<Strategy> *strategies) {
  // By operation: how many there were when it was looked at last.
  std::vector<int> seen(graph.ops.size(), 0);
  for (bool again = true; again;) {
    again = false;
    for (bool down : {true, false})
      for (size_t i = 0; i < graph.ops.size(); ++i) {
        const size_t number = down ? i : graph.ops.size() - 1 - i;
        const GraphOp &op = graph.ops[number];
        const int batches = batchesAt(op);
        if (std::exchange(seen[number], batches) == batches)
          continue;
        PARTITA_TRY(std::vector<char> split, splitFactors(op));
        again |= claim(op, split);
      }
  }
  for (GraphOp &op : graph.ops) {
    if (strategies)
      strategies->push_back(Strategy::replicated(op.rule));
    if (batchesAt(op) == 0)
      continue;
    PARTITA_TRY(std::vector<char> split, splitFactors(op));
    for (size_t f = 0; strategies && f < split.size(); ++f)
      if (split[f])
        strategies->back().factors[f].factors = {
            {op.rule.factors[f].size, {0}}};
    for (size_t f = 0; f < split.size(); ++f)
      if (split[f])
        op.rule.factors[f].size /= count;
    if (std::count(split.begin(), split.end(), 1))
      op.flops /= count;
  }
  return ok();
}

/// `shape` where the dimensions walk these factors.
static void resize(const TensorMap &dims, const ShardingRule &rule,
                   bool operand, std::vector<int64_t> &shape) {
  for (size_t d = 0; d < dims.size(); ++d) {
    if (dims[d].empty())
      continue;
    shape[d] = 1;
    for (unsigned factor : dims[d])
      shape[d] *= rule.factors[factor].sizeIn(operand);
  }
}

Result<Graph> Splitter::run(std::vector<Strategy> *strategies) {
  if (!findNamed())
    return refusal("no dimension of an input is called batch");
  PARTITA_CHECK(follow(strategies));
  for (GraphOp &op : graph.ops) {
    if (batchesAt(op) == 0)
      continue;
    for (size_t i = 0; i < op.results.size(); ++i)
      resize(op.rule.results[i], op.rule, false,
             graph.values[op.results[i]].shape);
    for (size_t i = 0; i < op.operands.size(); ++i) {
      const std::vector<int64_t> &shape = graph.values[op.operands[i]].shape;
      std::vector<int64_t> read = shape;
      resize(op.rule.operands[i], op.rule, true, read);
      if (read != shape)
        return refusal("'" + op.id +
                       "' reads the batch in a dimension that is not split");
    }
  }
  return std::move(graph);
}

Result<Graph> partita::microBatched(const Graph &graph, int64_t count) {
  if (count == 1)
    return graph;
  return Splitter(graph, count).run();
}

Result<std::vector<Strategy>> partita::microBatchStrategies(const Graph &graph,
                                                            int64_t count) {
  std::vector<Strategy> strategies;
  PARTITA_TRY(Graph cut, Splitter(graph, count).run(&strategies));
  return strategies;
}

//===----------------------------------------------------------------------===//
// Time
//===----------------------------------------------------------------------===//

ScheduleShape partita::shapeOf(const Execution &execution, bool backward) {
  ScheduleShape shape;
  shape.kind = execution.schedule.kind;
  shape.lanes = execution.stages;
  shape.chunksPerLane = execution.schedule.chunksPerLane;
  shape.microBatches = execution.microBatches;
  shape.backward = backward;
  // Of transformers, about: backward passes of attention take longer.
  shape.units[0] = 3;
  shape.units[1] = execution.recompute ? 7 : 4;
  shape.units[2] = 4;
  return shape;
}

static Schedule scheduleOf(const Execution &execution, bool backward) {
  auto schedule = makeSchedule(shapeOf(execution, backward));
  assert(schedule && "there is a schedule of each execution");
  return std::move(*schedule);
}

std::vector<Kept> partita::keptMost(const Execution &execution) {
  return keptMost(scheduleOf(execution, true));
}

StageTimes &StageTimes::operator+=(const StageTimes &other) {
  forward += other.forward;
  backward += other.backward;
  weight += other.weight;
  once += other.once;
  return *this;
}

std::vector<StageTimes>
partita::timesOfStages(const Execution &execution,
                       const std::vector<StageTimes> &times) {
  std::vector<StageTimes> stages(execution.stages);
  for (int chunk = 0; chunk < static_cast<int>(times.size()); ++chunk)
    stages[execution.stageOf(chunk)] += times[chunk];
  return stages;
}

int64_t partita::stepTime(const Execution &execution,
                          const std::vector<StageTimes> &times) {
  bool backward = false;
  std::vector<ChunkTimes> ofChunks;
  for (const StageTimes &chunk : times) {
    backward |= chunk.backward.sum() + chunk.weight.sum() > 0;
    ofChunks.push_back(
        {chunk.forward.sum(), chunk.backward.sum(), chunk.weight.sum()});
  }
  auto spans = simulate(scheduleOf(execution, backward), ofChunks);
  const std::vector<StageTimes> stages = timesOfStages(execution, times);
  int64_t end = 0;
  for (size_t s = 0; s < stages.size(); ++s)
    end = std::max(end, (*spans)[s].end + stages[s].once.sum());
  return end;
}
