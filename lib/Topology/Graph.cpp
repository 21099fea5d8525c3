//===- Graph.cpp - The levels of a graph of links -------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The planner wants a tree of levels; a file may give any graph. Links are
// added from the most useful to the least. A link is as useful as the bandwidth
// that a rank can bring to it and across it; of equals, what is fewer steps
// from a rank comes first, for what is behind it is shared by more. Whenever
// all groups of connected ranks have equally many that follow each other, they
// are a level:
//
//   8 GPUs - 300 GB/s - switch       ->  level of 8: 300 GB/s a rank
//   each GPU - 25 GB/s - its adapter     level above it: what leaves a group,
//   adapters - 25 GB/s - a switch        8 x 25 GB/s, is its child_bandwidth
//
// Bandwidths of a level are cuts: a rank sends no more than its links within
// the level's group carry, a child no more than the links that leave it. Links
// that share a medium carry no more than that together. A cut is never less
// than what flows, so the levels promise what the graph may just hold.
//
//===----------------------------------------------------------------------===//

#include "Read.h"
#include <algorithm>
#include <limits>
#include <numeric>
#include <queue>

using namespace partita;
using namespace partita::topology;

namespace {
class UnionFind {
public:
  explicit UnionFind(size_t n) : parent(n) {
    std::iota(parent.begin(), parent.end(), size_t(0));
  }
  size_t find(size_t v) {
    while (parent[v] != v)
      v = parent[v] = parent[parent[v]];
    return v;
  }
  void unite(size_t from, size_t into) { parent[from] = into; }

private:
  std::vector<size_t> parent;
};

/// Adds up links, those of one medium no further than it carries.
class Capacity {
public:
  Capacity(const LinkGraph &graph, const std::vector<int64_t> &mediumOf)
      : graph(graph), mediumOf(mediumOf), used(graph.media.size()) {}

  void add(int64_t link) {
    double bandwidth = graph.links[link].link.bandwidth;
    channels += graph.links[link].link.channels;
    int64_t medium = mediumOf[link];
    if (medium < 0) {
      total += bandwidth;
      return;
    }
    double before = used[medium];
    used[medium] = std::min(before + bandwidth, graph.media[medium].bandwidth);
    total += used[medium] - before;
    touched.push_back(medium);
  }
  /// For the next cut.
  void clear() {
    for (int64_t medium : touched)
      used[medium] = 0;
    touched.clear();
    total = 0;
    channels = 0;
  }

  double total = 0;
  int64_t channels = 0;

private:
  const LinkGraph &graph;
  const std::vector<int64_t> &mediumOf;
  std::vector<double> used;
  std::vector<int64_t> touched;
};

class LevelFinder {
public:
  LevelFinder(const LinkGraph &graph, const std::string &place);
  std::vector<Level> find();

private:
  double widthOf(int64_t link) const;
  int64_t otherEnd(int64_t link, int64_t vertex) const {
    return graph.links[link].from + graph.links[link].to - vertex;
  }
  void rankLinks();
  /// Ranks in each group, if they are equally many and follow each other.
  int64_t regularGroups();
  Level levelOf(int64_t ranks, int64_t lastRanks, const Link &narrowest);
  void measure(Level &level);
  double longestWay(int64_t from, std::vector<double> &best);
  [[noreturn]] void failDisconnected();

  const LinkGraph &graph;
  const std::string &place;
  size_t vertices;
  /// The medium of each link, or -1.
  std::vector<int64_t> mediumOf;
  /// Links by vertex.
  std::vector<std::vector<int64_t>> linksOf;
  /// Of each link: what a rank can bring across it, and the steps to the
  /// nearest rank.
  std::vector<double> useful;
  std::vector<int64_t> steps;
  UnionFind groups;
  /// The ranks among what a root stands for.
  std::vector<int64_t> ranksIn;
  /// Each vertex's group at the level before; ranks before the first level are
  /// groups of their own.
  std::vector<size_t> child;
  int64_t rankGroups;
};
} // namespace

