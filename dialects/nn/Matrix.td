//===- Matrix.td - Whole matrices --------------------------*- tablegen -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Operations whose result needs all elements of a matrix at once. Matrices
// stand in the last two dimensions; those before are a batch.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_NN_MATRIX
#define PARTITA_NN_MATRIX

include "dialects/nn/NNBase.td"

def NN_DetOp : NN_LibraryOp<"det", [InferTypeOpAdaptor]> {
  let summary = "Determinants of square matrices";
  let description = [{
    input [B.., m, m] gives [B..]: by elimination with the largest pivots, in
    f64. Matrices are parallel, each stays whole. Constraints: the last two
    dimensions are equal; elements are floating point numbers.

    ```mlir
    %d = nn.det %x : tensor<4x3x3xf32>
    ```
  }];
  let arguments = (ins NN_Tensor:$input);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$input attr-dict `:` type($input)";
}

#endif // PARTITA_NN_MATRIX
