//===- OperatorsTest.cpp - What imported operators compute ----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The rules of ONNX that are easy to get wrong, evaluated by the interpreter.
//
//===----------------------------------------------------------------------===//

#include "Models.h"
#include <catch2/catch.hpp>
#include <cmath>

using namespace partita;
using namespace partita::test;

/// The output of one node applied to x of the given shape and to constants.
static HostTensor apply(Model &model, HostTensor x) {
  model.output("y");
  std::vector<HostTensor> outputs = run(model, {x});
  checkEqual(run(model, {x}, /*raised=*/true)[0], outputs[0].shape(), [&] {
    std::vector<double> values;
    for (int64_t i = 0; i < outputs[0].numElements(); ++i)
      values.push_back(outputs[0].getDouble(i));
    return values;
  }());
  return outputs[0];
}

static Model withInput(std::vector<Dim> shape, int opset = 21,
                       int type = onnx::TensorProto::FLOAT) {
  Model model(opset);
  model.input("x", shape, type);
  return model;
}

TEST_CASE("MatMul of vectors and batches") {
  Model vector = withInput({int64_t(2)});
  vector.floats("w", {2, 2}, {1, 2, 3, 4}).node("MatMul", {"x", "w"}, {"y"});
  checkEqual(apply(vector, tensor({2}, {1, 1})), {2}, {4, 6});

  Model right = withInput({int64_t(2), int64_t(2)});
  right.floats("w", {2}, {1, 10}).node("MatMul", {"x", "w"}, {"y"});
  checkEqual(apply(right, tensor({2, 2}, {1, 2, 3, 4})), {2}, {21, 43});

  // [2, 1, 2] x [2, 2, 1] with the batch of the right broadcast to the left.
  Model batch = withInput({int64_t(1), int64_t(2)});
  batch.floats("w", {2, 2, 1}, {1, 2, 3, 4}).node("MatMul", {"x", "w"}, {"y"});
  checkEqual(apply(batch, tensor({1, 2}, {1, 1})), {2, 1, 1}, {3, 7});
}

TEST_CASE("Gemm with all its attributes") {
  Model model = withInput({int64_t(2), int64_t(2)});
  model.floats("w", {2, 2}, {1, 2, 3, 4}).floats("c", {2, 1}, {10, 20});
  auto &gemm = model.node("Gemm", {"x", "w", "c"}, {"y"});
  setInt(gemm, "transA", 1);
  setInt(gemm, "transB", 1);
  setFloat(gemm, "alpha", 2);
  setFloat(gemm, "beta", 0.5);
  // x' = [[1, 3], [2, 4]], w' = [[1, 3], [2, 4]].
  checkEqual(apply(model, tensor({2, 2}, {1, 2, 3, 4})), {2, 2},
             {2 * 7 + 5., 2 * 15 + 5., 2 * 10 + 10., 2 * 22 + 10.});
}

TEST_CASE("Slice backwards and beyond the ends") {
  Model model = withInput({int64_t(5)});
  model.ints("s", {1}, {-1}).ints("e", {1}, {INT64_MIN}).ints("a", {1}, {-1});
  model.ints("p", {1}, {-2});
  model.node("Slice", {"x", "s", "e", "a", "p"}, {"y"});
  checkEqual(apply(model, tensor({5}, {0, 1, 2, 3, 4})), {3}, {4, 2, 0});
}

TEST_CASE("Gather by known indices is a slice") {
  Model model = withInput({int64_t(3), int64_t(2)});
  model.ints("i", {}, {-1}).node("Gather", {"x", "i"}, {"y"});
  checkEqual(apply(model, tensor({3, 2}, {1, 2, 3, 4, 5, 6})), {2}, {5, 6});
  Model backwards = withInput({int64_t(3)});
  backwards.ints("i", {1, 3}, {2, 1, 0}).node("Gather", {"x", "i"}, {"y"});
  checkEqual(apply(backwards, tensor({3}, {1, 2, 3})), {1, 3}, {3, 2, 1});
}

