//===- Match.h - What the passes of raising share ---------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RAISE_MATCH_H
#define PARTITA_LIB_RAISE_MATCH_H

#include "dialects/nn/NN.h"
#include "mlir/IR/PatternMatch.h"
#include <concepts>
#include <optional>
#include <string>
#include <vector>

namespace partita::raising {

using Shape = std::vector<int64_t>;

/// The number that all elements of a constant are, if they are one that a
/// double holds exactly.
std::optional<double> splatOf(mlir::Value value);
/// Equal but for rounding in the type of `like`, which the model computes with.
bool isNear(double value, double expected, mlir::Value like);
bool isFloatTensor(mlir::Value value);
/// A constant of one number, of the type of `like`.
mlir::Value makeSplat(mlir::OpBuilder &builder, mlir::Location loc,
                      mlir::Type type, double value);

/// The operations that a composite is made of, in order of discovery.
class Covered {
public:
  void add(mlir::Operation *op) {
    if (op)
      ops.insert(op);
  }
  void add(mlir::Value value) { add(value.getDefiningOp()); }
  template <std::derived_from<mlir::OpState> Op> void add(Op op) {
    add(op.getOperation());
  }
  void add(const Covered &other) { ops.insert_range(other.ops); }
  /// Gives `op` the id of `root` and the nodes of all of them, in the order of
  /// the program.
  void identify(mlir::Operation *op, mlir::Operation *root) const;

private:
  llvm::SetVector<mlir::Operation *> ops;
};

/// Gives `op` the identity of `root`, its id followed by `suffix`.
void identifyHelper(mlir::Operation *op, mlir::Operation *root,
                    llvm::StringRef suffix);

/// A product, flattened: value = constant * the product of the factors.
/// Factors are multiplied exactly once in `value`: interior products with other
/// uses are factors themselves.
struct Product {
  double constant = 1;
  std::vector<mlir::Value> factors;
  Covered covered;
};
Product flattenProduct(mlir::Value value);

/// A vector along the last dimension behind a broadcast (and casts between
/// floats): [c] if `value` is [.., c].
mlir::Value lastDimVector(mlir::Value value, Covered &covered);

/// Rewrites without folding: constants keep their identity.
mlir::LogicalResult applyPatterns(mlir::Operation *root,
                                  mlir::RewritePatternSet patterns);

} // namespace partita::raising

#endif // PARTITA_LIB_RAISE_MATCH_H
