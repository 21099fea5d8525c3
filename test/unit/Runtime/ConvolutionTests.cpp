//===- ConvolutionTests.cpp -----------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Convolutions and pools against the sums and maxima that define them, written
// down here a second time without any of the library's loops: in every layout,
// grouped, with packed weights and with epilogues.
//
//===----------------------------------------------------------------------===//

#include "CallHelper.h"
#include <limits>

using namespace partita;
using namespace partita::test;

namespace {

using Ints = std::vector<int64_t>;

/// A convolution by its sizes; `input` and `weight` as the call has them.
struct Case {
  Ints input, weight, strides, dilations, begin, end;
  bool transposed = false;
  int64_t groups = 1;
  Ints more = {};

  Ints result() const {
    Ints shape = {input[0], transposed ? weight[1] * groups : weight[0]};
    for (size_t d = 0; d + 2 < input.size(); ++d) {
      int64_t extent = (weight[d + 2] - 1) * dilations[d] + 1;
      int64_t pads = begin[d] + end[d], in = input[d + 2];
      shape.push_back(transposed
                          ? (in - 1) * strides[d] + extent - pads + more[d]
                          : (in + pads - extent) / strides[d] + 1);
    }
    return shape;
  }
};

const Case cases[] = {
    {{2, 3, 9, 7}, {8, 3, 3, 3}, {2, 2}, {1, 1}, {1, 1}, {1, 1}},
    {{1, 32, 6, 6}, {16, 32, 1, 1}, {1, 1}, {1, 1}, {0, 0}, {0, 0}},
    {{1, 16, 8, 5}, {20, 16, 3, 2}, {1, 2}, {2, 1}, {2, 0}, {1, 3}},
    {{2, 12, 6, 6}, {18, 4, 3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}},
    {{1, 17, 7, 7}, {17, 1, 3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}},
    {{2, 8, 12}, {6, 8, 5}, {3}, {1}, {2}, {2}},
    {{1, 4, 3, 4, 5},
     {6, 4, 2, 2, 2},
     {1, 1, 2},
     {1, 1, 1},
     {0, 1, 0},
     {1, 0, 1}},
    // Winograd's algorithm, and borders of a part of an image.
    {{1, 64, 13, 9}, {64, 64, 3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}},
    {{2, 80, 9, 11}, {96, 80, 3, 3}, {1, 1}, {1, 1}, {0, 1}, {1, 0}},
    {{1, 64, 8, 12}, {128, 64, 3, 3}, {1, 1}, {1, 1}, {1, 1}, {0, 1}},
    // Products of positions with the weight: one step between rows, or not; a
    // window that is all padding.
    {{2, 24, 8, 7}, {40, 24, 1, 1}, {2, 2}, {1, 1}, {0, 0}, {0, 0}},
    {{2, 24, 7, 8}, {40, 24, 1, 1}, {2, 3}, {1, 1}, {0, 0}, {0, 0}},
    {{1, 5, 7, 9}, {7, 5, 1, 1}, {2, 2}, {1, 1}, {0, 0}, {0, 0}},
    {{2, 16, 9}, {16, 16, 1}, {2}, {1}, {0}, {0}},
    {{2, 16, 4, 6, 5},
     {8, 16, 1, 1, 1},
     {2, 2, 1},
     {1, 1, 1},
     {0, 0, 0},
     {0, 0, 0}},
    {{1, 16, 4, 6, 5},
     {8, 16, 1, 1, 1},
     {1, 2, 1},
     {1, 1, 1},
     {0, 0, 0},
     {0, 0, 0}},
    {{1, 16, 5, 5}, {16, 16, 1, 1}, {2, 2}, {1, 1}, {0, 0}, {2, 2}},
    // The pads at the end are never reached.
    {{1, 4, 6, 6}, {4, 4, 3, 3}, {4, 4}, {1, 1}, {0, 0}, {2, 1}},
    {{1, 8, 5, 4},
     {8, 6, 2, 2},
     {2, 2},
     {1, 1},
     {0, 0},
     {0, 0},
     true,
     1,
     {0, 0}},
    {{2, 6, 4, 3},
     {6, 4, 3, 2},
     {2, 1},
     {1, 2},
     {1, 0},
     {0, 1},
     true,
     2,
     {1, 0}},
};

Command commandOf(const Case &c) {
  Command call{.kind = CommandKind::Call,
               .callee = c.transposed ? "conv_transpose" : "conv"};
  call.attrs["strides"] = c.strides;
  call.attrs["dilations"] = c.dilations;
  call.attrs["pads_begin"] = c.begin;
  call.attrs["pads_end"] = c.end;
  if (c.transposed) {
    call.attrs["groups"] = Ints{c.groups};
    call.attrs["output_pads"] = c.more;
  }
  return call;
}

/// Channels last, for any rank.
Ints lastOrder(size_t rank) {
  Ints order = {0};
  for (size_t d = 2; d < rank; ++d)
    order.push_back(d);
  order.push_back(1);
  return order;
}

/// Adds to `sums`, indexed by the result's elements in row-major order, what
/// every input element and tap contribute.
std::vector<double> expectedSums(Arena &arena, const Case &c, const View &x,
                                 const View &w) {
  Ints shape = c.result();
  std::vector<double> sums(*checkedNumElements(shape), 0.0);
  Accessor input = arena.access(x), weight = arena.access(w);
  int64_t groups = c.transposed ? c.groups : c.input[1] / c.weight[1];
  int64_t ins = c.input[1] / groups, outs = shape[1] / groups;
  forEachElement(c.input, [&](const Ints &at) {
    Ints taps(c.weight.begin() + 2, c.weight.end());
    forEachElement(taps, [&](const Ints &tap) {
      Ints to = {at[0], 0};
      for (size_t d = 0; d < tap.size(); ++d) {
        int64_t shift = tap[d] * c.dilations[d] - c.begin[d], position;
        if (c.transposed) {
          position = at[d + 2] * c.strides[d] + shift;
        } else {
          if ((at[d + 2] - shift) % c.strides[d] != 0)
            return;
          position = (at[d + 2] - shift) / c.strides[d];
        }
        if (position < 0 || position >= shape[d + 2])
          return;
        to.push_back(position);
      }
      for (int64_t o = 0; o < outs; ++o) {
        int64_t group = at[1] / ins;
        to[1] = group * outs + o;
        Ints tapAt = c.transposed ? Ints{at[1], o} : Ints{to[1], at[1] % ins};
        tapAt.insert(tapAt.end(), tap.begin(), tap.end());
        int64_t flat = 0;
        for (size_t d = 0; d < to.size(); ++d)
          flat = flat * shape[d] + to[d];
        sums[flat] += input.get(at) * weight.get(tapAt);
      }
    });
  });
  return sums;
}

/// The largest difference of the result from `expected`, in row-major order.
double worst(Arena &arena, const View &result,
             const std::vector<double> &expected) {
  Accessor got = arena.access(result);
  double most = 0;
  size_t flat = 0;
  forEachElement(result.shape, [&](const Ints &index) {
    most = std::max(most, std::abs(got.get(index) - expected[flat++]));
  });
  return most;
}

} // namespace

