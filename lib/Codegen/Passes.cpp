//===- Passes.cpp - Passes of code generation -----------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Codegen/Passes.h"
#include "dialects/nn/NN.h"
#include "dialects/rt/RT.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Pass/Pass.h"
#include "partita/Codegen/Codegen.h"
#include "partita/Conversion/NNToRT.h"

using namespace mlir;
using namespace partita;

namespace partita {
#define GEN_PASS_DECL
#define GEN_PASS_DEF_FUSIONTOKERNEL
#define GEN_PASS_DEF_KERNELTOLLVM
#define GEN_PASS_DEF_KERNELASSEMBLY
#include "lib/Codegen/Passes.h.inc"
} // namespace partita

static ModuleOp kernelsOf(ModuleOp module) {
  return module.lookupSymbol<ModuleOp>("kernels");
}

namespace {

struct FusionToKernel : partita::impl::FusionToKernelBase<FusionToKernel> {
  void runOnOperation() override {
    Result<OwningOpRef<ModuleOp>> kernels = outlineKernels(getOperation());
    if (!kernels) {
      getOperation()->emitError(kernels.error().str());
      return signalPassFailure();
    }
    getOperation().push_back(kernels->release());
  }
};

struct KernelToLLVM : partita::impl::KernelToLLVMBase<KernelToLLVM> {
  void runOnOperation() override {
    ModuleOp kernels = kernelsOf(getOperation());
    if (!kernels)
      return;
    Status status = lowerKernels(kernels);
    if (status)
      return;
    getOperation()->emitError(status.error().str());
    signalPassFailure();
  }
};

struct KernelAssembly : partita::impl::KernelAssemblyBase<KernelAssembly> {
  using KernelAssemblyBase::KernelAssemblyBase;
  void runOnOperation() override {
    ModuleOp kernels = kernelsOf(getOperation());
    if (!kernels)
      return;
    CodegenOptions options;
    options.cpu = cpu;
    std::string text;
    Result<std::vector<char>> object = emitObject(kernels, options, &text);
    if (!object) {
      getOperation()->emitError(object.error().str());
      return signalPassFailure();
    }
    kernels.erase();
    if (output.empty()) {
      getOperation()->setAttr("rt.assembly",
                              StringAttr::get(&getContext(), text));
      return;
    }
    std::error_code error;
    llvm::raw_fd_ostream file(output, error);
    file << text;
    file.close();
    if (!error && !file.has_error())
      return;
    getOperation()->emitError("cannot write " + output);
    file.clear_error();
    signalPassFailure();
  }
};

} // namespace

void partita::registerCodegenPasses() {
  registerNNToRTPasses();
  PassRegistration<FusionToKernel>();
  PassRegistration<KernelToLLVM>();
  PassRegistration<KernelAssembly>();
}
