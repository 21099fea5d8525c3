//===- Strategies.cpp - The legal strategies of an operation --------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Strategies.h"
#include "Pins.h"
#include <algorithm>

using namespace partita;
using namespace partita::planner;

//===----------------------------------------------------------------------===//
// Axis names
//===----------------------------------------------------------------------===//

bool planner::axisAllows(const std::string &axis,
                         const std::vector<Piece> &run) {
  // Of several sizes: "tp.1".
  if (size_t dot = axis.find('.'); dot != std::string::npos)
    return axisAllows(axis.substr(0, dot), run);
  auto all = [&](auto test) {
    return std::all_of(run.begin(), run.end(), test);
  };
  if (axis == "dp")
    return all([](const Piece &piece) { return piece.kind == KindBatch; });
  if (axis == "tp")
    return all([](const Piece &piece) {
      return piece.kind == KindOther || piece.kind == KindExpert;
    });
  if (axis == "sp" || axis == "cp")
    return all([](const Piece &piece) { return piece.kind == KindSequence; });
  if (axis == "ep")
    return all([](const Piece &piece) { return piece.kind == KindExpert; });
  return true;
}

//===----------------------------------------------------------------------===//
// Kernel time
//===----------------------------------------------------------------------===//

int64_t planner::kernelTime(const Graph &graph, const GraphOp &op,
                            const Strategy &strategy, const Mesh &mesh,
                            const KernelCost &cost) {
  if (op.role != OpRole::Compute || op.kernelClass == KernelClass::Free)
    return 0;
  __int128 bytes = 0, written = 0;
  DType dtype = DType::F32;
  for (size_t i = 0; i < op.results.size(); ++i) {
    const GraphValue &value = graph.values[op.results[i]];
    if (i == 0)
      dtype = value.dtype;
    written +=
        maxLocalBytes(resultSharding(op.rule, strategy, i), mesh, value.dtype);
  }
  for (size_t i = 0; i < op.operands.size(); ++i) {
    __int128 read = maxLocalBytes(operandSharding(op.rule, strategy, i), mesh,
                                  graph.values[op.operands[i]].dtype);
    bool sampled = std::count(op.sampledOperands.begin(),
                              op.sampledOperands.end(), i) != 0;
    bytes += sampled ? std::min(read, written) : read;
  }
  bytes = std::min<__int128>(bytes + written, INT64_MAX);
  return cost.picoseconds(kernelWork(op.rule, op.kernelClass, dtype, op.flops,
                                     localIterations(strategy, mesh),
                                     static_cast<int64_t>(bytes)));
}

//===----------------------------------------------------------------------===//
// Enumeration
//===----------------------------------------------------------------------===//

/// Does a pin say where `axis` goes, and does `choice` obey? A pin of another
/// axis says nothing; the absence of its factor from the rule says nothing
/// either (globs match widely), which the caller has made sure of.
bool StrategyEnumerator::satisfies(int number, int axis, const Choice &choice,
                                   const std::vector<const Pin *> &pins) const {
  const GraphOp &op = graph.ops[number];
  const std::vector<std::vector<Piece>> &pieces = classes.factors[number];
  for (const Pin *pin : pins) {
    if (pin->factor.empty()) {
      if (choice.factor >= 0)
        return false;
      continue;
    }
    if (pin->axis != mesh.axisNames[axis])
      continue;
    if (choice.factor < 0)
      return false;
    if (!pinMeans(*pin, op.rule.factors[choice.factor], pieces[choice.factor],
                  choice.begin, choice.end))
      return false;
  }
  return true;
}

