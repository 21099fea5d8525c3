//===- Certify.cpp - A bound that others can check ------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Certify.h"
#include <algorithm>
#include <cmath>

using namespace partita;
using namespace partita::solve;

using Wide = __int128;

static constexpr Wide unreachable = Wide(1) << 124;
/// Branches below branches. Checkers need not take more.
static constexpr int maxDepth = 400;

namespace {

/// The integers of a step.
struct Step {
  RowPrices prices; ///< whole numbers below 2^53
  /// By table and value of its ends.
  std::vector<std::vector<int64_t>> first, second;
};

/// The sum of least prices, in units of 2^-priceBits.
class Exact {
public:
  explicit Exact(const Model &model) : model(model) {}
  void setUnits(int ofPrices, int ofMessages) {
    priceBits = ofPrices;
    messageBits = ofMessages;
  }

  /// Of what `dual` allows, from which what lifts the sum above `goal` is taken
  /// away; says how many values that were.
  int run(const Step &step, Dual &dual, Wide goal);
  Wide bound() const { return sum; }
  /// Above the goal, or nothing is left.
  bool isClosed() const { return closed; }

private:
  void price(const Step &step);
  void add(const Step &step, const Dual &dual);
  int drop(Dual &dual, Wide goal);

  const Model &model;
  int priceBits = 0, messageBits = 0;
  /// By variable and value; and how much a star adds to the sum with it.
  std::vector<std::vector<Wide>> prices, lifts;
  Wide paid = 0, sum = 0;
  bool closed = false;
};

class Certifier {
public:
  Certifier(const Presolved &presolved, int64_t target, const RowPrices &prices,
            const WriteLine &write, const std::function<bool()> &stop);
  Status run(Dual root, const std::string &name);

private:
  struct Branch {
    Dual dual;
    /// Proved so far.
    Wide sum = 0;
    int depth = 0;
  };
  /// What came of a step.
  struct Tried {
    std::string text;
    int dropped = 0;
    bool closed = false;
  };
  void chooseUnits(const RowPrices &prices);
  Status writeHead(const std::string &name);
  Tried tryStep(Branch &branch);
  Tried climb(Branch &branch, std::string &steps);
  Status process(Branch branch);
  bool isProved(const Dual &dual) const;
  int numOpen(const Dual &dual) const;
  Step makeStep(Dual &dual) const;
  std::string text(const Step &step) const;
  Status close(const std::string &steps, Wide sum);

  const Presolved &presolved;
  const Model &model;
  int64_t target;
  const WriteLine &write;
  const std::function<bool()> &stop;
  int priceBits = 0, messageBits = 0;
  double mostMessage = 0, mostPrice = 0;
  /// Sums above it prove the target.
  Wide goal = 0;
  Exact exact{model};
  std::vector<Branch> open;
  int64_t count = 0;
  /// Of the branches that ended: the least.
  Wide proved = unreachable;
};

} // namespace

//===----------------------------------------------------------------------===//
// Exact
//===----------------------------------------------------------------------===//

/// What each value pays by itself.
void Exact::price(const Step &step) {
  std::vector<Wide> until(model.numRows() + 1, 0);
  paid = 0;
  for (auto [row, price] : step.prices) {
    until[row + 1] = static_cast<int64_t>(price);
    paid += until[row + 1] * model.capacity[row];
  }
  for (int row = 0; row < model.numRows(); ++row)
    until[row + 1] += until[row];
  prices.resize(model.numVariables());
  for (int v = 0; v < model.numVariables(); ++v) {
    prices[v].resize(model.size(v));
    for (int k = 0; k < model.size(v); ++k)
      prices[v][k] = Wide(model.unary[v][k]) << priceBits;
    for (const Item &item : model.itemsOf(v))
      for (int k = 0; k < model.size(v); ++k)
        prices[v][k] +=
            (until[item.end] - until[item.begin]) * Wide(model.use(item, k));
  }
  for (size_t e = 0; e < model.tables.size(); ++e) {
    auto give = [&](int v, const std::vector<int64_t> &given) {
      for (int k = 0; k < model.size(v); ++k)
        prices[v][k] += Wide(given[k]) << (priceBits - messageBits);
    };
    give(model.tables[e].first, step.first[e]);
    give(model.tables[e].second, step.second[e]);
  }
}

