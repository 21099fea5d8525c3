//===- RandomProgramTest.cpp - Random programs against the interpreter ----===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Programs of random operations on random shapes, in f64 so that no tolerance
// hides a wrong address: what conversion and code generation make of them must
// agree with the reference interpreter. Each seed is a program of its own, and
// a failure prints it.
//
//===----------------------------------------------------------------------===//

#include "Harness.h"
#include "dialects/dist/Dist.h"
#include "dialects/nn/NN.h"
#include "dialects/rt/RT.h"
#include "mlir/Parser/Parser.h"
#include "partita/Interp/Interpreter.h"
#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>
#include <random>

using namespace partita;
using namespace partita::test;

namespace {

using Dims = std::vector<int64_t>;

/// Writes a program, an operation at a time.
class ProgramWriter {
public:
  explicit ProgramWriter(unsigned seed) : engine(seed) {}

  std::string write(int operations);
  std::vector<HostTensor> inputs;
  std::map<std::string, HostTensor> parameters;

private:
  struct Value {
    std::string name;
    Dims dims;
  };

  int64_t below(int64_t n) { return engine() % n; }
  const Value &any() { return values[below(values.size())]; }
  /// Mostly one of the latest, so that chains grow.
  const Value &recent() {
    int64_t n = values.size();
    return values[n - 1 - below(std::min<int64_t>(n, below(3) ? 3 : n))];
  }
  static std::string type(const Dims &dims) {
    std::string text = "tensor<";
    for (int64_t dim : dims)
      text += std::to_string(dim) + "x";
    return text + "f64>";
  }
  static std::string list(const Dims &dims) {
    std::string text = "[";
    for (size_t i = 0; i < dims.size(); ++i)
      text += (i ? ", " : "") + std::to_string(dims[i]);
    return text + "]";
  }
  static int64_t count(const Dims &dims) {
    return std::accumulate(dims.begin(), dims.end(), int64_t(1),
                           std::multiplies<>());
  }
  Value add(const std::string &text, Dims dims) {
    Value value{"%v" + std::to_string(values.size()), std::move(dims)};
    body += "    " + value.name + " = " + text + "\n";
    values.push_back(value);
    return value;
  }
  Value parameter(Dims dims);
  /// `value` repeated to `dims`, whose last dimensions it has.
  std::string repeated(const Value &value, const Dims &dims);

  void unary();
  void binary();
  void reduce();
  void alongRows();
  void transpose();
  void reshape();
  void slice();
  void splitOrJoin();
  void pad();
  void product();

