//===- ShapeTest.cpp ------------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Harness.h"

using namespace partita;
using namespace partita::test;

/// 0, 1, 2, .. in f64.
static HostTensor count(std::vector<int64_t> shape) {
  HostTensor tensor(DType::F64, std::move(shape));
  for (int64_t i = 0; i < tensor.numElements(); ++i)
    tensor.setDouble(i, double(i));
  return tensor;
}

/// One operation on %a, its type written out in `op`.
static HostTensor move(const std::string &from, const std::string &to,
                       const std::string &op, const HostTensor &input) {
  return run("(%a: " + from + ") -> " + to + " { %r = " + op +
                 " return %r : " + to + " }",
             {input})[0];
}

TEST_CASE("reshape keeps the order") {
  HostTensor r =
      move("tensor<2x6xf64>", "tensor<3x4xf64>",
           "nn.reshape %a : tensor<2x6xf64> to tensor<3x4xf64>", count({2, 6}));
  CHECK(r.shape() == std::vector<int64_t>{3, 4});
  CHECK(r.getDouble(7) == 7);
}

TEST_CASE("transpose") {
  HostTensor r =
      move("tensor<2x3x2xf64>", "tensor<2x2x3xf64>",
           "nn.transpose %a [2, 0, 1] : tensor<2x3x2xf64>", count({2, 3, 2}));
  checkValues(r, {0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11});
  // Every element size has its own copy loop.
  for (auto [type, name] :
       {std::pair{DType::I8, "i8"}, {DType::I16, "i16"}, {DType::I32, "i32"}}) {
    std::string t = std::string("x") + name + ">";
    checkInts(move("tensor<2x2" + t, "tensor<2x2" + t,
                   "nn.transpose %a [1, 0] : tensor<2x2" + t,
                   tensor<int64_t>(type, {2, 2}, {1, 2, 3, 4})),
              {1, 3, 2, 4});
  }
}

TEST_CASE("broadcast") {
  checkValues(move("tensor<2xf64>", "tensor<2x3xf64>",
                   "nn.broadcast %a [0] : tensor<2xf64> to tensor<2x3xf64>",
                   f64({2}, {5, 6})),
              {5, 5, 5, 6, 6, 6});
  checkValues(move("tensor<1x2xf64>", "tensor<2x2x2xf64>",
                   "nn.broadcast %a [1, 2] : tensor<1x2xf64> to "
                   "tensor<2x2x2xf64>",
                   f64({1, 2}, {5, 6})),
              {5, 6, 5, 6, 5, 6, 5, 6});
  checkValues(move("tensor<f64>", "tensor<2xf64>",
                   "nn.broadcast %a [] : tensor<f64> to tensor<2xf64>",
                   f64({}, {5})),
              {5, 5});
}

TEST_CASE("slice") {
  checkValues(move("tensor<4x5xf64>", "tensor<2x2xf64>",
                   "nn.slice %a [1, 4] step [2, -3] : tensor<4x5xf64> to "
                   "tensor<2x2xf64>",
                   count({4, 5})),
              {9, 6, 19, 16});
}

TEST_CASE("pad") {
  checkValues(move("tensor<1x2xf64>", "tensor<2x5xf64>",
                   "nn.pad %a [1, 2] [0, 1] value 7.0 : tensor<1x2xf64> to "
                   "tensor<2x5xf64>",
                   f64({1, 2}, {1, 2})),
              {7, 7, 7, 7, 7, 7, 7, 1, 2, 7});
}

TEST_CASE("concat and split are inverses") {
  std::string parts = "tensor<2x1xf64>, tensor<2x3xf64>";
  HostTensor whole =
      run("(%a: tensor<2x1xf64>, %b: tensor<2x3xf64>) -> tensor<2x4xf64> { %r "
          "= nn.concat %a, %b axis 1 : " +
              parts + " to tensor<2x4xf64> return %r : tensor<2x4xf64> }",
          {f64({2, 1}, {1, 2}), f64({2, 3}, {3, 4, 5, 6, 7, 8})})[0];
  checkValues(whole, {1, 3, 4, 5, 2, 6, 7, 8});
  auto again = run("(%a: tensor<2x4xf64>) -> (" + parts +
                       ") { %r:2 = nn.split %a axis 1 : tensor<2x4xf64> to " +
                       parts + " return %r#0, %r#1 : " + parts + " }",
                   {whole});
  checkValues(again[0], {1, 2});
  checkValues(again[1], {3, 4, 5, 6, 7, 8});
}

static std::string gatherText(const std::string &attributes = "") {
  return "(%a: tensor<3x2xf64>, %i: tensor<2x2xi64>) -> tensor<2x2x2xf64> { %r "
         "= nn.gather %a, %i axis 0 : tensor<3x2xf64>, tensor<2x2xi64>" +
         attributes + " return %r : tensor<2x2x2xf64> }";
}