std::vector<StrategyEnumerator::Choice>
StrategyEnumerator::choicesOf(int number, int axis,
                              const std::vector<const Pin *> &pins) const {
  const GraphOp &op = graph.ops[number];
  std::vector<Choice> choices;
  auto add = [&](Choice choice) {
    if (satisfies(number, axis, choice, pins))
      choices.push_back(choice);
  };
  add({});
  int64_t ranks = mesh.axisSizes[axis];
  // Splits nothing, or stages; pins on it hold.
  if (ranks == 1 || mesh.axisNames[axis] == stageAxis)
    return {{}};
  for (size_t f = 0; f < op.rule.factors.size(); ++f) {
    const Factor &factor = op.rule.factors[f];
    if (factor.kind == FactorKind::Linear)
      add({static_cast<int>(f), 0, 1});
    if (factor.kind == FactorKind::Linear ||
        factor.kind == FactorKind::Replicate)
      continue;
    const std::vector<Piece> &pieces = classes.factors[number][f];
    for (size_t begin = 0; begin < pieces.size(); ++begin) {
      std::vector<Piece> run;
      int64_t size = 1;
      for (size_t end = begin; end < pieces.size(); ++end) {
        run.push_back(pieces[end]);
        size *= pieces[end].size;
        if (size >= ranks && axisAllows(mesh.axisNames[axis], run))
          add({static_cast<int>(f), begin, end + 1});
      }
    }
  }
  return choices;
}

/// The strategy that gives each axis its choice; false if two axes' runs
/// overlap without being equal.
bool StrategyEnumerator::build(int number, const std::vector<Choice> &byAxis,
                               Strategy &strategy) const {
  const GraphOp &op = graph.ops[number];
  strategy = Strategy::replicated(op.rule);
  for (size_t f = 0; f < op.rule.factors.size(); ++f) {
    std::vector<std::pair<Choice, std::vector<int>>> runs;
    for (size_t axis = 0; axis < byAxis.size(); ++axis) {
      const Choice &choice = byAxis[axis];
      if (choice.factor != static_cast<int>(f))
        continue;
      auto same = std::find_if(runs.begin(), runs.end(), [&](auto &run) {
        return run.first.begin == choice.begin && run.first.end == choice.end;
      });
      if (same != runs.end()) {
        same->second.push_back(static_cast<int>(axis));
        continue;
      }
      for (auto &run : runs)
        if (choice.begin < run.first.end && run.first.begin < choice.end)
          return false;
      runs.push_back({choice, {static_cast<int>(axis)}});
    }
    if (runs.empty())
      continue;
    DimSharding &out = strategy.factors[f];
    if (op.rule.factors[f].kind == FactorKind::Linear) {
      out.factors = {{1, runs[0].second}};
      continue;
    }
    std::sort(runs.begin(), runs.end(),
              [](auto &a, auto &b) { return a.first.begin < b.first.begin; });
    const std::vector<Piece> &pieces = classes.factors[number][f];
    out.factors.clear();
    size_t next = 0;
    auto append = [&](size_t end, std::vector<int> axes) {
      int64_t size = 1;
      for (; next < end; ++next)
        size *= pieces[next].size;
      out.factors.push_back({size, std::move(axes)});
    };
    for (auto &[run, axes] : runs) {
      if (next < run.begin)
        append(run.begin, {});
      append(run.end, axes);
    }
    if (next < pieces.size())
      append(pieces.size(), {});
  }
  return true;
}

Status StrategyEnumerator::add(int number, Strategy strategy,
                               CandidateSet &set) {
  const GraphOp &op = graph.ops[number];
  if (!checkStrategy(op.rule, strategy, mesh, op.id))
    return ok();
  Candidate candidate;
  candidate.time = kernelTime(graph, op, strategy, mesh, cost);
  for (size_t i = 0; i < op.operands.size(); ++i) {
    PARTITA_TRY(int layout,
                reshard.intern(operandSharding(op.rule, strategy, i)));
    candidate.operands.push_back(layout);
  }
  for (size_t i = 0; i < op.results.size(); ++i) {
    PARTITA_TRY(int layout,
                reshard.intern(resultSharding(op.rule, strategy, i)));
    candidate.results.push_back(layout);
  }
  candidate.strategy = std::move(strategy);
  std::vector<int> layouts = candidate.operands;
  layouts.insert(layouts.end(), candidate.results.begin(),
                 candidate.results.end());
  auto [it, added] = seen.try_emplace(layouts, set.candidates.size());
  if (added)
    set.candidates.push_back(std::move(candidate));
  else if (candidate.time < set.candidates[it->second].time)
    set.candidates[it->second] = std::move(candidate);
  return ok();
}

