//===- Resampling.td - Values between the elements ---------*- tablegen -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Operations that read a tensor at positions between its elements. They weigh
// the elements around, and so are linear in the tensor.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_NN_RESAMPLING
#define PARTITA_NN_RESAMPLING

include "dialects/nn/NNBase.td"

class NN_ResamplingOp<string mnemonic, list<Trait> traits = []>
    : NN_Op<mnemonic, !listconcat(traits, [
        DeclareOpInterfaceMethods<LibraryOpInterface, ["takesStrides"]>])> {
  let results = (outs NN_Tensor:$result);
  let hasVerifier = 1;
}

def NN_ResampleOp : NN_ResamplingOp<"resample",
    [DeclareOpInterfaceMethods<LocalizeOpInterface>]> {
  let summary = "Another number of samples along a dimension";
  let description = [{
    Sample i of the result lies at `x = (i + shift) * multiplier / divisor +
    offset` of the input, where `coordinates = [shift, multiplier, divisor,
    offset]`. `filter` says what it is:

    - "floor", "ceil", "round_half_down", "round_half_up": the element there;
    - "linear": the two elements around x, by their distances;
    - "cubic": the four around x, by the cubic convolution with parameter
      `cubic`.

    Elements beyond the ends are those at the ends; with `exclude_outside` they
    weigh nothing and the others more. A `filter_scale` below one stretches the
    linear or cubic filter by its inverse, against aliasing. Where x is not
    within the input the result is `fill`, if that is given.

    Both loops can be split: a rank that holds a part of the input gives what
    that contributes (unless there is a fill, or the elements are integers that
    would be rounded). `in_base` and `out_base` say where its parts begin.
    Linear. Constraint: other dimensions are equal.

    ```mlir
    %r = nn.resample "linear" %x axis 2 {coordinates = array<f64: 0.5, 1.0, 2.0, -0.5>, filter_scale = 1.0 : f64, cubic = -0.75 : f64} : tensor<1x3x4x4xf32> to tensor<1x3x8x4xf32>
    ```
  }];
  let arguments = (ins StrAttr:$filter, NN_Tensor:$input, I64Attr:$axis,
                       DenseF64ArrayAttr:$coordinates, F64Attr:$filter_scale,
                       F64Attr:$cubic, UnitAttr:$exclude_outside,
                       OptionalAttr<F64Attr>:$fill,
                       OptionalAttr<AnyAttr>:$in_base,
                       OptionalAttr<AnyAttr>:$out_base);
  let assemblyFormat = [{
    $filter $input `axis` $axis attr-dict `:` type($input) `to` type($result)
    (`in_base` $in_base^)? (`out_base` $out_base^)?
  }];
}

def NN_GridSampleOp : NN_ResamplingOp<"grid_sample"> {
  let summary = "Reads images at given points";
  let description = [{
    For images [n, c, s..] and grid [n, p.., d], where d is the number of
    dimensions s..: `result[n, c, p..]` is the image at the point `grid[n, p..]`,
    whose coordinates are in the reverse order of s.. and go from -1 to 1 over
    the image (from the middle of its first to that of its last element with
    `align_corners`). `filter` is "nearest" (ties to even), "linear" or "cubic";
    beyond the image there are zeros with `padding` "zeros", the elements at its
    border with "border", its mirror image with "reflection". Points, images and
    channels are parallel. Linear in images. Constraints: 1 to 3 dimensions s..;
    elements are floating point numbers.
  }];
  let arguments = (ins StrAttr:$filter, StrAttr:$padding, NN_Tensor:$images,
                       NN_Tensor:$grid, UnitAttr:$align_corners);
  let assemblyFormat = [{
    $filter $padding $images `,` $grid attr-dict `:` type($images) `,`
    type($grid) `to` type($result)
  }];
}

def NN_RoiAlignOp : NN_ResamplingOp<"roi_align",
    [DeclareOpInterfaceMethods<LocalizeOpInterface>]> {
  let summary = "Regions of images in a fixed size";
  let description = [{
    For images [n, c, h, w], boxes [r, 4] (x1, y1, x2, y2) and their images'
    numbers [r] (i32 or i64, from the end if negative), the result is
    [r, c, oh, ow]: a box, times `scale` less
    `offset`, has oh x ow bins, each of which is the mean (`max`: the maximum) of
    `sampling` x `sampling` points of linear interpolation (0: as many as
    elements); `clamp` makes boxes at least one element large. The images can be
    split: a rank gives zeros for boxes of images that it does not hold; `base`
    says where its images begin. Linear in images, unless `max`.
  }];
  let arguments = (ins NN_Tensor:$images, NN_Tensor:$boxes, NN_Tensor:$numbers,
                       F64Attr:$scale, F64Attr:$offset, I64Attr:$sampling,
                       UnitAttr:$clamp, UnitAttr:$max,
                       OptionalAttr<AnyAttr>:$base);
  let assemblyFormat = [{
    $images `,` $boxes `,` $numbers attr-dict `:` type($images) `,`
    type($boxes) `,` type($numbers) `to` type($result) (`base` $base^)?
  }];
}

#endif // PARTITA_NN_RESAMPLING
