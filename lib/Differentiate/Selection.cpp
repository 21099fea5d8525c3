//===- Selection.cpp - Derivatives of gathers, scatters and top-k ---------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What was picked gets its gradient back, all of it if it was picked more than
// once; what was written gives its gradient to what was written there. Of
// updates that overwrite each other all get the gradient of the place, as in
// PyTorch.
//
//===----------------------------------------------------------------------===//

#include "dialects/nn/Selection.h"
#include "Rules.h"

using namespace mlir;
using namespace partita;
using namespace partita::nn;
using namespace partita::training;

/// Zeros of `type` to which `updates` are added.
static Value scattered(Grad &g, Type type, Value indices, Value updates,
                       uint64_t axis) {
  return g.create<ScatterElementsOp>(type, "add", g.zeros(type), indices,
                                     updates, axis, Attribute());
}

static void topK(TopKOp op, Grad &g) {
  g.give(0, [&] {
    return scattered(g, op.getInput().getType(), op.getIndices(), g.of(),
                     op.getAxis());
  });
}

static void gatherElements(GatherElementsOp op, Grad &g) {
  g.give(0, [&] {
    return scattered(g, op.getData().getType(), op.getIndices(), g.of(),
                     op.getAxis());
  });
}

static void gatherND(GatherNDOp op, Grad &g) {
  Type type = op.getData().getType();
  g.give(0, [&] {
    return g.create<ScatterNDOp>(type, "add", g.zeros(type), op.getIndices(),
                                 g.of(), op.getBatchDims(), Attribute());
  });
}

/// Of a scatter: `write(updates)` writes into the gradient, `read()` reads it
/// where updates were written.
template <typename Op, typename Write, typename Read>
static Status scatter(Op op, Grad &g, Write write, Read read) {
  bool replaces = op.getKind() == "none";
  if (!replaces && op.getKind() != "add")
    return g.refuse("of kind \"" + op.getKind().str() + "\" has no rule");
  g.give(0, [&] {
    return replaces ? write(g.zeros(op.getUpdates().getType())) : g.of();
  });
  g.give(2, read);
  return ok();
}

static Status scatterElements(ScatterElementsOp op, Grad &g) {
  return scatter(
      op, g,
      [&](Value zeros) -> Value {
        return g.create<ScatterElementsOp>(op.getType(), "none", g.of(),
                                           op.getIndices(), zeros, op.getAxis(),
                                           Attribute());
      },
      [&] {
        return g.create<GatherElementsOp>(g.of(), op.getIndices(), op.getAxis(),
                                          Attribute());
      });
}

static Status scatterND(ScatterNDOp op, Grad &g) {
  return scatter(
      op, g,
      [&](Value zeros) -> Value {
        return g.create<ScatterNDOp>(op.getType(), "none", g.of(),
                                     op.getIndices(), zeros, op.getBatchDims(),
                                     Attribute());
      },
      [&] {
        return g.create<GatherNDOp>(g.of(), op.getIndices(), op.getBatchDims(),
                                    Attribute());
      });
}

void training::attachSelectionRules(MLIRContext &context) {
  attach<TopKOp, topK>(context);
  attach<GatherElementsOp, gatherElements>(context);
  attach<GatherNDOp, gatherND>(context);
  attach<ScatterElementsOp, scatterElements>(context);
  attach<ScatterNDOp, scatterND>(context);
}
