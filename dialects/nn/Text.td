//===- Text.td - Sequences of tokens -----------------------*- tablegen -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Operations on numbers that stand for words or letters, whose vocabulary is
// part of the operation.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_NN_TEXT
#define PARTITA_NN_TEXT

include "dialects/nn/NNBase.td"

def NN_NgramCountsOp : NN_LibraryOp<"ngram_counts",
    [DeclareOpInterfaceMethods<LocalizeOpInterface>]> {
  let summary = "How often each n-gram occurs in each sequence";
  let description = [{
    For tokens [n, l] (i32 or i64) the result [n, k] (i64) has the number of
    occurrences of n-grams in each sequence. N-gram i is the next `sizes[i]`
    numbers of `grams` and is counted in column `columns[i]`; what has no n-gram
    is zero. The tokens of an n-gram may lie up to `max_skip` + 1 apart, all at
    the same distance; one of a single token is counted once. Sequences are
    parallel, and so are columns: `base` says where the rank's part of them
    begins. Constraints: sizes are positive and add up to the length of grams;
    all n-grams are different; columns are there.

    ```mlir
    %c = nn.ngram_counts %t grams [7, 7, 8] sizes [1, 2] columns [0, 1] max_skip 0 : tensor<2x9xi64> to tensor<2x2xi64>
    ```
  }];
  let arguments = (ins NN_Tensor:$tokens, DenseI64ArrayAttr:$grams,
                       DenseI64ArrayAttr:$sizes, DenseI64ArrayAttr:$columns,
                       I64Attr:$max_skip, OptionalAttr<AnyAttr>:$base);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = [{
    $tokens `grams` $grams `sizes` $sizes `columns` $columns `max_skip`
    $max_skip attr-dict `:` type($tokens) `to` type($result) (`base` $base^)?
  }];
  let hasVerifier = 1;
}

#endif // PARTITA_NN_TEXT
