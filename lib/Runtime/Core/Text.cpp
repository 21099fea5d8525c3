//===- Text.cpp - Counts in sequences of tokens ---------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// ngram_counts: the n-grams are a tree whose edges are tokens. From each
// position the tree is gone down as far as the tokens lead; a node where an
// n-gram ends has its column.
//
//===----------------------------------------------------------------------===//

#include "Elements.h"
#include "LibraryImpl.h"

using namespace partita;
using namespace partita::runtime;

namespace {

/// The tree of n-grams. Node 0 is the root.
class Ngrams {
public:
  static constexpr int64_t none = -1;

  /// Adds an n-gram, which counts in `column`.
  void add(const int64_t *tokens, int64_t size, int64_t column);
  /// The node behind a token, or none.
  int64_t next(int64_t node, int64_t token) const {
    auto found = edges.find({node, token});
    return found == edges.end() ? none : found->second;
  }
  /// The column of the n-gram that ends in a node, or none.
  int64_t columnOf(int64_t node) const { return columns[node]; }

private:
  std::map<std::pair<int64_t, int64_t>, int64_t> edges;
  std::vector<int64_t> columns = {none};
};

struct NgramPlan {
  Ngrams grams;
  int64_t maxSkip;
  /// The columns of this rank.
  int64_t first = 0;
};

template <typename T> class PreparedNgrams : public PreparedCall {
public:
  PreparedNgrams(const Command &call, NgramPlan plan, int threads)
      : call(call), plan(std::move(plan)), length(call.operands[0].shape[1]),
        width(call.results[0].shape[1]), threads(threads) {}

  Status execute(std::byte *const bases[3]) override {
    auto *in = reinterpret_cast<const T *>(addressOf(call.operands[0], bases));
    auto *out = reinterpret_cast<int64_t *>(addressOf(call.results[0], bases));
    parallelFor(threads, call.results[0].shape[0],
                [&](int64_t begin, int64_t end, int) {
                  for (int64_t i = begin; i < end; ++i)
                    countRow(in + i * length, out + i * width);
                });
    return ok();
  }

private:
  void countRow(const T *tokens, int64_t *counts) const {
    std::fill(counts, counts + width, 0);
    for (int64_t distance = 1; distance <= plan.maxSkip + 1 &&
                               distance <= std::max(length, int64_t(1));
         ++distance)
      for (int64_t start = 0; start < length; ++start)
        countFrom(tokens, start, distance, counts);
  }

  /// Counts the n-grams that begin at `start`.
  void countFrom(const T *tokens, int64_t start, int64_t distance,
                 int64_t *counts) const {
    int64_t node = 0;
    for (int64_t at = start; at < length; at += distance) {
      node = plan.grams.next(node, static_cast<int64_t>(tokens[at]));
      if (node == Ngrams::none)
        return;
      int64_t column = plan.grams.columnOf(node) - plan.first;
      // Single tokens are the same at all distances.
      bool isNew = at != start || distance == 1;
      if (isNew && plan.grams.columnOf(node) != Ngrams::none && column >= 0 &&
          column < width)
        ++counts[column];
    }
  }

  Command call;
  NgramPlan plan;
  int64_t length, width;
  int threads;
};

} // namespace

void Ngrams::add(const int64_t *tokens, int64_t size, int64_t column) {
  int64_t node = 0;
  for (int64_t i = 0; i < size; ++i) {
    auto [edge, isNew] = edges.try_emplace(
        {node, tokens[i]}, static_cast<int64_t>(columns.size()));
    if (isNew)
      columns.push_back(none);
    node = edge->second;
  }
  columns[node] = column;
}

static Result<NgramPlan> planNgrams(const Command &call) {
  PARTITA_CHECK(checkCounts(call, 1, 1));
  const View &in = call.operands[0], &out = call.results[0];
  if (in.shape.size() != 2 || out.shape.size() != 2 ||
      in.shape[0] != out.shape[0] || out.dtype != DType::I64 ||
      (in.dtype != DType::I32 && in.dtype != DType::I64))
    return callError(call, "the operand and the result do not fit together");
  NgramPlan plan;
  plan.maxSkip = intAttr(call, "max_skip", 0);
  std::vector<int64_t> grams = intsAttr(call, "grams"),
                       sizes = intsAttr(call, "sizes"),
                       columns = intsAttr(call, "columns");
  if (sizes.size() != columns.size() || plan.maxSkip < 0)
    return callError(call, "the n-grams do not have one column each");
  size_t used = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] < 1 || sizes[i] > static_cast<int64_t>(grams.size() - used) ||
        columns[i] < 0)
      return callError(call, "the n-grams are out of range");
    plan.grams.add(grams.data() + used, sizes[i], columns[i]);
    used += static_cast<size_t>(sizes[i]);
  }
  return plan;
}

static Result<int64_t> ngramWorkspace(const Command &call, int) {
  PARTITA_TRY([[maybe_unused]] NgramPlan plan, planNgrams(call));
  return int64_t(0);
}

static Result<std::unique_ptr<PreparedCall>>
prepareNgrams(const Command &call, const PrepareContext &context) {
  PARTITA_TRY(NgramPlan plan, planNgrams(call));
  if (!call.offsets.empty())
    plan.first = call.offsets[0].evaluate(*context.mesh, context.coords);
  if (call.operands[0].dtype == DType::I32)
    return std::unique_ptr<PreparedCall>(
        std::make_unique<PreparedNgrams<int32_t>>(call, std::move(plan),
                                                  context.threads));
  return std::unique_ptr<PreparedCall>(
      std::make_unique<PreparedNgrams<int64_t>>(call, std::move(plan),
                                                context.threads));
}

void partita::runtime::addTextCalls(CallTable &table) {
  table["ngram_counts"] = {ngramWorkspace, prepareNgrams};
}
