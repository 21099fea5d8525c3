//===- LibraryImpl.h - What the library's kernels share --------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Each family of calls lives in a file of its own and adds its callees to the
// table: for each a pair of functions, how much workspace it needs, and how to
// make it ready. Both functions start from the same plan, so that what is
// promised is what is used.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_CORE_LIBRARYIMPL_H
#define PARTITA_LIB_RUNTIME_CORE_LIBRARYIMPL_H

#include "partita/Runtime/Library.h"
#include "partita/Support/HostTensor.h"
#include <algorithm>
#include <array>
#include <limits>
#include <memory>

namespace partita::runtime {

/// One entry of the library's table.
struct CallImpl {
  Result<int64_t> (*workspace)(const Command &call, int threads);
  Result<std::unique_ptr<PreparedCall>> (*prepare)(
      const Command &call, const PrepareContext &context);
  /// For calls that pack a weight: the bytes that they make.
  Result<int64_t> (*packed)(const Command &call, int threads) = nullptr;
};

/// Implementations by callee.
using CallTable = std::map<std::string, CallImpl>;

// The families, each in its own file.
void addAttentionCalls(CallTable &table);
void addConvolutionCalls(CallTable &table);
void addCopyCalls(CallTable &table);
void addIndexedCalls(CallTable &table);
void addMatmulCalls(CallTable &table);
void addMatrixCalls(CallTable &table);
void addPoolingCalls(CallTable &table);
void addRecurrentCalls(CallTable &table);
void addResamplingCalls(CallTable &table);
void addRopeCalls(CallTable &table);
void addSamplingCalls(CallTable &table);
void addSelectionCalls(CallTable &table);
void addShardCalls(CallTable &table);
void addTextCalls(CallTable &table);
void addTrainingCalls(CallTable &table);

/// Workspace begins and is divided at multiples of this many bytes.
constexpr int64_t workspaceAlignment = 64;
inline int64_t alignWorkspace(int64_t bytes) {
  return (bytes + workspaceAlignment - 1) / workspaceAlignment *
         workspaceAlignment;
}

/// The address of a view's first element.
inline std::byte *addressOf(const View &view, std::byte *const bases[3]) {
  return bases[static_cast<int>(view.space)] + view.offset;
}

/// The first integer of an attribute, or `otherwise` where there is none.
int64_t intAttr(const Command &call, const char *name, int64_t otherwise);
double doubleAttr(const Command &call, const char *name, double otherwise);
std::string stringAttr(const Command &call, const char *name);
std::vector<int64_t> intsAttr(const Command &call, const char *name);

/// "callee 'id' (nodes)", for messages.
std::string describeCall(const Command &call);
/// A program that asks for something this library does not do.
Error callError(const Command &call, std::string message);
/// Fails unless there are at least this many operands and results.
Status checkCounts(const Command &call, size_t operands, size_t results);
/// Fails unless the workspace has at least `bytes`.
Status checkWorkspace(const Command &call, int64_t bytes);

//===----------------------------------------------------------------------===//
// Strided loops
//===----------------------------------------------------------------------===//

/// A loop nest over several tensors: `strides[t][d]` is tensor t's stride in
/// elements along loop d.
struct LoopNest {
  std::vector<int64_t> shape;
  std::vector<std::vector<int64_t>> strides;
  int rank() const { return static_cast<int>(shape.size()); }
  bool empty() const;
};

/// The same iterations, in the same order, with as few loops as possible: loops
/// of size one vanish, neighbours merge where every tensor allows it.
LoopNest coalesce(LoopNest nest);

/// Calls `fn(offsets)` for every iteration of the first `depth` loops, of which
/// the outermost goes through begin..end only; offsets[t] in elements. At most
/// maxRank loops and maxTensors tensors.
constexpr int maxTensors = 8;
template <typename Fn>
void forEachIndex(const LoopNest &nest, int depth, Fn fn, int64_t begin = 0,
                  int64_t end = std::numeric_limits<int64_t>::max()) {
  std::array<int64_t, maxRank> index{}, sizes{};
  std::array<int64_t, maxTensors> offsets{};
  size_t tensors = nest.strides.size();
  for (int d = 0; d < depth; ++d) {
    sizes[d] = d == 0 ? std::min(end, nest.shape[0]) - begin : nest.shape[d];
    if (sizes[d] <= 0)
      return;
  }
  if (depth > 0)
    for (size_t t = 0; t < tensors; ++t)
      offsets[t] = begin * nest.strides[t][0];
  while (true) {
    fn(offsets.data());
    int d = depth - 1;
    for (; d >= 0; --d) {
      for (size_t t = 0; t < tensors; ++t)
        offsets[t] += nest.strides[t][d];
      if (++index[d] < sizes[d])
        break;
      for (size_t t = 0; t < tensors; ++t)
        offsets[t] -= nest.strides[t][d] * sizes[d];
      index[d] = 0;
    }
    if (d < 0)
      return;
  }
}

/// Copies one strided view to another of the same shape, converting between
/// element types. Planned once, run often.
class StridedCopy {
public:
  StridedCopy() = default;
  StridedCopy(const std::vector<int64_t> &shape,
              const std::vector<int64_t> &fromStrides, DType fromType,
              const std::vector<int64_t> &toStrides, DType toType);
  StridedCopy(const View &from, const View &to)
      : StridedCopy(from.shape, from.strides, from.dtype, to.strides,
                    to.dtype) {}

  void run(const std::byte *from, std::byte *to, int threads = 1) const;

private:
  using RowFn = void (*)(const std::byte *from, int64_t fromStride,
                         std::byte *to, int64_t toStride, int64_t count);
  void runSlice(const std::byte *from, std::byte *to, int64_t begin,
                int64_t end) const;
  LoopNest nest;
  int64_t fromSize = 4, toSize = 4, elements = 0;
  /// Both innermost strides are one and the types are equal.
  bool contiguousRows = false;
  /// The innermost loop but one has unit stride in the source: tiles of a
  /// transpose.
  bool transposed = false;
  RowFn row = nullptr;
};

//===----------------------------------------------------------------------===//
// Threads
//===----------------------------------------------------------------------===//

/// Sets this thread's OpenMP count, which oneDNN reads when a primitive is
/// created and run, for a scope.
class ThreadCount {
public:
  explicit ThreadCount(int threads);
  ~ThreadCount();
  ThreadCount(const ThreadCount &) = delete;
  ThreadCount &operator=(const ThreadCount &) = delete;

private:
  int previous;
};

/// Runs fn(context, begin, end) over 0..count in `threads` near-equal parts on
/// the pool that oneDNN uses too (an executable has one OpenMP runtime).
void parallelRanges(int threads, int64_t count, void *context,
                    void (*fn)(void *context, int64_t begin, int64_t end,
                               int part));

template <typename Fn> void parallelFor(int threads, int64_t count, Fn &&fn) {
  auto call = [](void *context, int64_t begin, int64_t end, int part) {
    (*static_cast<std::remove_reference_t<Fn> *>(context))(begin, end, part);
  };
  parallelRanges(threads, count, &fn, call);
}

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_CORE_LIBRARYIMPL_H