LevelFinder::LevelFinder(const LinkGraph &graph, const std::string &place)
    : graph(graph), place(place),
      vertices(static_cast<size_t>(graph.ranks) + graph.switches.size()),
      mediumOf(graph.links.size(), -1), linksOf(vertices),
      useful(graph.links.size()), steps(graph.links.size()), groups(vertices),
      ranksIn(vertices, 0), child(vertices), rankGroups(graph.ranks) {
  for (size_t medium = 0; medium < graph.media.size(); ++medium)
    for (int64_t link : graph.media[medium].links)
      mediumOf[link] = static_cast<int64_t>(medium);
  for (size_t link = 0; link < graph.links.size(); ++link)
    for (int64_t end : {graph.links[link].from, graph.links[link].to})
      linksOf[end].push_back(static_cast<int64_t>(link));
  std::fill_n(ranksIn.begin(), graph.ranks, 1);
  std::iota(child.begin(), child.end(), size_t(0));
  rankLinks();
}

double LevelFinder::widthOf(int64_t link) const {
  double width = graph.links[link].link.bandwidth;
  return mediumOf[link] < 0
             ? width
             : std::min(width, graph.media[mediumOf[link]].bandwidth);
}

/// The widest ways from any rank to each vertex, then the shortest.
void LevelFinder::rankLinks() {
  using Wide = std::pair<double, int64_t>;
  std::vector<double> reach(vertices, 0);
  std::priority_queue<Wide> queue;
  for (int64_t rank = 0; rank < graph.ranks; ++rank)
    queue.emplace(std::numeric_limits<double>::infinity(), rank);
  while (!queue.empty()) {
    auto [width, vertex] = queue.top();
    queue.pop();
    if (reach[vertex] > 0)
      continue;
    reach[vertex] = width;
    for (int64_t link : linksOf[vertex])
      queue.emplace(std::min(width, widthOf(link)), otherEnd(link, vertex));
  }
  std::vector<int64_t> hops(vertices, -1), order;
  for (int64_t rank = 0; rank < graph.ranks; ++rank) {
    hops[rank] = 0;
    order.push_back(rank);
  }
  for (size_t next = 0; next < order.size(); ++next)
    for (int64_t link : linksOf[order[next]])
      if (int64_t other = otherEnd(link, order[next]); hops[other] < 0) {
        hops[other] = hops[order[next]] + 1;
        order.push_back(other);
      }
  for (size_t link = 0; link < graph.links.size(); ++link) {
    const auto &[from, to, ignored] = graph.links[link];
    useful[link] = std::min(widthOf(static_cast<int64_t>(link)),
                            std::max(reach[from], reach[to]));
    steps[link] = std::min(hops[from], hops[to]);
  }
}

int64_t LevelFinder::regularGroups() {
  if (graph.ranks % rankGroups != 0)
    return 0;
  int64_t each = graph.ranks / rankGroups;
  for (int64_t rank = 0; rank < graph.ranks; ++rank)
    if (ranksIn[groups.find(rank)] != each ||
        groups.find(rank) != groups.find(rank / each * each))
      return 0;
  return each;
}

/// Latency of the way from a rank to the last one of its group; `best` is below
/// zero for all vertices of the group.
double LevelFinder::longestWay(int64_t from, std::vector<double> &best) {
  using Entry = std::pair<double, int64_t>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue;
  queue.emplace(0, from);
  double longest = 0;
  while (!queue.empty()) {
    auto [seconds, vertex] = queue.top();
    queue.pop();
    if (best[vertex] >= 0)
      continue;
    best[vertex] = seconds;
    if (vertex < graph.ranks)
      longest = seconds;
    for (int64_t link : linksOf[vertex]) {
      int64_t other = otherEnd(link, vertex);
      if (best[other] < 0 && groups.find(other) == groups.find(from))
        queue.emplace(seconds + graph.links[link].link.latencySeconds, other);
    }
  }
  return longest;
}