TEST_CASE("convolutions of every layout", "[conv]") {
  std::mt19937_64 random(1);
  for (DType type : {DType::F32, DType::F64})
    for (const Case &c : cases)
      for (int layout = 0; layout < 4; ++layout)
        for (int threads : {1, 2}) {
          Arena arena;
          Ints last = lastOrder(c.input.size());
          Command call = commandOf(c);
          call.operands = {
              arena.place(type, c.input, layout & 1 ? last : Ints()),
              arena.place(type, c.weight, layout == 3 ? last : Ints())};
          call.results = {arena.place(type, c.result(),
                                      layout & 2 ? last : Ints(),
                                      layout == 2 ? 3 : 0)};
          for (const View &view : call.operands)
            arena.randomize(view, random);
          INFO("case " << &c - cases << " layout " << layout);
          REQUIRE_OK(runCall(arena, call, threads));
          CHECK(worst(arena, call.results[0],
                      expectedSums(arena, c, call.operands[0],
                                   call.operands[1])) <=
                (type == DType::F64 ? 1e-12 : 1e-4));
        }
}

TEST_CASE("integer convolutions", "[conv]") {
  std::mt19937_64 random(2);
  for (const Case &c : cases) {
    Arena arena;
    Command call = commandOf(c);
    call.operands = {arena.place(DType::I32, c.input),
                     arena.place(DType::I32, c.weight)};
    call.results = {arena.place(DType::I32, c.result())};
    for (const View &view : call.operands)
      arena.randomize(view, random, 255);
    REQUIRE_OK(runCall(arena, call));
    CHECK(worst(arena, call.results[0],
                expectedSums(arena, c, call.operands[0], call.operands[1])) ==
          0);
  }
}