TEST_CASE("Split into unequal parts") {
  Model model = withInput({int64_t(5)}, 18);
  setInt(model.node("Split", {"x"}, {"a", "b"}), "num_outputs", 2);
  model.node("Neg", {"b"}, {"y"});
  checkEqual(apply(model, tensor({5}, {1, 2, 3, 4, 5})), {2}, {-4, -5});
}

TEST_CASE("Reshape copies, infers and keeps zeros") {
  Model model = withInput({int64_t(2), int64_t(3)});
  model.ints("s", {3}, {0, -1, 1}).node("Reshape", {"x", "s"}, {"y"});
  checkEqual(apply(model, tensor({2, 3}, {1, 2, 3, 4, 5, 6})), {2, 3, 1},
             {1, 2, 3, 4, 5, 6});
}

TEST_CASE("Softmax before version 13 flattens") {
  Model model = withInput({int64_t(1), int64_t(2), int64_t(2)}, 11);
  model.node("Softmax", {"x"}, {"y"});
  checkEqual(apply(model, tensor({1, 2, 2}, {0, 0, 0, 0})), {1, 2, 2},
             {.25, .25, .25, .25});
}

TEST_CASE("ReduceMean over axes of both styles") {
  Model attribute = withInput({int64_t(2), int64_t(2)}, 13);
  auto &node = attribute.node("ReduceMean", {"x"}, {"y"});
  setInts(node, "axes", {-1});
  setInt(node, "keepdims", 0);
  checkEqual(apply(attribute, tensor({2, 2}, {1, 2, 3, 4})), {2}, {1.5, 3.5});
  Model input = withInput({int64_t(2), int64_t(2)}, 18);
  input.ints("axes", {1}, {0}).node("ReduceMean", {"x", "axes"}, {"y"});
  checkEqual(apply(input, tensor({2, 2}, {1, 2, 3, 4})), {1, 2}, {2, 3});
}

TEST_CASE("Pow, Mod and Clip") {
  Model pow = withInput({int64_t(2)});
  pow.floats("p", {}, {3}).node("Pow", {"x", "p"}, {"y"});
  checkEqual(apply(pow, tensor({2}, {2, -2})), {2}, {8, -8});
  Model mod = withInput({int64_t(2)});
  mod.floats("m", {}, {3});
  setInt(mod.node("Mod", {"x", "m"}, {"y"}), "fmod", 1);
  checkEqual(apply(mod, tensor({2}, {5, -5})), {2}, {2, -2});
  Model clip = withInput({int64_t(3)});
  clip.floats("top", {}, {1}).node("Clip", {"x", "", "top"}, {"y"});
  checkEqual(apply(clip, tensor({3}, {-9, 0.5, 9})), {3}, {-9, 0.5, 1});
}

