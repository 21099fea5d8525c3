//===- CallHelper.h - Running one library call -----------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Places tensors in an arena as strided views and runs a call on them the way
// the executor does: workspace as large as promised and not a byte more.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TEST_UNIT_RUNTIME_CALLHELPER_H
#define PARTITA_TEST_UNIT_RUNTIME_CALLHELPER_H

#include "partita/Runtime/Library.h"
#include "partita/Support/HostTensor.h"
#include <catch2/catch.hpp>
#include <cstring>
#include <random>

namespace partita::test {

using namespace partita::runtime;

/// Reads and writes elements of a view by multi-index.
class Accessor {
public:
  Accessor(const View &view, std::byte *arena)
      : view(view), base(arena + view.offset) {}
  double get(const std::vector<int64_t> &index) const {
    return view.dtype == DType::F64
               ? reinterpret_cast<double *>(base)[at(index)]
           : view.dtype == DType::F32
               ? reinterpret_cast<float *>(base)[at(index)]
           : view.dtype == DType::I64
               ? static_cast<double>(
                     reinterpret_cast<int64_t *>(base)[at(index)])
           : view.dtype == DType::I32
               ? reinterpret_cast<int32_t *>(base)[at(index)]
               : reinterpret_cast<uint8_t *>(base)[at(index)];
  }
  void set(const std::vector<int64_t> &index, double value) const {
    switch (view.dtype) {
    case DType::F64:
      reinterpret_cast<double *>(base)[at(index)] = value;
      return;
    case DType::F32:
      reinterpret_cast<float *>(base)[at(index)] = static_cast<float>(value);
      return;
    case DType::I64:
      reinterpret_cast<int64_t *>(base)[at(index)] =
          static_cast<int64_t>(value);
      return;
    case DType::I32:
      reinterpret_cast<int32_t *>(base)[at(index)] =
          static_cast<int32_t>(value);
      return;
    default:
      base[at(index)] = static_cast<std::byte>(value);
    }
  }

private:
  int64_t at(const std::vector<int64_t> &index) const {
    int64_t offset = 0;
    for (size_t d = 0; d < index.size(); ++d)
      offset += index[d] * view.strides[d];
    return offset;
  }
  View view;
  std::byte *base;
};

/// Calls fn(index) for every index of `shape`.
template <typename Fn>
void forEachElement(const std::vector<int64_t> &shape, Fn fn) {
  std::vector<int64_t> index(shape.size(), 0);
  for (int64_t i = 0; i < *checkedNumElements(shape); ++i) {
    fn(index);
    for (size_t d = shape.size(); d-- > 0;) {
      if (++index[d] < shape[d])
        break;
      index[d] = 0;
    }
  }
}

/// An arena in which views are placed one after the other.
class Arena {
public:
  /// A view whose memory order of dimensions is `order` (major first; empty:
  /// row-major), with rows padded by `pad` elements.
  View place(DType dtype, const std::vector<int64_t> &shape,
             std::vector<int64_t> order = {}, int64_t pad = 0) {
    View view{Space::Arena, used, dtype, shape,
              std::vector<int64_t>(shape.size(), 1)};
    if (order.empty())
      for (size_t d = 0; d < shape.size(); ++d)
        order.push_back(d);
    int64_t stride = 1;
    for (size_t i = order.size(); i-- > 0;) {
      view.strides[order[i]] = stride;
      stride *= shape[order[i]] + (i + 1 == order.size() ? pad : 0);
    }
    used += (stride * dtypeSize(dtype) + 127) / 64 * 64;
    return view;
  }
  View blob(int64_t bytes) { return place(DType::U8, {bytes}); }
  /// Does not move: address space for whatever is placed later.
  std::byte *data() {
    REQUIRE(used <= capacity);
    return memory.data();
  }
  Accessor access(const View &view) { return Accessor(view, data()); }
  /// Fills a view with values in -1..1 (integers: 0..limit).
  void randomize(const View &view, std::mt19937_64 &random, int64_t limit = 0) {
    Accessor a = access(view);
    forEachElement(view.shape, [&](const std::vector<int64_t> &index) {
      if (limit > 0)
        a.set(index, static_cast<double>(random() % limit));
      else
        a.set(index, static_cast<double>(random() % 2001) / 1000.0 - 1);
    });
  }

private:
  static constexpr int64_t capacity = 12 << 20;
  int64_t used = 0;
  HostTensor memory{DType::U8, {capacity}};
};

/// A call without operands yet, which is its own id.
inline Command makeCall(const char *callee) {
  Command call{.kind = CommandKind::Call, .callee = callee};
  call.id = callee;
  return call;
}

/// Asks for the workspace, places it, prepares and executes. All views must
/// have been placed and filled: the arena may move.
inline Status runCall(Arena &arena, Command &call, int threads = 1,
                      const Mesh &mesh = {},
                      const std::vector<int64_t> &coords = {}) {
  setThreadCount(threads);
  PARTITA_TRY(int64_t bytes, workspaceBytes(call, threads));
  if (bytes > 0)
    call.workspace = {arena.blob(bytes)};
  PARTITA_TRY(std::unique_ptr<PreparedCall> prepared,
              prepareCall(call, {&mesh, coords, threads}));
  std::byte *bases[3] = {arena.data(), nullptr, nullptr};
  PARTITA_CHECK(prepared->execute(bases));
  return prepared->execute(bases); // Twice gives the same.
}

#define REQUIRE_OK(expr)                                                       \
  do {                                                                         \
    auto requireStatus = (expr);                                               \
    if (!requireStatus)                                                        \
      FAIL(requireStatus.error().str());                                       \
  } while (false)

} // namespace partita::test

#endif // PARTITA_TEST_UNIT_RUNTIME_CALLHELPER_H
