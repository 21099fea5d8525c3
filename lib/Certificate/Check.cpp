//===- Check.cpp - What a certificate proves ------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Walks through the branches. A branch is a set of values of each variable; a
// step of it computes the sum of least costs
//
//   sum over variables of min over values of
//          cost + sum over uses of usage * (prices of the times in its
//          interval)
//               + what tables give
//   + sum over tables of min over pairs of (cost - what was given)
//   - limit * (sum of prices)
//
// which any choice that fits is at or above, whatever the numbers are. Of a
// star, that is a variable with the tables and variables around it, the same
// sum is known for each value of the variable: the least over the rest of the
// star replaces its parts. Values with which that reaches the target go.
//
// Sums that 128 bits do not hold are refused.
//
//===----------------------------------------------------------------------===//

#include "Proof.h"
#include "Reduce.h"
#include "partita/Certificate/Certificate.h"
#include <algorithm>
#include <map>

using namespace partita;
using namespace partita::certificate;

using Wide = __int128;

/// More than any sum that is computed with.
static constexpr Wide unreachable = Wide(1) << 125;
/// Branches below each other; each has its values in memory.
static constexpr size_t maxOpen = 1000;
/// In which values are taken away, by step.
static constexpr int maxRounds = 100;

namespace {

/// By variable and value: what is left.
using Values = std::vector<std::vector<char>>;

class Checker {
public:
  Checker(const Problem &problem, Reduced &&reduced, Head &&head)
      : problem(problem), reduced(std::move(reduced)), head(std::move(head)) {}
  Result<Checked> run(ProofReader &proof);

private:
  struct Branch {
    Values values;
    Wide sum = 0;
  };
  /// A table of the head: which of ours, and whether its ends are swapped.
  struct Place {
    int table = -1;
    bool swapped = false;
  };
  std::string place();
  std::string placeTables();
  std::string spread(const std::vector<int64_t> &from, int64_t variable,
                     int shift, std::vector<Wide> &to) const;
  std::string give(const Step &step);
  bool price(const Step &step);
  bool add(Branch &branch);
  bool drop(Branch &branch) const;
  Result<bool> take(const Step &step, Branch &branch, const ProofReader &proof);
  Status split(const Line &line, Branch branch, const ProofReader &proof);

  const Problem &problem;
  Reduced reduced;
  Head head;
  /// By variable of the head: ours, and of its values ours or -1.
  std::vector<int> variables;
  std::vector<std::vector<int>> values;
  std::vector<Place> places;
  Wide goal = 0;
  std::vector<Branch> open;

  // Of the step at hand, in units of 2^-priceBits.
  /// By table and value of its ends.
  std::vector<std::vector<Wide>> first, second;
  /// By variable and value; what its star has above the sum.
  std::vector<std::vector<Wide>> costs, above;
  Wide paid = 0, sum = 0;
  bool closed = false;
};

} // namespace

static bool addTo(Wide &sum, Wide term) {
  return !__builtin_add_overflow(sum, term, &sum) && sum > -unreachable &&
         sum < unreachable;
}

//===----------------------------------------------------------------------===//
// From the certificate's names to ours
//===----------------------------------------------------------------------===//

/// What is wrong with the head, or nothing.
std::string Checker::place() {
  std::map<int, int> byNode;
  for (size_t v = 0; v < reduced.variables.size(); ++v)
    byNode[reduced.variables[v].node] = static_cast<int>(v);
  std::vector<char> taken(reduced.variables.size(), 0);
  for (const Head::Variable &variable : head.variables) {
    auto it = variable.node <= INT32_MAX
                  ? byNode.find(static_cast<int>(variable.node))
                  : byNode.end();
    if (it == byNode.end() || taken[it->second])
      return "node " + std::to_string(variable.node) +
             " is no variable of this instance, or occurs twice";
    taken[it->second] = 1;
    variables.push_back(it->second);
    const std::vector<int> &mine = reduced.variables[it->second].values;
    std::vector<int> &list = values.emplace_back();
    for (int64_t value : variable.values) {
      auto at = std::find(mine.begin(), mine.end(), value);
      list.push_back(at == mine.end() ? -1
                                      : static_cast<int>(at - mine.begin()));
    }
  }
  return placeTables();
}

std::string Checker::placeTables() {
  std::map<std::pair<int, int>, int> byEnds;
  for (size_t e = 0; e < reduced.tables.size(); ++e)
    byEnds[{reduced.tables[e].first, reduced.tables[e].second}] =
        static_cast<int>(e);
  std::vector<char> taken(reduced.tables.size(), 0);
  for (const Head::Table &table : head.tables) {
    int a = variables[table.first], b = variables[table.second];
    auto it = byEnds.find({std::min(a, b), std::max(a, b)});
    if (it == byEnds.end() || taken[it->second])
      return "there is no table of nodes " +
             std::to_string(reduced.variables[a].node) + " and " +
             std::to_string(reduced.variables[b].node) + ", or it occurs twice";
    taken[it->second] = 1;
    places.push_back({it->second, a > b});
  }
  return "";
}