/// The sum, and what the stars add to it.
void Exact::add(const Step &step, const Dual &dual) {
  sum = -paid;
  lifts.resize(model.numVariables());
  std::vector<Wide> least(model.numVariables(), unreachable);
  for (int v = 0; v < model.numVariables(); ++v) {
    for (int k = 0; k < model.size(v); ++k)
      if (dual.allowed(v, k))
        least[v] = std::min(least[v], prices[v][k]);
    if (least[v] == unreachable) {
      closed = true;
      return;
    }
    sum += least[v];
    lifts[v].resize(model.size(v));
    for (int k = 0; k < model.size(v); ++k)
      lifts[v][k] = prices[v][k] - least[v];
  }
  // Of a table: the least with each value of an end, with what the value of the
  // other end adds. Lifts change only afterwards.
  std::vector<std::vector<Wide>> alone = lifts;
  std::vector<Wide> rows, columns;
  for (size_t e = 0; e < model.tables.size(); ++e) {
    const Table &table = model.tables[e];
    int a = table.first, b = table.second;
    rows.assign(model.size(a), unreachable);
    columns.assign(model.size(b), unreachable);
    Wide leastHere = unreachable;
    for (int k = 0; k < model.size(a); ++k) {
      if (!dual.allowed(a, k))
        continue;
      const int64_t *entries = &table.prices[size_t(k) * model.size(b)];
      for (int l = 0; l < model.size(b); ++l) {
        if (entries[l] >= infinity || !dual.allowed(b, l))
          continue;
        Wide left = (Wide(entries[l]) << priceBits) -
                    ((Wide(step.first[e][k]) + step.second[e][l])
                     << (priceBits - messageBits));
        leastHere = std::min(leastHere, left);
        rows[k] = std::min(rows[k], left + alone[b][l]);
        columns[l] = std::min(columns[l], left + alone[a][k]);
      }
    }
    if (leastHere == unreachable) {
      closed = true;
      return;
    }
    sum += leastHere;
    auto lift = [&](std::vector<Wide> &of, const std::vector<Wide> &by) {
      for (size_t k = 0; k < by.size(); ++k)
        of[k] = by[k] == unreachable || of[k] == unreachable
                    ? unreachable
                    : of[k] + by[k] - leastHere;
    };
    lift(lifts[a], rows);
    lift(lifts[b], columns);
  }
}

int Exact::drop(Dual &dual, Wide goal) {
  int dropped = 0;
  for (int v = 0; v < model.numVariables(); ++v)
    for (int k = 0; k < model.size(v); ++k)
      if (dual.allowed(v, k) &&
          (lifts[v][k] == unreachable || sum + lifts[v][k] > goal)) {
        dual.forbid(v, k);
        ++dropped;
      }
  return dropped;
}

int Exact::run(const Step &step, Dual &dual, Wide goal) {
  constexpr int maxRounds = 20;
  closed = false;
  price(step);
  int dropped = 0;
  Wide best = -unreachable;
  for (int round = 0; round < maxRounds; ++round) {
    add(step, dual);
    closed |= sum > goal;
    if (closed)
      break;
    best = std::max(best, sum);
    int now = drop(dual, goal);
    dropped += now;
    if (now == 0)
      break;
  }
  sum = std::max(sum, best);
  return dropped;
}

//===----------------------------------------------------------------------===//
// Certifier
//===----------------------------------------------------------------------===//

Certifier::Certifier(const Presolved &presolved, int64_t target,
                     const RowPrices &prices, const WriteLine &write,
                     const std::function<bool()> &stop)
    : presolved(presolved), model(presolved.model),
      target(std::max<int64_t>(target - presolved.constant, 0)), write(write),
      stop(stop) {
  chooseUnits(prices);
  exact.setUnits(priceBits, messageBits);
  goal = Wide(this->target - 1) << priceBits;
}

/// Small enough for roundings to be a part of a unit together, large enough for
/// numbers and sums to fit their bits.
void Certifier::chooseUnits(const RowPrices &prices) {
  // Prices stop at infinity, here and in the checker, but not after the same
  // sums. What a variable hands on must leave of an infinite price so much that
  // this does not matter.
  size_t around = 1;
  for (const std::vector<int> &tables : model.tablesOf)
    around = std::max(around, tables.size());
  double far = double(infinity) / 16 / double(around);
  target = std::min(target, static_cast<int64_t>(far / 4));
  int targetBits = static_cast<int>(std::ceil(std::log2(double(target) + 2)));
  double parts = double(model.numVariables() + model.tables.size() + 1);
  messageBits = std::clamp(6 + static_cast<int>(std::ceil(std::log2(parts))), 0,
                           std::max(0, 52 - targetBits));
  mostMessage = std::min(std::ldexp(1, 57 - messageBits), far);
  double top = 1e-300;
  int64_t room = 1;
  for (auto [row, price] : prices)
    top = std::max(top, price);
  for (int64_t capacity : model.capacity)
    room = std::max(room, capacity);
  for (int64_t use : model.usages)
    room = std::max(room, use);
  priceBits =
      std::clamp(46 - static_cast<int>(std::ceil(std::log2(top))), messageBits,
                 std::clamp(100 - targetBits, messageBits, 60));
  mostPrice = std::min(std::ldexp(1, 52), std::ldexp(1, 116) / double(room) /
                                              double(model.numRows() + 1));
}