/// Everything that enumerate() looks at.
std::string
StrategyEnumerator::keyOf(int number,
                          const std::vector<const Pin *> &pins) const {
  const GraphOp &op = graph.ops[number];
  std::string key;
  auto put = [&](int64_t value) {
    key.append(reinterpret_cast<const char *>(&value), sizeof value);
  };
  put(static_cast<int64_t>(op.role));
  put(op.flops);
  put(static_cast<int64_t>(op.kernelClass));
  put(static_cast<int64_t>(op.sampledOperands.size()));
  for (unsigned operand : op.sampledOperands)
    put(operand);
  for (size_t f = 0; f < op.rule.factors.size(); ++f) {
    const Factor &factor = op.rule.factors[f];
    put(factor.size);
    put(static_cast<int64_t>(factor.kind) << 16 |
        static_cast<int64_t>(factor.combiner) << 8 | factor.contiguous);
    for (int64_t number :
         {factor.halo.positions, factor.halo.stride, factor.halo.before,
          factor.halo.extent, factor.elements})
      put(number);
    put(static_cast<int64_t>(factor.linearOperands.size()));
    for (unsigned operand : factor.linearOperands)
      put(operand);
    put(static_cast<int64_t>(classes.factors[number][f].size()));
    for (const Piece &piece : classes.factors[number][f])
      put(piece.size << 2 | piece.kind);
    if (!pins.empty())
      key += factor.name + '\0';
  }
  auto putTensor = [&](int value, const TensorMap &map) {
    put(static_cast<int64_t>(graph.values[value].dtype));
    put(static_cast<int64_t>(map.size()));
    for (const std::vector<unsigned> &dim : map) {
      put(static_cast<int64_t>(dim.size()));
      for (unsigned factor : dim)
        put(factor);
    }
  };
  put(static_cast<int64_t>(op.operands.size()));
  for (size_t i = 0; i < op.operands.size(); ++i)
    putTensor(op.operands[i], op.rule.operands[i]);
  for (size_t i = 0; i < op.results.size(); ++i)
    putTensor(op.results[i], op.rule.results[i]);
  for (const Pin *pin : pins)
    put(static_cast<int64_t>(reinterpret_cast<intptr_t>(pin)));
  return key;
}

Result<const CandidateSet *>
StrategyEnumerator::enumerate(int op, const std::vector<const Pin *> &pins,
                              uint32_t axes) {
  std::unique_ptr<CandidateSet> &set =
      known[keyOf(op, pins) + std::to_string(axes)];
  if (set)
    return static_cast<const CandidateSet *>(set.get());
  set = std::make_unique<CandidateSet>();
  seen.clear();
  std::vector<std::vector<Choice>> choices;
  for (int axis = 0; axis < mesh.numAxes(); ++axis)
    choices.push_back(axes >> axis & 1 ? choicesOf(op, axis, pins)
                                       : std::vector<Choice>{{}});
  std::vector<size_t> digits(mesh.numAxes(), 0);
  std::vector<Choice> byAxis(mesh.numAxes());
  for (const std::vector<Choice> &list : choices)
    if (list.empty())
      return static_cast<const CandidateSet *>(set.get());
  while (true) {
    for (size_t axis = 0; axis < digits.size(); ++axis)
      byAxis[axis] = choices[axis][digits[axis]];
    Strategy strategy;
    if (build(op, byAxis, strategy))
      PARTITA_CHECK(add(op, std::move(strategy), *set));
    size_t axis = digits.size();
    while (axis-- > 0) {
      if (++digits[axis] < choices[axis].size())
        break;
      digits[axis] = 0;
    }
    if (axis == static_cast<size_t>(-1))
      break;
  }
  return static_cast<const CandidateSet *>(set.get());
}