/// Adds numbers by value of the head, times 2^shift, to those by our value.
std::string Checker::spread(const std::vector<int64_t> &from, int64_t variable,
                            int shift, std::vector<Wide> &to) const {
  const std::vector<int> &list = values[variable];
  if (from.size() != list.size())
    return "there are not as many numbers as values of node " +
           std::to_string(head.variables[variable].node);
  for (size_t k = 0; k < list.size(); ++k)
    if (list[k] >= 0 && !addTo(to[list[k]], Wide(from[k]) << shift))
      return "the numbers are too large";
  return "";
}

/// Sets what the ends of tables are given.
std::string Checker::give(const Step &step) {
  if (step.given.size() > head.tables.size())
    return "there are more tables than in the head";
  first.resize(reduced.tables.size());
  second.resize(reduced.tables.size());
  for (size_t e = 0; e < reduced.tables.size(); ++e) {
    const Reduced::Table &table = reduced.tables[e];
    first[e].assign(reduced.variables[table.first].values.size(), 0);
    second[e].assign(reduced.variables[table.second].values.size(), 0);
  }
  for (size_t e = 0; e < head.tables.size(); ++e) {
    const Head::Table &table = head.tables[e];
    auto [mine, swapped] = places[e];
    std::vector<Wide> &rows = swapped ? second[mine] : first[mine];
    std::vector<Wide> &columns = swapped ? first[mine] : second[mine];
    auto both = [&](const std::vector<int64_t> &a,
                    const std::vector<int64_t> &b, int shift) {
      std::string wrong = spread(a, table.first, shift, rows);
      return wrong.empty() ? spread(b, table.second, shift, columns) : wrong;
    };
    std::string wrong = both(table.rows, table.columns, head.priceBits);
    if (wrong.empty() && e < step.given.size())
      wrong = both(step.given[e].first, step.given[e].second,
                   head.priceBits - head.messageBits);
    if (!wrong.empty())
      return wrong;
  }
  return "";
}

//===----------------------------------------------------------------------===//
// The sum
//===----------------------------------------------------------------------===//

/// Sets what values pay by themselves and with what tables give them. False if
/// that is too much.
bool Checker::price(const Step &step) {
  std::vector<Wide> until = {0};
  for (auto [time, price] : step.prices)
    until.push_back(until.back() + price);
  auto before = [&](int64_t time) {
    return until[std::lower_bound(step.prices.begin(), step.prices.end(),
                                  std::pair(time, INT64_MIN)) -
                 step.prices.begin()];
  };
  bool fits = !__builtin_mul_overflow(until.back(), Wide(problem.limit), &paid);
  costs.resize(reduced.variables.size());
  for (size_t v = 0; v < reduced.variables.size(); ++v) {
    const Reduced::Variable &variable = reduced.variables[v];
    costs[v].clear();
    for (int64_t cost : variable.costs)
      costs[v].push_back(Wide(cost) << head.priceBits);
    for (const Reduced::Use &use : variable.uses) {
      Wide price = before(use.end) - before(use.begin), payment = 0;
      for (size_t k = 0; k < use.usages.size() && price > 0; ++k)
        fits &= !__builtin_mul_overflow(price, Wide(use.usages[k]), &payment) &&
                addTo(costs[v][k], payment);
    }
  }
  for (size_t e = 0; e < reduced.tables.size(); ++e) {
    const Reduced::Table &table = reduced.tables[e];
    for (size_t k = 0; k < first[e].size(); ++k)
      fits &= addTo(costs[table.first][k], first[e][k]);
    for (size_t l = 0; l < second[e].size(); ++l)
      fits &= addTo(costs[table.second][l], second[e][l]);
  }
  return fits;
}

/// Computes the sum over what is left in the branch, and what stars have above
/// it. False if that is too much.
bool Checker::add(Branch &branch) {
  sum = 0;
  bool fits = addTo(sum, -paid);
  above.resize(costs.size());
  for (size_t v = 0; v < costs.size(); ++v) {
    Wide least = unreachable;
    for (size_t k = 0; k < costs[v].size(); ++k)
      if (branch.values[v][k])
        least = std::min(least, costs[v][k]);
    if (least == unreachable)
      return closed = true;
    fits &= addTo(sum, least);
    above[v].assign(costs[v].size(), 0);
    for (size_t k = 0; k < costs[v].size(); ++k)
      above[v][k] = std::min(costs[v][k] - least, unreachable);
  }
  const std::vector<std::vector<Wide>> alone = above;
  std::vector<Wide> rows, columns;
  for (size_t e = 0; e < reduced.tables.size() && fits; ++e) {
    const Reduced::Table &table = reduced.tables[e];
    const std::vector<char> &a = branch.values[table.first];
    const std::vector<char> &b = branch.values[table.second];
    rows.assign(a.size(), unreachable);
    columns.assign(b.size(), unreachable);
    Wide least = unreachable;
    for (size_t k = 0; k < a.size(); ++k)
      for (size_t l = 0; l < b.size() && a[k]; ++l) {
        int64_t cost = table.costs[k * b.size() + l];
        if (!b[l] || cost >= infinity)
          continue;
        // Three numbers below 2^125 each.
        Wide left = (Wide(cost) << head.priceBits) - first[e][k] - second[e][l];
        least = std::min(least, left);
        rows[k] = std::min(rows[k], left + alone[table.second][l]);
        columns[l] = std::min(columns[l], left + alone[table.first][k]);
      }
    if (least == unreachable)
      return closed = true;
    fits &= addTo(sum, least);
    auto lift = [&](std::vector<Wide> &of, const std::vector<Wide> &by) {
      for (size_t k = 0; k < by.size(); ++k)
        if (by[k] == unreachable || !addTo(of[k], by[k] - least))
          of[k] = unreachable;
    };
    lift(above[table.first], rows);
    lift(above[table.second], columns);
  }
  return fits;
}