static void append(std::string &text, const std::vector<int64_t> &numbers) {
  text += '[';
  for (size_t i = 0; i < numbers.size(); ++i) {
    text += i ? "," : "";
    text += std::to_string(numbers[i]);
  }
  text += ']';
}

Status Certifier::writeHead(const std::string &name) {
  std::string line =
      "{\"format\":\"partita-certificate\",\"version\":1,"
      "\"instance\":\"" +
      name +
      "\",\"target\":" + std::to_string(addPrices(target, presolved.constant)) +
      ",\"message_bits\":" + std::to_string(messageBits) +
      ",\"price_bits\":" + std::to_string(priceBits) + ",\"variables\":[";
  std::vector<int> nodes(model.numVariables(), -1);
  for (size_t node = presolved.variable.size(); node-- > 0;)
    if (presolved.variable[node] >= 0)
      nodes[presolved.variable[node]] = static_cast<int>(node);
  for (size_t v = 0; v < nodes.size(); ++v) {
    const std::vector<int> &values = presolved.value[nodes[v]];
    line += (v ? ",[" : "[") + std::to_string(nodes[v]) + ",";
    append(line, {values.begin(), values.end()});
    line += ']';
  }
  line += "],\"tables\":[";
  // Those that steps speak of come first, in their order.
  std::vector<const Drained *> tables(model.tables.size());
  for (const Drained &drained : presolved.drained) {
    if (drained.table >= 0)
      tables[drained.table] = &drained;
    else
      tables.push_back(&drained);
  }
  for (size_t e = 0; e < tables.size(); ++e) {
    line += e ? ",[" : "[";
    append(line, {tables[e]->first, tables[e]->second});
    line += ',';
    append(line, tables[e]->rows);
    line += ',';
    append(line, tables[e]->columns);
    line += ']';
  }
  return write(line + "]}\n");
}

/// The numbers of the best prices of a dual, which it has then.
Step Certifier::makeStep(Dual &dual) const {
  Step step;
  RowPrices rounded;
  for (auto [row, price] : dual.bestRowPrices()) {
    double whole =
        std::min(std::round(std::ldexp(price, priceBits)), mostPrice);
    if (whole < 1)
      continue;
    step.prices.push_back({row, std::floor(whole)});
    rounded.push_back({row, std::ldexp(std::floor(whole), -priceBits)});
  }
  dual.setRowPrices(std::move(rounded));
  dual.pass();
  std::vector<std::vector<double>> first, second;
  dual.spread(first, second);
  auto whole = [&](const std::vector<double> &from, int v) {
    std::vector<int64_t> to(model.size(v), 0);
    double most = std::ldexp(1, 61);
    for (size_t k = 0; k < from.size(); ++k)
      to[k] = static_cast<int64_t>(std::clamp(
          std::round(std::ldexp(from[k], messageBits)), -most, most));
    return to;
  };
  for (size_t e = 0; e < model.tables.size(); ++e) {
    step.first.push_back(whole(first[e], model.tables[e].first));
    step.second.push_back(whole(second[e], model.tables[e].second));
  }
  return step;
}

std::string Certifier::text(const Step &step) const {
  std::string line = "{\"prices\":[";
  for (size_t i = 0; i < step.prices.size(); ++i) {
    line += i ? "," : "";
    append(line, {presolved.times[step.prices[i].first],
                  static_cast<int64_t>(step.prices[i].second)});
  }
  line += "],\"given\":[";
  for (size_t e = 0; e < step.first.size(); ++e) {
    line += e ? ",[" : "[";
    append(line, step.first[e]);
    line += ',';
    append(line, step.second[e]);
    line += ']';
  }
  return line + "]}";
}

bool Certifier::isProved(const Dual &dual) const {
  return dual.empty() || dual.bound() > double(target) - 0.75;
}

int Certifier::numOpen(const Dual &dual) const {
  int values = 0;
  for (int v = 0; v < model.numVariables(); ++v)
    values += dual.numAllowed(v) - 1;
  return values;
}

