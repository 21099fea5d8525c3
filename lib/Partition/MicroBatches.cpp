//===- MicroBatches.cpp - The program of one micro-batch ------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Micro-batches are ranks in time: an axis over which the batch is split, and
// whose places run one after the other. So the program of one of them is what
// localisation makes of that axis, and it is legal if nothing would have to
// move along it: no sum over the batch, no operation that wants all of it.
//
//===----------------------------------------------------------------------===//

#include "Shardings.h"
#include "dialects/nn/NN.h"
#include "dialects/rt/RT.h"
#include "partita/Partition/Partition.h"

using namespace mlir;
using namespace partita;

static Error cannotCut(std::string place, std::string message) {
  return makeError(ExitCode::Unsupported, "partition.micro-batches",
                   std::move(place), std::move(message),
                   "--micro-batches 1 takes the batch as a whole");
}

/// Each use gets what it wants.
static Status checkNothingMoves(ShardingReader &reader) {
  for (Operation &op : reader.entry().getBody().front())
    for (unsigned i = 0; i < op.getNumOperands(); ++i) {
      PARTITA_TRY(const Sharding *wanted, reader.demanded(&op, i));
      PARTITA_TRY(const Sharding *have, reader.of(op.getOperand(i)));
      if (reader.sameBoxes(have, wanted))
        continue;
      Operation *maker = op.getOperand(i).getDefiningOp();
      return cannotCut(maker ? placeOf(maker) : "argument " + std::to_string(i),
                       isa<func::ReturnOp>(op)
                           ? "is an output that needs all of the batch"
                           : "is used by " + placeOf(&op) +
                                 ", which needs all of the batch");
    }
  return ok();
}

/// Whether an attribute says where in the batch a micro-batch is.
static bool knowsItsPlace(Operation *op) {
  bool found = false;
  for (NamedAttribute attribute : op->getAttrs())
    attribute.getValue().walk([&](dist::OffsetAttr) { found = true; });
  return found;
}

/// `port` without its sharding, and the dimension that was split.
static DictionaryAttr portOf(DictionaryAttr port, Builder &builder) {
  NamedAttrList attributes(port);
  auto sharding =
      cast<dist::ShardingAttr>(attributes.get(dist::shardingAttrName));
  attributes.erase(dist::shardingAttrName);
  for (auto [i, dim] : llvm::enumerate(sharding.getDims()))
    if (llvm::any_of(dim.getFactors(), [](dist::FactorAttr factor) {
          return !factor.getAxes().empty();
        }))
      attributes.set(dist::batchDimAttrName,
                     builder.getI64IntegerAttr(static_cast<int64_t>(i)));
  return attributes.getDictionary(builder.getContext());
}

/// Takes away what was said of the axis.
static Status becomeStep(func::FuncOp function, ArrayRef<DictionaryAttr> inputs,
                         ArrayRef<DictionaryAttr> outputs) {
  Builder builder(function.getContext());
  function.setName("step");
  function->removeAttr(rt::ranksAttrName);
  auto stripped = [&](ArrayRef<DictionaryAttr> ports) {
    SmallVector<DictionaryAttr> all;
    for (DictionaryAttr port : ports)
      all.push_back(portOf(port, builder));
    return all;
  };
  function.setAllArgAttrs(stripped(inputs));
  function.setAllResultAttrs(stripped(outputs));
  for (Operation &op : function.getBody().front()) {
    if (auto get = dyn_cast<nn::GetParameterOp>(op))
      get.removeShardingAttr();
    if (knowsItsPlace(&op))
      return cannotCut(placeOf(&op), "counts along the batch");
  }
  return ok();
}

Status partita::cutMicroBatches(ModuleOp module) {
  PARTITA_TRY(ShardingReader reader, ShardingReader::create(module, "step"));
  int64_t count = reader.mesh().numRanks();
  PARTITA_CHECK(checkNothingMoves(reader));
  SmallVector<DictionaryAttr> inputs, outputs;
  reader.entry().getAllArgAttrs(inputs);
  reader.entry().getAllResultAttrs(outputs);
  PARTITA_CHECK(localize(module, reader));
  SmallVector<func::FuncOp> classes;
  for (auto function : module.getOps<func::FuncOp>())
    if (function->hasAttr(rt::ranksAttrName))
      classes.push_back(function);
  if (classes.size() != 1)
    return cannotCut("@step", "parts of the batch differ");
  PARTITA_CHECK(becomeStep(classes.front(), inputs, outputs));
  dist::getMesh(module).erase();
  module->setAttr(dist::microBatchesAttrName,
                  Builder(module.getContext()).getI64IntegerAttr(count));
  return ok();
}