/// What a child, a group and the narrowest pair of ranks may send.
void LevelFinder::measure(Level &level) {
  std::vector<std::vector<int64_t>> leaving(vertices);
  double pair = 0;
  bool switched = false;
  for (size_t number = 0; number < graph.links.size(); ++number) {
    const auto &[from, to, link] = graph.links[number];
    if (groups.find(from) != groups.find(to) || child[from] == child[to])
      continue;
    int64_t id = static_cast<int64_t>(number);
    leaving[child[from]].push_back(id);
    leaving[child[to]].push_back(id);
    switched |= from >= graph.ranks || to >= graph.ranks;
    pair = pair > 0 ? std::min(pair, widthOf(id)) : widthOf(id);
  }
  Capacity cut(graph, mediumOf), all(graph, mediumOf);
  constexpr double rounding = 1 - 1e-9; // The same sum in another order.
  double least = 0, medium = 0, sum = 0;
  for (int64_t rank = 0; rank < graph.ranks; ++rank) {
    bool firstOfChild = rank == 0 || child[rank] != child[rank - 1];
    bool lastOfGroup =
        rank + 1 == graph.ranks || groups.find(rank) != groups.find(rank + 1);
    if (firstOfChild) {
      cut.clear();
      for (int64_t link : leaving[child[rank]]) {
        cut.add(link);
        all.add(link);
      }
      sum += cut.total;
      if (least == 0 || cut.total < least) {
        least = cut.total;
        level.link.channels = cut.channels;
      }
    }
    if (lastOfGroup) {
      if (all.total < sum * rounding && (medium == 0 || all.total < medium))
        medium = all.total;
      all.clear();
      sum = 0;
    }
  }
  level.link.childBandwidth = least;
  level.link.mediumBandwidth = medium;
  level.link.pairBandwidth = switched ? 0 : pair;
}

Level LevelFinder::levelOf(int64_t ranks, int64_t lastRanks,
                           const Link &narrowest) {
  Level level;
  level.name = "groups-of-" + std::to_string(ranks);
  level.size = ranks / lastRanks;
  level.link = narrowest;
  measure(level);
  if (lastRanks == 1) {
    // A child is a rank, which has all of its links to itself.
    level.link.bandwidth = level.link.childBandwidth;
    level.link.childBandwidth = 0;
  }
  level.link.latencySeconds = 0;
  std::vector<double> best(vertices, -1);
  for (int64_t first = 0; first < graph.ranks; first += ranks)
    level.link.latencySeconds =
        std::max(level.link.latencySeconds, longestWay(first, best));
  for (size_t vertex = 0; vertex < vertices; ++vertex)
    child[vertex] = groups.find(vertex);
  return level;
}

void LevelFinder::failDisconnected() {
  int64_t apart = 0;
  while (groups.find(apart) == groups.find(0))
    ++apart;
  throw Failure{
      makeError(ExitCode::InvalidInput, "topology.disconnected", place,
                "no links lead from rank 0 to rank " + std::to_string(apart),
                "ranks have to reach each other, by way of switches "
                "or of other ranks")};
}

std::vector<Level> LevelFinder::find() {
  std::vector<int64_t> order(graph.links.size());
  std::iota(order.begin(), order.end(), int64_t(0));
  auto key = [&](int64_t link) {
    return std::pair(-useful[link], steps[link]);
  };
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return std::pair(key(a), a) < std::pair(key(b), b);
  });
  std::vector<Level> levels;
  int64_t lastRanks = 1, checked = 0;
  Link narrowest;
  for (size_t i = 0; i < order.size(); ++i) {
    const GraphLink &link = graph.links[order[i]];
    size_t from = groups.find(link.from), to = groups.find(link.to);
    if (from != to) {
      rankGroups -= ranksIn[from] > 0 && ranksIn[to] > 0;
      groups.unite(from, to);
      ranksIn[to] += ranksIn[from];
      // Of equals, what leaves the machine says what the level is.
      double bandwidth = useful[order[i]];
      if (bandwidth != narrowest.bandwidth || link.link.kind > narrowest.kind)
        narrowest = link.link;
      narrowest.bandwidth = bandwidth;
    }
    bool more = i + 1 < order.size() && key(order[i + 1]) == key(order[i]);
    if (more || rankGroups == checked)
      continue;
    checked = rankGroups;
    int64_t ranks = regularGroups();
    if (ranks <= lastRanks || ranks % lastRanks != 0)
      continue;
    if (levels.size() + 1 == maxLevels && ranks != graph.ranks)
      continue;
    levels.push_back(levelOf(ranks, lastRanks, narrowest));
    lastRanks = ranks;
  }
  if (rankGroups > 1)
    failDisconnected();
  // One rank needs no link.
  if (levels.empty())
    levels.push_back({"groups-of-1", 1, graph.links[order[0]].link});
  return levels;
}

std::vector<Level> topology::levelsOf(const LinkGraph &graph,
                                      const std::string &place) {
  return LevelFinder(graph, place).find();
}
