//===- Simplify.h - The patterns of nn-simplify -----------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RAISE_SIMPLIFY_H
#define PARTITA_LIB_RAISE_SIMPLIFY_H

#include "Match.h"

namespace partita::raising {

/// Replaces `root` by a new operation with its identity, which covers `others`
/// too where nothing else reads them.
template <typename Op, typename... Args>
void replaceWith(mlir::PatternRewriter &rewriter, mlir::Operation *root,
                 std::initializer_list<mlir::Operation *> others,
                 Args &&...args) {
  Op op = Op::create(rewriter, root->getLoc(), std::forward<Args>(args)...);
  Covered covered;
  covered.add(root);
  for (mlir::Operation *other : others)
    if (other->hasOneUse())
      covered.add(other);
  covered.identify(op, root);
  rewriter.replaceOp(root, op->getResults());
}

void addMovePatterns(mlir::RewritePatternSet &patterns);
void addArithmeticPatterns(mlir::RewritePatternSet &patterns);
/// Scales and shifts of channels go into weights and biases.
void addScalePatterns(mlir::RewritePatternSet &patterns);
/// Reshapes that join leading dimensions sink below products.
void addSinkPatterns(mlir::RewritePatternSet &patterns);
/// What attention does not depend on goes.
void addAttentionPatterns(mlir::RewritePatternSet &patterns);

} // namespace partita::raising

#endif // PARTITA_LIB_RAISE_SIMPLIFY_H
