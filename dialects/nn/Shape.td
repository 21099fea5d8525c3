//===- Shape.td - Operations that move elements ------------*- tablegen -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_NN_SHAPE
#define PARTITA_NN_SHAPE

include "dialects/nn/NNBase.td"

class NN_Move<string mnemonic, string what, list<Trait> traits = []>
    : NN_Op<mnemonic, traits> {
  let summary = what;
  let arguments = (ins NN_Tensor:$input);
  let results = (outs NN_Tensor:$result);
}

def NN_ReshapeOp : NN_Move<"reshape", "The same elements in another shape"> {
  let description = [{
    Its rule is the common refinement of both shapes, so that a dimension of
    12 x 64 elements can be split by heads. Constraint: element types and
    counts are equal.

    ```mlir
    %r = nn.reshape %x : tensor<2x8x768xf32> to tensor<2x8x12x64xf32>
    ```
  }];
  let assemblyFormat = "$input attr-dict `:` type($input) `to` type($result)";
  let hasVerifier = 1;
}

def NN_TransposeOp : NN_Move<"transpose", "Permutes dimensions", [InferTypeOpAdaptor]> {
  let description = [{
    Dimension i of the result is dimension permutation[i] of the input.
    Constraint: the permutation is one.
  }];
  let arguments = (ins NN_Tensor:$input, DenseI64ArrayAttr:$permutation);
  let assemblyFormat = [{
    $input $permutation attr-dict `:` type($input)
  }];
  let hasVerifier = 1;
}

def NN_BroadcastOp : NN_Move<"broadcast", "Repeats elements along dimensions"> {
  let description = [{
    Dimension i of the input becomes dimension dims[i] of the result; a size of
    one is repeated; dimensions of the result that are not named are new.
    Constraints: dims ascend; sizes are equal or one.

    ```mlir
    %r = nn.broadcast %bias [2] : tensor<768xf32> to tensor<2x8x768xf32>
    ```
  }];
  let arguments = (ins NN_Tensor:$input, DenseI64ArrayAttr:$dims);
  let assemblyFormat = [{
    $input $dims attr-dict `:` type($input) `to` type($result)
  }];
  let hasVerifier = 1;
}

def NN_SliceOp : NN_Move<"slice", "Every step-th element from a start"> {
  let description = [{
    Element i of a dimension is starts + i * steps of the input. Constraints: all
    indices are inside; steps are not zero. Dimensions taken whole are parallel.
  }];
  let arguments = (ins NN_Tensor:$input, DenseI64ArrayAttr:$starts,
                       DenseI64ArrayAttr:$steps);
  let assemblyFormat = [{
    $input $starts `step` $steps attr-dict `:` type($input) `to` type($result)
  }];
  let hasVerifier = 1;
}

def NN_PadOp : NN_Move<"pad", "Adds elements of one value at the borders"> {
  let description = [{
    Constraints: low and high are not negative; result size = low + size + high.
  }];
  let arguments = (ins NN_Tensor:$input, DenseI64ArrayAttr:$low,
                       DenseI64ArrayAttr:$high, F64Attr:$value);
  let assemblyFormat = [{
    $input $low $high `value` $value attr-dict `:` type($input) `to`
    type($result)
  }];
  let hasVerifier = 1;
}

def NN_ConcatOp : NN_Op<"concat"> {
  let summary = "Joins tensors along a dimension";
  let description = [{
    Equal parts refine the dimension into (part, element), so that elements can
    be split; unequal parts keep it whole. Constraint: other dimensions and
    element types are equal. Linear in all operands together.
  }];
  let arguments = (ins Variadic<NN_Tensor>:$inputs, I64Attr:$axis);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = [{
    $inputs `axis` $axis attr-dict `:` type($inputs) `to` type($result)
  }];
  let hasVerifier = 1;
}

def NN_SplitOp : NN_Op<"split"> {
  let summary = "Cuts a tensor into consecutive parts along a dimension";
  let description = [{
    Equal parts refine the dimension as in nn.concat. Constraint: the parts'
    sizes add up.
  }];
  let arguments = (ins NN_Tensor:$input, I64Attr:$axis);
  let results = (outs Variadic<NN_Tensor>:$results);
  let assemblyFormat = [{
    $input `axis` $axis attr-dict `:` type($input) `to` type($results)
  }];
  let hasVerifier = 1;
}

def NN_GatherOp : NN_Op<"gather", [InferTypeOpAdaptor,
    DeclareOpInterfaceMethods<LocalizeOpInterface>,
    DeclareOpInterfaceMethods<LibraryOpInterface, ["takesStrides"]>]> {
  let summary = "Picks slices of a tensor by index";
  let description = [{
    `result[o.., i.., p..] = data[o.., indices[i..], p..]` where o are the
    dimensions before `axis` and p those after it. The gathered dimension is a
    reduction: a rank that holds a part of it gives zeros for indices that it
    does not hold. Then `base` is where its part begins in the whole dimension;
    indices outside of the part give zeros. A negative index counts from the end
    of the whole dimension, and one outside of that is an error.
    Constraint: indices are i32 or i64. Linear in data.
  }];
  let arguments = (ins NN_Tensor:$data, NN_Tensor:$indices, I64Attr:$axis,
                       OptionalAttr<AnyAttr>:$base);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = [{
    $data `,` $indices `axis` $axis attr-dict `:` type($data) `,`
    type($indices) (`base` $base^)?
  }];
  let hasVerifier = 1;
}

def NN_IotaOp : NN_Op<"iota",
    [DeclareOpInterfaceMethods<LocalizeOpInterface>,
     DeclareOpInterfaceMethods<LibraryOpInterface, ["takesStrides"]>]> {
  let summary = "start + step * index along a dimension";
  let description = [{
    `base` is added to the index: where this rank's part of the dimension
    begins.
  }];
  let arguments = (ins I64Attr:$axis, F64Attr:$start, F64Attr:$step,
                       OptionalAttr<AnyAttr>:$base);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = [{
    $axis `start` $start `step` $step attr-dict `:` type($result)
    (`base` $base^)?
  }];
  let hasVerifier = 1;
}

def NN_ConstantOp : NN_Op<"constant", [ConstantLike,
    DeclareOpInterfaceMethods<LocalizeOpInterface>]> {
  let summary = "A small tensor known at compile time";
  let description = [{
    For scalars, shapes and short tables: at most 4096 bytes unless it is a
    splat. Larger data are parameters.
  }];
  let arguments = (ins ElementsAttr:$value);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$value attr-dict `:` type($result)";
  let hasVerifier = 1;
  let hasFolder = 1;
  let builders = [OpBuilder<(ins "::mlir::ElementsAttr":$value), [{
    build($_builder, $_state, value.getShapedType(), value);
  }]>];
}

#endif // PARTITA_NN_SHAPE
