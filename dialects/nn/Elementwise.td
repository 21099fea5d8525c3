//===- Elementwise.td - Operations on single elements ------*- tablegen -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Operands and results have one shape; every dimension is a parallel factor.
// Where an operation is linear in a set of operands, partial sums pass through.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_NN_ELEMENTWISE
#define PARTITA_NN_ELEMENTWISE

include "dialects/nn/ElementwiseBase.td"

def NN_AbsOp : NN_Unary<"abs", "Absolute value">;
def NN_NegOp : NN_Unary<"neg", "Negation">;
def NN_ExpOp : NN_Unary<"exp", "e^x">;
def NN_LogOp : NN_Unary<"log", "Natural logarithm">;
def NN_SqrtOp : NN_Unary<"sqrt", "Square root">;
def NN_RsqrtOp : NN_Unary<"rsqrt", "1 / sqrt(x)">;
def NN_ReciprocalOp : NN_Unary<"reciprocal", "1 / x">;
def NN_TanhOp : NN_Unary<"tanh", "Hyperbolic tangent">;
def NN_SinOp : NN_Unary<"sin", "Sine">;
def NN_CosOp : NN_Unary<"cos", "Cosine">;
def NN_ErfOp : NN_Unary<"erf", "Error function">;
def NN_SigmoidOp : NN_Unary<"sigmoid", "1 / (1 + e^-x)">;
def NN_ReluOp : NN_Unary<"relu", "max(x, 0)">;
def NN_SiluOp : NN_Unary<"silu", "x * sigmoid(x)">;
def NN_FloorOp : NN_Unary<"floor", "Largest integer not above x">;
def NN_CeilOp : NN_Unary<"ceil", "Least integer not below x">;
def NN_RoundOp : NN_Unary<"round", "Nearest integer, ties to even">;
def NN_SignOp : NN_Unary<"sign", "-1, 0 or 1">;
def NN_NotOp : NN_Unary<"not", "Logical negation of booleans">;

def NN_GeluOp : NN_Unary<"gelu", "Gaussian error linear unit"> {
  let description = [{
    `x/2 (1 + erf(x / sqrt 2))`, or with `tanh` the approximation
    `x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`.
  }];
  let arguments = (ins NN_Tensor:$input, UnitAttr:$tanh);
}

def NN_AddOp : NN_Binary<"add", "Sum; linear in both operands together">;
def NN_SubOp : NN_Binary<"sub", "Difference; linear in both together">;
def NN_MulOp : NN_Binary<"mul", "Product; linear in each operand">;
def NN_DivOp : NN_Binary<"div", "Quotient, integers truncate; linear in lhs">;
def NN_ModOp : NN_Binary<"mod", "Remainder with the sign of rhs, as in Python">;
def NN_PowOp : NN_Binary<"pow", "Power">;
def NN_MaxOp : NN_Binary<"max", "Maximum; NaN propagates">;
def NN_MinOp : NN_Binary<"min", "Minimum; NaN propagates">;
def NN_AndOp : NN_Binary<"and", "Logical and of booleans">;
def NN_OrOp : NN_Binary<"or", "Logical or of booleans">;
def NN_XorOp : NN_Binary<"xor", "Logical exclusive or of booleans">;

def NN_CompareOp : NN_Op<"compare", [Elementwise, InferTypeOpAdaptor,
    AllTypesMatch<["lhs", "rhs"]>]> {
  let summary = "Compares elements; the result is boolean";
  let description = [{
    `predicate` is one of "eq", "ne", "lt", "le", "gt", "ge". Comparisons with
    NaN are false, except "ne".

    ```mlir
    %m = nn.compare "lt", %a, %b : tensor<4xf32>
    ```
  }];
  let arguments = (ins StrAttr:$predicate, NN_Tensor:$lhs, NN_Tensor:$rhs);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$predicate `,` $lhs `,` $rhs attr-dict `:` type($lhs)";
  let hasVerifier = 1;
}

def NN_SelectOp : NN_Op<"select", [Elementwise,
    AllTypesMatch<["on_true", "on_false", "result"]>]> {
  let summary = "on_true where the condition holds, else on_false";
  let description = [{
    Constraint: the condition is boolean and has the result's shape. Linear in
    on_true and on_false together.
  }];
  let arguments = (ins NN_Tensor:$condition, NN_Tensor:$on_true,
                       NN_Tensor:$on_false);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = [{
    $condition `,` $on_true `,` $on_false attr-dict `:` type($condition) `,`
    type($result)
  }];
  let hasVerifier = 1;
}

def NN_CastOp : NN_Op<"cast", [Elementwise]> {
  let summary = "Converts the element type";
  let description = [{
    Floats to integers truncate; anything to boolean compares with zero;
    between floats rounds to nearest even. Constraint: shapes are equal.
  }];
  let arguments = (ins NN_Tensor:$input);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `to` type($result)";
  let hasVerifier = 1;
}

#endif // PARTITA_NN_ELEMENTWISE
