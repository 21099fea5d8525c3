//===- Pooling.cpp - Maxima, their places, and sums under windows ---------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Row by row of windows: the row starts at the identity, then each tap is
// combined into all windows that it falls inside for. The innermost loop goes
// along channels where they are adjacent, else along the row, so that both
// layouts of a tensor use vectors. Half precision goes through f32 copies in
// the workspace. Where a maximum is, is found window by window.
//
//===----------------------------------------------------------------------===//

#include "Elements.h"
#include "Window.h"
#include <limits>

using namespace partita;
using namespace partita::runtime;

namespace {

template <typename T> struct Max {
  static T identity() {
    return std::numeric_limits<T>::has_infinity
               ? -std::numeric_limits<T>::infinity()
               : std::numeric_limits<T>::lowest();
  }
  static T combine(T a, T b) { return b > a ? b : a; }
};

template <typename T> struct Sum {
  static T identity() { return T(0); }
  static T combine(T a, T b) { return T(a + b); }
};

} // namespace

template <typename T, typename Combine>
static void combineLine(T *to, const T *from, int64_t count, int64_t toStep,
                        int64_t fromStep) {
  if (toStep == 1 && fromStep == 1) {
    for (int64_t i = 0; i < count; ++i)
      to[i] = Combine::combine(to[i], from[i]);
    return;
  }
  for (int64_t i = 0; i < count; ++i)
    to[i * toStep] = Combine::combine(to[i * toStep], from[i * fromStep]);
}

namespace {

template <typename T, typename Combine>
class PreparedPool : public PreparedCall {
public:
  PreparedPool(const Command &call, const Windows &windows, int threads)
      : input(call.operands[0]), result(call.results[0]), windows(windows),
        in(spatialStrides(input)), out(spatialStrides(result)),
        alongChannels(result.strides[1] == 1 && input.strides[1] == 1),
        threads(threads) {}

  Status execute(std::byte *const bases[3]) override {
    auto *from = reinterpret_cast<const T *>(addressOf(input, bases));
    auto *to = reinterpret_cast<T *>(addressOf(result, bases));
    if (result.numElements() == 0)
      return ok();
    // Channels are a loop of their own where they are not the innermost one.
    int64_t channels = alongChannels ? 1 : result.shape[1];
    int64_t rows = windows.outer[0] * windows.outer[1];
    parallelFor(threads, result.shape[0] * channels * rows,
                [&](int64_t begin, int64_t end, int) {
                  for (int64_t i = begin; i < end; ++i) {
                    int64_t row = i % rows, plane = i / rows;
                    int64_t n = plane / channels, c = plane % channels;
                    runRow(from + n * input.strides[0] + c * input.strides[1],
                           to + n * result.strides[0] + c * result.strides[1],
                           row / windows.outer[1], row % windows.outer[1]);
                  }
                });
    return ok();
  }

private:
  void runRow(const T *from, T *to, int64_t d, int64_t h) const {
    int64_t channels = alongChannels ? result.shape[1] : 1;
    T *row = to + d * out[0] + h * out[1];
    for (int64_t w = 0; w < windows.outer[2]; ++w)
      for (int64_t c = 0; c < channels; ++c)
        row[w * out[2] + c] = Combine::identity();
    forEachTap(windows, d, h, [&](const Tap &tap) {
      T *target = to + dot(tap.outer, out);
      const T *source = from + dot(tap.inner, in);
      int64_t step = windows.stride[2] * in[2];
      if (!alongChannels)
        return combineLine<T, Combine>(target, source, tap.count, out[2], step);
      for (int64_t w = 0; w < tap.count; ++w)
        combineLine<T, Combine>(target + w * out[2], source + w * step,
                                channels, 1, 1);
    });
  }

  View input, result;
  Windows windows;
  Windows::Triple in, out;
  bool alongChannels;
  int threads;
};

/// Half precision: the same on f32 copies in the workspace.
class PreparedWidePool : public PreparedCall {
public:
  PreparedWidePool(const Command &call, std::unique_ptr<PreparedCall> inner,
                   const View &wideIn, const View &wideOut, int threads)
      : input(call.operands[0]), result(call.results[0]), wideIn(wideIn),
        wideOut(wideOut), widen(input, wideIn), narrow(wideOut, result),
        inner(std::move(inner)), threads(threads) {}

