//===- Shard.cpp - A rank keeps its part of what it holds -----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// shard_slice: from the box of sharding `from` to that of `to`, which lies in
// it on the same rank. The runs to copy are found once, at load.
//
//===----------------------------------------------------------------------===//

#include "LibraryImpl.h"
#include <cstring>

using namespace partita;
using namespace partita::runtime;

namespace {
class PreparedShardSlice : public PreparedCall {
public:
  PreparedShardSlice(const Command &call, std::vector<SharedRun> runs)
      : from(call.operands[0]), to(call.results[0]), runs(std::move(runs)) {}

  Status execute(std::byte *const bases[3]) override {
    const std::byte *in = addressOf(from, bases);
    std::byte *out = addressOf(to, bases);
    size_t width = dtypeSize(from.dtype);
    for (const SharedRun &run : runs)
      std::memcpy(out + run.to * width, in + run.from * width,
                  run.count * width);
    return ok();
  }

private:
  View from, to;
  std::vector<SharedRun> runs;
};
} // namespace

static Result<int64_t> noWorkspace(const Command &, int) { return 0; }

static Result<std::unique_ptr<PreparedCall>>
prepareShardSlice(const Command &call, const PrepareContext &context) {
  PARTITA_CHECK(checkCounts(call, 1, 1));
  const View &from = call.operands[0], &to = call.results[0];
  if (!from.isContiguous() || !to.isContiguous() || from.dtype != to.dtype)
    return callError(call, "needs contiguous views of one element type");
  Box source = boxOf(call.from, *context.mesh, context.coords);
  Box target = boxOf(call.to, *context.mesh, context.coords);
  if (source.numElements() != from.numElements() ||
      target.numElements() != to.numElements())
    return callError(call, "has views that are not its shards");
  std::vector<SharedRun> runs = intersect(source, target);
  int64_t covered = 0;
  for (const SharedRun &run : runs)
    covered += run.count;
  if (covered != to.numElements())
    return callError(call, "keeps elements that this rank does not hold");
  return std::unique_ptr<PreparedCall>(
      std::make_unique<PreparedShardSlice>(call, std::move(runs)));
}

void partita::runtime::addShardCalls(CallTable &table) {
  table["shard_slice"] = {noWorkspace, prepareShardSlice};
}
