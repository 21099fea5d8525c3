//===- CasesTest.cpp - ONNX's own test cases ------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// ONNX defines each operator by cases with inputs and expected outputs. The
// hidden test here runs all cases of a directory;
// test/python/test_onnx_cases.py writes that directory with the onnx package
// and starts it:
//
//   PARTITA_ONNX_CASES=DIR PartitaImportTests '[onnx-cases]'
//
// A case is DIR/NAME with model.onnx, in_K.npy and out_K.npy. It passes as it
// is imported and, again, raised. What is not supported (exit code 3) is
// counted; any other failure, or another result, fails.
//
//===----------------------------------------------------------------------===//

#include "Models.h"
#include "partita/Interp/Interpreter.h"
#include "partita/Raise/Raise.h"
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <iostream>

using namespace partita;
using namespace partita::test;

namespace {
enum class Outcome { Passed, Unsupported, Skipped };
}

/// Equal but for rounding; half precisions round more.
static bool isClose(const HostTensor &actual, const HostTensor &expected) {
  if (actual.shape() != expected.shape() || actual.dtype() != expected.dtype())
    return false;
  bool half = actual.dtype() == DType::F16;
  double tolerance = half ? 2e-2 : 1e-3;
  for (int64_t i = 0; i < actual.numElements(); ++i) {
    double a = actual.getDouble(i), b = expected.getDouble(i);
    if (a == b || (std::isnan(a) && std::isnan(b)))
      continue;
    if (!(std::abs(a - b) <= tolerance * (1 + std::abs(b))))
      return false;
  }
  return true;
}

static Outcome runCase(const std::string &directory, bool raised) {
  mlir::DialectRegistry registry;
  registerReferenceModels(registry);
  mlir::MLIRContext context(registry);
  auto module = importONNX(context, directory + "/model.onnx");
  if (!module) {
    INFO(module.error().str());
    REQUIRE(module.error().exit == ExitCode::Unsupported);
    return Outcome::Unsupported;
  }
  if (raised) {
    Status status = raise(**module);
    INFO((status ? std::string() : status.error().str()));
    REQUIRE(status);
  }
  auto step = (*module)->lookupSymbol<mlir::func::FuncOp>("step");
  std::vector<HostTensor> inputs;
  for (unsigned i = 0; i < step.getNumArguments(); ++i) {
    auto input = readNpy(directory + "/in_" + std::to_string(i) + ".npy");
    if (!input)
      return Outcome::Skipped; // A type that NumPy does not have.
    inputs.push_back(*input);
  }
  FileParameters parameters(**module);
  auto outputs = Interpreter().run(step, inputs, parameters);
  INFO((outputs ? std::string() : outputs.error().str()));
  REQUIRE(outputs);
  for (size_t i = 0; i < outputs->size(); ++i) {
    auto expected = readNpy(directory + "/out_" + std::to_string(i) + ".npy");
    if (!expected)
      return Outcome::Skipped;
    INFO("output " << i);
    CHECK(isClose((*outputs)[i], *expected));
  }
  return Outcome::Passed;
}

TEST_CASE("ONNX's own test cases", "[.][onnx-cases]") {
  const char *root = std::getenv("PARTITA_ONNX_CASES");
  REQUIRE(root != nullptr);
  std::map<Outcome, int> counts;
  for (const auto &entry : std::filesystem::directory_iterator(root)) {
    std::string directory = entry.path().string();
    INFO(directory);
    Outcome outcome = runCase(directory, false);
    if (outcome == Outcome::Passed)
      runCase(directory, true);
    ++counts[outcome];
  }
  std::cout << "onnx cases: " << counts[Outcome::Passed] << " passed, "
            << counts[Outcome::Unsupported] << " unsupported, "
            << counts[Outcome::Skipped] << " skipped" << std::endl;
}