TEST_CASE("packed convolutions with epilogues", "[conv]") {
  std::mt19937_64 random(3);
  for (const char *list : {"", "bias", "relu", "bias,add,relu", "add,bias"})
    for (const Case &c : cases)
      for (bool last : {false, true}) {
        Arena arena;
        Ints order = last ? lastOrder(c.input.size()) : Ints();
        Command call = commandOf(c);
        call.attrs["epilogue"] = std::string(list);
        View x = arena.place(DType::F32, c.input, order);
        View w = arena.place(DType::F32, c.weight);
        Ints biasShape(c.input.size() - 1, 1), shape = c.result();
        biasShape[0] = shape[1];
        View bias = arena.place(DType::F32, biasShape);
        View add = arena.place(DType::F32, shape, order);
        for (const View &view : {x, w, bias, add})
          arena.randomize(view, random);
        call.operands = {x, w};
        std::vector<double> expected = expectedSums(arena, c, x, w);
        std::istringstream names(list);
        for (std::string name; std::getline(names, name, ',');) {
          size_t flat = 0;
          if (name != "relu")
            call.operands.push_back(name == "bias" ? bias : add);
          forEachElement(shape, [&](const Ints &index) {
            double &y = expected[flat++];
            Ints channel(index.size() - 1, 0);
            channel[0] = index[1];
            y = name == "relu"   ? std::max(y, 0.0)
                : name == "bias" ? y + arena.access(bias).get(channel)
                                 : y + arena.access(add).get(index);
          });
        }
        Command pack = call;
        pack.callee = "pack_conv";
        pack.operands = {w};
        pack.attrs["input"] = c.input;
        pack.attrs["transposed"] = Ints{c.transposed};
        Result<int64_t> bytes = packedBytes(pack, 1);
        REQUIRE(bytes);
        if (*bytes > 0) {
          pack.results = {arena.blob(*bytes)};
          REQUIRE_OK(runCall(arena, pack));
          call.operands[1] = pack.results[0];
          call.attrs["packed"] = c.weight;
        }
        call.results = {arena.place(DType::F32, shape, order)};
        INFO("case " << &c - cases << " with " << list);
        REQUIRE_OK(runCall(arena, call));
        CHECK(worst(arena, call.results[0], expected) <= 1e-4);
      }
}

TEST_CASE("pools of every layout", "[pool]") {
  std::mt19937_64 random(4);
  for (DType type : {DType::F32, DType::F64, DType::I32})
    for (bool max : {false, true})
      for (int layout = 0; layout < 4; ++layout)
        for (int threads : {1, 2}) {
          Case c{{2, 5, 8, 7}, {1, 1, 3, 2}, {2, 1}, {1, 2}, {1, 0}, {1, 1}};
          Arena arena;
          Ints shape = c.result();
          shape[1] = c.input[1];
          Command call = commandOf(c);
          call.callee = "pool";
          call.attrs["kind"] = std::string(max ? "max" : "sum");
          call.attrs["kernel"] = Ints{3, 2};
          Ints last = lastOrder(4);
          call.operands = {
              arena.place(type, c.input, layout & 1 ? last : Ints())};
          call.results = {arena.place(type, shape, layout & 2 ? last : Ints())};
          arena.randomize(call.operands[0], random,
                          type == DType::I32 ? 100 : 0);
          REQUIRE_OK(runCall(arena, call, threads));
          std::vector<double> expected;
          Accessor input = arena.access(call.operands[0]);
          forEachElement(shape, [&](const Ints &at) {
            double y = max ? -std::numeric_limits<double>::infinity() : 0;
            forEachElement({3, 2}, [&](const Ints &tap) {
              int64_t h = at[2] * 2 + tap[0] - 1, w = at[3] + tap[1] * 2;
              if (h < 0 || h >= 8 || w < 0 || w >= 7)
                return;
              double value = input.get({at[0], at[1], h, w});
              y = max ? std::max(y, value) : y + value;
            });
            expected.push_back(y);
          });
          CHECK(worst(arena, call.results[0], expected) <= 1e-5);
        }
}

TEST_CASE("calls that make no sense are refused", "[conv]") {
  Arena arena;
  Command call = commandOf(cases[0]);
  call.operands = {arena.place(DType::F32, cases[0].input),
                   arena.place(DType::F32, cases[0].weight)};
  call.results = {arena.place(DType::F32, cases[0].result())};
  auto refused = [&](auto change) {
    Command other = call;
    change(other);
    Result<int64_t> bytes = workspaceBytes(other, 1);
    return !bytes && bytes.error().code == "library.call";
  };
  CHECK(refused([](Command &c) { c.attrs["strides"] = Ints{0, 1}; }));
  CHECK(refused([](Command &c) { c.attrs["strides"] = Ints{1}; }));
  CHECK(refused([](Command &c) { c.attrs["pads_begin"] = Ints{-1, 0}; }));
  CHECK(refused([](Command &c) { c.attrs["dilations"] = Ints{1, INT64_MAX}; }));
  CHECK(refused([](Command &c) { c.operands.pop_back(); }));
  CHECK(refused([](Command &c) { c.operands[1].shape[1] = 2; }));
  CHECK(refused([](Command &c) { c.operands[1].dtype = DType::F64; }));
  CHECK(refused([](Command &c) { c.results[0].shape[0] = 3; }));
  CHECK(refused([](Command &c) { c.attrs["packed"] = Ints{8}; }));
}
