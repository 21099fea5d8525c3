//===- Plan.h - What becomes one command -----------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The decisions of the conversion, taken before any operation is built: which
// operations follow a product as epilogues and which form a fusion.
//
// Each unit is emitted where its last operation stands, its anchor; everything
// that it reads is there by then. Nothing moves across a collective that a step
// runs, and what depends on parameters alone, which a later stage hoists to the
// initialisation, never shares a unit with what does not.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_CONVERSION_NNTORT_PLAN_H
#define PARTITA_LIB_CONVERSION_NNTORT_PLAN_H

#include "dialects/nn/NN.h"
#include "dialects/rt/RT.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace partita::rt {

/// A matrix product or convolution with what is applied to its result.
struct Product {
  mlir::Operation *op;
  struct Epilogue {
    llvm::StringRef name;
    mlir::Value operand; ///< null for those that take none
  };
  llvm::SmallVector<Epilogue> epilogues;
  /// The value that the last of them stands for; the product's own if none.
  mlir::Value result;
  /// All operations that the command covers, in order.
  llvm::SmallVector<mlir::Operation *> covered;

  mlir::Value input() const { return op->getOperand(0); }
  mlir::Value weight() const { return op->getOperand(1); }
  mlir::Value own() const { return op->getResult(0); }
  bool isConvolution() const { return !llvm::isa<nn::MatMulOp>(op); }
};
/// Whether `op` is one that a Product can be made of.
bool isProductOp(mlir::Operation *op);

/// How a value lies in a fusion's iteration space.
enum class Level {
  Full, ///< an element each
  Row   ///< one for each row: the trailing dimensions are reduced
};

/// Operations that share an iteration space: `shape`, of which the last `cols`
/// dimensions are reduced together by its reductions.
struct Fusion {
  llvm::SmallVector<mlir::Operation *> members;
  llvm::SmallVector<int64_t> shape;
  int64_t cols = 0; ///< 0: no reduction yet
  bool loadTime = false;
  bool open = true;

  mlir::Operation *anchor() const { return members.back(); }
};

class Plan {
public:
  explicit Plan(mlir::Block &block);

  /// Depends on parameters and constants alone.
  bool isLoadTime(mlir::Value value) const;

  /// The product that `anchor` ends, or null.
  const Product *productAt(mlir::Operation *anchor) const;
  /// The fusion that `anchor` ends, or null.
  const Fusion *fusionAt(mlir::Operation *anchor) const;
  /// Whether another operation's unit covers `op`.
  bool isCovered(mlir::Operation *op) const;

  /// How `fusion` sees `value`, a result of a member or what its reshapes and
  /// broadcasts make of it; nothing for values from outside.
  std::optional<Level> levelIn(mlir::Value value, const Fusion &fusion) const;
  /// Whether anything outside of `fusion` reads `value`, a member's result.
  bool escapes(mlir::Value value, const Fusion &fusion) const;

private:
  void findLoadTime(mlir::Block &block);
  void numberSegments(mlir::Block &block);
  bool sameSegment(mlir::Operation *first, mlir::Operation *second) const;

  void growProduct(mlir::Operation *op);
  bool addEpilogue(Product &product, mlir::Operation *op, mlir::Value value);

  void formFusions(mlir::Block &block);
  void join(mlir::Operation *op);
  bool canJoin(mlir::Operation *op, const Fusion &fusion) const;
  std::optional<unsigned> fusionOf(mlir::Value value) const;
  void closeFusionOf(mlir::Value value);
  void mergeFusions(unsigned into, unsigned from);
  bool isRowShape(llvm::ArrayRef<int64_t> shape, const Fusion &fusion) const;

  llvm::DenseSet<mlir::Operation *> loadTime;
  /// How many collectives of the operation's own phase come before it.
  llvm::DenseMap<mlir::Operation *, int64_t> segments;
  llvm::DenseMap<mlir::Operation *, Product> products;
  std::vector<Fusion> fusions;
  llvm::DenseMap<mlir::Operation *, unsigned> memberOf;
  llvm::DenseMap<mlir::Value, Level> levels;
  llvm::DenseSet<mlir::Operation *> covered;
};

/// Elementwise operations, reductions over trailing dimensions, softmax over
/// the last dimension and norms.
bool isFusible(mlir::Operation *op);
/// The value that a chain of views starts from.
mlir::Value rootOf(mlir::Value value);
/// A constant of one repeated element, through views; else null.
mlir::SplatElementsAttr splatOf(mlir::Value value);

} // namespace partita::rt

#endif // PARTITA_LIB_CONVERSION_NNTORT_PLAN_H
