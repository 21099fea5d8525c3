//===- Harness.h - Running small programs in tests -------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Tests say a program as text and its tensors as lists of numbers.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TEST_UNIT_INTERP_HARNESS_H
#define PARTITA_TEST_UNIT_INTERP_HARNESS_H

#include "dialects/rt/RT.h"
#include "mlir/Parser/Parser.h"
#include "partita/Interp/Interpreter.h"
#include <catch2/catch.hpp>
#include <limits>

namespace partita::test {

inline constexpr double inf = std::numeric_limits<double>::infinity();
inline constexpr double NaN = std::numeric_limits<double>::quiet_NaN();

inline mlir::MLIRContext &context() {
  static mlir::MLIRContext instance = [] {
    mlir::DialectRegistry registry;
    registry.insert<nn::NNDialect, dist::DistDialect, rt::RTDialect,
                    mlir::func::FuncDialect>();
    registerReferenceModels(registry);
    return mlir::MLIRContext(registry);
  }();
  return instance;
}

inline mlir::OwningOpRef<mlir::ModuleOp> parse(const std::string &text) {
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context());
  INFO(text);
  REQUIRE(module);
  return module;
}

/// Integers go through int64, so that 64-bit values stay exact.
template <typename T = double>
HostTensor tensor(DType type, std::vector<int64_t> shape,
                  const std::vector<T> &values) {
  HostTensor result(type, std::move(shape));
  REQUIRE(size_t(result.numElements()) == values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if constexpr (std::is_floating_point_v<T>)
      result.setDouble(i, values[i]);
    else
      result.setInt(i, values[i]);
  }
  return result;
}
inline HostTensor f64(std::vector<int64_t> shape,
                      const std::vector<double> &values) {
  return tensor(DType::F64, std::move(shape), values);
}
inline HostTensor i64(std::vector<int64_t> shape,
                      const std::vector<int64_t> &values) {
  return tensor<int64_t>(DType::I64, std::move(shape), values);
}

/// Runs the function @f of a module.
inline Result<std::vector<HostTensor>>
tryRun(const std::string &text, const std::vector<HostTensor> &inputs,
       ParameterSource *parameters = nullptr) {
  auto module = parse(text);
  MemoryParameters none;
  auto function = module->lookupSymbol<mlir::func::FuncOp>("f");
  REQUIRE(function);
  return Interpreter().run(function, inputs, parameters ? *parameters : none);
}

/// The same for `func.func @f` given by its signature and body, which must
/// succeed.
inline std::vector<HostTensor> run(const std::string &function,
                                   const std::vector<HostTensor> &inputs) {
  auto results = tryRun("func.func @f" + function, inputs);
  INFO(function);
  if (!results)
    INFO(results.error().str());
  REQUIRE(results);
  return *results;
}

/// Equal to within `tolerance`; infinities and NaN exactly.
inline void checkValues(const HostTensor &actual,
                        const std::vector<double> &expected,
                        double tolerance = 1e-14) {
  REQUIRE(size_t(actual.numElements()) == expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    INFO("element " << i << " is " << actual.getDouble(i) << ", expected "
                    << expected[i]);
    if (expected[i] != expected[i])
      CHECK(actual.getDouble(i) != actual.getDouble(i));
    else if (std::abs(expected[i]) == inf)
      CHECK(actual.getDouble(i) == expected[i]);
    else
      CHECK(std::abs(actual.getDouble(i) - expected[i]) <= tolerance);
  }
}
inline void checkInts(const HostTensor &actual,
                      const std::vector<int64_t> &expected) {
  REQUIRE(size_t(actual.numElements()) == expected.size());
  for (size_t i = 0; i < expected.size(); ++i)
    CHECK(actual.getInt(i) == expected[i]);
}

} // namespace partita::test

#endif // PARTITA_TEST_UNIT_INTERP_HARNESS_H
