//===- Report.cpp - Counts composites and what looks like parts of one ----===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Match.h"
#include "Passes.h"

namespace partita::raising {
#define GEN_PASS_DEF_REPORTRAISED
#include "lib/Raise/Passes.h.inc"
} // namespace partita::raising

using namespace mlir;
using namespace partita;
using namespace partita::nn;
using namespace partita::raising;

namespace {

/// Whether a value comes from a matrix product through scales, masks and casts.
bool comesFromProduct(Value value, int depth = 0) {
  Operation *op = value.getDefiningOp();
  if (isa_and_nonnull<MatMulOp>(op))
    return true;
  bool passes = op && op->hasTrait<OpTrait::Elementwise>() && depth < 8;
  return passes && llvm::any_of(op->getOperands(), [&](Value operand) {
           return comesFromProduct(operand, depth + 1);
         });
}

bool goesToProduct(Operation *op, int depth = 0) {
  return llvm::any_of(op->getUsers(), [&](Operation *user) {
    return isa<MatMulOp>(user) || (user->hasTrait<OpTrait::Elementwise>() &&
                                   depth < 4 && goesToProduct(user, depth + 1));
  });
}

/// What an operation that belongs to no composite looks like a part of.
StringRef looksLike(Operation *op) {
  if (auto softmax = dyn_cast<SoftmaxOp>(op))
    return comesFromProduct(softmax.getInput()) && goesToProduct(op)
               ? "attention"
               : "";
  if (isa<ErfOp>(op))
    return "gelu";
  if (auto sigmoid = dyn_cast<SigmoidOp>(op))
    return llvm::any_of(op->getUsers(),
                        [&](Operation *user) {
                          return isa<MulOp>(user) &&
                                 llvm::is_contained(user->getOperands(),
                                                    sigmoid.getInput());
                        })
               ? "silu"
               : "";
  if (isa<RsqrtOp, SqrtOp>(op))
    return "norm";
  if (isa<CosOp>(op) && !llvm::any_of(op->getUsers(), [](Operation *user) {
        return isa<RopeOp, ReshapeOp>(user);
      }))
    return "rope";
  return "";
}

struct ReportRaised : raising::impl::ReportRaisedBase<ReportRaised> {
  void runOnOperation() override {
    llvm::StringMap<int64_t> raised, left;
    llvm::StringSet<> ids;
    getOperation().walk([&](Operation *op) {
      if (isa<AttentionOp, LayerNormOp, RMSNormOp, GeluOp, SiluOp, RopeOp>(op))
        ++raised[op->getName().stripDialect()];
      if (StringRef part = looksLike(op); !part.empty())
        ++left[part];
      makeUnique(op, ids);
    });
    Builder builder(&getContext());
    getOperation()->setAttr(
        "nn.raise_report",
        builder.getDictionaryAttr(
            {builder.getNamedAttr("left", counts(left)),
             builder.getNamedAttr("raised", counts(raised))}));
  }

private:
  DictionaryAttr counts(const llvm::StringMap<int64_t> &map) {
    Builder builder(&getContext());
    SmallVector<NamedAttribute> entries;
    for (const auto &entry : map)
      entries.push_back(builder.getNamedAttr(
          entry.getKey(), builder.getI64IntegerAttr(entry.getValue())));
    return builder.getDictionaryAttr(entries);
  }

  static void makeUnique(Operation *op, llvm::StringSet<> &ids) {
    StringRef id = getId(op);
    if (id.empty() || ids.insert(id).second)
      return;
    for (int k = 1;; ++k) {
      std::string candidate = id.str() + "." + std::to_string(k);
      if (!ids.insert(candidate).second)
        continue;
      op->setAttr(idAttrName, StringAttr::get(op->getContext(), candidate));
      return;
    }
  }
};

} // namespace
