//===- OutlineKernels.cpp - One kernel for equal fusions ------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Fusions are compared by their whole key, not by its hash, so equal names
// always mean equal kernels. Names depend on the kernel alone: the same kernel
// has the same name in every model.
//
//===----------------------------------------------------------------------===//

#include "Kernel.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Verifier.h"
#include "partita/Codegen/Codegen.h"
#include "partita/Support/File.h"

using namespace mlir;
using namespace partita;
using namespace partita::codegen;

//===----------------------------------------------------------------------===//
// Keys and names
//===----------------------------------------------------------------------===//

/// Writes the fusion's key; `write` gives types and attributes.
template <typename Write>
static std::string makeKey(rt::FusionOp fusion, Write write) {
  std::string key;
  llvm::raw_string_ostream os(key);
  DenseMap<Value, unsigned> numbers;
  auto number = [&](Value value) {
    return numbers.try_emplace(value, numbers.size()).first->second;
  };
  Block &body = fusion.getBody().front();
  for (auto [operand, argument] :
       llvm::zip_equal(fusion.getInputs(), body.getArguments())) {
    number(argument);
    write(os, operand.getType());
    os << '[';
    llvm::interleaveComma(rt::addressingOf(operand).strides, os);
    os << "];";
  }
  for (Operation &op : body) {
    os << op.getName().getStringRef() << '(';
    llvm::interleaveComma(op.getOperands(), os,
                          [&](Value operand) { os << number(operand); });
    os << ')';
    for (NamedAttribute attr : op.getAttrs())
      if (attr.getName() != nn::idAttrName &&
          attr.getName() != nn::nodesAttrName) {
        os << attr.getName().getValue() << '=';
        write(os, attr.getValue());
        os << ',';
      }
    for (Value result : op.getResults()) {
      os << number(result) << ':';
      write(os, result.getType());
      os << ';';
    }
  }
  for (Type type : fusion.getResultTypes()) {
    write(os, type);
    os << ';';
  }
  if (ArrayAttr permutations = fusion.getPermutationsAttr())
    write(os, permutations);
  return key;
}

std::string codegen::kernelKey(rt::FusionOp fusion) {
  return makeKey(fusion, [](llvm::raw_ostream &os, auto what) { os << what; });
}

/// Equal for equal keys within one context, where types and attributes are
/// unique, and much sooner made.
static std::string contextKey(rt::FusionOp fusion) {
  return makeKey(fusion, [](llvm::raw_ostream &os, auto what) {
    os << what.getAsOpaquePointer();
  });
}

std::string codegen::kernelTitle(rt::FusionOp fusion) {
  llvm::SmallSetVector<StringRef, 4> words;
  size_t others = 0;
  for (Operation &op : fusion.getBody().front().without_terminator()) {
    if (isa<nn::ConstantOp, nn::BroadcastOp, nn::ReshapeOp>(op))
      continue;
    StringRef word = op.getName().stripDialect();
    if (words.size() < 4)
      words.insert(word);
    else
      others += !words.contains(word);
  }
  std::string title = llvm::join(words, "_");
  if (others)
    title += "_and_" + std::to_string(others);
  if (fusion->getNumResults() > 0)
    for (auto [d, size] : llvm::enumerate(nn::shapeOf(fusion.getResult(0))))
      title += (d ? "x" : "_") + std::to_string(size);
  return title;
}

//===----------------------------------------------------------------------===//
// Outlining
//===----------------------------------------------------------------------===//

namespace {
/// The kernels made so far, by key.
class KernelTable {
public:
  explicit KernelTable(ModuleOp kernels) : kernels(kernels) {}

  /// The name of the fusion's kernel, which is made if there is none yet.
  Result<std::string> nameOf(rt::FusionOp fusion) {
    auto [entry, isNew] = names.try_emplace(contextKey(fusion));
    std::string &name = entry->second;
    if (!isNew)
      return name;
    const std::string key = kernelKey(fusion);
    uint64_t hash = hashBytes(key.data(), key.size());
    std::string title = kernelTitle(fusion);
    do
      name = llvm::formatv("{0}_{1:x-8}", title, uint32_t(hash++)).str();
    while (!taken.insert(name).second);
    if (moveOf(fusion)) {
      PARTITA_CHECK(emitMove(fusion, name, kernels));
      return name;
    }
    decompose(fusion);
    PARTITA_TRY(KernelPlan plan, KernelPlan::create(fusion));
    PARTITA_CHECK(emitKernel(plan, name, kernels));
    return name;
  }

private:
  ModuleOp kernels;
  llvm::StringMap<std::string> names;
  llvm::StringSet<> taken;
};
} // namespace

/// Names the place of an error by the fusion's operation.
static Error atFusion(Error error, rt::FusionOp fusion) {
  std::string id = nn::getId(fusion).str();
  std::vector<std::string> nodes = nn::getNodes(fusion);
  if (!nodes.empty())
    id += (id.empty() ? "" : " ") + ("(" + llvm::join(nodes, ", ") + ")");
  if (!id.empty())
    error.place = id + ": " + error.place;
  return error;
}

/// What kernels are made of; a no-op for those that a pass has loaded.
static void loadKernelDialects(MLIRContext &context) {
  context
      .loadDialect<arith::ArithDialect, func::FuncDialect,
                   linalg::LinalgDialect, math::MathDialect,
                   memref::MemRefDialect, scf::SCFDialect, LLVM::LLVMDialect>();
}

Result<OwningOpRef<ModuleOp>> partita::outlineKernels(ModuleOp module) {
  loadKernelDialects(*module.getContext());
  OwningOpRef<ModuleOp> kernels =
      ModuleOp::create(module.getLoc(), StringRef("kernels"));
  KernelTable table(*kernels);
  SmallVector<rt::FusionOp> fusions;
  module.walk([&](rt::FusionOp fusion) { fusions.push_back(fusion); });
  for (rt::FusionOp fusion : fusions) {
    Result<std::string> name = table.nameOf(fusion);
    if (!name)
      return atFusion(name.takeError(), fusion);
    OpBuilder builder(fusion);
    auto kernel =
        rt::KernelOp::create(builder, fusion.getLoc(), fusion.getResultTypes(),
                             *name, fusion.getInputs());
    nn::copyIdentity(fusion, kernel);
    fusion->replaceAllUsesWith(kernel);
    fusion.erase();
  }
  if (failed(verify(*kernels)))
    return makeError(ExitCode::Internal, "codegen.verify", "fusion-to-kernel",
                     "the kernels are not valid");
  return kernels;
}
