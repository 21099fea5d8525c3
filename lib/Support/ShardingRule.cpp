//===- ShardingRule.cpp - What an operation's loops are -------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Support/ShardingRule.h"
#include <algorithm>

using namespace partita;

static std::string tensorMapStr(const ShardingRule &rule,
                                const std::vector<TensorMap> &maps) {
  std::string text = "(";
  for (size_t t = 0; t < maps.size(); ++t) {
    text += t ? ", [" : "[";
    for (size_t d = 0; d < maps[t].size(); ++d) {
      text += d ? "," : "";
      const auto &dim = maps[t][d];
      if (dim.size() != 1)
        text += "(";
      for (size_t f = 0; f < dim.size(); ++f)
        text += (f ? " " : "") + rule.factors[dim[f]].name;
      if (dim.size() != 1)
        text += ")";
    }
    text += "]";
  }
  return text + ")";
}

std::string ShardingRule::str() const {
  std::string text =
      tensorMapStr(*this, operands) + " -> " + tensorMapStr(*this, results);
  for (const Factor &factor : factors) {
    if (factor.kind == FactorKind::Reduction)
      text += " reduce{" + factor.name + ": " + combinerName(factor.combiner) +
              "}";
    if (factor.kind == FactorKind::Replicate)
      text += " replicate{" + factor.name + "}";
    if (factor.kind == FactorKind::Halo)
      text += " halo{" + factor.name + "}";
    if (factor.kind == FactorKind::Linear) {
      text += " linear{";
      for (size_t i = 0; i < factor.linearOperands.size(); ++i)
        text += (i ? "," : "") + std::to_string(factor.linearOperands[i]);
      text += "}";
    }
  }
  return text;
}

//===----------------------------------------------------------------------===//
// RuleBuilder
//===----------------------------------------------------------------------===//

RuleBuilder::RuleBuilder(std::vector<size_t> operandRanks,
                         std::vector<size_t> resultRanks) {
  for (size_t rank : operandRanks)
    rule.operands.emplace_back(rank);
  for (size_t rank : resultRanks)
    rule.results.emplace_back(rank);
}

void RuleBuilder::add(Factor factor, const Places &operands,
                      const Places &results) {
  unsigned index = rule.factors.size();
  rule.factors.push_back(std::move(factor));
  for (auto [tensor, dim] : operands)
    rule.operands[tensor][dim].push_back(index);
  for (auto [tensor, dim] : results)
    rule.results[tensor][dim].push_back(index);
}

RuleBuilder &RuleBuilder::parallel(std::string name, int64_t size,
                                   const Places &operands,
                                   const Places &results) {
  add({std::move(name), size, FactorKind::Parallel, Combiner::None, {}, false},
      operands, results);
  return *this;
}

RuleBuilder &RuleBuilder::reduction(std::string name, int64_t size,
                                    Combiner combiner, const Places &operands,
                                    const Places &results) {
  add({std::move(name), size, FactorKind::Reduction, combiner, {}, false},
      operands, results);
  return *this;
}

RuleBuilder &RuleBuilder::replicate(std::string name, int64_t size,
                                    const Places &operands,
                                    const Places &results) {
  add({std::move(name), size, FactorKind::Replicate, Combiner::None, {}, false},
      operands, results);
  return *this;
}

RuleBuilder &RuleBuilder::linear(std::vector<unsigned> operands) {
  std::string name = "linear";
  for (unsigned operand : operands)
    name += std::to_string(operand);
  add({std::move(name), 1, FactorKind::Linear, Combiner::Sum,
       std::move(operands), false},
      {}, {});
  return *this;
}

RuleBuilder &RuleBuilder::halo(std::string name, const Halo &halo,
                               int64_t elements, const Places &operands,
                               const Places &results) {
  add({std::move(name), halo.positions, FactorKind::Halo, Combiner::None, {},
       true, halo, elements},
      operands, results);
  return *this;
}

RuleBuilder &RuleBuilder::contiguous(const std::string &name) {
  for (Factor &factor : rule.factors)
    if (factor.name == name)
      factor.contiguous = true;
  return *this;
}

/// Dimensions of size one walk no factor: give each a factor of its own, so
/// that every dimension's factors multiply to its size.
ShardingRule RuleBuilder::build() {
  auto fill = [&](std::vector<TensorMap> &maps, const char *prefix) {
    for (size_t t = 0; t < maps.size(); ++t)
      for (size_t d = 0; d < maps[t].size(); ++d)
        if (maps[t][d].empty()) {
          maps[t][d].push_back(rule.factors.size());
          rule.factors.push_back({prefix + std::to_string(t) + "_" +
                                      std::to_string(d),
                                  1, FactorKind::Replicate, Combiner::None,
                                  {}, false});
        }
  };
  fill(rule.operands, "one");
  fill(rule.results, "unit");
  return std::move(rule);
}

