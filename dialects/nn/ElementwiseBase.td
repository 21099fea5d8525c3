//===- ElementwiseBase.td - Classes of elementwise operations *- tablegen -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One operand or two of the result's type. Rules and costs of such operations
// come from ElementwiseRules.h.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_NN_ELEMENTWISE_BASE
#define PARTITA_NN_ELEMENTWISE_BASE

include "dialects/nn/NNBase.td"

class NN_Unary<string mnemonic, string what>
    : NN_Op<mnemonic, [Elementwise, SameOperandsAndResultType]> {
  let summary = what;
  let arguments = (ins NN_Tensor:$input);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$input attr-dict `:` type($result)";
}

class NN_Binary<string mnemonic, string what>
    : NN_Op<mnemonic, [Elementwise, SameOperandsAndResultType]> {
  let summary = what;
  let arguments = (ins NN_Tensor:$lhs, NN_Tensor:$rhs);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` type($result)";
}

#endif // PARTITA_NN_ELEMENTWISE_BASE