  std::mt19937 engine;
  std::vector<Value> values;
  std::string body, declarations;
};

ProgramWriter::Value ProgramWriter::parameter(Dims dims) {
  std::string name = "p" + std::to_string(parameters.size());
  parameters[name] = randomTensor(dims, engine(), -1, 1, DType::F64);
  declarations += "  nn.parameter @" + name + " : " + type(dims) +
                  " {file = -1 : i64, offset = 0 : i64, length = " +
                  std::to_string(8 * count(dims)) + " : i64}\n";
  return add("nn.get_parameter @" + name + " : " + type(dims), dims);
}

std::string ProgramWriter::repeated(const Value &value, const Dims &dims) {
  Dims map(value.dims.size());
  std::iota(map.begin(), map.end(), int64_t(dims.size() - map.size()));
  return add("nn.broadcast " + value.name + " " + list(map) + " : " +
                 type(value.dims) + " to " + type(dims),
             dims)
      .name;
}

void ProgramWriter::unary() {
  static const char *const ops[] = {"tanh", "neg",  "abs",  "sigmoid",
                                    "relu", "gelu", "silu", "erf"};
  Value x = recent();
  add("nn." + std::string(ops[below(8)]) + " " + x.name + " : " + type(x.dims),
      x.dims);
}

void ProgramWriter::binary() {
  static const char *const ops[] = {"add", "sub", "mul", "max", "min"};
  Value x = recent();
  std::string other;
  Value y = any();
  if (y.dims == x.dims) {
    other = y.name;
  } else if (y.dims.size() <= x.dims.size() &&
             std::equal(
                 y.dims.rbegin(), y.dims.rend(), x.dims.rbegin(),
                 [](int64_t a, int64_t b) { return a == b || a == 1; })) {
    other = repeated(y, x.dims);
  } else if (below(2) && !x.dims.empty()) {
    other = repeated(parameter({x.dims.back()}), x.dims);
  } else {
    std::string t = type(x.dims);
    other = add("nn.constant dense<0.75> : " + t + " : " + t, x.dims).name;
  }
  add("nn." + std::string(ops[below(5)]) + " " + x.name + ", " + other + " : " +
          type(x.dims),
      x.dims);
}

/// A reduction, and often what brings its result back to the rows.
void ProgramWriter::reduce() {
  static const char *const kinds[] = {"sum", "max", "min"};
  Value x = recent();
  Dims axes, kept, ones, map;
  bool trailing = below(2);
  for (size_t d = 0; d < x.dims.size(); ++d) {
    bool last = d + 1 == x.dims.size();
    if (trailing ? last : below(2) == 0) {
      axes.push_back(d);
      ones.push_back(1);
    } else {
      kept.push_back(x.dims[d]);
      ones.push_back(x.dims[d]);
    }
    map.push_back(d);
  }
  if (axes.empty())
    return;
  Value y = add("nn.reduce \"" + std::string(kinds[below(3)]) + "\", " +
                    x.name + " " + list(axes) + " : " + type(x.dims),
                kept);
  if (below(3) == 0)
    return;
  Value r = add(
      "nn.reshape " + y.name + " : " + type(kept) + " to " + type(ones), ones);
  if (below(2))
    r = add("nn.tanh " + r.name + " : " + type(ones), ones);
  Value b = add("nn.broadcast " + r.name + " " + list(map) + " : " +
                    type(ones) + " to " + type(x.dims),
                x.dims);
  if (below(2))
    add("nn.sub " + x.name + ", " + b.name + " : " + type(x.dims), x.dims);
}

void ProgramWriter::alongRows() {
  Value x = recent();
  if (x.dims.empty())
    return;
  std::string t = type(x.dims), v = type({x.dims.back()});
  switch (below(3)) {
  case 0:
    add("nn.softmax " + x.name + " axis " +
            std::to_string(below(x.dims.size())) + " : " + t,
        x.dims);
    return;
  case 1: {
    std::string scale = parameter({x.dims.back()}).name;
    std::string bias = parameter({x.dims.back()}).name;
    add("nn.layer_norm " + x.name + ", " + scale + ", " + bias +
            " epsilon 1.0e-1 : " + t + ", " + v + ", " + v,
        x.dims);
    return;
  }
  default: {
    std::string scale = parameter({x.dims.back()}).name;
    add("nn.rms_norm " + x.name + ", " + scale + " epsilon 1.0e-1 : " + t +
            ", " + v,
        x.dims);
  }
  }
}

void ProgramWriter::transpose() {
  Value x = recent();
  Dims order(x.dims.size()), dims;
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), engine);
  if (order.empty())
    return;
  for (int64_t d : order)
    dims.push_back(x.dims[d]);
  add("nn.transpose " + x.name + " " + list(order) + " : " + type(x.dims),
      dims);
}

/// Merges neighbours, splits a dimension, or adds one of size one.
void ProgramWriter::reshape() {
  Value x = recent();
  Dims dims = x.dims;
  int64_t at = below(dims.size() + 1);
  switch (below(3)) {
  case 0:
    if (at + 1 < int64_t(dims.size())) {
      dims[at] *= dims[at + 1];
      dims.erase(dims.begin() + at + 1);
    }
    break;
  case 1:
    if (at < int64_t(dims.size()) && dims.size() < 5 && dims[at] % 2 == 0) {
      dims[at] /= 2;
      dims.insert(dims.begin() + at + below(2), 2);
    }
    break;
  default:
    if (dims.size() < 5)
      dims.insert(dims.begin() + at, 1);
  }
  add("nn.reshape " + x.name + " : " + type(x.dims) + " to " + type(dims),
      dims);
}

void ProgramWriter::slice() {
  Value x = recent();
  Dims starts, steps, dims;
  for (int64_t size : x.dims) {
    int64_t begin = below(2) ? 0 : below(size), length = size - begin;
    int64_t step = below(4) ? 1 : 2;
    int64_t n = (length + step - 1) / step;
    bool backwards = below(5) == 0;
    starts.push_back(backwards ? begin + (n - 1) * step : begin);
    steps.push_back(backwards ? -step : step);
    dims.push_back(n);
  }
  add("nn.slice " + x.name + " " + list(starts) + " step " + list(steps) +
          " : " + type(x.dims) + " to " + type(dims),
      dims);
}

void ProgramWriter::splitOrJoin() {
  Value x = recent();
  if (x.dims.empty())
    return;
  int64_t axis = below(x.dims.size());
  std::string at = " axis " + std::to_string(axis) + " : ";
  Dims dims = x.dims;
  if (below(2) && dims[axis] % 2 == 0) {
    dims[axis] /= 2;
    std::string name = "%s" + std::to_string(values.size());
    body += "    " + name + ":2 = nn.split " + x.name + at + type(x.dims) +
            " to " + type(dims) + ", " + type(dims) + "\n";
    values.push_back({name + "#1", dims});
    values.push_back({name + "#0", dims});
    return;
  }
  Value y = any().dims == x.dims ? any() : x;
  if (y.dims != x.dims)
    y = x;
  dims[axis] *= 2;
  if (count(dims) < 2000)
    add("nn.concat " + x.name + ", " + y.name + at + type(x.dims) + ", " +
            type(x.dims) + " to " + type(dims),
        dims);
}