//===----------------------------------------------------------------------===//
// Reshape
//===----------------------------------------------------------------------===//

/// Walks both shapes from the minor end. While the products consumed on both
/// sides differ, the smaller side takes another dimension; when a dimension of
/// one side is a multiple of what is left of the other, it is cut there. Groups
/// that have no common refinement become replicate factors.
ShardingRule partita::reshapeRule(const std::vector<int64_t> &from,
                                  const std::vector<int64_t> &to) {
  struct Piece {
    int64_t size;
    int dimFrom, dimTo; // -1: only on the other side
    bool opaque;
  };
  std::vector<Piece> pieces; // minor first
  int i = static_cast<int>(from.size()) - 1, j = static_cast<int>(to.size()) - 1;
  int64_t leftFrom = i >= 0 ? from[i] : 1, leftTo = j >= 0 ? to[j] : 1;
  // Without elements there is nothing to split: sizes of zero stay whole.
  bool empty = std::count(from.begin(), from.end(), 0) != 0;
  for (size_t d = 0; empty && d < from.size(); ++d)
    pieces.insert(pieces.begin(), {from[d], static_cast<int>(d), -1, true});
  for (size_t d = 0; empty && d < to.size(); ++d)
    pieces.insert(pieces.begin(), {to[d], -1, static_cast<int>(d), true});
  while (!empty && i >= 0 && j >= 0) {
    if (leftFrom == 1) {
      leftFrom = --i >= 0 ? from[i] : 1;
      continue;
    }
    if (leftTo == 1) {
      leftTo = --j >= 0 ? to[j] : 1;
      continue;
    }
    int64_t small = std::min(leftFrom, leftTo);
    if (leftFrom % small == 0 && leftTo % small == 0) {
      pieces.push_back({small, i, j, false});
      leftFrom /= small;
      leftTo /= small;
      continue;
    }
    // No common cut here: collect whole remainders until products agree.
    int64_t productFrom = leftFrom, productTo = leftTo;
    pieces.push_back({leftFrom, i, -1, true});
    pieces.push_back({leftTo, -1, j, true});
    leftFrom = leftTo = 1;
    while (productFrom != productTo) {
      if (productFrom < productTo) {
        if (--i < 0)
          break;
        productFrom *= from[i];
        pieces.push_back({from[i], i, -1, true});
      } else {
        if (--j < 0)
          break;
        productTo *= to[j];
        pieces.push_back({to[j], -1, j, true});
      }
    }
  }
  RuleBuilder builder({from.size()}, {to.size()});
  for (size_t p = pieces.size(); p-- > 0;) {
    const Piece &piece = pieces[p];
    std::string name = (piece.opaque ? "o" : "d") +
                       std::to_string(pieces.size() - 1 - p);
    RuleBuilder::Places operands, results;
    if (piece.dimFrom >= 0)
      operands.push_back({0, piece.dimFrom});
    if (piece.dimTo >= 0)
      results.push_back({0, piece.dimTo});
    if (piece.opaque)
      builder.replicate(name, piece.size, operands, results);
    else
      builder.parallel(name, piece.size, operands, results);
  }
  return builder.linear({0}).build();
}

//===----------------------------------------------------------------------===//
// Strategy
//===----------------------------------------------------------------------===//

Strategy Strategy::replicated(const ShardingRule &rule) {
  Strategy strategy;
  for (const Factor &factor : rule.factors)
    strategy.factors.push_back({{{factor.size, {}}}});
  return strategy;
}

std::string Strategy::str(const ShardingRule &rule, const Mesh &mesh) const {
  std::string text;
  for (size_t f = 0; f < factors.size(); ++f) {
    if (factors[f].isReplicated())
      continue;
    text += (text.empty() ? "" : ", ") + rule.factors[f].name + "={";
    for (size_t i = 0; i < factors[f].factors.size(); ++i) {
      const FactorSharding &part = factors[f].factors[i];
      text += (i ? ", " : "") + std::to_string(part.size);
      for (size_t a = 0; a < part.axes.size(); ++a)
        text += (a ? "," : ":") + mesh.axisNames[part.axes[a]];
    }
    text += "}";
  }
  return text.empty() ? "replicated" : text;
}

/// How an operand walks a halo factor: a rank reads what its positions need.
static FactorSharding underWindows(const Factor &factor,
                                   const DimSharding &positions) {
  FactorSharding out{factor.elements, {}};
  for (const FactorSharding &part : positions.factors)
    out.axes.insert(out.axes.end(), part.axes.begin(), part.axes.end());
  if (!out.axes.empty())
    out.halo = factor.halo;
  return out;
}

