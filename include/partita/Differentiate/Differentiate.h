//===- Differentiate.h - From a model to its training step -----*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The program of a model becomes the program of a step of training it: behind
// the forward pass stand the loss, the backward pass (reverse mode, a rule for
// each operation: Interface.h) and the optimizer. It is an ordinary program of
// nn. That a gradient is a sum over the batch is a fact of the product that
// computes it, so data parallelism, sharded optimizers and sequence parallelism
// are strategies of it like any others.
//
// What the backward pass of an operation is made of has the operation's id,
// followed by "/grad", and its nodes.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_DIFFERENTIATE_DIFFERENTIATE_H
#define PARTITA_DIFFERENTIATE_DIFFERENTIATE_H

#include "mlir/IR/BuiltinOps.h"
#include "partita/Support/Error.h"
#include <optional>
#include <string>

namespace partita {

/// The arguments and results that a training step has besides those of its
/// model, by nn.name.
inline constexpr llvm::StringLiteral targetsName = "train.targets";
inline constexpr llvm::StringLiteral cotangentName = "train.cotangent";
inline constexpr llvm::StringLiteral rateName = "train.learning_rate";
inline constexpr llvm::StringLiteral stepName = "train.step";
inline constexpr llvm::StringLiteral lossName = "train.loss";

/// On an argument or result that is a state: the result of a step is the
/// argument of the same name of the next one. Of an argument it names the
/// nn.parameter that it begins as; without one it begins as zeros.
inline constexpr llvm::StringLiteral stateAttrName = "nn.state";

/// What is minimised.
enum class Loss {
  /// The mean over all positions of the cross-entropy between softmax(output)
  /// along its last dimension and the classes in a new input, "train.targets",
  /// of i64.
  CrossEntropy,
  /// The sum of all elements of the output.
  Sum,
  /// The sum of the output's elements times those of a new input,
  /// "train.cotangent": any loss, whose gradient is computed elsewhere.
  Given,
};

enum class Optimizer {
  /// The results are the output, the loss and every gradient, as "NAME.grad".
  None,
  /// AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization",
  /// ICLR 2019, algorithm 2, with torch.optim.AdamW's schedule multiplier of
  /// one): see docs/training.md.
  AdamW,
};

/// "cross-entropy", "sum" or "given".
std::optional<Loss> parseLoss(llvm::StringRef text);
/// "none" or "adamw".
std::optional<Optimizer> parseOptimizer(llvm::StringRef text);

struct TrainingOptions {
  Loss loss = Loss::CrossEntropy;
  Optimizer optimizer = Optimizer::AdamW;
  /// The output that the loss is of; empty: the first of floating point.
  std::string output;
  /// With Optimizer::None: gradients of inputs of floating point too.
  bool inputGradients = false;
  /// Computes in bf16 what depends on weights and is of f32 in the model; the
  /// states stay f32.
  bool bf16 = false;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0.01;
};

/// Replaces the entry point @step of `module` by that of a training step. The
/// context must have been made from a registry with
/// `registerDifferentiationRules`. Errors: exit 1 for an output that is not
/// there; exit 3 for operations that are not differentiable, naming all of
/// them, and for a loss that nothing trainable reaches. The module is of no
/// use after an error.
Status makeTrainingStep(mlir::ModuleOp module, const TrainingOptions &options);

} // namespace partita

#endif // PARTITA_DIFFERENTIATE_DIFFERENTIATE_H