void ProgramWriter::pad() {
  Value x = recent();
  Dims low, high, dims;
  for (int64_t size : x.dims) {
    low.push_back(below(2));
    high.push_back(below(2));
    dims.push_back(low.back() + size + high.back());
  }
  if (count(dims) < 2000)
    add("nn.pad " + x.name + " " + list(low) + " " + list(high) +
            " value -0.5 : " + type(x.dims) + " to " + type(dims),
        dims);
}

void ProgramWriter::product() {
  Value x = recent();
  if (x.dims.size() < 2)
    return;
  Dims dims = x.dims;
  dims.back() = 1 + below(8);
  Value w = parameter({x.dims.back(), dims.back()});
  Value y = add("nn.matmul " + x.name + ", " + w.name + " : " + type(x.dims) +
                    ", " + type(w.dims),
                dims);
  if (below(2)) {
    std::string bias = repeated(parameter({dims.back()}), dims);
    y = add("nn.add " + y.name + ", " + bias + " : " + type(dims), dims);
  }
  add("nn.tanh " + y.name + " : " + type(dims), dims);
}

std::string ProgramWriter::write(int operations) {
  const Dims shapes[] = {{2, 3, 8}, {4, 6}, {8}, {2, 3, 4, 6}};
  std::string arguments;
  for (const Dims &dims : shapes) {
    std::string name = "%x" + std::to_string(inputs.size());
    arguments += (inputs.empty() ? "" : ", ") + name + ": " + type(dims);
    inputs.push_back(randomTensor(dims, engine(), -2, 2, DType::F64));
    values.push_back({name, dims});
  }
  using Step = void (ProgramWriter::*)();
  const Step steps[] = {&ProgramWriter::unary,     &ProgramWriter::unary,
                        &ProgramWriter::binary,    &ProgramWriter::binary,
                        &ProgramWriter::binary,    &ProgramWriter::reduce,
                        &ProgramWriter::reduce,    &ProgramWriter::alongRows,
                        &ProgramWriter::transpose, &ProgramWriter::reshape,
                        &ProgramWriter::slice,     &ProgramWriter::splitOrJoin,
                        &ProgramWriter::pad,       &ProgramWriter::product};
  for (int i = 0; i < operations; ++i)
    (this->*steps[below(std::size(steps))])();
  std::string names, types;
  for (int i = 0; i < 4; ++i) {
    Value value = i ? any() : values.back();
    names += (i ? ", " : "") + value.name;
    types += (i ? ", " : "") + type(value.dims);
  }
  return "module {\n" + declarations + "  func.func @f(" + arguments +
         ") -> (" + types + ") {\n" + body + "    return " + names + " : " +
         types + "\n  }\n}\n";
}

std::vector<HostTensor>
interpret(const std::string &text, const std::vector<HostTensor> &inputs,
          const std::map<std::string, HostTensor> &parameters) {
  mlir::DialectRegistry registry;
  registry.insert<nn::NNDialect, dist::DistDialect, rt::RTDialect,
                  mlir::func::FuncDialect>();
  registerReferenceModels(registry);
  mlir::MLIRContext context(registry);
  context.loadAllAvailableDialects();
  auto module = mlir::parseSourceString<mlir::ModuleOp>(
      text, mlir::ParserConfig(&context));
  REQUIRE(module);
  MemoryParameters source;
  for (const auto &[name, tensor] : parameters)
    source.set(name, tensor);
  auto function = *module->getOps<mlir::func::FuncOp>().begin();
  auto results = Interpreter().run(function, inputs, source);
  if (!results)
    FAIL(results.error().str());
  return *results;
}

} // namespace

TEST_CASE("random programs agree with the interpreter", "[codegen]") {
  for (unsigned seed = 0; seed < 80; ++seed) {
    ProgramWriter writer(seed);
    std::string text = writer.write(6 + seed % 20);
    INFO("seed " << seed << "\n" << text);
    std::vector<HostTensor> want =
        interpret(text, writer.inputs, writer.parameters);
    std::vector<HostTensor> have =
        LocalProgram(text).run(writer.inputs, writer.parameters);
    REQUIRE(have.size() == want.size());
    for (size_t r = 0; r < want.size(); ++r) {
      REQUIRE(have[r].shape() == want[r].shape());
      for (int64_t i = 0; i < want[r].numElements(); ++i) {
        double a = have[r].getDouble(i), b = want[r].getDouble(i);
        bool same = std::isnan(b) ? std::isnan(a)
                    : std::isinf(b)
                        ? a == b
                        : std::abs(a - b) <= 1e-9 * std::max(1.0, std::abs(b));
        if (!same)
          FAIL("result " << r << ", element " << i << " is " << a << ", not "
                         << b);
      }
    }
  }
}
