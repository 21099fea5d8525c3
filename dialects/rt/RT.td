//===- RT.td - One rank's program --------------------------*- tablegen -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_RT
#define PARTITA_RT

include "mlir/IR/OpBase.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def RT_Dialect : Dialect {
  let name = "rt";
  let cppNamespace = "::partita::rt";
  let dependentDialects = ["::partita::dist::DistDialect"];
  let summary = "One rank class's program: commands over local tensors";
  let description = [{
    After localisation a module holds one function for each rank class, named
    `<entry>_class<i>`, whose types are local. Communication is `rt.collective`;
    what needs no communication but depends on the rank is `rt.shard`.

    The conversion nn-to-rt then leaves only the operations of this dialect,
    `nn.get_parameter`, `nn.constant` and `func.return`: every one is a command
    of the table, except `rt.view`, which is addressing.

    *Normal form of addressing.* A value that is not the result of an `rt.view`
    is a buffer, contiguous and row-major in its own type. A view's source is a
    buffer, never another view.

    After memory planning, `rt.slices` on each command lists the byte offsets of
    its results and workspaces in the arena, and `rt.space` their space.
  }];
}

class RT_Op<string mnemonic, list<Trait> traits = []>
    : Op<RT_Dialect, mnemonic, traits>;

def RT_CollectiveOp : RT_Op<"collective", [Pure]> {
  let summary = "Data moves between the ranks of a group";
  let description = [{
    `kind` is "all_reduce", "reduce_scatter", "all_gather", "all_to_all",
    "permute" or "halo_exchange". What moves follows from the shardings of the global tensor before
    and after; groups are the ranks that differ only along `axes`. Constraint:
    operand and result have the local shapes of `from` and `to` for the ranks of
    this class.

    ```mlir
    %r = rt.collective "all_reduce" %x axes ["tp"] : tensor<4x8xf32> to
         tensor<4x8xf32> from #dist.sharding<@m, [{4}, {8} ], partial={"tp"} sum>
         to #dist.sharding<@m, [{4}, {8} ]>
    ```
  }];
  let arguments = (ins StrAttr:$kind, AnyRankedTensor:$input,
                       StrArrayAttr:$axes, AnyAttr:$from, AnyAttr:$to);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = [{
    $kind $input `axes` $axes attr-dict `:` type($input) `to` type($result)
    `from` $from `to` $to
  }];
  let hasVerifier = 1;
}

def RT_ShardOp : RT_Op<"shard", [Pure]> {
  let summary = "What this rank keeps of a value; nothing moves";
  let description = [{
    `kind` is "slice" (the rank's part of what it holds) or "to_partial" (the
    value on the first rank of the group along `axes`, zeros on the others).
  }];
  let arguments = (ins StrAttr:$kind, AnyRankedTensor:$input,
                       StrArrayAttr:$axes, AnyAttr:$from, AnyAttr:$to);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = [{
    $kind $input `axes` $axes attr-dict `:` type($input) `to` type($result)
    `from` $from `to` $to
  }];
  let hasVerifier = 1;
}

def RT_ViewOp : RT_Op<"view", [Pure]> {
  let summary = "Another addressing of a buffer's elements";
  let description = [{
    Element (i0, i1, ..) of the result is element offset + sum(i * stride) of
    the flat source. A stride of zero repeats. Constraints: the source is not a
    view; every address is inside the source; element types are equal.

    ```mlir
    %t = rt.view %x offset 0 strides [1, 8] : tensor<4x8xf32> to tensor<8x4xf32>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$source, I64Attr:$offset,
                       DenseI64ArrayAttr:$strides);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = [{
    $source `offset` $offset `strides` $strides attr-dict `:` type($source)
    `to` type($result)
  }];
  let hasVerifier = 1;
}

def RT_CallOp : RT_Op<"call", [Pure]> {
  let summary = "Calls an operation of the runtime's library";
  let description = [{
    Callees, operands and attributes are those of Runtime/Library.h.
    `permutations` holds for each result an order of dimensions, or is empty:
    the callee's result dimension i is dimension permutation[i] of the result
    buffer, so that a transposition after the call costs nothing. `bases` are
    the shard offsets that the callee evaluates. `workspace` is the bytes of
    scratch memory, filled by the conversion.

    ```mlir
    %c = rt.call "matmul"(%a, %b, %bias) {epilogue = "bias"} :
         (tensor<4x8xf32>, tensor<8x16xf32>, tensor<16xf32>) -> tensor<4x16xf32>
    ```
  }];
  let arguments = (ins StrAttr:$callee, Variadic<AnyRankedTensor>:$inputs,
                       OptionalAttr<ArrayAttr>:$permutations,
                       OptionalAttr<ArrayAttr>:$bases,
                       OptionalAttr<DictionaryAttr>:$config,
                       DefaultValuedAttr<I64Attr, "0">:$workspace,
                       DefaultValuedAttr<I64Attr, "0">:$matmul_flops);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    $callee `(` $inputs `)` attr-dict `:` functional-type($inputs, $results)
  }];
  let hasVerifier = 1;
}

def RT_FusionOp : RT_Op<"fusion", [Pure, IsolatedFromAbove, SingleBlock]> {
  let summary = "A kernel to be generated: nn operations in one loop nest";
  let description = [{
    The region's arguments stand for the operands (buffers or views), its
    operations are elementwise nn operations, nn.broadcast, nn.constant,
    nn.reduce along trailing dimensions, nn.softmax over the last dimension and
    norms; all share the leading (row) dimensions. Or it is one nn.concat or
    nn.pad, alone. Equal regions with equal
    operand addressing share one kernel. `permutations` are those of rt.call:
    what the region yields, transposed, is the result buffer.
  }];
  let arguments = (ins Variadic<AnyRankedTensor>:$inputs,
                       OptionalAttr<ArrayAttr>:$permutations);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    `(` $inputs `)` attr-dict `:` functional-type($inputs, $results) $body
  }];
  let hasVerifier = 1;
}

def RT_YieldOp : RT_Op<"yield", [Pure, Terminator, ReturnLike,
                                 HasParent<"FusionOp">]> {
  let summary = "Ends a fusion with its results";
  let arguments = (ins Variadic<AnyRankedTensor>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
}

def RT_KernelOp : RT_Op<"kernel", [Pure]> {
  let summary = "Calls a generated kernel";
  let description = [{
    What a fusion becomes once its body is compiled: `kernel` is its name in the
    object file.
  }];
  let arguments = (ins StrAttr:$kernel, Variadic<AnyRankedTensor>:$inputs);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    $kernel `(` $inputs `)` attr-dict `:` functional-type($inputs, $results)
  }];
}

#endif // PARTITA_RT
