//===- Segments.cpp - Where a model may be cut into stages ----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Segments.h"
#include <algorithm>
#include <map>
#include <numeric>

using namespace partita;
using namespace partita::planner;

double planner::wholeBytes(const GraphValue &value) {
  double bytes = static_cast<double>(dtypeSize(value.dtype));
  for (int64_t size : value.shape)
    bytes *= static_cast<double>(size);
  return bytes;
}

Segments::Segments(const Graph &graph, const std::vector<OpPhase> &phases)
    : graph(graph), phases(phases), producer(graph.values.size(), -1),
      segments(graph.ops.size(), -1) {
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    for (int value : graph.ops[o].results)
      producer[value] = static_cast<int>(o);
    if (phases[o] == OpPhase::Forward && graph.ops[o].role == OpRole::Compute)
      forward.push_back(static_cast<int>(o));
  }
  findBoundaries();
  assign();
}

//===----------------------------------------------------------------------===//
// Boundaries
//===----------------------------------------------------------------------===//

/// Where nothing within a part of the work lets fewer bytes past.
static std::vector<int> leastPast(const std::vector<double> &past,
                                  const std::vector<double> &work) {
  const size_t count = past.size() - 1;
  const double reach = work[count] / 24, step = work[count] / 2048;
  std::vector<int> boundaries;
  double last = 0;
  size_t from = 1, to = 1;
  for (size_t i = 1; i < count; ++i) {
    while (work[i] - work[from] > reach)
      ++from;
    while (to + 1 < count && work[to + 1] - work[i] <= reach)
      ++to;
    auto begin = past.begin();
    bool least = *std::min_element(begin + static_cast<std::ptrdiff_t>(from),
                                   begin + static_cast<std::ptrdiff_t>(to) +
                                       1) >= past[i] - 0.5;
    if (least && work[i] - last > step && work[count] - work[i] > step) {
      boundaries.push_back(static_cast<int>(i));
      last = work[i];
    }
  }
  return boundaries;
}

void Segments::findBoundaries() {
  const size_t count = forward.size();
  std::vector<int> position(graph.ops.size(), -1);
  for (size_t i = 0; i < count; ++i)
    position[forward[i]] = static_cast<int>(i);
  // Bytes that go past each position, and the work before it.
  std::vector<double> past(count + 1, 0), work(count + 1, 0);
  std::vector<int> lastUse(graph.values.size(), -1);
  for (int o : forward)
    for (int value : graph.ops[o].operands)
      lastUse[value] = position[o];
  for (size_t i = 0; i < count; ++i) {
    const GraphOp &op = graph.ops[forward[i]];
    for (int value : op.results)
      if (lastUse[value] > static_cast<int>(i)) {
        past[i + 1] += wholeBytes(graph.values[value]);
        past[lastUse[value] + 1] -= wholeBytes(graph.values[value]);
      }
    work[i + 1] = work[i] + static_cast<double>(op.flops);
  }
  for (size_t i = 1; i <= count; ++i)
    past[i] += past[i - 1];
  boundaries = leastPast(past, work);
  if (boundaries.empty())
    return;
  // Where a model begins and ends hardly anything goes past, which hides what
  // lies between the layers there.
  std::vector<double> typical;
  for (int i : boundaries)
    typical.push_back(past[i]);
  auto middle =
      typical.begin() + static_cast<std::ptrdiff_t>(typical.size() / 2);
  std::nth_element(typical.begin(), middle, typical.end());
  for (double &bytes : past)
    bytes = std::max(bytes, *middle);
  boundaries = leastPast(past, work);
}

//===----------------------------------------------------------------------===//
// What belongs where
//===----------------------------------------------------------------------===//

void Segments::assign() {
  for (size_t i = 0, next = 0; i < forward.size(); ++i) {
    if (next < boundaries.size() && static_cast<int>(i) == boundaries[next])
      ++next;
    segments[forward[i]] = static_cast<int>(next);
  }
  std::map<std::string, int> numbers;
  for (int o : forward)
    numbers.emplace(graph.ops[o].id, o);
  auto leastOfOperands = [&](const GraphOp &op) {
    int least = -1;
    for (int value : op.operands) {
      int segment = segments[producer[value]];
      if (segment >= 0 && phases[producer[value]] != OpPhase::Once &&
          (least < 0 || segment < least))
        least = segment;
    }
    return least;
  };
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    const GraphOp &op = graph.ops[o];
    if (segments[o] >= 0 || phases[o] == OpPhase::Once ||
        phases[o] == OpPhase::Update || op.role == OpRole::Input)
      continue;
    std::string name = op.id.substr(0, op.id.rfind("/grad"));
    auto base = numbers.find(name.substr(0, name.find('#')));
    segments[o] = op.isBackward && base != numbers.end()
                      ? segments[base->second]
                      : leastOfOperands(op);
  }
  // What does not depend on data goes to its first use, states to what they are
  // updated with.
  std::vector<std::vector<int>> users(graph.values.size());
  for (size_t o = 0; o < graph.ops.size(); ++o)
    for (int value : graph.ops[o].operands)
      users[value].push_back(static_cast<int>(o));
  auto toFirstUse = [&] {
    for (size_t o = graph.ops.size(); o-- > 0;)
      for (size_t i = 0; segments[o] < 0 && i < graph.ops[o].results.size();
           ++i) {
        int least = -1;
        for (int user : users[graph.ops[o].results[i]])
          if (segments[user] >= 0 && (least < 0 || segments[user] < least))
            least = segments[user];
        segments[o] = least;
      }
  };
  toFirstUse();
  for (size_t o = 0; o < graph.ops.size(); ++o)
    for (size_t i = 0; segments[o] < 0 && i < graph.ops[o].operands.size(); ++i)
      segments[o] = segments[producer[graph.ops[o].operands[i]]];
  toFirstUse();
  for (int &segment : segments)
    segment = std::max(segment, 0);
}

