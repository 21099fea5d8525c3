//===- NNToRT.cpp - From local tensor operations to commands --------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Three steps a function: normalise what would be a special case, decide on
// units (Plan), build them in order (Emitter). See those headers.
//
//===----------------------------------------------------------------------===//

#include "partita/Conversion/NNToRT.h"
#include "Emitter.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace partita;

namespace partita {
// The generated base takes its options as our own NNToRTOptions.
#define GEN_PASS_DEF_NNTORT
#include "lib/Conversion/NNToRT/Passes.h.inc"
} // namespace partita

/// What the conversion promises to leave behind.
static Status checkConverted(func::FuncOp func) {
  for (Operation &op : func.getBody().front())
    if (!isa<rt::RTDialect>(op.getDialect()) &&
        !isa<nn::GetParameterOp, nn::ConstantOp, func::ReturnOp>(op))
      return makeError(ExitCode::Unsupported, "rt.operation", rt::describe(&op),
                       "'" + op.getName().getStringRef().str() +
                           "' has no implementation on this target");
  return ok();
}

static Status convertAll(ArrayRef<func::FuncOp> functions, rt::SizeCache &sizes,
                         bool movesInPlace) {
  for (func::FuncOp func : functions) {
    rt::normalize(func);
    PARTITA_CHECK(rt::Emitter(func, sizes, movesInPlace).run());
    PARTITA_CHECK(checkConverted(func));
  }
  return ok();
}

/// Ranks read each other's memory, each by its own idea of what lies there: the
/// collectives of all classes must be between the same shardings, dimensions in
/// the same order.
static bool sameCollectives(ArrayRef<func::FuncOp> functions) {
  using Ends = std::pair<Attribute, Attribute>;
  // By mesh: stages have nothing in common.
  llvm::MapVector<Attribute, SmallVector<Ends>> first;
  for (func::FuncOp func : functions) {
    SmallVector<Ends> ends;
    for (auto op : func.getBody().front().getOps<rt::CollectiveOp>())
      ends.push_back({op.getFrom(), op.getTo()});
    auto [known, isNew] =
        first.try_emplace(func->getAttr(dist::meshAttrName), ends);
    if (!isNew && known->second != ends)
      return false;
  }
  return true;
}

/// Whether it only says how stages hang together.
static bool isWiring(func::FuncOp func) {
  return !func.getBody().front().getOps<dist::StageOp>().empty();
}

Status partita::convertNNToRT(ModuleOp module, const NNToRTOptions &options) {
  if (options.threads < 1)
    return makeError(ExitCode::Usage, "rt.threads", "threads",
                     "needs at least one thread");
  rt::SizeCache sizes(options.threads);
  SmallVector<func::FuncOp> functions;
  for (auto func : module.getOps<func::FuncOp>()) {
    if (func.isExternal())
      continue;
    if (!func.getBody().hasOneBlock())
      return makeError(ExitCode::Unsupported, "rt.control-flow",
                       func.getSymName().str(), "has more than one block");
    if (!isWiring(func))
      functions.push_back(func);
  }
  // With one class there is nobody to disagree with.
  SmallVector<OwningOpRef<func::FuncOp>> before;
  if (functions.size() > 1)
    for (func::FuncOp func : functions)
      before.push_back(func.clone());
  PARTITA_CHECK(convertAll(functions, sizes, /*movesInPlace=*/true));
  if (sameCollectives(functions))
    return ok();
  for (auto [func, copy] : llvm::zip_equal(functions, before)) {
    OpBuilder(func).insert(copy.get());
    func.erase();
    func = copy.release();
  }
  return convertAll(functions, sizes, /*movesInPlace=*/false);
}

namespace {
struct NNToRT : partita::impl::NNToRTBase<NNToRT> {
  using NNToRTBase::NNToRTBase;
  void runOnOperation() override {
    NNToRTOptions conversion;
    conversion.threads = threads;
    Status status = convertNNToRT(getOperation(), conversion);
    if (status)
      return;
    getOperation()->emitError(status.error().str());
    signalPassFailure();
  }
};
} // namespace

void partita::registerNNToRTPasses() { PassRegistration<NNToRT>(); }