TEST_CASE("Einsum by one product") {
  Model model = withInput({int64_t(2), int64_t(1), int64_t(2)});
  model.floats("w", {2, 2, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  setString(model.node("Einsum", {"x", "w"}, {"y"}), "equation",
            "bhk, bkn -> nbh");
  checkEqual(apply(model, tensor({2, 1, 2}, {1, 1, 1, 1})), {3, 2, 1},
             {5, 17, 7, 19, 9, 21});
}

TEST_CASE("Trilu, Tile, CumSum and Pad") {
  Model trilu = withInput({int64_t(2), int64_t(3)});
  setInt(trilu.node("Trilu", {"x"}, {"y"}), "upper", 0);
  checkEqual(apply(trilu, tensor({2, 3}, {1, 2, 3, 4, 5, 6})), {2, 3},
             {1, 0, 0, 4, 5, 0});
  Model tile = withInput({int64_t(1), int64_t(2)});
  tile.ints("r", {2}, {2, 2}).node("Tile", {"x", "r"}, {"y"});
  checkEqual(apply(tile, tensor({1, 2}, {1, 2})), {2, 4},
             {1, 2, 1, 2, 1, 2, 1, 2});
  Model sum = withInput({int64_t(3)});
  sum.ints("a", {}, {0});
  setInt(sum.node("CumSum", {"x", "a"}, {"y"}), "exclusive", 1);
  checkEqual(apply(sum, tensor({3}, {1, 2, 3})), {3}, {0, 1, 3});
  Model pad = withInput({int64_t(3)});
  pad.ints("p", {2}, {1, -1}).floats("v", {}, {7});
  pad.node("Pad", {"x", "p", "v"}, {"y"});
  checkEqual(apply(pad, tensor({3}, {1, 2, 3})), {3}, {7, 1, 2});
}

TEST_CASE("LayerNormalization over several dimensions") {
  Model model = withInput({int64_t(1), int64_t(2), int64_t(2)});
  model.floats("s", {2, 2}, {1, 1, 1, 2}).floats("b", {2, 2}, {0, 0, 0, 1});
  auto &norm = model.node("LayerNormalization", {"x", "s", "b"}, {"y"});
  setInt(norm, "axis", 1);
  setFloat(norm, "epsilon", 0);
  double root = std::sqrt(1.25);
  checkEqual(apply(model, tensor({1, 2, 2}, {1, 2, 3, 4})), {1, 2, 2},
             {-1.5 / root, -.5 / root, .5 / root, 2 * 1.5 / root + 1});
}

TEST_CASE("BatchNormalization with running statistics") {
  Model model = withInput({int64_t(1), int64_t(2), int64_t(1)});
  model.floats("s", {2}, {2, 3}).floats("b", {2}, {1, -1});
  model.floats("m", {2}, {1, 2}).floats("v", {2}, {4, 9});
  auto &norm =
      model.node("BatchNormalization", {"x", "s", "b", "m", "v"}, {"y"});
  setFloat(norm, "epsilon", 0);
  checkEqual(apply(model, tensor({1, 2, 1}, {3, 5})), {1, 2, 1}, {3, 2});
}

TEST_CASE("operators without an import function by ONNX's bodies") {
  Model model = withInput({int64_t(3)});
  model.node("HardSwish", {"x"}, {"y"});
  checkEqual(apply(model, tensor({3}, {-4, 1, 4})), {3}, {0, 4. / 6, 4});
}

TEST_CASE("RotaryEmbedding of a part of the head") {
  Model model(23);
  model.input("x", {int64_t(1), int64_t(1), int64_t(1), int64_t(3)});
  model.floats("cos", {1, 1, 1}, {0}).floats("sin", {1, 1, 1}, {1});
  auto &rope = model.node("RotaryEmbedding", {"x", "cos", "sin"}, {"y"});
  setInt(rope, "rotary_embedding_dim", 2);
  checkEqual(apply(model, tensor({1, 1, 1, 3}, {1, 2, 3})), {1, 1, 1, 3},
             {-2, 1, 3});
}

TEST_CASE("Attention, causal, more keys than queries") {
  // Query 0 sees key 0 only, query 1 keys 0 and 1: aligned at the beginning.
  Model model(23);
  model.input("x", {int64_t(1), int64_t(1), int64_t(2), int64_t(1)});
  model.floats("k", {1, 1, 3, 1}, {0, 0, 0})
      .floats("v", {1, 1, 3, 1}, {1, 3, 100});
  setInt(model.node("Attention", {"x", "k", "v"}, {"y"}), "is_causal", 1);
  checkEqual(apply(model, tensor({1, 1, 2, 1}, {1, 1})), {1, 1, 2, 1}, {1, 2});
}

TEST_CASE("ArgMax takes the first or the last") {
  Model first = withInput({int64_t(4)});
  setInt(first.node("ArgMax", {"x"}, {"y"}), "keepdims", 0);
  checkEqual(apply(first, tensor({4}, {1, 5, 5, 2})), {}, {1});
  Model last = withInput({int64_t(4)});
  setInt(last.node("ArgMax", {"x"}, {"y"}), "select_last_index", 1);
  checkEqual(apply(last, tensor({4}, {1, 5, 5, 2})), {1}, {2});
}