  Status execute(std::byte *const bases[3]) override {
    widen.run(addressOf(input, bases), addressOf(wideIn, bases), threads);
    PARTITA_CHECK(inner->execute(bases));
    narrow.run(addressOf(wideOut, bases), addressOf(result, bases), threads);
    return ok();
  }

private:
  View input, result, wideIn, wideOut;
  StridedCopy widen, narrow;
  std::unique_ptr<PreparedCall> inner;
  int threads;
};

} // namespace

static bool isHalf(DType dtype) {
  return dtype == DType::F16 || dtype == DType::BF16;
}

template <typename T>
static std::unique_ptr<PreparedCall>
makePool(const Command &call, const Windows &windows, int threads) {
  if (stringAttr(call, "kind") == "max")
    return std::make_unique<PreparedPool<T, Max<T>>>(call, windows, threads);
  return std::make_unique<PreparedPool<T, Sum<T>>>(call, windows, threads);
}

/// The windows between a tensor and what has one element for each of them.
static Result<Windows> windowsOf(const Command &call) {
  PARTITA_CHECK(checkCounts(call, 1, 1));
  const View &input = call.operands[0], &result = call.results[0];
  PARTITA_TRY(Windows windows, readWindows(call, result.shape, input.shape,
                                           intsAttr(call, "kernel")));
  if (input.shape[0] != result.shape[0] || input.shape[1] != result.shape[1])
    return callError(call, "batches or channels differ");
  return windows;
}

static Result<Windows> poolWindows(const Command &call) {
  PARTITA_TRY(Windows windows, windowsOf(call));
  std::string kind = stringAttr(call, "kind");
  if (kind != "max" && kind != "sum")
    return callError(call, "unknown kind '" + kind + "'");
  if (call.operands[0].dtype != call.results[0].dtype)
    return callError(call, "element types differ");
  return windows;
}

/// Where the f32 copies of operand and result are in the workspace.
static std::array<View, 2> wideViews(const Command &call) {
  View space = call.workspace.empty() ? View() : call.workspace[0];
  View in = contiguousView(space.space, space.offset, DType::F32,
                           call.operands[0].shape);
  View out = contiguousView(space.space,
                            space.offset + alignWorkspace(in.extentBytes()),
                            DType::F32, call.results[0].shape);
  return {in, out};
}

static Result<int64_t> poolWorkspace(const Command &call, int) {
  PARTITA_TRY([[maybe_unused]] Windows windows, poolWindows(call));
  if (!isHalf(call.operands[0].dtype))
    return int64_t(0);
  auto [in, out] = wideViews(call);
  return alignWorkspace(in.extentBytes()) + alignWorkspace(out.extentBytes());
}

static Result<std::unique_ptr<PreparedCall>>
preparePool(const Command &call, const PrepareContext &context) {
  PARTITA_TRY(Windows windows, poolWindows(call));
  PARTITA_TRY(int64_t bytes, poolWorkspace(call, context.threads));
  PARTITA_CHECK(checkWorkspace(call, bytes));
  switch (call.operands[0].dtype) {
  case DType::F32:
    return makePool<float>(call, windows, context.threads);
  case DType::F64:
    return makePool<double>(call, windows, context.threads);
  case DType::I8:
    return makePool<int8_t>(call, windows, context.threads);
  case DType::U8:
    return makePool<uint8_t>(call, windows, context.threads);
  case DType::I32:
    return makePool<int32_t>(call, windows, context.threads);
  case DType::I64:
    return makePool<int64_t>(call, windows, context.threads);
  case DType::F16:
  case DType::BF16: {
    auto [in, out] = wideViews(call);
    Command wide = call;
    wide.operands[0] = in;
    wide.results[0] = out;
    return std::unique_ptr<PreparedCall>(std::make_unique<PreparedWidePool>(
        call, makePool<float>(wide, windows, context.threads), in, out,
        context.threads));
  }
  default:
    return callError(call, "has no implementation for this element type");
  }
}