/// True if any value went.
bool Checker::drop(Branch &branch) const {
  bool any = false;
  for (size_t v = 0; v < above.size(); ++v)
    for (size_t k = 0; k < above[v].size(); ++k)
      if (branch.values[v][k] && above[v][k] > goal - sum) {
        branch.values[v][k] = 0;
        any = true;
      }
  return any;
}

/// Whether the step closes the branch.
Result<bool> Checker::take(const Step &step, Branch &branch,
                           const ProofReader &proof) {
  if (std::string wrong = give(step); !wrong.empty())
    return proof.fail("field", wrong);
  if (!price(step))
    return proof.fail("range", "the numbers are too large");
  closed = false;
  for (int round = 0; round < maxRounds; ++round) {
    if (!add(branch))
      return proof.fail("range", "the numbers are too large");
    if (closed || sum > goal)
      return true;
    branch.sum = std::max(branch.sum, sum);
    if (!drop(branch))
      break;
  }
  return false;
}

//===----------------------------------------------------------------------===//
// Branches
//===----------------------------------------------------------------------===//

Status Checker::split(const Line &line, Branch branch,
                      const ProofReader &proof) {
  auto [variable, list] = *line.split;
  if (variable >= static_cast<int64_t>(variables.size()))
    return proof.fail("field", "there is no such variable");
  Branch other = branch;
  std::vector<char> &here = branch.values[variables[variable]];
  std::vector<char> isLow(here.size(), 0);
  for (int64_t k : list) {
    if (k >= static_cast<int64_t>(values[variable].size()))
      return proof.fail("field", "there is no such value");
    if (int mine = values[variable][k]; mine >= 0)
      isLow[mine] = 1;
  }
  for (size_t k = 0; k < isLow.size(); ++k)
    (isLow[k] ? other.values[variables[variable]] : here)[k] = 0;
  if (open.size() + 2 > maxOpen)
    return proof.fail("range", "too many branches are open");
  open.push_back(std::move(other));
  open.push_back(std::move(branch));
  return ok();
}

Result<Checked> Checker::run(ProofReader &proof) {
  if (std::string wrong = place(); !wrong.empty())
    return proof.fail("field", wrong);
  goal = Wide(head.target - 1) << head.priceBits;
  Checked result;
  result.instance = problem.name;
  Branch root;
  for (const Reduced::Variable &variable : reduced.variables)
    root.values.emplace_back(variable.values.size(), 1);
  open.push_back(std::move(root));
  Wide proved = Wide(head.target) << head.priceBits;
  while (!open.empty()) {
    PARTITA_TRY(Line line, proof.next());
    if (line.bound)
      return proof.fail("field", "it ends before all choices are covered");
    Branch branch = std::move(open.back());
    open.pop_back();
    ++result.branches;
    bool isClosed = false;
    for (const Step &step : line.steps) {
      ++result.steps;
      PARTITA_TRY(isClosed, take(step, branch, proof));
      if (isClosed)
        break;
    }
    if (isClosed)
      branch.sum = Wide(head.target) << head.priceBits;
    if (line.split)
      PARTITA_CHECK(split(line, std::move(branch), proof));
    else
      proved = std::min(proved, branch.sum);
  }
  PARTITA_TRY(Line end, proof.next());
  if (!end.bound || !proof.atEnd())
    return proof.fail("field",
                      "the bound must follow the branches, and end it");
  Wide unit = Wide(1) << head.priceBits;
  result.claimed = *end.bound;
  result.bound = static_cast<int64_t>(
      std::clamp<Wide>((proved + unit - 1) / unit, 0, infinity));
  return result;
}

Result<Checked> certificate::check(const std::string &instance,
                                   const std::string &path) {
  PARTITA_TRY(Problem problem, readProblem(instance));
  PARTITA_TRY(ProofReader proof, ProofReader::open(path));
  PARTITA_TRY(Head head, proof.head());
  if (head.instance != problem.name)
    return proof.fail("field", "the certificate is for '" + head.instance +
                                   "', the instance is '" + problem.name + "'");
  std::optional<Reduced> reduced = reduce(problem);
  if (!reduced) // Nothing that fits is finite, and whatever is claimed holds.
    return Checked{problem.name, infinity, infinity, 0, 0};
  return Checker(problem, std::move(*reduced), std::move(head)).run(proof);
}
