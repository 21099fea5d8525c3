//===- Kernel.h - The plan of one kernel -----------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A fusion walks rows; the reductions of a row cut the work on it into stages,
// each one loop over the row's elements:
//
//   softmax(x * s)   level 0   t = x * s            stage 0: m = max t
//                    level 1   e = exp(t - m)       stage 1: e -> temporary,
//                                                            z = sum e
//                    level 2   y = e / z            stage 2: y -> result
//
// An element's level is the number of reductions that it has to wait for. A
// value that a later stage needs again is read from the result in which it is
// stored anyway, or kept in a temporary row on the stack if it is expensive, or
// computed again: always possible, since everything is pure.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_CODEGEN_KERNEL_H
#define PARTITA_LIB_CODEGEN_KERNEL_H

#include "dialects/nn/NN.h"
#include "dialects/rt/RT.h"

namespace partita::codegen {

/// Expands softmax and norms in the fusion's body into elementwise operations,
/// nn.reduce and nn.broadcast; half precision ones compute in f32.
void decompose(rt::FusionOp fusion);

/// A body's text without names, ids and nodes, and how its operands and results
/// are addressed: equal keys mean equal kernels.
std::string kernelKey(rt::FusionOp fusion);
/// "add_layer_norm_60x96": what a person recognises it by.
std::string kernelTitle(rt::FusionOp fusion);

/// How a tensor in memory is walked: one stride for each row and each column
/// dimension of the iteration space, in elements; zero where it repeats.
struct Walk {
  mlir::Type element;
  bool full = false; ///< has elements along the columns
  llvm::SmallVector<int64_t> rows, cols;
};

/// The iteration space of a fusion, with neighbouring dimensions merged where
/// all tensors allow it.
struct Space {
  llvm::SmallVector<int64_t> rows, cols; ///< sizes
  llvm::SmallVector<Walk> operands, results;
  int64_t rowElements() const;
};

/// What a value of the body is.
enum class Shape {
  Splat, ///< the same everywhere
  Row,   ///< one for each row
  Full   ///< an element each
};

class KernelPlan {
public:
  /// Plans a decomposed fusion. Error: a body that the normal form of rt.fusion
  /// does not allow.
  static Result<KernelPlan> create(rt::FusionOp fusion);

  rt::FusionOp fusion;
  Space space;
  int64_t stages = 1;
  /// Values that a temporary row holds after the stage of their level.
  llvm::SetVector<mlir::Value> temporaries;

  Shape shapeOf(mlir::Value value) const;
  int64_t levelOf(mlir::Value value) const { return levels.lookup(value); }
  /// The result in which `value` is stored without loss, or -1.
  int64_t resultOf(mlir::Value value) const;
  /// Whether stages after its own read `value` from memory.
  bool isStored(mlir::Value value) const {
    return temporaries.contains(value) || resultOf(value) >= 0;
  }
  /// Past reshapes, which only add or remove dimensions of size one, and
  /// broadcasts of rows.
  static mlir::Value origin(mlir::Value value);

private:
  explicit KernelPlan(rt::FusionOp fusion) : fusion(fusion) {}
  Status classify();
  void orderColumns();
  Status layOut();
  bool isRowShape(llvm::ArrayRef<int64_t> dims) const;
  void chooseTemporaries();
  void visitStage(mlir::Value value, int64_t stage,
                  llvm::DenseSet<mlir::Value> &seen);
  int64_t costOf(mlir::Value value,
                 llvm::DenseMap<mlir::Value, int64_t> &known) const;

  llvm::SmallVector<int64_t> shape;
  int64_t cols = 0;
  llvm::DenseMap<mlir::Value, Shape> shapes;
  llvm::DenseMap<mlir::Value, int64_t> levels;
};

/// Merges neighbouring dimensions where all strides allow it; sizes of one
/// vanish.
void mergeDims(llvm::SmallVector<int64_t> &sizes,
               llvm::ArrayRef<llvm::SmallVector<int64_t> *> strides);

/// The nn.concat or nn.pad that is all of the fusion's body, or null.
mlir::Operation *moveOf(rt::FusionOp fusion);
/// Adds the function of such a fusion's kernel to `module`.
Status emitMove(rt::FusionOp fusion, llvm::StringRef name,
                mlir::ModuleOp module);

/// Adds the kernel's function to `module`.
Status emitKernel(const KernelPlan &plan, llvm::StringRef name,
                  mlir::ModuleOp module);

} // namespace partita::codegen

#endif // PARTITA_LIB_CODEGEN_KERNEL_H
