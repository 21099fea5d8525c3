//===- Passes.cpp - From strategies to local programs ---------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Shardings.h"
#include "dialects/rt/RT.h"
#include "partita/Partition/Partition.h"
#include "partita/Partition/Passes.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Pass/Pass.h"

using namespace mlir;
using namespace partita;

namespace partita {
#define GEN_PASS_DECL
#define GEN_PASS_DEF_INSERTRESHARDS
#define GEN_PASS_DEF_LOWERRESHARDS
#define GEN_PASS_DEF_LOCALIZE
#include "lib/Partition/Passes.h.inc"
} // namespace partita

/// A planner over the module's mesh with the prices of `text`.
static Result<ReshardPlanner> makePlanner(ModuleOp module,
                                          const Topology &topology) {
  PARTITA_TRY(ShardingReader reader, ShardingReader::create(module));
  return ReshardPlanner(reader.mesh(),
                        CollectiveCost(topology, reader.mesh()));
}

static Status verified(ModuleOp module, const char *step) {
  if (succeeded(verify(module)))
    return ok();
  return makeError(ExitCode::Internal, "partition.verify", step,
                   "the program is not valid after this step");
}

Status partita::partition(ModuleOp module, const Topology &topology) {
  PARTITA_TRY(ShardingReader reader, ShardingReader::create(module));
  ReshardPlanner planner(reader.mesh(),
                         CollectiveCost(topology, reader.mesh()));
  PARTITA_CHECK(insertReshards(reader, planner));
  PARTITA_CHECK(verified(module, "dist-insert-reshards"));
  PARTITA_CHECK(lowerReshards(reader, planner));
  PARTITA_CHECK(verified(module, "dist-reshard-to-collectives"));
  PARTITA_CHECK(localize(module, reader));
  return verified(module, "localize");
}

namespace {

/// True if `status` is an error, which is then reported.
bool failedWith(ModuleOp module, const Status &status) {
  if (!status)
    module.emitError(status.error().str());
  return !status;
}

/// The planner of a pass's topology option; prices only, so a mesh of another
/// size than the topology is fine.
Status withPlanner(ModuleOp module, const std::string &text,
                   function_ref<Status(ReshardPlanner &)> body) {
  PARTITA_TRY(Topology topology, Topology::parse(text));
  PARTITA_TRY(ReshardPlanner planner, makePlanner(module, topology));
  return body(planner);
}

struct InsertReshardsPass
    : partita::impl::InsertReshardsBase<InsertReshardsPass> {
  using InsertReshardsBase::InsertReshardsBase;
  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (failedWith(module, withPlanner(module, topology, [&](auto &planner) {
                     return insertReshards(module, planner);
                   })))
      signalPassFailure();
  }
};

struct LowerReshardsPass : partita::impl::LowerReshardsBase<LowerReshardsPass> {
  using LowerReshardsBase::LowerReshardsBase;
  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (failedWith(module, withPlanner(module, topology, [&](auto &planner) {
                     return lowerReshards(module, planner);
                   })))
      signalPassFailure();
  }
};

struct LocalizePass : partita::impl::LocalizeBase<LocalizePass> {
  using LocalizeBase::LocalizeBase;
  void runOnOperation() override {
    if (failedWith(getOperation(), localize(getOperation())))
      signalPassFailure();
  }
};

} // namespace

void partita::registerPartitionPasses() {
  PassRegistration<InsertReshardsPass>();
  PassRegistration<LowerReshardsPass>();
  PassRegistration<LocalizePass>();
}
