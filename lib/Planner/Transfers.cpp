//===- Transfers.cpp - What goes from one stage to another ----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The prices of transfers as programs have them (partita/Partition): a value
// leaves as it is made, or, if that is pending, as it arrives in the first
// other stage. It arrives in the largest layout that is wanted there; the
// others are made from that.
//
// One use: it arrives as that wants it, so the price is exact. Of several
// nobody knows which one is the largest. Let T be the time of a transfer, M the
// layout that the uses start from, and
//
//   R(M) = least of T(B) + reshard(B, M), over all B that a use may want.
//
// It arrives as some B with T(B) >= T(C) for each of n uses C, so
//
//   T(B) + reshard(B, M) >= R(M) + sum of max(0, T(C) - R(M)) / n
//
// which is what the bound counts, on the edges to M and to the uses. The
// objective takes M for what arrives.
//
// In a window (Segments.h) a use may be in another stage than what it reads, or
// in the same one: the bound takes the cheaper of the two.
//
//===----------------------------------------------------------------------===//

#include "Model.h"
#include <algorithm>

using namespace partita;
using namespace partita::planner;

//===----------------------------------------------------------------------===//
// Layouts
//===----------------------------------------------------------------------===//

/// What arrives where a layout is wanted: nothing of it is pending.
int ModelBuilder::arrived(int layout) {
  Sharding sharding = reshard.layout(layout);
  if (!sharding.isPartial())
    return layout;
  sharding.partialAxes.clear();
  sharding.combiner = Combiner::None;
  auto number = reshard.intern(sharding);
  return number ? *number : layout;
}

/// What leaves for a layout that arrives, if it has to be made for that.
int ModelBuilder::left(int layout) {
  const Sharding &sharding = reshard.layout(layout);
  if (!sharding.hasHalo())
    return layout;
  auto number = reshard.intern(sharding.withoutHalos());
  return number ? *number : layout;
}

