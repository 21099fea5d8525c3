//===- FusionTest.cpp - Fusions and whole local programs ------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Small nn programs go through conversion and code generation and are compared
// with loops written here.
//
//===----------------------------------------------------------------------===//

#include "Harness.h"
#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>

using namespace partita;
using namespace partita::test;

static std::string shape(std::vector<int64_t> dims,
                         const std::string &type = "f32") {
  std::string text = "tensor<";
  for (int64_t dim : dims)
    text += std::to_string(dim) + "x";
  return text + type + ">";
}

static void compare(const HostTensor &have, const std::vector<double> &want,
                    double tolerance = 2e-6) {
  REQUIRE(have.numElements() == int64_t(want.size()));
  for (size_t i = 0; i < want.size(); ++i) {
    double bound = tolerance * std::max(1.0, std::abs(want[i]));
    if (std::isnan(want[i]) ? std::isnan(have.getDouble(i))
                            : std::abs(have.getDouble(i) - want[i]) <= bound)
      continue;
    FAIL("element " << i << " is " << have.getDouble(i) << ", not " << want[i]);
  }
}

/// Softmax of each row of `cols`.
static std::vector<double> softmax(std::vector<double> x, int64_t cols) {
  for (size_t row = 0; row < x.size(); row += cols) {
    double max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < cols; ++i)
      max = std::max(max, x[row + i]);
    for (int64_t i = 0; i < cols; ++i)
      sum += x[row + i] = std::exp(x[row + i] - max);
    for (int64_t i = 0; i < cols; ++i)
      x[row + i] /= sum;
  }
  return x;
}

static std::vector<double> layerNorm(std::vector<double> x,
                                     const HostTensor &scale,
                                     const HostTensor &bias, double epsilon) {
  int64_t cols = scale.numElements();
  for (size_t row = 0; row < x.size(); row += cols) {
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < cols; ++i)
      mean += x[row + i] / cols;
    for (int64_t i = 0; i < cols; ++i)
      variance += (x[row + i] - mean) * (x[row + i] - mean) / cols;
    for (int64_t i = 0; i < cols; ++i)
      x[row + i] = (x[row + i] - mean) / std::sqrt(variance + epsilon) *
                       scale.getDouble(i) +
                   bias.getDouble(i);
  }
  return x;
}

static std::vector<double> doubles(const HostTensor &tensor) {
  std::vector<double> values(tensor.numElements());
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = tensor.getDouble(i);
  return values;
}

TEST_CASE("masked, scaled softmax is one kernel", "[codegen]") {
  for (int64_t cols : {1, 7, 16, 33, 128, 1021}) {
    std::string t = shape({2, 3, 5, cols}), m = shape({2, 1, 1, cols});
    std::string text =
        "module { func.func @f(%x: " + t + ", %m: " + m + ") -> " + t + " {" +
        "%c = nn.constant dense<0.25> : " + t + " : " + t +
        "%s = nn.mul %x, %c : " + t +
        "%b = nn.broadcast %m [0, 1, 2, 3] : " + m + " to " + t +
        "%a = nn.add %s, %b : " + t + "%y = nn.softmax %a axis 3 : " + t +
        "return %y : " + t + " } }";
    HostTensor x = randomTensor({2, 3, 5, cols}, 1, -20, 20);
    HostTensor mask = randomTensor({2, 1, 1, cols}, 2, -3, 3);
    if (cols > 4)
      mask.setDouble(3, -INFINITY);
    LocalProgram program(text);
    CHECK(program.kernels().size() == 1);
    std::vector<double> want(x.numElements());
    for (size_t i = 0; i < want.size(); ++i)
      want[i] = x.getDouble(i) * 0.25 +
                mask.getDouble(i / (15 * cols) * cols + i % cols);
    compare(program.run({x, mask})[0], softmax(want, cols));
  }
}

TEST_CASE("softmax along any dimension", "[codegen]") {
  HostTensor x = randomTensor({4, 9, 5}, 3, -5, 5);
  std::string t = shape({4, 9, 5});
  LocalProgram program("module { func.func @f(%x: " + t + ") -> " + t +
                       " { %y = nn.softmax %x axis 1 : " + t +
                       " return %y : " + t + " } }");
  HostTensor y = program.run({x})[0];
  std::vector<double> want(x.numElements());
  for (int64_t a = 0; a < 4; ++a)
    for (int64_t c = 0; c < 5; ++c) {
      double sum = 0;
      for (int64_t b = 0; b < 9; ++b)
        sum += std::exp(x.getDouble((a * 9 + b) * 5 + c));
      for (int64_t b = 0; b < 9; ++b)
        want[(a * 9 + b) * 5 + c] =
            std::exp(x.getDouble((a * 9 + b) * 5 + c)) / sum;
    }
  compare(y, want);
}

