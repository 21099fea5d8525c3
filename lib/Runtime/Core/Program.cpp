//===- Program.cpp - The command table as data ----------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Properties of views and programs, and the names of enumerators.
//
//===----------------------------------------------------------------------===//

#include "partita/Runtime/Program.h"
#include "partita/Support/HostTensor.h"
#include <algorithm>
#include <numeric>

using namespace partita;
using namespace partita::runtime;

bool View::isContiguous() const {
  int64_t expected = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i] == 1)
      continue;
    if (shape[i] == 0)
      return true;
    if (strides[i] != expected)
      return false;
    expected *= shape[i];
  }
  return true;
}

int64_t View::numElements() const {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  return count;
}

std::pair<int64_t, int64_t> View::byteRange() const {
  int64_t low = 0, high = 0, size = static_cast<int64_t>(dtypeSize(dtype));
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0)
      return {offset, offset};
    (strides[i] < 0 ? low : high) += (shape[i] - 1) * strides[i];
  }
  return {offset + low * size, offset + (high + 1) * size};
}

int64_t View::extentBytes() const {
  auto [begin, end] = byteRange();
  return end - begin;
}

View partita::runtime::contiguousView(Space space, int64_t offset, DType dtype,
                                      std::vector<int64_t> shape) {
  View view{space, offset, dtype, std::move(shape), {}};
  view.strides = rowMajorStrides(view.shape);
  return view;
}

const char *partita::runtime::collectiveName(CollectiveKind kind) {
  switch (kind) {
  case CollectiveKind::AllReduce:
    return "all_reduce";
  case CollectiveKind::ReduceScatter:
    return "reduce_scatter";
  case CollectiveKind::AllGather:
    return "all_gather";
  case CollectiveKind::AllToAll:
    return "all_to_all";
  case CollectiveKind::Permute:
    return "permute";
  case CollectiveKind::HaloExchange:
    return "halo_exchange";
  }
  return "unknown";
}

const char *partita::runtime::spaceName(Space space) {
  switch (space) {
  case Space::Arena:
    return "arena";
  case Space::Persistent:
    return "persistent";
  case Space::Constant:
    return "constant";
  }
  return "unknown";
}

const char *partita::runtime::commandKindName(CommandKind kind) {
  switch (kind) {
  case CommandKind::LoadParameter:
    return "load_parameter";
  case CommandKind::LoadInput:
    return "load_input";
  case CommandKind::StoreOutput:
    return "store_output";
  case CommandKind::Kernel:
    return "kernel";
  case CommandKind::Call:
    return "call";
  case CommandKind::Collective:
    return "collective";
  case CommandKind::Send:
    return "send";
  case CommandKind::Receive:
    return "receive";
  }
  return "unknown";
}

int64_t Grid::placeOf(int64_t rank) const {
  auto found = std::find(ranks.begin(), ranks.end(), rank);
  return found == ranks.end() ? -1 : found - ranks.begin();
}

Grid Program::gridOf(int32_t stage) const {
  if (!stages.empty())
    return stages[stage];
  Grid all{mesh, std::vector<int64_t>(classOfRank.size())};
  std::iota(all.ranks.begin(), all.ranks.end(), 0);
  return all;
}

std::vector<int64_t> Program::partOf(const PortInfo &port) const {
  std::vector<int64_t> shape = port.shape;
  if (port.batchDim >= 0)
    shape[port.batchDim] /= microBatches;
  return shape;
}

int64_t Program::peakBytes(int64_t rank) const {
  const RankClass &rankClass = classes[classOfRank[rank]];
  return rankClass.arenaBytes + rankClass.persistentBytes;
}
