//===- EmitObject.cpp - Machine code --------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// LLVM's -O3 pipeline in this process, tuned for the machine, and an object
// file in memory. The widest vectors are asked for: kernels are short and bound
// by memory or by arithmetic, never by the clock that wide vectors once cost.
//
//===----------------------------------------------------------------------===//

#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "partita/Codegen/Codegen.h"
#include "llvm/Analysis/CGSCCPassManager.h"
#include "llvm/Analysis/LoopAnalysisManager.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Target/TargetOptions.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/Transforms/Utils/Cloning.h"

using namespace mlir;
using namespace partita;

namespace {
struct Machine {
  std::unique_ptr<llvm::TargetMachine> target;
  std::string cpu, features;
};
} // namespace

static Error objectError(std::string what) {
  return makeError(ExitCode::Internal, "codegen.object", "kernels",
                   std::move(what));
}

static Result<Machine> makeMachine(const std::string &cpu) {
  static const bool initialized = [] {
    return !llvm::InitializeNativeTarget() &&
           !llvm::InitializeNativeTargetAsmPrinter();
  }();
  if (!initialized)
    return objectError("LLVM has no code generator for this machine");
  Machine machine{nullptr, cpu, ""};
  if (cpu == "host") {
    machine.cpu = llvm::sys::getHostCPUName().str();
    for (const auto &feature : llvm::sys::getHostCPUFeatures())
      machine.features += (machine.features.empty() ? "" : ",") +
                          std::string(feature.second ? "+" : "-") +
                          feature.first().str();
  }
  llvm::Triple triple(llvm::sys::getProcessTriple());
  std::string message;
  const llvm::Target *target =
      llvm::TargetRegistry::lookupTarget(triple, message);
  if (!target)
    return objectError(message);
  std::unique_ptr<llvm::MCSubtargetInfo> info(
      target->createMCSubtargetInfo(triple, "", ""));
  if (!info || !info->isCPUStringValid(machine.cpu))
    return makeError(ExitCode::Usage, "codegen.cpu", machine.cpu,
                     "is no processor of " + triple.getArchName().str(),
                     "use host, or a name such as x86-64-v3");
  machine.target.reset(target->createTargetMachine(
      triple, machine.cpu, machine.features, llvm::TargetOptions(),
      llvm::Reloc::PIC_, std::nullopt, llvm::CodeGenOptLevel::Aggressive));
  if (!machine.target)
    return objectError("cannot make a target machine for " + triple.str());
  return machine;
}

static void optimize(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager components;
  llvm::ModuleAnalysisManager modules;
  llvm::PipelineTuningOptions tuning;
  tuning.LoopVectorization = tuning.SLPVectorization = true;
  llvm::PassBuilder builder(&machine, tuning);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3)
      .run(module, modules);
}

static Result<std::vector<char>> emitFile(llvm::Module &module,
                                          llvm::TargetMachine &machine,
                                          llvm::CodeGenFileType type) {
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream os(bytes);
  llvm::legacy::PassManager manager;
  if (machine.addPassesToEmitFile(manager, os, nullptr, type))
    return objectError("this machine's code cannot be written to a file");
  manager.run(module);
  return std::vector<char>(bytes.begin(), bytes.end());
}

Result<std::vector<char>> partita::emitObject(ModuleOp kernels,
                                              const CodegenOptions &options,
                                              std::string *assembly) {
  PARTITA_TRY(Machine machine, makeMachine(options.cpu));
  DialectRegistry registry;
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  kernels.getContext()->appendDialectRegistry(registry);
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> module =
      translateModuleToLLVMIR(kernels, context, "kernels");
  if (!module)
    return objectError("the kernels cannot be translated to LLVM");
  module->setTargetTriple(machine.target->getTargetTriple());
  module->setDataLayout(machine.target->createDataLayout());
  module->setPICLevel(llvm::PICLevel::BigPIC);
  for (llvm::Function &function : *module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", machine.cpu);
    function.addFnAttr("target-features", machine.features);
    function.addFnAttr("prefer-vector-width", "512");
    function.addFnAttr(llvm::Attribute::NoUnwind);
  }
  std::string broken;
  llvm::raw_string_ostream os(broken);
  if (llvm::verifyModule(*module, &os))
    return objectError(broken);
  optimize(*module, *machine.target);
  if (assembly) {
    std::unique_ptr<llvm::Module> copy = llvm::CloneModule(*module);
    PARTITA_TRY(
        std::vector<char> text,
        emitFile(*copy, *machine.target, llvm::CodeGenFileType::AssemblyFile));
    assembly->assign(text.begin(), text.end());
  }
  return emitFile(*module, *machine.target, llvm::CodeGenFileType::ObjectFile);
}

Result<CompiledKernels> partita::compileKernels(ModuleOp module,
                                                const CodegenOptions &options) {
  CompiledKernels compiled;
  PARTITA_TRY(OwningOpRef<ModuleOp> kernels, outlineKernels(module));
  for (Operation &op : *kernels->getBody())
    compiled.names.push_back(SymbolTable::getSymbolName(&op).str());
  if (compiled.names.empty())
    return compiled;
  PARTITA_CHECK(lowerKernels(*kernels));
  PARTITA_TRY(compiled.object, emitObject(*kernels, options));
  return compiled;
}