TEST_CASE("a residual and its norm share a kernel and keep both results",
          "[codegen]") {
  for (int64_t cols : {5, 96, 768}) {
    std::string t = shape({6, 10, cols}), v = shape({cols});
    LocalProgram program("module { func.func @f(%x: " + t + ", %r: " + t +
                         ", %g: " + v + ", %b: " + v + ") -> (" + t + ", " + t +
                         ") {" + "%s = nn.add %x, %r : " + t +
                         "%y = nn.layer_norm %s, %g, %b epsilon 1.0e-5 : " + t +
                         ", " + v + ", " + v + " return %s, %y : " + t + ", " +
                         t + " } }");
    CHECK(program.kernels().size() == 1);
    // A mean far from zero: the variance must not cancel.
    HostTensor x = randomTensor({6, 10, cols}, 4, 99, 101);
    HostTensor r = randomTensor({6, 10, cols}, 5);
    HostTensor g = randomTensor({cols}, 6), b = randomTensor({cols}, 7);
    auto results = program.run({x, r, g, b});
    std::vector<double> sum(x.numElements());
    for (size_t i = 0; i < sum.size(); ++i)
      sum[i] = x.as<float>()[i] + r.as<float>()[i];
    compare(results[0], sum);
    compare(results[1], layerNorm(sum, g, b, 1e-5), 1e-4);
  }
}

TEST_CASE("norms in half precision compute in single", "[codegen]") {
  for (DType dtype : {DType::F16, DType::BF16, DType::F64}) {
    std::string type(dtypeName(dtype));
    std::string t = shape({7, 96}, type), v = shape({96}, type);
    LocalProgram program("module { func.func @f(%x: " + t + ", %g: " + v +
                         ") -> " + t +
                         " { %y = nn.rms_norm %x, %g epsilon 1.0e-12 : " + t +
                         ", " + v + " return %y : " + t + " } }");
    HostTensor x = randomTensor({7, 96}, 8, -2, 2, dtype);
    HostTensor g = randomTensor({96}, 9, -2, 2, dtype);
    std::vector<double> want = doubles(x);
    for (int64_t row = 0; row < 7; ++row) {
      double sum = 0;
      for (int64_t i = 0; i < 96; ++i)
        sum += want[row * 96 + i] * want[row * 96 + i] / 96;
      for (int64_t i = 0; i < 96; ++i)
        want[row * 96 + i] *= g.getDouble(i) / std::sqrt(sum + 1e-12);
    }
    double unit = dtype == DType::F16    ? 1e-3
                  : dtype == DType::BF16 ? 8e-3
                                         : 1e-12;
    compare(program.run({x, g})[0], want, unit);
  }
}

TEST_CASE("a row too long for the stack is computed again", "[codegen]") {
  int64_t cols = 50257;
  std::string t = shape({2, cols});
  LocalProgram program("module { func.func @f(%x: " + t + ") -> " + t +
                       " { %y = nn.softmax %x axis 1 : " + t +
                       " return %y : " + t + " } }");
  HostTensor x = randomTensor({2, cols}, 10, -10, 10);
  compare(program.run({x})[0], softmax(doubles(x), cols), 1e-6);
}

