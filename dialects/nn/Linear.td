//===- Linear.td - Matrix products and attention -----------*- tablegen -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_NN_LINEAR
#define PARTITA_NN_LINEAR

include "dialects/nn/NNBase.td"

def NN_MatMulOp : NN_Op<"matmul", [InferTypeOpAdaptor]> {
  let summary = "Matrix product";
  let description = [{
    `lhs [B.., m, k]` times `rhs [k, n]` (one matrix for all of B) or
    `rhs [B.., k, n]` gives `[B.., m, n]`. No bias and no transposition: those
    are operations of their own, which cost nothing or are fused later.
    Reduction factor k (sum); linear in each operand.

    ```mlir
    %c = nn.matmul %a, %b : tensor<2x8x16xf32>, tensor<16x32xf32>
    ```
  }];
  let arguments = (ins NN_Tensor:$lhs, NN_Tensor:$rhs);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` type($lhs) `,` type($rhs)";
}

def NN_AttentionOp : NN_Op<"attention", [InferTypeOpAdaptor,
    DeclareOpInterfaceMethods<LocalizeOpInterface>]> {
  let summary = "Scaled dot-product attention";
  let description = [{
    `softmax(cap(scale * q k^T) + mask) v` for q [b, h, s, d], k [b, g, t, d],
    v [b, g, t, e]; h is a multiple of g: query head i uses key head i / (h/g).
    The mask is additive (float) or boolean (true: attend) and has shape
    [b|1, h|1, s|1, t]. With `causal`, query i sees keys up to i + (t - s).
    `query_base` and `key_base` say where this rank's parts begin. With
    `softcap` c, cap(x) is c tanh(x / c), else x.

    Results: out [b, h, s, e] and lse [b, h, s], the logarithm of each row's
    softmax denominator, by which parts over t can be merged. A row whose every
    key is masked with -inf gives zeros.
  }];
  let arguments = (ins NN_Tensor:$query, NN_Tensor:$key, NN_Tensor:$value,
                       Optional<NN_Tensor>:$mask, F64Attr:$scale,
                       UnitAttr:$causal, OptionalAttr<AnyAttr>:$query_base,
                       OptionalAttr<AnyAttr>:$key_base,
                       OptionalAttr<F64Attr>:$softcap);
  let results = (outs NN_Tensor:$out, NN_Tensor:$lse);
  let assemblyFormat = [{
    $query `,` $key `,` $value (`mask` $mask^)? `scale` $scale
    (`softcap` $softcap^)? (`causal` $causal^)? attr-dict `:` type($query) `,`
    type($key) `,` type($value) (`,` type($mask)^)? (`query_base` $query_base^)?
    (`key_base` $key_base^)?
  }];
}

def NN_RopeOp : NN_Op<"rope", [InferTypeOpAdaptor]> {
  let summary = "Rotary position embedding";
  let description = [{
    For x [b, h, s, d] and cos, sin [b|1, s, d/2]: with x = (x1, x2) halves of
    the last dimension (or even and odd elements if `interleaved`), the result
    is (x1 cos - x2 sin, x2 cos + x1 sin). The last dimension stays whole.
    Linear in x.
  }];
  let arguments = (ins NN_Tensor:$input, NN_Tensor:$cos, NN_Tensor:$sin,
                       UnitAttr:$interleaved);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = [{
    $input `,` $cos `,` $sin (`interleaved` $interleaved^)? attr-dict `:`
    type($input) `,` type($cos) `,` type($sin)
  }];
}

#endif // PARTITA_NN_LINEAR
