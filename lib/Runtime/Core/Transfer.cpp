//===- Transfer.cpp - What goes between ranks and stages ------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A receiver's box is covered by its intersections with each different box of
// the senders, which are disjoint (see Exchange.cpp). No rank receives what it
// does not want, and nothing twice.
//
//===----------------------------------------------------------------------===//

#include "partita/Runtime/Transfer.h"
#include <algorithm>

using namespace partita;
using namespace partita::runtime;

int64_t Piece::elements() const {
  int64_t total = 0;
  for (const RunGroup &run : runs)
    total += run.elements();
  return total;
}

std::vector<RunGroup>
partita::runtime::groupRuns(const std::vector<SharedRun> &runs) {
  std::vector<RunGroup> groups;
  for (const SharedRun &run : runs) {
    if (!groups.empty()) {
      RunGroup &last = groups.back();
      int64_t fromStep =
          run.from - last.from - (last.repeat - 1) * last.fromStep;
      int64_t toStep = run.to - last.to - (last.repeat - 1) * last.toStep;
      bool continues = last.count == run.count &&
                       (last.repeat == 1 ||
                        (fromStep == last.fromStep && toStep == last.toStep));
      if (continues) {
        last.fromStep = fromStep;
        last.toStep = toStep;
        ++last.repeat;
        continue;
      }
    }
    groups.push_back({run.from, run.to, run.count, 1, 0, 0});
  }
  return groups;
}

//===----------------------------------------------------------------------===//
// Between stages
//===----------------------------------------------------------------------===//

bool Parcel::isContiguous(bool atSender) const {
  if (runs.size() != 1)
    return false;
  const RunGroup &run = runs[0];
  return run.repeat == 1 || (atSender ? run.fromStep : run.toStep) == run.count;
}

int64_t Parcel::begin(bool atSender) const {
  return atSender ? runs[0].from : runs[0].to;
}

/// What the receiver at `place` takes from whom.
static Result<std::vector<Piece>> arrivals(const TransferInfo &transfer,
                                           const Grid &from, const Grid &to,
                                           int64_t place) {
  const auto senders = static_cast<int64_t>(from.ranks.size());
  const auto receivers = static_cast<int64_t>(to.ranks.size());
  Box wanted = boxOf(transfer.to, to.mesh, to.mesh.coordinates(place));
  std::vector<Piece> pieces;
  std::vector<Box> seen;
  int64_t covered = 0;
  for (int64_t i = 0; i < senders; ++i) {
    int64_t sender = (place * senders / receivers + i) % senders;
    Box box = boxOf(transfer.from, from.mesh, from.mesh.coordinates(sender));
    if (std::find(seen.begin(), seen.end(), box) != seen.end())
      continue;
    Piece piece{from.ranks[sender], groupRuns(intersect(box, wanted))};
    seen.push_back(std::move(box));
    covered += piece.elements();
    if (!piece.runs.empty())
      pieces.push_back(std::move(piece));
  }
  if (covered != wanted.numElements())
    return makeError(ExitCode::Internal, "transfer.plan", transfer.name,
                     "rank " + std::to_string(to.ranks[place]) + " finds " +
                         std::to_string(covered) + " of " +
                         std::to_string(wanted.numElements()) + " elements");
  return pieces;
}

Result<std::vector<Parcel>>
partita::runtime::planTransfer(const TransferInfo &transfer,
                               const Program &program, int64_t rank) {
  const Grid &from = program.stages[transfer.fromStage];
  const Grid &to = program.stages[transfer.toStage];
  std::vector<Parcel> parcels;
  for (size_t place = 0; place < to.ranks.size(); ++place) {
    bool receives = to.ranks[place] == rank;
    if (!receives && to.placeOf(rank) >= 0)
      continue;
    PARTITA_TRY(std::vector<Piece> pieces,
                arrivals(transfer, from, to, static_cast<int64_t>(place)));
    for (Piece &piece : pieces)
      if (receives || piece.source == rank)
        parcels.push_back({receives ? piece.source : to.ranks[place],
                           std::move(piece.runs), 0});
  }
  for (Parcel &parcel : parcels)
    for (const RunGroup &run : parcel.runs)
      parcel.elements += run.elements();
  std::sort(parcels.begin(), parcels.end(),
            [](const auto &a, const auto &b) { return a.peer < b.peer; });
  return parcels;
}

int64_t partita::runtime::wireBytes(const std::vector<Parcel> &parcels,
                                    bool sends, int64_t elementSize) {
  int64_t all = 0, most = 0;
  for (const Parcel &parcel : parcels) {
    all += parcel.elements;
    if (!parcel.isContiguous(sends))
      most = std::max(most, parcel.elements);
  }
  return (sends ? all * sendsUnderWay : most) * elementSize;
}
