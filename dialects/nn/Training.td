//===- Training.td - Backward passes and updates -----------*- tablegen -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What training steps compute and nothing composed of other operations would at
// the same cost. Most gradients are compositions: see lib/Differentiate.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_NN_TRAINING
#define PARTITA_NN_TRAINING

include "dialects/nn/NNBase.td"

def NN_AttentionGradientOp
    : NN_LibraryOp<"attention_gradient", [DeclareOpInterfaceMethods<
                                             LocalizeOpInterface>]> {
  let summary = "Gradients of attention to query, key, value and mask";
  let description = [{
    For attention as nn.attention computes it, with `lse` as it returns it, the
    `gradient` [b, h, s, e] of its first result, and `delta` [b, h, s], the row
    sums of that gradient times the result less the gradient of `lse`:

        p = exp(cap(scale q k^T) + mask - lse)      ds = p (gradient v^T - delta)
        dv = p^T gradient      dq = scale cap'(ds) k      dk = scale cap'(ds)^T q

    and, if there is a fourth result, ds summed over what the mask repeats. The
    scores are computed again (FlashAttention-2, Dao 2023, algorithm 2), so that
    nothing of s x t is kept. With lse of all keys each part of the keys, the
    queries or the heads adds to the gradients of what it does not hold: these
    factors are sums in the results that do not walk them. Linear in gradient and
    delta together. Constraints: as for nn.attention; a mask whose gradient is
    asked for is of floating point.

    ```mlir
    %dq, %dk, %dv = nn.attention_gradient %q, %k, %v, %lse, %delta, %g scale 0.5 causal : tensor<1x2x4x8xf32>, tensor<1x2x4x8xf32>, tensor<1x2x4x8xf32>, tensor<1x2x4xf32>, tensor<1x2x4xf32>, tensor<1x2x4x8xf32> to tensor<1x2x4x8xf32>, tensor<1x2x4x8xf32>, tensor<1x2x4x8xf32>
    ```
  }];
  let arguments = (ins NN_Tensor:$query, NN_Tensor:$key, NN_Tensor:$value,
      NN_Tensor:$lse, NN_Tensor:$delta, NN_Tensor:$gradient,
      Optional<NN_Tensor>:$mask, F64Attr:$scale, UnitAttr:$causal,
      OptionalAttr<AnyAttr>:$query_base, OptionalAttr<AnyAttr>:$key_base,
      OptionalAttr<F64Attr>:$softcap);
  let results = (outs NN_Tensor:$query_gradient, NN_Tensor:$key_gradient,
      NN_Tensor:$value_gradient, Optional<NN_Tensor>:$mask_gradient);
  let assemblyFormat = [{
    operands `scale` $scale (`softcap` $softcap^)? (`causal` $causal^)? attr-dict
    `:` type(operands) `to` type(results) (`query_base` $query_base^)?
    (`key_base` $key_base^)?
  }];
  let hasVerifier = 1;
}

def NN_GatherGradientOp
    : NN_Op<"gather_gradient", [DeclareOpInterfaceMethods<LocalizeOpInterface>,
                                DeclareOpInterfaceMethods<
                                    LibraryOpInterface, ["takesStrides"]>]> {
  let summary = "Gradient of gather to its data";
  let description = [{
    Zeros, to whose slices `[o.., indices[i..], p..]` those of the gradient,
    `[o.., i.., p..]`, are added. The indices' factors are sums: where the batch
    is split so is this, and the results are pending. The gathered dimension can be
    split too; `base` is where this rank's part of it begins. Indices are those of
    nn.gather. Linear in gradient.
  }];
  let arguments = (ins NN_Tensor:$indices, NN_Tensor:$gradient, I64Attr:$axis,
      OptionalAttr<AnyAttr>:$base);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = [{
    $indices `,` $gradient `axis` $axis attr-dict `:` type($indices) `,`
    type($gradient) `to` type($result) (`base` $base^)?
  }];
  let hasVerifier = 1;
}

def NN_AdamWOp : NN_LibraryOp<"adamw"> {
  let summary = "A step of AdamW";
  let description = [{
    Elementwise, with `rate`, `correction` and `decay` scalars of the elements'
    type:

        mean'   = beta1 mean + (1 - beta1) gradient
        square' = beta2 square + (1 - beta2) gradient^2
        value'  = decay value - rate mean' / (correction sqrt(square') + epsilon)

    where rate is that of learning over 1 - beta1^t, correction is
    1 / sqrt(1 - beta2^t) and decay is 1 less the rate of learning times the
    weight decay. One operation, so that a weight and what belongs to it are split
    together. Constraint: all types are equal, and of floating point.
  }];
  let arguments = (ins NN_Tensor:$value, NN_Tensor:$mean, NN_Tensor:$square,
      NN_Tensor:$gradient, NN_Tensor:$rate, NN_Tensor:$correction,
      NN_Tensor:$decay, F64Attr:$beta1, F64Attr:$beta2, F64Attr:$epsilon);
  let results = (outs NN_Tensor:$next_value, NN_Tensor:$next_mean,
      NN_Tensor:$next_square);
  let assemblyFormat = [{
    operands attr-dict `:` type(operands) `to` type(results)
  }];
  let hasVerifier = 1;
}

#endif // PARTITA_NN_TRAINING
