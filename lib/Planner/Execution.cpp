//===- Execution.cpp - Stages, micro-batches and schedules ----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Planner/Execution.h"
#include <algorithm>

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

Mesh partita::stageOf(Mesh mesh) {
  if (int axis = mesh.axis(stageAxis); axis >= 0)
    mesh.axisSizes[axis] = 1;
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
      : graph(graph), count(count), isBatch(graph.values.size()) {}
  Result<Graph> run();

private:
  Error refusal(const std::string &what) const {
    return makeError(ExitCode::Usage, "plan.micro-batches",
                     "--micro-batches " + std::to_string(count), what,
                     "a number that divides the batch");
  }
  bool findNamed();
  Status follow();
  Result<std::vector<char>> splitFactors(const GraphOp &op) const;
  bool claim(const GraphOp &op, const std::vector<char> &split);

  Graph graph;
  int64_t count;
  /// By value and dimension.
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
        any = isBatch[v][d] = 1;
  }
  return any;
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
  auto mark = [&](const TensorMap &dims, int value) {
    for (size_t d = 0; d < dims.size(); ++d)
      for (unsigned f : dims[d])
        if (split[f] && !isBatch[value][d])
          isNew = isBatch[value][d] = 1;
  };
  for (size_t i = 0; i < op.operands.size(); ++i)
    mark(op.rule.operands[i], op.operands[i]);
  for (size_t i = 0; i < op.results.size(); ++i)
    mark(op.rule.results[i], op.results[i]);
  return isNew;
}

/// Marks every dimension that has the batch in it, down from inputs and up from
/// what meets them, and makes factors smaller.
Status Splitter::follow() {
  for (bool again = true; again;) {
    again = false;
    for (bool down : {true, false})
      for (size_t i = 0; i < graph.ops.size(); ++i) {
        const GraphOp &op = graph.ops[down ? i : graph.ops.size() - 1 - i];
        PARTITA_TRY(std::vector<char> split, splitFactors(op));
        again |= claim(op, split);
      }
  }
  for (GraphOp &op : graph.ops) {
    PARTITA_TRY(std::vector<char> split, splitFactors(op));
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

Result<Graph> Splitter::run() {
  if (!findNamed())
    return refusal("no dimension of an input is called batch");
  PARTITA_CHECK(follow());
  for (GraphOp &op : graph.ops) {
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

//===----------------------------------------------------------------------===//
// Time
//===----------------------------------------------------------------------===//

int64_t partita::inFlight(const Execution &execution, int stage) {
  return std::min(execution.microBatches, execution.stages - stage);
}

int64_t partita::stepTime(const std::vector<StageTimes> &stages,
                          int64_t microBatches) {
  const size_t count = stages.size();
  bool backward = false;
  for (const StageTimes &stage : stages)
    backward |= stage.backward.sum() > 0;
  // By stage: what it has done, and when it is free.
  std::vector<int64_t> forwards(count, 0), backwards(count, 0), free(count, 0);
  // When stage s has ended forward or backward pass k.
  std::vector<std::vector<int64_t>> ended(count), returned(count);
  int64_t left =
      static_cast<int64_t>(count) * microBatches * (backward ? 2 : 1);
  while (left > 0) {
    bool moved = false;
    for (size_t s = 0; s < count; ++s)
      while (true) {
        int64_t f = forwards[s], b = backwards[s];
        int64_t most = static_cast<int64_t>(count - s);
        bool mayForward = f < microBatches && (!backward || f - b < most);
        bool wantsBackward = backward && b < f && !mayForward;
        if (mayForward) {
          if (s > 0 && static_cast<int64_t>(ended[s - 1].size()) <= f)
            break;
          int64_t ready = s > 0 ? ended[s - 1][f] : 0;
          free[s] = std::max(free[s], ready) + stages[s].forward.sum();
          ended[s].push_back(free[s]);
          ++forwards[s];
        } else if (wantsBackward) {
          if (s + 1 < count &&
              static_cast<int64_t>(returned[s + 1].size()) <= b)
            break;
          int64_t ready = s + 1 < count ? returned[s + 1][b] : ended[s][b];
          free[s] = std::max(free[s], ready) + stages[s].backward.sum();
          returned[s].push_back(free[s]);
          ++backwards[s];
        } else {
          break;
        }
        moved = true;
        --left;
      }
    if (!moved)
      break; // Cannot be: stages wait for earlier work only.
  }
  int64_t end = 0;
  for (size_t s = 0; s < count; ++s)
    end = std::max(end, free[s] + stages[s].once.sum());
  return end;
}
