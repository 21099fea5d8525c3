//===- LowerKernels.cpp - Kernels to the LLVM dialect ---------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Upstream's lowerings, with memrefs of static shape passed as bare pointers
// that do not alias. What the runtime calls is a wrapper with the signature of
// all kernels, which unpacks its array of addresses.
//
//===----------------------------------------------------------------------===//

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "partita/Codegen/Codegen.h"

using namespace mlir;
using namespace partita;

static void buildPipeline(OpPassManager &manager) {
  manager.addNestedPass<func::FuncOp>(createConvertLinalgToLoopsPass());
  manager.addPass(createSCFToControlFlowPass());
  manager.addPass(memref::createExpandStridedMetadataPass());
  manager.addPass(createLowerAffinePass());
  manager.addPass(createArithToLLVMConversionPass());
  // Square roots, rounding and the like are instructions; the rest is libm.
  manager.addPass(createConvertMathToLLVMPass());
  manager.addPass(createConvertMathToLibmPass());
  manager.addPass(createFinalizeMemRefToLLVMConversionPass());
  ConvertFuncToLLVMPassOptions options;
  options.useBarePtrCallConv = true;
  manager.addPass(createConvertFuncToLLVMPass(options));
  manager.addPass(createConvertControlFlowToLLVMPass());
  manager.addPass(createReconcileUnrealizedCastsPass());
}

/// Makes `body` internal under another name and gives its name to a function
/// that loads each address and calls it.
static void wrap(LLVM::LLVMFuncOp body) {
  MLIRContext *context = body.getContext();
  OpBuilder b(body);
  Location loc = body.getLoc();
  auto pointer = LLVM::LLVMPointerType::get(context);
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(context),
                                          {pointer, pointer});
  std::string name = body.getSymName().str();
  body.setSymName(name + ".body");
  body.setLinkage(LLVM::Linkage::Internal);
  auto wrapper = LLVM::LLVMFuncOp::create(b, loc, name, type);
  Block *entry = wrapper.addEntryBlock(b);
  b.setInsertionPointToStart(entry);
  SmallVector<Value> addresses;
  for (auto [i, parameter] : llvm::enumerate(body.getArgumentTypes())) {
    Value slot =
        LLVM::GEPOp::create(b, loc, pointer, pointer, entry->getArgument(0),
                            ArrayRef<LLVM::GEPArg>{int32_t(i)});
    addresses.push_back(LLVM::LoadOp::create(b, loc, parameter, slot));
  }
  LLVM::CallOp::create(b, loc, body, addresses);
  LLVM::ReturnOp::create(b, loc, ValueRange());
}

Status partita::lowerKernels(ModuleOp kernels) {
  SmallVector<std::string> names;
  for (auto func : kernels.getOps<func::FuncOp>())
    names.push_back(func.getSymName().str());
  std::string message;
  ScopedDiagnosticHandler handler(kernels.getContext(),
                                  [&](Diagnostic &diagnostic) {
                                    message += diagnostic.str() + "\n";
                                    return success();
                                  });
  PassManager manager(kernels.getContext());
  manager.enableVerifier(true);
  buildPipeline(manager);
  auto failure = [&](StringRef what) {
    return makeError(ExitCode::Internal, "codegen.lower", what.str(),
                     message.empty() ? "failed" : message);
  };
  if (failed(manager.run(kernels)))
    return failure("kernel-to-llvm");
  for (const std::string &name : names) {
    auto func = kernels.lookupSymbol<LLVM::LLVMFuncOp>(name);
    if (!func)
      return failure(name);
    wrap(func);
  }
  for (Operation &op : *kernels.getBody())
    if (!isa<LLVM::LLVMDialect>(op.getDialect()))
      return failure(op.getName().getStringRef());
  if (failed(verify(kernels)))
    return failure("kernel-to-llvm");
  return ok();
}
