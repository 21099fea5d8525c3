//===- AttentionParts.h - What attention operators share --------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// ONNX and ONNX Runtime have half a dozen attention operators. They differ in
// how queries, keys and values come (fused, in heads, with earlier keys) and in
// how they say which keys a query sees (masks, lengths, causality, windows).
// What comes out is one nn.attention: import functions bring the operands into
// the form [batch, heads, sequence, size] and collect the restrictions here:
//
//   AttentionBuilder attention(n, query, key, value);
//   attention.addMask(mask);
//   attention.seesUpTo(position);
//   Value out = attention.build();
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_IMPORT_ATTENTIONPARTS_H
#define PARTITA_LIB_IMPORT_ATTENTIONPARTS_H

#include "NodeImport.h"

namespace partita::importer {

/// [b, s, heads * d] -> [b, heads, s, d].
mlir::Value splitHeads(NodeImport &n, mlir::Value value, int64_t heads);
/// [b, heads, s, d] -> [b, s, heads * d].
mlir::Value joinHeads(NodeImport &n, mlir::Value value);
/// Values of equal shapes but for dimension `axis`; empty ones are left out.
mlir::Value concat(NodeImport &n, llvm::ArrayRef<mlir::Value> values,
                   int64_t axis);
/// Consecutive parts along the last dimension.
llvm::SmallVector<mlir::Value> splitLast(NodeImport &n, mlir::Value value,
                                         llvm::ArrayRef<int64_t> sizes);

/// Turns the first elements of each head of x [b, h, s, d] by the angles whose
/// cosines and sines are given, [b|1, s, r]: 2 r of the d elements.
mlir::Value rotate(NodeImport &n, mlir::Value x, mlir::Value cos,
                   mlir::Value sin, bool interleaved);

/// Where the first query stands among the keys: at one place for the whole
/// batch, or at places [b] that the program computes.
struct QueryPosition {
  int64_t known = 0;
  mlir::Value perBatch = {};

  /// `lengths` [b] less `queries`: those are the last of so many tokens.
  static QueryPosition lastOf(NodeImport &n, mlir::Value lengths,
                              int64_t queries);
};

/// Collects what there is to one nn.attention.
class AttentionBuilder {
public:
  /// query [b, h, s, d], key [b, g, t, d], value [b, g, t, e]; h is a multiple
  /// of g. Fails (exit 2) if they do not fit together.
  AttentionBuilder(NodeImport &n, mlir::Value query, mlir::Value key,
                   mlir::Value value);

  /// A boolean mask (true: attend) or one that is added to the scores. It has
  /// rank 4, its sizes are those of the scores or one.
  void addMask(mlir::Value mask);
  /// Query i sees keys up to its own position.
  void seesUpTo(const QueryPosition &first) { seesUpTo(first, 0); }
  /// And `right` more.
  void seesUpTo(const QueryPosition &first, int64_t right);
  /// Query i sees its own position and `left` keys before it.
  void seesBack(const QueryPosition &first, int64_t left);
  /// Keys that are there: so many of each batch, [b].
  void keysBelow(mlir::Value lengths);

  /// The scale of the scores; 1 / sqrt(d) unless it is set.
  double scale;
  /// Scores x become cap * tanh(x / cap), if it is not zero.
  double softcap = 0;

  /// The result [b, h, s, e]; `lse`, if given, is set to the logarithms of the
  /// sums of the exponentials, [b, h, s].
  mlir::Value build(mlir::Value *lse = nullptr);

  int64_t batch() const { return queries[0]; }
  int64_t numQueries() const { return queries[2]; }
  int64_t numKeys() const { return keys[2]; }

private:
  /// index of dimension `axis` + offset, [b|1, 1, s, t] of integers.
  mlir::Value positions(int64_t axis, const QueryPosition &first,
                        int64_t offset);
  void compareWithKeys(const char *predicate, const QueryPosition &first,
                       int64_t offset);

  NodeImport &n;
  mlir::Value query, key, value, mask;
  Shape queries, keys;
  bool causal = false;
};

} // namespace partita::importer

#endif // PARTITA_LIB_IMPORT_ATTENTIONPARTS_H