std::vector<int> ModelBuilder::arrivedAll(const std::vector<int> &layouts) {
  std::vector<int> all;
  for (int layout : layouts)
    all.push_back(arrived(layout));
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

bool ModelBuilder::isPending(int list) const {
  return std::any_of(lists[list].begin(), lists[list].end(), [&](int layout) {
    return reshard.layout(layout).isPartial();
  });
}

int64_t ModelBuilder::transferTime(int layout, DType dtype) const {
  const int64_t bytes = maxLocalBytes(reshard.layout(layout), mesh, dtype);
  return betweenStages.picoseconds(
      MoveKind::Permute, uint32_t(1) << mesh.axis(stageAxis), {bytes, bytes});
}

//===----------------------------------------------------------------------===//
// Between stages
//===----------------------------------------------------------------------===//

/// By layout: how long it takes until the value is there in it, from where it
/// leaves: T, or R if it may arrive in any of several.
std::vector<int64_t> ModelBuilder::arrivalTimes(const std::vector<int> &layouts,
                                                const Transfer &transfer) {
  std::vector<int64_t> times;
  if (transfer.arrivals < 0) {
    for (int layout : layouts)
      times.push_back(transferTime(layout, transfer.dtype));
    return times;
  }
  const std::vector<int> &arrivals = lists[transfer.arrivals];
  const std::vector<int64_t> moves =
      reshard.picoseconds(transfer.dtype, arrivals, layouts);
  times.assign(layouts.size(), forbidden);
  for (size_t a = 0; a < arrivals.size(); ++a) {
    const int64_t sent = transferTime(arrivals[a], transfer.dtype);
    for (size_t i = 0; i < layouts.size(); ++i)
      times[i] =
          std::min(times[i], addPrices(sent, moves[a * layouts.size() + i]));
  }
  return times;
}

/// From where the value is found in its own stage to where it is found in the
/// other one.
std::shared_ptr<const PriceTable>
ModelBuilder::transferTable(int fromList, int toList,
                            const Transfer &transfer) {
  std::shared_ptr<const PriceTable> &known = tables[{
      TableKind::Transfer, fromList, toList, dtypeSize(transfer.dtype),
      transfer.share, transfer.leaves, transfer.shareOf, transfer.arrivals}];
  if (known)
    return known;
  const std::vector<int> &rows = lists[fromList], &columns = lists[toList];
  const bool isAny = transfer.arrivals >= 0;
  std::vector<int> leaving;
  for (int layout : isAny ? lists[transfer.arrivals] : columns)
    leaving.push_back(left(arrived(layout)));
  const std::vector<int64_t> combining =
      reshard.picoseconds(transfer.dtype, rows, leaving);
  const std::vector<int64_t> arriving = arrivalTimes(columns, transfer);
  auto made = std::make_shared<PriceTable>();
  made->rows = static_cast<int>(rows.size());
  made->columns = static_cast<int>(columns.size());
  for (size_t r = 0; r < rows.size(); ++r) {
    const auto begin =
        combining.begin() + static_cast<std::ptrdiff_t>(r * leaving.size());
    const int64_t least = *std::min_element(
        begin, begin + static_cast<std::ptrdiff_t>(leaving.size()));
    for (size_t c = 0; c < columns.size(); ++c) {
      int64_t first = isAny ? least : begin[static_cast<std::ptrdiff_t>(c)];
      if (!reshard.layout(rows[r]).isPartial())
        first = 0;
      made->prices.push_back(
          first >= ReshardPlanner::unreachable
              ? forbidden
              : addPrices(transfer.share(arriving[c]),
                          transfer.leaves(first / transfer.shareOf)));
    }
  }
  return known = std::move(made);
}

/// From where several uses of another stage find the value to one of them, and
/// what that says of the transfer.
std::shared_ptr<const PriceTable>
ModelBuilder::readTable(int fromList, int toList, const Transfer &transfer) {
  std::shared_ptr<const PriceTable> &known = tables[{
      TableKind::Read, fromList, toList, dtypeSize(transfer.dtype),
      transfer.share, transfer.leaves, transfer.shareOf, transfer.arrivals}];
  if (known)
    return known;
  const std::vector<int> &rows = lists[fromList], &columns = lists[toList];
  const std::vector<int64_t> there = arrivalTimes(rows, transfer);
  auto made = std::make_shared<PriceTable>();
  made->rows = static_cast<int>(rows.size());
  made->columns = static_cast<int>(columns.size());
  made->prices = reshard.picoseconds(transfer.dtype, rows, columns);
  for (size_t i = 0; i < made->prices.size(); ++i) {
    int64_t &price = made->prices[i];
    const int64_t more = std::max<int64_t>(
        0, transferTime(columns[i % columns.size()], transfer.dtype) -
               there[i / columns.size()]);
    price = price >= ReshardPlanner::unreachable
                ? forbidden
                : transfer.share(price / (transfer.shareOf - 1) +
                                 more / transfer.shareOf);
  }
  return known = std::move(made);
}

/// What several uses in one stage want of another.
void ModelBuilder::addTransfersOf(int number, const Source &source,
                                  const Uses &users, Share leaves) {
  const int from = producer[number].first;
  const DType dtype = graph.values[number].dtype;
  std::vector<int> layouts;
  for (const Use &use : users) {
    const std::vector<int> &wanted =
        lists[operandList(model.candidates[use.op], use.operand)];
    layouts.insert(layouts.end(), wanted.begin(), wanted.end());
  }
  std::vector<int> arrivals = arrivedAll(layouts);
  layouts.insert(layouts.end(), arrivals.begin(), arrivals.end());
  if (auto whole =
          reshard.intern(Sharding::replicated(graph.values[number].shape)))
    layouts.push_back(*whole);
  std::sort(layouts.begin(), layouts.end());
  layouts.erase(std::unique(layouts.begin(), layouts.end()), layouts.end());
  const int found = addVariable(from, layouts.size());
  const int foundList = listOf(std::move(layouts));
  Transfer transfer{dtype, firstShare(number, users, users[0].op), leaves, 1};
  if (!onlyTime)
    model.objective.edges.push_back(
        {source.variable, found,
         transferTable(source.list, foundList, transfer)});
  transfer.shareOf = source.shareOf;
  transfer.arrivals = listOf(std::move(arrivals));
  model.time.edges.push_back({source.variable, found,
                              transferTable(source.list, foundList, transfer)});
  SharedValue sharing{found, &lists[foundList], {}};
  for (const Use &use : users) {
    const int wanted = operandList(model.candidates[use.op], use.operand);
    const Share share = costing.shareOf(graph, from, use.op);
    sharing.uses.push_back({use.op, model.objective.edges.size(),
                            model.time.edges.size(), &lists[wanted],
                            groupOf(number, use.op)});
    if (!onlyTime)
      model.objective.edges.push_back(
          {found, use.op, table(foundList, wanted, {dtype, share}, 1)});
    model.time.edges.push_back({found, use.op,
                                readTable(foundList, wanted,
                                          {dtype,
                                           share,
                                           {0, 1},
                                           static_cast<int64_t>(users.size()),
                                           transfer.arrivals})});
  }
  model.shared.push_back(std::move(sharing));
}

/// `groups` by stage.
void ModelBuilder::addTransfers(int number, const Source &source,
                                const std::vector<const Uses *> &groups) {
  const int from = producer[number].first;
  // Before the first of them all.
  Uses all;
  for (const Uses *users : groups)
    all.insert(all.end(), users->begin(), users->end());
  const Share leaves = firstShare(number, all, from);
  for (const Uses *users : groups) {
    const Share combining = users == groups[0] ? leaves : Share{0, 1};
    if (users->size() > 1) {
      addTransfersOf(number, source, *users, combining);
      continue;
    }
    const Use &use = users->front();
    const int wanted = operandList(model.candidates[use.op], use.operand);
    Transfer transfer{graph.values[number].dtype,
                      costing.shareOf(graph, from, use.op), combining, 1};
    if (!onlyTime)
      model.objective.edges.push_back(
          {source.variable, use.op,
           transferTable(source.list, wanted, transfer)});
    transfer.shareOf = source.shareOf;
    model.time.edges.push_back({source.variable, use.op,
                                transferTable(source.list, wanted, transfer)});
  }
}

//===----------------------------------------------------------------------===//
// Where nobody knows
//===----------------------------------------------------------------------===//

/// Makes reshards the least that they, or going to another stage, count. A use
/// costs `in` where it is in the same stage, and else what is pending is
/// combined where it is made, at `atMaker`, and the use has a part of a
/// transfer.
void ModelBuilder::lower(PriceTable &table, const std::vector<int> &rows,
                         const std::vector<int> &columns,
                         const Traffic &traffic, int64_t divisor) {
  // A use by itself gets what it wants; of several one gets the largest.
  const bool isOnly = traffic.mayCross == 1;
  std::vector<int> leaving;
  for (int layout : isOnly ? columns : rows)
    leaving.push_back(left(arrived(layout)));
  const std::vector<int64_t> combining =
      reshard.picoseconds(traffic.dtype, rows, leaving);
  for (size_t r = 0; r < rows.size(); ++r) {
    auto begin =
        combining.begin() + static_cast<std::ptrdiff_t>(r * leaving.size());
    const int64_t least = *std::min_element(
        begin, begin + static_cast<std::ptrdiff_t>(leaving.size()));
    for (size_t c = 0; c < columns.size(); ++c) {
      int64_t &price = table.prices[r * columns.size() + c];
      if (price >= ReshardPlanner::unreachable) {
        price = forbidden;
        continue;
      }
      const int64_t in = price / divisor;
      int64_t first = isOnly ? begin[static_cast<std::ptrdiff_t>(c)] : least;
      first =
          !reshard.layout(rows[r]).isPartial() || traffic.atMaker.number == 0
              ? 0
              : std::min(in, first / divisor);
      const int64_t then =
          std::min(in - first,
                   transferTime(columns[c], traffic.dtype) / traffic.mayCross);
      price = addPrices(traffic.atMaker(first), traffic.share(then));
    }
  }
}
