//===- LibraryTests.cpp - The runtime's other operations ------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CallHelper.h"
#include <cmath>

using namespace partita;
using namespace partita::test;

TEST_CASE("copies between any strides and types", "[library]") {
  std::mt19937_64 random(1);
  using Order = std::vector<int64_t>;
  for (DType from : {DType::F32, DType::I64, DType::U8, DType::F64})
    for (DType to : {DType::F32, DType::I32, DType::U8, DType::F64})
      for (const Order &order :
           {Order{0, 1, 2}, Order{2, 1, 0}, Order{1, 0, 2}, Order{0, 2, 1}})
        for (const Order &toOrder : {Order{0, 1, 2}, Order{2, 0, 1}})
          for (int threads : {1, 2}) {
            Arena arena;
            Command call = makeCall("copy");
            call.operands = {arena.place(from, {5, 37, 21}, order, 1)};
            call.results = {arena.place(to, {5, 37, 21}, toOrder, 2)};
            arena.randomize(call.operands[0], random, 100);
            REQUIRE_OK(runCall(arena, call, threads));
            Accessor in = arena.access(call.operands[0]);
            Accessor out = arena.access(call.results[0]);
            bool equal = true;
            forEachElement({5, 37, 21}, [&](const Order &index) {
              equal &= in.get(index) == out.get(index);
            });
            CHECK(equal);
          }
  Arena arena;
  Command broadcast = makeCall("copy");
  View row = arena.place(DType::F32, {7});
  broadcast.operands = {
      View{Space::Arena, row.offset, DType::F32, {3, 7}, {0, 1}}};
  broadcast.results = {arena.place(DType::F32, {3, 7})};
  arena.randomize(row, random);
  REQUIRE_OK(runCall(arena, broadcast));
  forEachElement({3, 7}, [&](const Order &index) {
    CHECK(arena.access(broadcast.results[0]).get(index) ==
          arena.access(row).get({index[1]}));
  });
  broadcast.results[0].shape = {7, 3};
  CHECK_FALSE(prepareCall(broadcast, {nullptr, {}, 1}));
}

TEST_CASE("gather along every axis", "[library]") {
  std::mt19937_64 random(2);
  for (int64_t axis = 0; axis < 3; ++axis)
    for (DType type : {DType::F32, DType::I64, DType::U8})
      for (DType indexType : {DType::I32, DType::I64}) {
        Arena arena;
        std::vector<int64_t> shape = {4, 5, 6};
        Command call = makeCall("gather");
        call.attrs["axis"] = std::vector<int64_t>{axis};
        View data = arena.place(type, shape, {2, 0, 1});
        View indices = arena.place(indexType, {2, 3}, {1, 0});
        std::vector<int64_t> out(shape.begin(), shape.begin() + axis);
        out.insert(out.end(), {2, 3});
        out.insert(out.end(), shape.begin() + axis + 1, shape.end());
        call.operands = {data, indices};
        call.results = {arena.place(type, out)};
        arena.randomize(data, random, 100);
        arena.randomize(indices, random, shape[axis]);
        arena.access(indices).set({1, 1}, -1);
        REQUIRE_OK(runCall(arena, call));
        forEachElement(out, [&](const std::vector<int64_t> &index) {
          std::vector<int64_t> at(index.begin(), index.begin() + axis);
          double i = arena.access(indices).get({index[axis], index[axis + 1]});
          at.push_back(static_cast<int64_t>(i < 0 ? i + shape[axis] : i));
          at.insert(at.end(), index.begin() + axis + 2, index.end());
          CHECK(arena.access(call.results[0]).get(index) ==
                arena.access(data).get(at));
        });
        arena.access(indices).set({0, 0}, shape[axis]);
        Status bad = runCall(arena, call);
        REQUIRE_FALSE(bad);
        CHECK(bad.error().exit == ExitCode::InvalidInput);
      }
}

TEST_CASE("gather from a shard gives zeros for other ranks' rows",
          "[library]") {
  Arena arena;
  Mesh mesh = *Mesh::parse("tp=3");
  Command call = makeCall("gather");
  call.attrs["axis"] = std::vector<int64_t>{0};
  call.offsets = {{10, {0}}}; // 4, 3, 3 rows
  View data = arena.place(DType::F32, {3, 2});
  View indices = arena.place(DType::I64, {10});
  call.operands = {data, indices};
  call.results = {arena.place(DType::F32, {10, 2})};
  for (int64_t i = 0; i < 3; ++i)
    for (int64_t j = 0; j < 2; ++j)
      arena.access(data).set({i, j}, 100 + 10 * i + j);
  for (int64_t i = 0; i < 10; ++i)
    arena.access(indices).set({i}, i);
  REQUIRE_OK(runCall(arena, call, 1, mesh, {1}));
  for (int64_t i = 0; i < 10; ++i)
    CHECK(arena.access(call.results[0]).get({i, 1}) ==
          (i >= 4 && i < 7 ? 101 + 10 * (i - 4) : 0));
  arena.access(indices).set({0}, 10);
  CHECK_FALSE(runCall(arena, call, 1, mesh, {1}));
}