/// The step of what the dual has now, and what follows from it.
Certifier::Tried Certifier::tryStep(Branch &branch) {
  Tried tried;
  Step step = makeStep(branch.dual);
  tried.dropped = exact.run(step, branch.dual, goal);
  tried.closed = exact.isClosed();
  tried.text = text(step);
  branch.sum = std::max(branch.sum, exact.bound());
  return tried;
}

/// Raises the bound from nothing. Steps on the way take values away, as they do
/// where one searches: the prices that suit what is left are none for all.
Certifier::Tried Certifier::climb(Branch &branch, std::string &steps) {
  constexpr int between = 25, patience = 100;
  Ascent ascent;
  while (true) {
    branch.dual.pass();
    bool last = isProved(branch.dual) || ascent.settled() || stop();
    if (last || ascent.passes() % between == between - 1) {
      Branch probe = branch;
      Tried tried = tryStep(probe);
      if (last || tried.closed) {
        branch = std::move(probe);
        return tried;
      }
      branch.sum = std::max(branch.sum, probe.sum);
      if (tried.dropped * patience > numOpen(branch.dual)) {
        steps += tried.text + ",";
        for (int v = 0; v < model.numVariables(); ++v)
          for (int k = 0; k < model.size(v); ++k)
            if (!probe.dual.allowed(v, k))
              branch.dual.forbid(v, k);
      }
    }
    ascent.move(branch.dual);
  }
}

Status Certifier::close(const std::string &steps, Wide sum) {
  proved = std::min(proved, sum);
  return write("{\"steps\":[" + steps + "]}\n");
}

/// Writes the branch, and opens the two that it is split into, if it is.
Status Certifier::process(Branch branch) {
  constexpr int passes = 30, maxSteps = 4;
  std::string steps;
  Tried tried;
  if (count == 1) {
    tried = climb(branch, steps);
    if (tried.closed)
      return close(steps + tried.text, unreachable);
    steps += std::exchange(tried.text, "");
  }
  Seen seen;
  bool stopping = stop() || branch.depth == maxDepth;
  for (int i = 0; i < maxSteps; ++i) {
    double bound = std::ldexp(double(branch.sum), -priceBits);
    settle(
        branch.dual, bound, std::max(1.0, double(target) - bound), passes,
        [&](int) { return !isProved(branch.dual); }, seen);
    int before = numOpen(branch.dual);
    tried = tryStep(branch);
    std::string comma = steps.empty() ? "" : ",";
    if (tried.closed)
      return close(steps + comma + tried.text, unreachable);
    // What takes away nothing is of no use to those below.
    if (tried.dropped > 0 || stopping)
      steps += comma + tried.text;
    if (10 * tried.dropped < before || stopping)
      break;
  }
  Split split;
  if (!stopping)
    split = chooseSplit(branch.dual, seen);
  if (split.variable < 0)
    return close(steps, branch.sum);
  std::vector<int64_t> low;
  ++branch.depth;
  Branch other = branch;
  for (int k = 0; k < model.size(split.variable); ++k) {
    if (split.low[k])
      low.push_back(k);
    (split.low[k] ? other : branch).dual.forbid(split.variable, k);
  }
  std::string line = "{\"steps\":[" + steps + "],\"split\":[" +
                     std::to_string(split.variable) + ",";
  append(line, low);
  // The one that is opened last is written next.
  open.push_back(std::move(other));
  open.push_back(std::move(branch));
  return write(line + "]}\n");
}

Status Certifier::run(Dual root, const std::string &name) {
  PARTITA_CHECK(writeHead(name));
  root.setMost(mostMessage);
  // Only what the checker takes away as well is forbidden.
  root.setLimit(std::numeric_limits<double>::infinity());
  open.push_back({std::move(root), 0, 0});
  while (!open.empty()) {
    Branch branch = std::move(open.back());
    open.pop_back();
    if (++count > 1 && stop())
      PARTITA_CHECK(close("", branch.sum));
    else
      PARTITA_CHECK(process(std::move(branch)));
  }
  int64_t bound = target;
  if (proved < unreachable) {
    Wide unit = Wide(1) << priceBits;
    bound = static_cast<int64_t>(
        std::clamp<Wide>((proved + unit - 1) / unit, 0, target));
  }
  return write("{\"bound\":" +
               std::to_string(addPrices(bound, presolved.constant)) + "}\n");
}

Status solve::certify(const Presolved &presolved, Dual root, int64_t target,
                      const RowPrices &prices, const std::string &name,
                      const WriteLine &write,
                      const std::function<bool()> &stop) {
  return Certifier(presolved, target, prices, write, stop)
      .run(std::move(root), name);
}