static Sharding walk(const ShardingRule &rule, const TensorMap &map,
                     const Strategy &strategy, bool operand) {
  Sharding sharding;
  for (const std::vector<unsigned> &dim : map) {
    DimSharding out;
    for (unsigned f : dim) {
      const DimSharding &parts = strategy.factors[f];
      if (operand && rule.factors[f].kind == FactorKind::Halo)
        out.factors.push_back(underWindows(rule.factors[f], parts));
      else
        out.factors.insert(out.factors.end(), parts.factors.begin(),
                           parts.factors.end());
    }
    sharding.dims.push_back(std::move(out));
  }
  return sharding;
}

static void addPartial(Sharding &sharding, const DimSharding &factor,
                       Combiner combiner) {
  for (const FactorSharding &part : factor.factors)
    for (int axis : part.axes) {
      sharding.partialAxes.push_back(axis);
      sharding.combiner = combiner;
    }
  std::sort(sharding.partialAxes.begin(), sharding.partialAxes.end());
}

Sharding partita::operandSharding(const ShardingRule &rule,
                                  const Strategy &strategy, unsigned i) {
  Sharding sharding = walk(rule, rule.operands[i], strategy, true);
  for (size_t f = 0; f < rule.factors.size(); ++f) {
    const auto &linear = rule.factors[f].linearOperands;
    if (rule.factors[f].kind == FactorKind::Linear &&
        std::find(linear.begin(), linear.end(), i) != linear.end())
      addPartial(sharding, strategy.factors[f], Combiner::Sum);
  }
  return sharding;
}

static bool walks(const TensorMap &map, size_t factor) {
  for (const std::vector<unsigned> &dim : map)
    if (std::find(dim.begin(), dim.end(), factor) != dim.end())
      return true;
  return false;
}

Sharding partita::resultSharding(const ShardingRule &rule,
                                 const Strategy &strategy, unsigned i) {
  Sharding sharding = walk(rule, rule.results[i], strategy, false);
  for (size_t f = 0; f < rule.factors.size(); ++f)
    if (rule.factors[f].kind == FactorKind::Linear ||
        (rule.factors[f].kind == FactorKind::Reduction &&
         !walks(rule.results[i], f)))
      addPartial(sharding, strategy.factors[f], rule.factors[f].combiner);
  return sharding;
}

Status partita::checkStrategy(const ShardingRule &rule,
                              const Strategy &strategy, const Mesh &mesh,
                              const std::string &place) {
  auto fail = [&](const std::string &what) {
    return makeError(ExitCode::InvalidInput, "strategy.illegal", place, what,
                     "the rule is " + rule.str());
  };
  if (strategy.factors.size() != rule.factors.size())
    return fail("the strategy has " + std::to_string(strategy.factors.size()) +
                " factors, the rule " + std::to_string(rule.factors.size()));
  std::vector<char> used(mesh.numAxes(), 0);
  Combiner combiner = Combiner::None;
  for (size_t f = 0; f < rule.factors.size(); ++f) {
    const Factor &factor = rule.factors[f];
    const DimSharding &parts = strategy.factors[f];
    if (parts.factors.empty() || parts.size() != factor.size)
      return fail("the parts of factor '" + factor.name +
                  "' do not multiply to " + std::to_string(factor.size));
    if (parts.isReplicated())
      continue;
    if (factor.kind == FactorKind::Replicate)
      return fail("factor '" + factor.name + "' cannot be split");
    if (factor.contiguous &&
        canonical(Sharding{{parts}, {}, Combiner::None}, mesh)
                .dims[0]
                .factors.size() != 1)
      return fail("each share of factor '" + factor.name +
                  "' must be one interval");
    if (factor.kind == FactorKind::Reduction ||
        factor.kind == FactorKind::Linear) {
      if (combiner != Combiner::None && combiner != factor.combiner)
        return fail("results would be pending with two combiners");
      combiner = factor.combiner;
    }
    for (const FactorSharding &part : parts.factors) {
      int64_t ranks = 1;
      for (int axis : part.axes) {
        if (axis < 0 || axis >= mesh.numAxes())
          return fail("axis " + std::to_string(axis) + " is not in the mesh");
        if (used[axis]++)
          return fail("axis '" + mesh.axisNames[axis] + "' is used twice");
        ranks *= mesh.axisSizes[axis];
      }
      if (factor.kind != FactorKind::Linear && ranks > part.size)
        return fail("factor '" + factor.name + "' of " +
                    std::to_string(part.size) + " units cannot be split over " +
                    std::to_string(ranks) + " ranks: a shard would be empty");
    }
    if (factor.kind == FactorKind::Halo)
      PARTITA_CHECK(checkSharding(
          Sharding{{{{underWindows(factor, parts)}}}, {}, Combiner::None},
          {factor.elements}, mesh, place));
  }
  return ok();
}
