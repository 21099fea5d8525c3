//===- Trigonometry.td - Circular and hyperbolic functions -*- tablegen -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Those that nn.sin, nn.cos and nn.tanh leave. Of floats; outside of its domain
// a function is NaN.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_NN_TRIGONOMETRY
#define PARTITA_NN_TRIGONOMETRY

include "dialects/nn/ElementwiseBase.td"

def NN_AsinOp : NN_Unary<"asin", "Inverse sine">;
def NN_AcosOp : NN_Unary<"acos", "Inverse cosine">;
def NN_AtanOp : NN_Unary<"atan", "Inverse tangent">;
def NN_SinhOp : NN_Unary<"sinh", "Hyperbolic sine">;
def NN_CoshOp : NN_Unary<"cosh", "Hyperbolic cosine">;
def NN_AsinhOp : NN_Unary<"asinh", "Inverse hyperbolic sine">;
def NN_AcoshOp : NN_Unary<"acosh", "Inverse hyperbolic cosine">;
def NN_AtanhOp : NN_Unary<"atanh", "Inverse hyperbolic tangent">;

#endif // PARTITA_NN_TRIGONOMETRY