TEST_CASE("gather") {
  checkValues(run(gatherText(), {count({3, 2}), i64({2, 2}, {2, 0, -1, 1})})[0],
              {4, 5, 0, 1, 4, 5, 2, 3});
  HostTensor inner =
      run("(%a: tensor<2x3xf64>, %i: tensor<2xi32>) -> tensor<2x2xf64> { %r = "
          "nn.gather %a, %i axis 1 : tensor<2x3xf64>, tensor<2xi32> return %r "
          ": tensor<2x2xf64> }",
          {count({2, 3}), tensor<int64_t>(DType::I32, {2}, {2, 0})})[0];
  checkValues(inner, {2, 0, 5, 3});
  auto outside = tryRun("func.func @f" + gatherText(),
                        {count({3, 2}), i64({2, 2}, {3, 0, 0, 0})});
  REQUIRE(!outside);
  CHECK(outside.error().code == "interp.value");
}

/// Evaluates the first operation of the function on a rank of a mesh.
static Result<std::vector<HostTensor>>
onRank(const std::string &function, const std::vector<HostTensor> &inputs,
       int64_t rank) {
  auto module = parse(
      "dist.mesh @m {axes = [\"tp\"], sizes = array<i64: 2>}\nfunc.func @f" +
      function);
  auto f = module->lookupSymbol<mlir::func::FuncOp>("f");
  RankPlace place{dist::getMesh(*module).getMesh(), {rank}};
  return evaluateReference(&f.getBody().front().front(), inputs, place);
}

TEST_CASE("gather from a part of the rows gives zeros for the others") {
  // Five rows over two ranks: rank 1 holds rows 3 and 4.
  std::string text =
      "(%a: tensor<2x1xf64>, %i: tensor<4xi64>) { %r = nn.gather %a, %i axis 0 "
      ": tensor<2x1xf64>, tensor<4xi64> base #dist.offset<@m, {5:\"tp\"}> "
      "return }";
  HostTensor rows = f64({2, 1}, {30, 40});
  checkValues((*onRank(text, {rows, i64({4}, {3, 0, 4, -1})}, 1))[0],
              {30, 0, 40, 40});
  CHECK(!onRank(text, {rows, i64({4}, {5, 0, 0, 0})}, 1));
}

TEST_CASE("iota") {
  checkValues(run("() -> tensor<2x3xf64> { %r = nn.iota 1 start 1.0 step -0.5 "
                  ": tensor<2x3xf64> return %r : tensor<2x3xf64> }",
                  {})[0],
              {1, 0.5, 0, 1, 0.5, 0});
  auto rank1 = onRank("() { %r = nn.iota 0 start 10.0 step 2.0 : tensor<2xi64> "
                      "base #dist.offset<@m, {5:\"tp\"}> return }",
                      {}, 1);
  checkInts((*rank1)[0], {16, 18});
}

TEST_CASE("constants of every kind") {
  auto constant = [](const std::string &value, const std::string &type) {
    return run("() -> " + type + " { %r = nn.constant dense<" + value +
                   "> : " + type + " : " + type + " return %r : " + type + " }",
               {})[0];
  };
  checkValues(constant("[1.5, -2.0]", "tensor<2xf32>"), {1.5, -2});
  checkValues(constant("0.5", "tensor<3xf16>"), {0.5, 0.5, 0.5});
  checkInts(constant("[true, false]", "tensor<2xi1>"), {1, 0});
  checkInts(constant("true", "tensor<2xi1>"), {1, 1});
  checkInts(constant("[-1, 2]", "tensor<2xi32>"), {-1, 2});
  checkInts(constant("[255, 2]", "tensor<2xui8>"), {255, 2});
  checkValues(constant("7.0", "tensor<f64>"), {7});
  CHECK(constant("[]", "tensor<0xf64>").numElements() == 0);
}

TEST_CASE("attributes and tensors convert both ways") {
  for (HostTensor t :
       {f64({2, 2}, {1, 2, 3, 4}), i64({1}, {INT64_MIN}),
        tensor<int64_t>(DType::Bool, {9}, {1, 0, 1, 1, 0, 0, 0, 1, 1}),
        tensor<int64_t>(DType::U8, {2}, {255, 1}), f64({3}, {5, 5, 5}),
        f64({}, {2})}) {
    auto again = tensorFromAttr(attrFromTensor(&context(), t));
    REQUIRE(again);
    CHECK(again->shape() == t.shape());
    REQUIRE(again->dtype() == t.dtype());
    CHECK(std::memcmp(again->data(), t.data(), t.numBytes()) == 0);
  }
}