//===----------------------------------------------------------------------===//
// Places of maxima
//===----------------------------------------------------------------------===//

namespace {

template <typename T> class PreparedPoolArgMax : public PreparedCall {
public:
  PreparedPoolArgMax(const Command &call, const Windows &windows, int threads)
      : input(call.operands[0]), result(call.results[0]), windows(windows),
        in(spatialStrides(input)), out(spatialStrides(result)),
        threads(threads) {
    const Windows::Triple &size = windows.inner;
    if (intAttr(call, "column_major", 0))
      count = {1, size[0], size[0] * size[1]};
    else
      count = {size[1] * size[2], size[2], 1};
  }

  Status execute(std::byte *const bases[3]) override {
    auto *from = reinterpret_cast<const T *>(addressOf(input, bases));
    auto *to = reinterpret_cast<int64_t *>(addressOf(result, bases));
    int64_t channels = result.shape[1];
    parallelFor(threads, result.shape[0] * channels,
                [&](int64_t begin, int64_t end, int) {
                  for (int64_t i = begin; i < end; ++i) {
                    int64_t n = i / channels, c = i % channels;
                    runPlane(from + n * input.strides[0] + c * input.strides[1],
                             to + n * result.strides[0] +
                                 c * result.strides[1]);
                  }
                });
    return ok();
  }

private:
  void runPlane(const T *from, int64_t *to) const {
    Windows::Triple w;
    for (w[0] = 0; w[0] < windows.outer[0]; ++w[0])
      for (w[1] = 0; w[1] < windows.outer[1]; ++w[1])
        for (w[2] = 0; w[2] < windows.outer[2]; ++w[2])
          to[dot(w, out)] = placeOfMaximum(from, w);
  }

  int64_t placeOfMaximum(const T *from, const Windows::Triple &window) const {
    // The taps that fall inside, along each dimension.
    Windows::Triple first, last;
    for (int d = 0; d < 3; ++d) {
      int64_t begin = window[d] * windows.stride[d] - windows.pad[d];
      int64_t step = windows.dilation[d];
      first[d] = begin < 0 ? begin + (-begin + step - 1) / step * step : begin;
      last[d] = std::min(begin + (windows.kernel[d] - 1) * step,
                         windows.inner[d] - 1);
    }
    int64_t place = -1;
    Computed<T> best{};
    Windows::Triple at;
    for (at[0] = first[0]; at[0] <= last[0]; at[0] += windows.dilation[0])
      for (at[1] = first[1]; at[1] <= last[1]; at[1] += windows.dilation[1])
        for (at[2] = first[2]; at[2] <= last[2]; at[2] += windows.dilation[2]) {
          auto value = convert<Computed<T>>(from[dot(at, in)]);
          if (place < 0 ? value == value : value > best) {
            best = value;
            place = dot(at, count);
          }
        }
    return place;
  }

  View input, result;
  Windows windows;
  /// Strides of the tensors, and what a step counts in the plane.
  Windows::Triple in, out, count;
  int threads;
};

} // namespace

static Result<int64_t> argMaxWorkspace(const Command &call, int) {
  PARTITA_TRY([[maybe_unused]] Windows windows, windowsOf(call));
  return int64_t(0);
}

static Result<std::unique_ptr<PreparedCall>>
prepareArgMax(const Command &call, const PrepareContext &context) {
  PARTITA_TRY(Windows windows, windowsOf(call));
  if (call.results[0].dtype != DType::I64)
    return callError(call, "the result has a wrong type");
  return dispatch(call.operands[0].dtype,
                  [&](auto tag) -> std::unique_ptr<PreparedCall> {
                    using T = typename decltype(tag)::type;
                    return std::make_unique<PreparedPoolArgMax<T>>(
                        call, windows, context.threads);
                  });
}

void partita::runtime::addPoolingCalls(CallTable &table) {
  table["pool"] = {poolWorkspace, preparePool};
  table["pool_argmax"] = {argMaxWorkspace, prepareArgMax};
}
