//===- Harness.h - Compiles and runs local programs ------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Takes the text of a module with one function of nn operations, converts it,
// compiles its kernels, loads them into this process and runs the function as
// one rank of the runtime would: kernels by address, library calls through
// prepareCall, every buffer in one arena.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TEST_UNIT_CODEGEN_HARNESS_H
#define PARTITA_TEST_UNIT_CODEGEN_HARNESS_H

#include "mlir/IR/MLIRContext.h"
#include "partita/Codegen/Codegen.h"
#include "partita/Support/HostTensor.h"
#include <memory>

namespace llvm::orc {
class LLJIT;
}

namespace partita::test {

class LocalProgram {
public:
  /// Fails the running test with the error's text if anything goes wrong.
  explicit LocalProgram(const std::string &text,
                        const std::string &cpu = "host");
  ~LocalProgram();

  /// Runs the function; parameters of the text are read from `parameters`.
  std::vector<HostTensor>
  run(const std::vector<HostTensor> &inputs,
      const std::map<std::string, HostTensor> &parameters = {});

  /// Kernels in the object file.
  const std::vector<std::string> &kernels() const { return names; }
  /// Number of operations with this name in the converted function.
  int64_t count(const std::string &operation) const;

private:
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::vector<std::string> names;
  std::unique_ptr<llvm::orc::LLJIT> jit;
};

/// The error that compiling `text` ends with; empty code if none.
Error compileError(const std::string &text);

HostTensor tensor(std::vector<int64_t> shape, const std::vector<float> &values);
/// Deterministic numbers in [low, high).
HostTensor randomTensor(std::vector<int64_t> shape, unsigned seed,
                        double low = -2, double high = 2,
                        DType dtype = DType::F32);

} // namespace partita::test

#endif // PARTITA_TEST_UNIT_CODEGEN_HARNESS_H