TEST_CASE("fill, iota, cumsum, zero_unless_first", "[library]") {
  Arena arena;
  Mesh mesh = *Mesh::parse("tp=2");
  Command fill = makeCall("fill");
  fill.attrs["value"] = std::vector<double>{2.5};
  fill.results = {arena.place(DType::F32, {3, 4}, {1, 0}, 1)};
  REQUIRE_OK(runCall(arena, fill));
  CHECK(arena.access(fill.results[0]).get({2, 3}) == 2.5);

  Command iota = makeCall("iota");
  iota.attrs["axis"] = std::vector<int64_t>{1};
  iota.attrs["start"] = std::vector<double>{10};
  iota.attrs["step"] = std::vector<double>{2};
  iota.offsets = {{7, {0}}};
  iota.results = {arena.place(DType::I64, {2, 3})};
  REQUIRE_OK(runCall(arena, iota, 1, mesh, {1}));
  CHECK(arena.access(iota.results[0]).get({1, 2}) == 10 + 2 * (4 + 2));

  for (int exclusive : {0, 1})
    for (int reverse : {0, 1}) {
      Command sum = makeCall("cumsum");
      sum.attrs["axis"] = std::vector<int64_t>{0};
      sum.attrs["exclusive"] = std::vector<int64_t>{exclusive};
      sum.attrs["reverse"] = std::vector<int64_t>{reverse};
      sum.operands = {arena.place(DType::F64, {4, 2})};
      sum.results = {arena.place(DType::F64, {4, 2})};
      for (int64_t i = 0; i < 4; ++i)
        for (int64_t j = 0; j < 2; ++j)
          arena.access(sum.operands[0]).set({i, j}, i + 1 + 10 * j);
      REQUIRE_OK(runCall(arena, sum));
      double expected[2][2] = {{3, 1}, {7, 4}}; // [reverse][exclusive]
      expected[1][0] = 9;
      expected[1][1] = 7;
      CHECK(arena.access(sum.results[0]).get({1, 0}) ==
            expected[reverse][exclusive]);
    }

  Command first = makeCall("zero_unless_first");
  first.axes = {0};
  first.operands = {fill.results[0]};
  first.results = {arena.place(DType::F32, {3, 4})};
  REQUIRE_OK(runCall(arena, fill));
  REQUIRE_OK(runCall(arena, first, 1, mesh, {0}));
  CHECK(arena.access(first.results[0]).get({1, 1}) == 2.5);
  REQUIRE_OK(runCall(arena, first, 1, mesh, {1}));
  CHECK(arena.access(first.results[0]).get({1, 1}) == 0);
}

TEST_CASE("rotary embedding", "[library]") {
  std::mt19937_64 random(5);
  for (DType type : {DType::F32, DType::F64})
    for (bool interleaved : {false, true})
      for (bool half : {false, true}) {
        Arena arena;
        int64_t b = 2, h = 3, s = 4, d = 8;
        View x = arena.place(type, {b, h, s, d}, {0, 2, 1, 3});
        View out = arena.place(type, {b, h, s, d});
        auto table = [&] {
          View view = arena.place(type, {s, half ? d / 2 : d});
          arena.randomize(view, random);
          return View{Space::Arena,
                      view.offset,
                      type,
                      {b, h, s, half ? d / 2 : d},
                      {0, 0, view.strides[0], 1}};
        };
        View cosine = table(), sine = table();
        Command call = makeCall("rope");
        call.operands = {x, cosine, sine};
        call.results = {out};
        call.attrs["interleaved"] = std::vector<int64_t>{interleaved};
        arena.randomize(x, random);
        REQUIRE_OK(runCall(arena, call, 2));
        Accessor xs = arena.access(x), cs = arena.access(cosine);
        Accessor ss = arena.access(sine), os = arena.access(out);
        forEachElement({b, h, s, d}, [&](std::vector<int64_t> i) {
          int64_t e = i[3], pair = interleaved ? e / 2 : e % (d / 2);
          bool second = interleaved ? e % 2 == 1 : e >= d / 2;
          std::vector<int64_t> other = i, at = i;
          other[3] = interleaved ? e ^ 1 : (e + d / 2) % d;
          at[3] = half ? pair : e;
          double value = xs.get(i) * cs.get(at) +
                         (second ? 1 : -1) * xs.get(other) * ss.get(at);
          CHECK(os.get(i) == Approx(value).margin(1e-6));
        });
      }
}