TEST_CASE("reductions of each kind over any dimensions", "[codegen]") {
  struct Case {
    const char *kind;
    double start;
    double (*step)(double, double);
  };
  const Case cases[] = {
      {"sum", 0, [](double a, double b) { return a + b; }},
      {"prod", 1, [](double a, double b) { return a * b; }},
      {"max", -INFINITY, [](double a, double b) { return std::max(a, b); }},
      {"min", INFINITY, [](double a, double b) { return std::min(a, b); }}};
  const std::vector<int64_t> dims = {3, 4, 17};
  for (DType dtype : {DType::F32, DType::F64, DType::I64, DType::I32})
    for (const Case &c : cases)
      for (int axes = 1; axes < 8; ++axes) {
        std::string type(dtypeName(dtype)), list;
        std::vector<int64_t> kept;
        for (int d = 0; d < 3; ++d) {
          if (axes >> d & 1)
            list += (list.empty() ? "" : ", ") + std::to_string(d);
          else
            kept.push_back(dims[d]);
        }
        std::string t = shape(dims, type), r = shape(kept, type);
        LocalProgram program("module { func.func @f(%x: " + t + ") -> " + r +
                             " { %y = nn.reduce \"" + c.kind + "\", %x [" +
                             list + "] : " + t + " return %y : " + r + " } }");
        bool integer = !isFloat(dtype);
        HostTensor x = randomTensor(dims, 11, integer ? 1 : 0.9,
                                    integer ? 2.1 : 1.1, dtype);
        int64_t count = std::accumulate(kept.begin(), kept.end(), int64_t(1),
                                        std::multiplies<>());
        std::vector<double> want(count, c.start);
        for (int64_t i = 0; i < x.numElements(); ++i) {
          int64_t index[] = {i / 68, i / 17 % 4, i % 17}, at = 0;
          for (int d = 0; d < 3; ++d)
            if (!(axes >> d & 1))
              at = at * dims[d] + index[d];
          want[at] = c.step(want[at], x.getDouble(i));
        }
        if (integer && std::string(c.kind) == "prod")
          continue; // Overflows differ from double.
        INFO(c.kind << " over " << list << " of " << type);
        compare(program.run({x})[0], want, 1e-5);
      }
}

TEST_CASE("NaN and infinity pass through reductions", "[codegen]") {
  std::string t = shape({3, 40}), r = shape({3});
  HostTensor x = randomTensor({3, 40}, 12);
  x.setDouble(5, NAN);
  x.setDouble(40 + 7, INFINITY);
  x.setDouble(80 + 39, -INFINITY);
  for (const char *kind : {"sum", "max", "min"}) {
    LocalProgram program("module { func.func @f(%x: " + t + ") -> " + r +
                         " { %y = nn.reduce \"" + kind + "\", %x [1] : " + t +
                         " return %y : " + r + " } }");
    HostTensor y = program.run({x})[0];
    CHECK(std::isnan(y.getDouble(0)));
    if (std::string(kind) != "min")
      CHECK(y.getDouble(1) == INFINITY);
    if (std::string(kind) != "max")
      CHECK(y.getDouble(2) == -INFINITY);
  }
}

TEST_CASE("operands of any addressing", "[codegen]") {
  // x transposed + a column repeated + a slice with a negative step, and a
  // result that is stored transposed.
  std::string text = R"(module {
    func.func @f(%x: tensor<3x4x5xf32>, %c: tensor<4x1xf32>,
                 %s: tensor<9x5xf32>) -> tensor<3x20xf32> {
      %t = nn.transpose %x [1, 0, 2] : tensor<3x4x5xf32>
      %b = nn.broadcast %c [0, 2] : tensor<4x1xf32> to tensor<4x3x5xf32>
      %l = nn.slice %s [7, 4] step [-2, -1] : tensor<9x5xf32> to tensor<4x5xf32>
      %m = nn.broadcast %l [0, 2] : tensor<4x5xf32> to tensor<4x3x5xf32>
      %0 = nn.mul %t, %b : tensor<4x3x5xf32>
      %1 = nn.sub %0, %m : tensor<4x3x5xf32>
      %2 = nn.transpose %1 [1, 0, 2] : tensor<4x3x5xf32>
      %3 = nn.reshape %2 : tensor<3x4x5xf32> to tensor<3x20xf32>
      return %3 : tensor<3x20xf32>
    } })";
  LocalProgram program(text);
  CHECK(program.count("copy") == 0);
  HostTensor x = randomTensor({3, 4, 5}, 13), c = randomTensor({4, 1}, 14),
             s = randomTensor({9, 5}, 15);
  std::vector<double> want;
  for (int64_t j = 0; j < 3; ++j)
    for (int64_t i = 0; i < 4; ++i)
      for (int64_t k = 0; k < 5; ++k)
        want.push_back(x.getDouble((j * 4 + i) * 5 + k) * c.getDouble(i) -
                       s.getDouble((7 - 2 * i) * 5 + 4 - k));
  compare(program.run({x, c, s})[0], want);
}

