//===- Rules.h - Attaching rules of differentiation ------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A rule is a function of an operation and of what is known of gradients there;
// `attach` makes it the operation's DifferentiableOpInterface. One file for
// each family of operations, as in the dialect.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_DIFFERENTIATE_RULES_H
#define PARTITA_LIB_DIFFERENTIATE_RULES_H

#include "Emit.h"
#include "partita/Differentiate/Interface.h"

namespace partita::training {

/// What a rule is given: gradients, and words to build with.
class Grad : public Emit {
public:
  Grad(mlir::Operation *op, Adjoint &adjoint)
      : Emit(adjoint.builder, op->getLoc()), op(op), adjoint(adjoint) {}

  /// The gradient of result i, which is zeros where the loss does not depend on
  /// it.
  Value of(unsigned i = 0) {
    Value known = adjoint.results[i];
    return known ? known : zeros(op->getResult(i).getType());
  }
  /// x in f32, if it is of half precision: for sums of many elements.
  Value wide(Value x) {
    return mlir::getElementTypeOrSelf(x).getIntOrFloatBitWidth() < 32
               ? cast(x, builder.getF32Type())
               : x;
  }
  /// `x` with the element type of `like`.
  Value as(Value like, Value x) {
    return cast(x, mlir::getElementTypeOrSelf(like));
  }
  bool has(unsigned i) const { return bool(adjoint.results[i]); }
  bool wants(unsigned i) const { return adjoint.wanted[i]; }
  void set(unsigned i, Value gradient) { adjoint.operands[i] = gradient; }
  /// Sets the gradient of operand i to build(), if it is wanted.
  template <typename Build> void give(unsigned i, Build build) {
    if (wants(i))
      set(i, build());
  }
  /// The operation is not differentiable in operand i, which is wanted: exit 3.
  Error refuse(std::string message) const {
    return makeError(ExitCode::Unsupported, "differentiate.unsupported",
                     nn::getId(op).str(), std::move(message));
  }

private:
  mlir::Operation *op;
  Adjoint &adjoint;
};

/// The interface implementation that calls a rule: Status(Op, Grad &), or
/// void(Op, Grad &) where it cannot fail.
template <typename Op, auto rule>
struct Model : DifferentiableOpInterface::ExternalModel<Model<Op, rule>, Op> {
  Status differentiate(mlir::Operation *op, Adjoint &adjoint) const {
    Grad grad(op, adjoint);
    if constexpr (std::is_void_v<decltype(rule(llvm::cast<Op>(op), grad))>) {
      rule(llvm::cast<Op>(op), grad);
      return ok();
    } else {
      return rule(llvm::cast<Op>(op), grad);
    }
  }
};

template <typename Op, auto rule> void attach(mlir::MLIRContext &context) {
  Op::template attachInterface<Model<Op, rule>>(context);
}

void attachConvolutionRules(mlir::MLIRContext &context);
void attachElementwiseRules(mlir::MLIRContext &context);
void attachLinearRules(mlir::MLIRContext &context);
void attachReductionRules(mlir::MLIRContext &context);
void attachSelectionRules(mlir::MLIRContext &context);
void attachShapeRules(mlir::MLIRContext &context);

} // namespace partita::training

#endif // PARTITA_LIB_DIFFERENTIATE_RULES_H