std::vector<char> Segments::crossing() const {
  std::vector<char> crossing(graph.values.size(), 0);
  for (int o : forward)
    for (int value : graph.ops[o].operands)
      crossing[value] |= segments[producer[value]] != segments[o];
  return crossing;
}

//===----------------------------------------------------------------------===//
// Stages
//===----------------------------------------------------------------------===//

/// By count: how many chunks the first segments need if none may do more than
/// `most`; all are within that.
static std::vector<int64_t> chunksNeeded(const std::vector<int64_t> &work,
                                         int64_t most) {
  std::vector<int64_t> needed{0};
  int64_t sum = most;
  for (int64_t segment : work) {
    bool isNew = sum + segment > most;
    needed.push_back(needed.back() + isNew);
    sum = isNew ? segment : sum + segment;
  }
  return needed;
}

/// From the last chunk on, each gets what comes nearest to the mean of those
/// that are left, as far as the others find room then.
std::vector<int> planner::dealt(int64_t chunks,
                                const std::vector<int64_t> &work) {
  const auto count = static_cast<int64_t>(work.size());
  if (chunks > count)
    return {};
  std::vector<int64_t> before(count + 1, 0);
  std::partial_sum(work.begin(), work.end(), before.begin() + 1);
  int64_t low = *std::max_element(work.begin(), work.end()) - 1,
          high = before[count];
  while (low + 1 < high) {
    int64_t middle = low + (high - low) / 2;
    (chunksNeeded(work, middle)[count] > chunks ? low : high) = middle;
  }
  const std::vector<int64_t> needed = chunksNeeded(work, high);
  std::vector<int> chunkOf(count);
  for (int64_t chunk = chunks - 1, end = count; chunk >= 0; --chunk) {
    const int64_t mean = before[end] / (chunk + 1);
    int64_t begin = -1, least = INT64_MAX;
    for (int64_t b = end - 1; b >= chunk && before[end] - before[b] <= high;
         --b) {
      int64_t away = std::abs(before[end] - before[b] - mean);
      if (needed[b] <= chunk && away < least) {
        begin = b;
        least = away;
      }
    }
    std::fill(chunkOf.begin() + begin, chunkOf.begin() + end,
              static_cast<int>(chunk));
    end = begin;
  }
  return chunkOf;
}

std::vector<int> Segments::byOp(const std::vector<int> &ofSegment) const {
  std::vector<int> result;
  for (int segment : segments)
    result.push_back(ofSegment[segment]);
  return result;
}

//===----------------------------------------------------------------------===//
// Windows
//===----------------------------------------------------------------------===//

/// Segments after which a model may begin again.
static constexpr int maxPeriod = 8;

/// Equal texts for segments that are alike.
std::vector<std::string>
Segments::signatures(const std::vector<OpPhase> &phases) const {
  std::vector<std::string> texts(count());
  std::vector<int> place(graph.ops.size(), 0), next(count(), 0);
  for (size_t o = 0; o < graph.ops.size(); ++o)
    place[o] = next[segments[o]]++;
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    const GraphOp &op = graph.ops[o];
    std::string &text = texts[segments[o]];
    text += op.kind + op.rule.str() + std::to_string(op.flops) + "p" +
            std::to_string(static_cast<int>(phases[o]));
    for (const Factor &factor : op.rule.factors)
      text += "," + std::to_string(factor.size);
    for (int value : op.operands) {
      int from = producer[value];
      // What is far away is one thing for all.
      int distance = segments[from] - segments[o];
      bool near = distance == 0 || (std::abs(distance) <= maxPeriod &&
                                    phases[from] != OpPhase::Once);
      text += near ? " " + std::to_string(distance) + "." +
                         std::to_string(place[from])
                   : " @" + std::to_string(from);
      text += dtypeName(graph.values[value].dtype);
    }
    for (int value : op.results)
      (text += ">") += dtypeName(graph.values[value].dtype);
    text += op.nextState >= 0 ? ";s" : ";";
  }
  return texts;
}

