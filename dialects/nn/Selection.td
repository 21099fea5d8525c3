//===- Selection.td - Elements by index and by order -------*- tablegen -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Operations whose data decide which elements they read or write. What gathers
// can be split along the dimension that it gathers from: a rank gives zeros for
// indices that it does not hold. What scatters can be split along the dimension
// that it scatters to: a rank leaves out indices that it does not hold. `base`
// then says where the rank's part of that dimension begins.
//
// A negative index counts from the end of the whole dimension, and one outside
// of that is an error. Indices are i32 or i64.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_NN_SELECTION
#define PARTITA_NN_SELECTION

include "dialects/nn/NNBase.td"

def NN_TopKOp : NN_LibraryOp<"topk"> {
  let summary = "The largest (or smallest) elements along a dimension, in order";
  let description = [{
    Results: values and their indices (i64); as many as the results' dimension
    has. Equal elements go by their indices; NaN is larger than any number. The
    dimension stays whole. Constraint: it has at least so many elements.

    ```mlir
    %v, %i = nn.topk %x axis 1 largest : tensor<4x9xf32> to tensor<4x2xf32>, tensor<4x2xi64>
    ```
  }];
  let arguments = (ins NN_Tensor:$input, I64Attr:$axis, UnitAttr:$largest);
  let results = (outs NN_Tensor:$values, NN_Tensor:$indices);
  let assemblyFormat = [{
    $input `axis` $axis (`largest` $largest^)? attr-dict `:` type($input) `to`
    type($values) `,` type($indices)
  }];
  let hasVerifier = 1;
}

/// Gathers and scatters: strided kernels with one base.
class NN_IndexedOp<string mnemonic, list<Trait> traits = []>
    : NN_Op<mnemonic, !listconcat(traits, [
        DeclareOpInterfaceMethods<LocalizeOpInterface>,
        DeclareOpInterfaceMethods<LibraryOpInterface, ["takesStrides"]>])> {
  let hasVerifier = 1;
}

def NN_GatherElementsOp : NN_IndexedOp<"gather_elements",
    [InferTypeOpAdaptor]> {
  let summary = "Picks single elements along a dimension";
  let description = [{
    `result[.., i, ..] = data[.., indices[.., i, ..], ..]`. The result has the
    shape of the indices. Other dimensions are parallel where the indices cover
    them. Linear in data. Constraint: ranks are equal; indices are nowhere
    larger than data but along the axis.
  }];
  let arguments = (ins NN_Tensor:$data, NN_Tensor:$indices, I64Attr:$axis,
                       OptionalAttr<AnyAttr>:$base);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = [{
    $data `,` $indices `axis` $axis attr-dict `:` type($data) `,`
    type($indices) (`base` $base^)?
  }];
}

def NN_GatherNDOp : NN_IndexedOp<"gather_nd", [InferTypeOpAdaptor]> {
  let summary = "Picks slices by vectors of indices";
  let description = [{
    For data [b.., n.., t..] and indices [b.., i.., k], where n.. are k
    dimensions: `result[b.., i.., t..] = data[b.., indices[b.., i.., :], t..]`.
    The first of n.. can be split. Linear in data. Constraints: the batch
    dimensions are equal; 1 <= k <= the number of dimensions after them.
  }];
  let arguments = (ins NN_Tensor:$data, NN_Tensor:$indices,
                       I64Attr:$batch_dims, OptionalAttr<AnyAttr>:$base);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = [{
    $data `,` $indices `batch` $batch_dims attr-dict `:` type($data) `,`
    type($indices) (`base` $base^)?
  }];
}

class NN_ScatterOp<string mnemonic>
    : NN_IndexedOp<mnemonic, [AllTypesMatch<["data", "result"]>]> {
  let results = (outs NN_Tensor:$result);
}

def NN_ScatterElementsOp : NN_ScatterOp<"scatter_elements"> {
  let summary = "Writes single elements along a dimension";
  let description = [{
    The result is data, but element `[.., indices[.., i, ..], ..]` is combined
    with `updates[.., i, ..]` by `kind`: "none" (the update replaces it, the last
    one if there are several), "add", "mul", "min" or "max". Linear in data and
    updates together for "none" and "add", in data for "mul". Constraints: ranks
    are equal; updates have the shape of indices, which are nowhere larger than
    data but along the axis.
  }];
  let arguments = (ins StrAttr:$kind, NN_Tensor:$data, NN_Tensor:$indices,
                       NN_Tensor:$updates, I64Attr:$axis,
                       OptionalAttr<AnyAttr>:$base);
  let assemblyFormat = [{
    $kind `,` $data `,` $indices `,` $updates `axis` $axis attr-dict `:`
    type($data) `,` type($indices) `,` type($updates) (`base` $base^)?
  }];
}

def NN_ScatterNDOp : NN_ScatterOp<"scatter_nd"> {
  let summary = "Writes slices by vectors of indices";
  let description = [{
    The inverse of nn.gather_nd: slice `data[b.., indices[b.., i.., :], t..]` is
    combined with `updates[b.., i.., t..]` by `kind`, as in
    nn.scatter_elements. The first of n.. can be split.
  }];
  let arguments = (ins StrAttr:$kind, NN_Tensor:$data, NN_Tensor:$indices,
                       NN_Tensor:$updates, I64Attr:$batch_dims,
                       OptionalAttr<AnyAttr>:$base);
  let assemblyFormat = [{
    $kind `,` $data `,` $indices `,` $updates `batch` $batch_dims attr-dict `:`
    type($data) `,` type($indices) `,` type($updates) (`base` $base^)?
  }];
}

#endif // PARTITA_NN_SELECTION
