//===- Convolution.td - Operations on sliding windows ------*- tablegen -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Convolutions and pools slide a window over one to three spatial dimensions.
// What they share is how positions of a window relate to positions of the
// tensor under it:
//
//   tensor position = window * stride + tap * dilation - pads_begin
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_NN_CONVOLUTION
#define PARTITA_NN_CONVOLUTION

include "dialects/nn/NNBase.td"

/// Strides, dilations and pads: one number for each spatial dimension.
class NN_WindowOp<string mnemonic, list<Trait> traits = []>
    : NN_Op<mnemonic, !listconcat(traits, [InferTypeOpAdaptor,
        DeclareOpInterfaceMethods<LibraryOpInterface, ["takesStrides"]>])> {
  let results = (outs NN_Tensor:$result);
}

def NN_ConvOp : NN_WindowOp<"conv",
    [DeclareOpInterfaceMethods<LocalizeOpInterface>]> {
  let summary = "Convolution";
  let description = [{
    input [n, (g ci), s..] with weight [(g co), ci, k..] gives [n, (g co), o..]:
    g groups of channels, each with its own filters; 1 to 3 spatial dimensions.
    The number of groups follows from the shapes. No bias: it is an addition of
    its own, which is fused later.
    Reduction factor ci (sum); halo factors h, w, d where windows overlap;
    linear in each operand.
    Constraints: strides and dilations are positive, pads are not negative, all
    are below 2^31; the padded input is as large as a dilated window.

    ```mlir
    %y = nn.conv %x, %w strides [2, 2] dilations [1, 1] pads [3, 3] [3, 3]
         : tensor<1x3x224x224xf32>, tensor<64x3x7x7xf32>
    ```
  }];
  let arguments = (ins NN_Tensor:$input, NN_Tensor:$weight,
                       DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$dilations,
                       DenseI64ArrayAttr:$pads_begin,
                       DenseI64ArrayAttr:$pads_end);
  let assemblyFormat = [{
    $input `,` $weight `strides` $strides `dilations` $dilations `pads`
    $pads_begin $pads_end attr-dict `:` type($input) `,` type($weight)
  }];
}

def NN_ConvTransposeOp : NN_WindowOp<"conv_transpose",
    [DeclareOpInterfaceMethods<LocalizeOpInterface>]> {
  let summary = "Transposed convolution";
  let description = [{
    input [n, (g ci), s..] with weight [(g ci), co, k..] gives [n, (g co), o..]:
    every element of the input is spread over a window of the result, whose
    size before pads are cut off is (s - 1) stride + (k - 1) dilation + 1 +
    output_pads. The number of groups is an attribute, since the shapes do not
    tell it. Reduction factor ci (sum); linear in each operand.
    Constraints: as for nn.conv; output_pads are not negative.
  }];
  let arguments = (ins NN_Tensor:$input, NN_Tensor:$weight, I64Attr:$groups,
                       DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$dilations,
                       DenseI64ArrayAttr:$pads_begin,
                       DenseI64ArrayAttr:$pads_end,
                       DenseI64ArrayAttr:$output_pads);
  let assemblyFormat = [{
    $input `,` $weight `groups` $groups `strides` $strides `dilations`
    $dilations `pads` $pads_begin $pads_end `output_pads` $output_pads attr-dict
    `:` type($input) `,` type($weight)
  }];
}

def NN_PoolOp : NN_WindowOp<"pool",
    [DeclareOpInterfaceMethods<LocalizeOpInterface>]> {
  let summary = "Maximum or sum of the elements under each window";
  let description = [{
    input [n, c, s..] gives [n, c, o..]. `kind` is "max" or "sum". What is padded
    counts as nothing: as the smallest number for a maximum, as zero for a sum.
    An average is a sum times one over the number of elements, which depends on
    the position only. Halo factors h, w, d where windows overlap; linear for
    sums.
    Constraints: as for nn.conv, and the window is at least one element.
  }];
  let arguments = (ins StrAttr:$kind, NN_Tensor:$input,
                       DenseI64ArrayAttr:$kernel, DenseI64ArrayAttr:$strides,
                       DenseI64ArrayAttr:$dilations,
                       DenseI64ArrayAttr:$pads_begin,
                       DenseI64ArrayAttr:$pads_end);
  let assemblyFormat = [{
    $kind `,` $input `kernel` $kernel `strides` $strides `dilations` $dilations
    `pads` $pads_begin $pads_end attr-dict `:` type($input)
  }];
}

def NN_PoolArgMaxOp : NN_WindowOp<"pool_argmax"> {
  let summary = "Where the maximum under each window is";
  let description = [{
    input [n, c, s..] gives [n, c, o..] of i64: the position of the first
    largest element under each window, counted through the plane s.. in
    row-major order (with `column_major`, in column-major order). NaN is no
    maximum; a window that holds no number gives -1. Batch and channels are
    parallel; the plane stays whole, since positions count through it.
    Constraints: as for nn.pool.
  }];
  let arguments = (ins NN_Tensor:$input,
                       DenseI64ArrayAttr:$kernel, DenseI64ArrayAttr:$strides,
                       DenseI64ArrayAttr:$dilations,
                       DenseI64ArrayAttr:$pads_begin,
                       DenseI64ArrayAttr:$pads_end, UnitAttr:$column_major);
  let assemblyFormat = [{
    $input `kernel` $kernel `strides` $strides `dilations` $dilations `pads`
    $pads_begin $pads_end (`column_major` $column_major^)? attr-dict `:`
    type($input)
  }];
}

#endif // PARTITA_NN_CONVOLUTION