void Segments::addWindow(const Window &window, const Graph &graph,
                         const DimClasses &classes,
                         const std::vector<OpPhase> &phases,
                         Windows &windows) const {
  const int number = static_cast<int>(windows.all.size());
  const size_t firstOp = windows.graph.ops.size();
  windows.all.push_back(window);
  std::vector<int> valueOf(graph.values.size(), -1);
  std::vector<int> opOf(graph.ops.size(), -1);
  auto addValue = [&](int value) {
    valueOf[value] = static_cast<int>(windows.graph.values.size());
    windows.graph.values.push_back(graph.values[value]);
  };
  // What comes from elsewhere is an input, made of the same pieces.
  auto addInput = [&](int value) {
    const GraphOp &from = graph.ops[producer[value]];
    size_t result = std::find(from.results.begin(), from.results.end(), value) -
                    from.results.begin();
    const std::vector<int64_t> &shape = graph.values[value].shape;
    GraphOp op;
    op.id = "window:" + graph.values[value].name;
    op.kind = "input";
    op.role = OpRole::Input;
    op.kernelClass = KernelClass::Free;
    RuleBuilder rule({}, {shape.size()});
    std::vector<std::vector<Piece>> pieces;
    for (unsigned d = 0; d < shape.size(); ++d) {
      rule.parallel("d" + std::to_string(d), shape[d], {}, {{0, d}});
      std::vector<Piece> &all = pieces.emplace_back();
      for (unsigned factor : from.rule.results[result][d])
        for (const Piece &piece : classes.factors[producer[value]][factor])
          if (piece.size > 1)
            all.push_back(piece);
      if (all.empty())
        all.push_back({shape[d], KindOther});
    }
    op.rule = rule.build();
    addValue(value);
    op.results = {valueOf[value]};
    windows.graph.ops.push_back(std::move(op));
    windows.phases.push_back(phases[producer[value]]);
    windows.window.push_back(number);
    windows.place.push_back(-1);
    windows.classes.factors.push_back(std::move(pieces));
  };
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    if (segments[o] < window.first ||
        segments[o] >= window.first + window.width)
      continue;
    for (int value : graph.ops[o].operands)
      if (valueOf[value] < 0)
        addInput(value);
    opOf[o] = static_cast<int>(windows.graph.ops.size());
    GraphOp op = graph.ops[o];
    for (int &value : op.operands)
      value = valueOf[value];
    for (int &value : op.results) {
      addValue(value);
      value = valueOf[value];
    }
    windows.graph.ops.push_back(std::move(op));
    windows.phases.push_back(phases[o]);
    windows.window.push_back(number);
    windows.place.push_back(segments[o] - window.first);
    windows.classes.factors.push_back(classes.factors[o]);
  }
  for (size_t o = firstOp; o < windows.graph.ops.size(); ++o)
    if (GraphOp &op = windows.graph.ops[o]; op.nextState >= 0)
      op.nextState = opOf[op.nextState];
}

/// The period and the length of the longest repetition from `begin` on.
static std::pair<int, int> repetition(const std::vector<std::string> &texts,
                                      int begin) {
  std::pair<int, int> best{1, 0};
  const int count = static_cast<int>(texts.size());
  for (int period = 1; period <= maxPeriod; ++period) {
    int end = begin + period;
    while (end < count && texts[end] == texts[end - period])
      ++end;
    int length = (end - begin) / period * period;
    if (length > best.second && length >= 3 * period)
      best = {period, length};
  }
  return best;
}

std::vector<Window>
Segments::windows(const std::vector<OpPhase> &phases) const {
  std::vector<std::string> texts = signatures(phases);
  std::vector<Window> windows;
  int pending = 0; // the first segment that is in no window
  auto flush = [&](int end) {
    if (pending < end)
      windows.push_back({pending, end - pending, 1});
  };
  for (int s = 0; s < count();) {
    auto [period, length] = repetition(texts, s);
    const int copies = length / period;
    if (copies < 2) {
      ++s;
      continue;
    }
    flush(s);
    windows.push_back({s, period, copies});
    s += length;
    pending = s;
  }
  flush(count());
  return windows;
}

Windows Segments::cut(const std::vector<Window> &windows, const Graph &step,
                      const DimClasses &classes,
                      const std::vector<OpPhase> &phases) const {
  Windows cut;
  for (const Window &window : windows)
    addWindow(window, step, classes, phases, cut);
  return cut;
}

std::vector<std::vector<int>> planner::allCuts(int64_t chunks, int segments,
                                               size_t most) {
  // Each is made from those of one segment less.
  std::vector<std::vector<int>> cuts{{0}};
  for (int s = 1; s < segments; ++s) {
    std::vector<std::vector<int>> longer;
    for (const std::vector<int> &cut : cuts)
      for (int chunk : {cut.back(), cut.back() + 1}) {
        // The rest must have a segment for each other chunk.
        if (chunk >= chunks || chunk + segments - 1 - s < chunks - 1)
          continue;
        longer.push_back(cut);
        longer.back().push_back(chunk);
      }
    cuts = std::move(longer);
    if (cuts.size() > most)
      return {};
  }
  return cuts;
}