TEST_CASE("booleans, comparisons and selection", "[codegen]") {
  std::string text = R"(module {
    func.func @f(%i: tensor<6x1x1x10xi64>, %q: tensor<10x10xi64>)
        -> tensor<6x1x10x10xf32> {
      %m = nn.cast %i : tensor<6x1x1x10xi64> to tensor<6x1x1x10xi1>
      %k = nn.constant dense<4> : tensor<10x10xi64> : tensor<10x10xi64>
      %c = nn.compare "le", %q, %k : tensor<10x10xi64>
      %mb = nn.broadcast %m [0, 1, 2, 3] : tensor<6x1x1x10xi1> to tensor<6x1x10x10xi1>
      %cb = nn.broadcast %c [2, 3] : tensor<10x10xi1> to tensor<6x1x10x10xi1>
      %a = nn.and %mb, %cb : tensor<6x1x10x10xi1>
      %z = nn.constant dense<0.0> : tensor<6x1x10x10xf32> : tensor<6x1x10x10xf32>
      %n = nn.constant dense<-1.0> : tensor<6x1x10x10xf32> : tensor<6x1x10x10xf32>
      %s = nn.select %a, %z, %n : tensor<6x1x10x10xi1>, tensor<6x1x10x10xf32>
      return %s : tensor<6x1x10x10xf32>
    } })";
  HostTensor i = randomTensor({6, 1, 1, 10}, 16, 0, 2, DType::I64);
  HostTensor q = randomTensor({10, 10}, 17, 0, 10, DType::I64);
  std::vector<double> want;
  for (int64_t b = 0; b < 6; ++b)
    for (int64_t row = 0; row < 10; ++row)
      for (int64_t col = 0; col < 10; ++col)
        want.push_back(
            i.getInt(b * 10 + col) && q.getInt(row * 10 + col) <= 4 ? 0 : -1);
  compare(LocalProgram(text).run({i, q})[0], want);
}

TEST_CASE("products with epilogues, attention and norms work together",
          "[codegen]") {
  std::string text = R"(module {
    nn.parameter @w : tensor<16x24xf32> {file = -1 : i64, offset = 0 : i64, length = 0 : i64}
    nn.parameter @b : tensor<24xf32> {file = -1 : i64, offset = 0 : i64, length = 0 : i64}
    func.func @f(%x: tensor<2x5x16xf32>, %r: tensor<10x24xf32>)
        -> tensor<2x5x24xf32> {
      %w = nn.get_parameter @w : tensor<16x24xf32>
      %b = nn.get_parameter @b : tensor<24xf32>
      %two = nn.constant dense<2.0> : tensor<16x24xf32> : tensor<16x24xf32>
      %w2 = nn.mul %w, %two : tensor<16x24xf32>
      %p = nn.matmul %x, %w2 : tensor<2x5x16xf32>, tensor<16x24xf32>
      %bb = nn.broadcast %b [2] : tensor<24xf32> to tensor<2x5x24xf32>
      %a = nn.add %p, %bb : tensor<2x5x24xf32>
      %g = nn.gelu %a : tensor<2x5x24xf32>
      %rr = nn.reshape %r : tensor<10x24xf32> to tensor<2x5x24xf32>
      %s = nn.add %rr, %g : tensor<2x5x24xf32>
      %n = nn.softmax %s axis 2 : tensor<2x5x24xf32>
      return %n : tensor<2x5x24xf32>
    } })";
  LocalProgram program(text);
  CHECK(program.count("matmul") == 1);
  CHECK(program.count("pack_weight") == 1);
  CHECK(program.kernels().size() == 2); // w * 2 at load time, softmax
  HostTensor x = randomTensor({2, 5, 16}, 18), r = randomTensor({10, 24}, 19);
  HostTensor w = randomTensor({16, 24}, 20), b = randomTensor({24}, 21);
  std::vector<double> want(240);
  for (int64_t row = 0; row < 10; ++row)
    for (int64_t col = 0; col < 24; ++col) {
      double sum = b.getDouble(col);
      for (int64_t k = 0; k < 16; ++k)
        sum += 2 * x.getDouble(row * 16 + k) * w.getDouble(k * 24 + col);
      want[row * 24 + col] = sum / 2 * (1 + std::erf(sum / std::sqrt(2.0))) +
                             r.getDouble(row * 24 + col);
    }
  auto results = program.run({x, r}, {{"w", w}, {"b", b}});
  compare(results[0], softmax(want, 24), 1e-5);
}

