//===- Gather.cpp - Rows by index -----------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// result[o.., i.., r..] = data[o.., indices[i..], r..]. Two loop nests: one
// over (o, i) that finds the index, one over r that moves a row. When the
// gathered dimension is split over ranks, each rank gives the rows that it owns
// and zeros for the others: a partial sum.
//
//===----------------------------------------------------------------------===//

#include "LibraryImpl.h"

using namespace partita;
using namespace partita::runtime;

namespace {

template <typename Index> class PreparedGather : public PreparedCall {
public:
  PreparedGather(const Command &call, int axis, const PrepareContext &context);
  Status execute(std::byte *const bases[3]) override;

private:
  Error outOfRange(int64_t index) const;

  View data, indices, result;
  std::string place;
  int64_t extent, axisStride, rowBytesStride;
  bool split = false;
  int64_t first = 0, globalExtent = 0;
  int threads;
  /// Loops over (o, i); strides of data, indices, result.
  LoopNest outer;
  StridedCopy row, zeroRow;
  uint64_t zero = 0;
};

} // namespace

template <typename Index>
PreparedGather<Index>::PreparedGather(const Command &call, int axis,
                                      const PrepareContext &context)
    : data(call.operands[0]), indices(call.operands[1]),
      result(call.results[0]), place(describeCall(call)),
      extent(data.shape[axis]), axisStride(data.strides[axis]),
      threads(context.threads) {
  globalExtent = extent;
  if (!call.offsets.empty()) {
    split = true;
    first = call.offsets[0].evaluate(*context.mesh, context.coords);
    globalExtent = call.offsets[0].size;
  }
  int indexRank = static_cast<int>(indices.shape.size());
  int rank = static_cast<int>(data.shape.size());
  outer.strides.resize(3);
  auto push = [&](int64_t size, int64_t a, int64_t b, int64_t c) {
    outer.shape.push_back(size);
    outer.strides[0].push_back(a);
    outer.strides[1].push_back(b);
    outer.strides[2].push_back(c);
  };
  for (int d = 0; d < axis; ++d)
    push(data.shape[d], data.strides[d], 0, result.strides[d]);
  for (int d = 0; d < indexRank; ++d)
    push(indices.shape[d], 0, indices.strides[d], result.strides[axis + d]);
  outer = coalesce(std::move(outer));
  if (outer.shape.empty())
    push(1, 0, 0, 0);
  std::vector<int64_t> shape(data.shape.begin() + axis + 1, data.shape.end());
  std::vector<int64_t> from(data.strides.begin() + axis + 1,
                            data.strides.end());
  std::vector<int64_t> to(result.strides.end() - (rank - axis - 1),
                          result.strides.end());
  row = StridedCopy(shape, from, data.dtype, to, data.dtype);
  zeroRow = StridedCopy(shape, std::vector<int64_t>(shape.size(), 0),
                        data.dtype, to, data.dtype);
}

template <typename Index>
Error PreparedGather<Index>::outOfRange(int64_t index) const {
  return makeError(ExitCode::InvalidInput, "run.index", place,
                   "index " + std::to_string(index) +
                       " is outside a dimension of " +
                       std::to_string(globalExtent),
                   "check the values of the inputs");
}

template <typename Index>
Status PreparedGather<Index>::execute(std::byte *const bases[3]) {
  const std::byte *from = addressOf(data, bases);
  auto *index = reinterpret_cast<const Index *>(addressOf(indices, bases));
  std::byte *to = addressOf(result, bases);
  int64_t size = dtypeSize(data.dtype);
  if (outer.empty())
    return ok();
  bool bad = false;
  int64_t badIndex = 0;
  forEachIndex(outer, outer.rank(), [&](const int64_t *offsets) {
    int64_t at = index[offsets[1]];
    if (at < 0)
      at += globalExtent;
    if (at < 0 || at >= globalExtent) {
      if (!bad)
        badIndex = index[offsets[1]];
      bad = true;
      return;
    }
    at -= first;
    std::byte *target = to + offsets[2] * size;
    if (at >= 0 && at < extent)
      row.run(from + (offsets[0] + at * axisStride) * size, target);
    else
      zeroRow.run(reinterpret_cast<const std::byte *>(&zero), target);
  });
  if (bad)
    return outOfRange(badIndex);
  return ok();
}

static Result<std::unique_ptr<PreparedCall>>
prepareGather(const Command &call, const PrepareContext &context) {
  PARTITA_CHECK(checkCounts(call, 2, 1));
  const View &data = call.operands[0], &indices = call.operands[1];
  const View &result = call.results[0];
  int64_t axis = intAttr(call, "axis", 0);
  if (axis < 0 || axis >= static_cast<int64_t>(data.shape.size()))
    return callError(call, "axis is out of range");
  std::vector<int64_t> expected(data.shape.begin(), data.shape.begin() + axis);
  expected.insert(expected.end(), indices.shape.begin(), indices.shape.end());
  expected.insert(expected.end(), data.shape.begin() + axis + 1,
                  data.shape.end());
  if (result.shape != expected || result.dtype != data.dtype)
    return callError(call, "the result has the wrong shape or type");
  using Prepared = std::unique_ptr<PreparedCall>;
  if (indices.dtype == DType::I64)
    return Prepared(std::make_unique<PreparedGather<int64_t>>(
        call, static_cast<int>(axis), context));
  if (indices.dtype == DType::I32)
    return Prepared(std::make_unique<PreparedGather<int32_t>>(
        call, static_cast<int>(axis), context));
  return callError(call, "indices must be i32 or i64");
}

static Result<int64_t> gatherWorkspace(const Command &, int) {
  return int64_t(0);
}

void partita::runtime::addGatherCalls(CallTable &table) {
  table["gather"] = {gatherWorkspace, prepareGather};
}
