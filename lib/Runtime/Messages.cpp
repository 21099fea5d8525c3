//===- Messages.cpp - Sending to other stages, and receiving --------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Messages.h"
#include "RunCopy.h"

using namespace partita;
using namespace partita::runtime;

/// Above those of collectives.
static constexpr uint64_t firstTag = maxCollectiveTag + 1;

Result<std::unique_ptr<Messages>> Messages::prepare(const Program &program,
                                                    const Command &command,
                                                    int64_t rank) {
  auto made = std::make_unique<Messages>();
  made->sends = command.kind == CommandKind::Send;
  const TransferInfo &transfer = program.transfers[command.index];
  const Grid &grid =
      program.stages[made->sends ? transfer.fromStage : transfer.toStage];
  const View &view = made->sends ? command.operands[0] : command.results[0];
  PARTITA_TRY(made->parcels, planTransfer(transfer, program, rank));
  int64_t elements = boxOf(made->sends ? transfer.from : transfer.to, grid.mesh,
                           grid.mesh.coordinates(grid.placeOf(rank)))
                         .numElements();
  int64_t wire =
      command.workspace.empty() ? 0 : command.workspace[0].extentBytes();
  made->elementSize = static_cast<int64_t>(dtypeSize(transfer.dtype));
  if (view.numElements() != elements ||
      wire < wireBytes(made->parcels, made->sends, made->elementSize))
    return makeError(ExitCode::InvalidInput, "program.invalid", command.id,
                     "a view is not as large as its shard or its messages");
  made->tag = firstTag + static_cast<uint64_t>(command.index);
  return made;
}

Status Messages::execute(const Line &line, std::byte *shard, std::byte *wire) {
  return sends ? send(line, shard, wire) : receive(line, shard, wire);
}

Clock::time_point Line::deadline() const {
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(timeout);
}

Status Messages::send(const Line &line, const std::byte *shard,
                      std::byte *wire) {
  auto &messages = underWay[next];
  for (std::unique_ptr<PendingSend> &message : messages)
    PARTITA_CHECK(message->wait(line.deadline()));
  messages.clear();
  std::byte *packed =
      wire + next * wireBytes(parcels, sends, elementSize) / sendsUnderWay;
  next = (next + 1) % sendsUnderWay;
  for (const Parcel &parcel : parcels) {
    std::span<const std::byte> bytes(
        packed, static_cast<size_t>(parcel.elements * elementSize));
    forEachRunOf(parcel.runs, [&](int64_t from, int64_t, int64_t count) {
      copyBytes(packed, shard + from * elementSize, count * elementSize);
      packed += count * elementSize;
    });
    PARTITA_TRY(auto message, line.transport->send(parcel.peer, bytes, tag));
    messages.push_back(std::move(message));
  }
  return ok();
}

Status Messages::receive(const Line &line, std::byte *shard, std::byte *wire) {
  for (const Parcel &parcel : parcels) {
    bool direct = parcel.isContiguous(sends);
    std::byte *at = direct ? shard + parcel.begin(sends) * elementSize : wire;
    std::span<std::byte> bytes(
        at, static_cast<size_t>(parcel.elements * elementSize));
    PARTITA_CHECK(line.transport->exchange(-1, {}, parcel.peer, bytes, tag,
                                           line.deadline()));
    const std::byte *packed = wire;
    if (!direct)
      forEachRunOf(parcel.runs, [&](int64_t, int64_t to, int64_t count) {
        copyBytes(shard + to * elementSize, packed, count * elementSize);
        packed += count * elementSize;
      });
  }
  return ok();
}