TEST_CASE("equal layers share kernels, and other addressing does not",
          "[codegen]") {
  std::string t = shape({8, 32});
  auto layers = [&](int count) {
    std::string text =
        "module { func.func @f(%x0: " + t + ", %r: " + t + ") -> " + t + " {";
    for (int i = 0; i < count; ++i) {
      std::string n = std::to_string(i), next = std::to_string(i + 1);
      // A call to the library closes the fusion.
      text += "%a" + n + " = nn.add %x" + n + ", %r {nn.id = \"a" + n +
              "\"} : " + t + " %s" + n + " = nn.softmax %a" + n +
              " axis 1 : " + t + " %x" + next + " = nn.cumsum %s" + n +
              " axis 0 : " + t + " ";
    }
    return text + "return %x" + std::to_string(count) + " : " + t + " } }";
  };
  LocalProgram twelve(layers(12)), ninetySix(layers(96));
  CHECK(twelve.count("rt.kernel") == 12);
  CHECK(ninetySix.count("rt.kernel") == 96);
  CHECK(twelve.kernels().size() == 1);
  CHECK(twelve.kernels() == ninetySix.kernels());
  // The same body on a transposed operand is another kernel.
  std::string q = shape({32, 32});
  LocalProgram two("module { func.func @f(%x: " + q + ") -> (" + q + ", " + q +
                   ") { %t = nn.transpose %x [1, 0] : " + q +
                   " %a = nn.exp %x : " + q + " %b = nn.exp %t : " + q +
                   " return %a, %b : " + q + ", " + q + " } }");
  CHECK(two.kernels().size() == 2);
}

TEST_CASE("a kernel for an older processor computes the same", "[codegen]") {
  std::string t = shape({4, 100});
  std::string text = "module { func.func @f(%x: " + t + ") -> " + t +
                     " { %g = nn.gelu %x : " + t +
                     " %y = nn.softmax %g axis 1 : " + t + " return %y : " + t +
                     " } }";
  HostTensor x = randomTensor({4, 100}, 22, -4, 4);
  std::vector<double> want = doubles(x);
  for (double &value : want)
    value = value / 2 * (1 + std::erf(value / std::sqrt(2.0)));
  want = softmax(want, 100);
  for (const char *cpu : {"x86-64", "x86-64-v3", "host"})
    compare(LocalProgram(text, cpu).run({x})[0], want);
}

TEST_CASE("concat and pad move strided operands", "[codegen]") {
  std::string text = R"(module {
    func.func @f(%x: tensor<3x4xf32>, %y: tensor<2x4xf32>, %b: tensor<4xf32>)
        -> (tensor<4x8xf32>, tensor<6x5xf32>, tensor<3x6xi64>) {
      %t = nn.transpose %x [1, 0] : tensor<3x4xf32>
      %u = nn.transpose %y [1, 0] : tensor<2x4xf32>
      %v = nn.broadcast %b [0] : tensor<4xf32> to tensor<4x3xf32>
      %c = nn.concat %t, %u, %v axis 1 : tensor<4x3xf32>, tensor<4x2xf32>, tensor<4x3xf32> to tensor<4x8xf32>
      %p = nn.pad %t [1, 0] [1, 2] value -2.5 : tensor<4x3xf32> to tensor<6x5xf32>
      %i = nn.cast %x : tensor<3x4xf32> to tensor<3x4xi64>
      %q = nn.pad %i [0, 1] [0, 1] value 7.0 : tensor<3x4xi64> to tensor<3x6xi64>
      return %c, %p, %q : tensor<4x8xf32>, tensor<6x5xf32>, tensor<3x6xi64>
    } })";
  HostTensor x = randomTensor({3, 4}, 23, -9, 9), y = randomTensor({2, 4}, 24),
             b = randomTensor({4}, 25);
  auto results = LocalProgram(text).run({x, y, b});
  std::vector<double> joined, padded(30, -2.5), integers(18, 7);
  for (int64_t row = 0; row < 4; ++row) {
    for (int64_t i = 0; i < 3; ++i)
      joined.push_back(padded[(row + 1) * 5 + i] = x.getDouble(i * 4 + row));
    for (int64_t i = 0; i < 2; ++i)
      joined.push_back(y.getDouble(i * 4 + row));
    for (int64_t i = 0; i < 3; ++i)
      joined.push_back(b.getDouble(row));
  }
  for (int64_t row = 0; row < 3; ++row)
    for (int64_t i = 0; i < 4; ++i)
      integers[row * 6 + 1 + i] = std::trunc(x.getDouble(row * 4 + i));
  compare(results[0], joined, 0);
  compare(results[1], padded, 0);
  compare(results[2], integers, 0);
}
