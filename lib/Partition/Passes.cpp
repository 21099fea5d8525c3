//===- Passes.cpp - From strategies to local programs ---------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Partition/Passes.h"
#include "Shardings.h"
#include "dialects/rt/RT.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Pass/Pass.h"
#include "partita/Partition/Partition.h"

using namespace mlir;
using namespace partita;

namespace partita {
#define GEN_PASS_DECL
#define GEN_PASS_DEF_SPLITSTAGES
#define GEN_PASS_DEF_INSERTRESHARDS
#define GEN_PASS_DEF_LOWERRESHARDS
#define GEN_PASS_DEF_LOCALIZE
#include "lib/Partition/Passes.h.inc"
} // namespace partita

/// What is partitioned by itself: @step, or a stage.
struct Partitioner::Impl {
  struct Part {
    ShardingReader reader;
    ReshardPlanner planner;
  };
  ModuleOp module;
  std::vector<Part> parts;
};

Partitioner::Partitioner(std::unique_ptr<Impl> impl) : impl(std::move(impl)) {}
Partitioner::Partitioner(Partitioner &&) noexcept = default;
Partitioner::~Partitioner() = default;

/// The functions that are partitioned.
static std::vector<std::string> entriesOf(ModuleOp module) {
  std::vector<std::string> entries;
  if (auto step = module.lookupSymbol<func::FuncOp>("step"))
    for (auto stage : step.getOps<dist::StageOp>())
      entries.push_back(stage.getEntry().str());
  if (entries.empty())
    entries.push_back("step");
  return entries;
}

Result<Partitioner> Partitioner::create(ModuleOp module,
                                        const Topology &topology) {
  auto impl = std::make_unique<Impl>();
  impl->module = module;
  for (const std::string &entry : entriesOf(module)) {
    PARTITA_TRY(ShardingReader reader, ShardingReader::create(module, entry));
    ReshardPlanner planner(reader.mesh(),
                           CollectiveCost(topology, reader.mesh()));
    impl->parts.push_back({std::move(reader), std::move(planner)});
  }
  return Partitioner(std::move(impl));
}

Status Partitioner::insertReshards() {
  for (Impl::Part &part : impl->parts)
    PARTITA_CHECK(partita::insertReshards(part.reader, part.planner));
  return ok();
}
Status Partitioner::lowerReshards() {
  for (Impl::Part &part : impl->parts)
    PARTITA_CHECK(partita::lowerReshards(part.reader, part.planner));
  return ok();
}
Status Partitioner::localize() {
  for (Impl::Part &part : impl->parts)
    PARTITA_CHECK(partita::localize(impl->module, part.reader));
  return ok();
}

static Status verified(ModuleOp module, const char *step) {
  if (succeeded(verify(module)))
    return ok();
  return makeError(ExitCode::Internal, "partition.verify", step,
                   "the program is not valid after this step");
}

Status partita::partition(ModuleOp module, const Topology &topology) {
  PARTITA_TRY(Partitioner partitioner, Partitioner::create(module, topology));
  PARTITA_CHECK(partitioner.insertReshards());
  PARTITA_CHECK(verified(module, "dist-insert-reshards"));
  PARTITA_CHECK(partitioner.lowerReshards());
  PARTITA_CHECK(verified(module, "dist-reshard-to-collectives"));
  PARTITA_CHECK(partitioner.localize());
  return verified(module, "localize");
}

namespace {

/// True if `status` is an error, which is then reported.
bool failedWith(ModuleOp module, const Status &status) {
  if (!status)
    module.emitError(status.error().str());
  return !status;
}

/// Runs one step with the prices of the pass's topology option; a mesh of
/// another size than the topology is fine.
Status runStep(ModuleOp module, const std::string &text,
               Status (Partitioner::*step)()) {
  PARTITA_TRY(Topology topology, Topology::parse(text));
  PARTITA_TRY(Partitioner partitioner, Partitioner::create(module, topology));
  return (partitioner.*step)();
}

struct SplitStagesPass : partita::impl::SplitStagesBase<SplitStagesPass> {
  using SplitStagesBase::SplitStagesBase;
  void runOnOperation() override {
    if (failedWith(getOperation(), splitStages(getOperation())))
      signalPassFailure();
  }
};

struct InsertReshardsPass
    : partita::impl::InsertReshardsBase<InsertReshardsPass> {
  using InsertReshardsBase::InsertReshardsBase;
  void runOnOperation() override {
    if (failedWith(getOperation(), runStep(getOperation(), topology,
                                           &Partitioner::insertReshards)))
      signalPassFailure();
  }
};

struct LowerReshardsPass : partita::impl::LowerReshardsBase<LowerReshardsPass> {
  using LowerReshardsBase::LowerReshardsBase;
  void runOnOperation() override {
    if (failedWith(getOperation(), runStep(getOperation(), topology,
                                           &Partitioner::lowerReshards)))
      signalPassFailure();
  }
};

struct LocalizePass : partita::impl::LocalizeBase<LocalizePass> {
  using LocalizeBase::LocalizeBase;
  void runOnOperation() override {
    if (failedWith(getOperation(),
                   runStep(getOperation(), "cpu:1", &Partitioner::localize)))
      signalPassFailure();
  }
};

} // namespace

void partita::registerPartitionPasses() {
  PassRegistration<SplitStagesPass>();
  PassRegistration<InsertReshardsPass>();
  PassRegistration<LowerReshardsPass>();
  PassRegistration<LocalizePass>();
}
