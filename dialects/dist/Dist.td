//===- Dist.td - Meshes, shardings and collectives ---------*- tablegen -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_DIST
#define PARTITA_DIST

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Dist_Dialect : Dialect {
  let name = "dist";
  let cppNamespace = "::partita::dist";
  let summary = "Meshes, shardings, strategies and collectives";
  let description = [{
    How a program is spread over ranks, while types are still global. A value's
    type is the whole tensor's; what a rank holds of it follows from the
    strategy of the operation that makes it, or from the `to` sharding of a
    collective. Data that moves between ranks is explicit in collectives.
  }];
  let useDefaultAttributePrinterParser = 1;
}

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

class Dist_Attr<string name, string attrMnemonic> : AttrDef<Dist_Dialect, name> {
  let mnemonic = attrMnemonic;
}

def Dist_FactorAttr : Dist_Attr<"Factor", "factor"> {
  let summary = "One factor of a dimension and the axes that split it";
  let parameters = (ins "int64_t":$size,
                        ArrayRefParameter<"::mlir::StringAttr">:$axes,
                        OptionalArrayRefParameter<"int64_t">:$halo);
  let description = [{
    `12:"tp"`: twelve units over axis tp. `56:"tp" halo(28, 2, 1, 3)`: what 28
    positions over axis tp read of 56 elements with a window of 3 that goes on
    in steps of 2 and begins 1 before the first.
  }];
  let hasCustomAssemblyFormat = 1;
}

def Dist_DimAttr : Dist_Attr<"Dim", "dim"> {
  let summary = "The mixed-radix factors of one dimension, major first";
  let parameters = (ins
      ArrayRefParameter<"::partita::dist::FactorAttr">:$factors);
  let description = [{ `{3, 12:"tp", 64}`: their product is the size. }];
  let hasCustomAssemblyFormat = 1;
}

def Dist_ShardingAttr : Dist_Attr<"Sharding", "sharding"> {
  let summary = "What each rank holds of a tensor";
  let description = [{
    `#dist.sharding<@m, [{6:"dp"}, {3, 12:"tp", 64} ], partial={"sp"} sum>`

    Constraints, checked where the attribute is attached to a tensor:
    1. there is one entry for each dimension;
    2. the factors of an entry multiply to the dimension's size;
    3. each axis is in the mesh and occurs once, partial axes included;
    4. no shard is empty: a factor's axes multiply to at most its size;
    5. a combiner is given if and only if there are partial axes;
    6. a halo is on the only factor of its dimension, its numbers are in range,
       and every rank's positions read something.

    Several axes on a factor nest in order. A block that does not divide gives
    its first parts one unit more.
  }];
  let parameters = (ins "::mlir::FlatSymbolRefAttr":$mesh,
                        ArrayRefParameter<"::partita::dist::DimAttr">:$dims,
                        ArrayRefParameter<"::mlir::StringAttr">:$partial,
                        "::mlir::StringAttr":$combiner);
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{
    static ShardingAttr get(::mlir::MLIRContext *context,
                            ::mlir::FlatSymbolRefAttr mesh,
                            const ::partita::Mesh &data,
                            const ::partita::Sharding &sharding);
    /// As plain data; fails on an unknown axis or combiner.
    ::partita::Result<::partita::Sharding>
    toData(const ::partita::Mesh &mesh) const;
  }];
}

def Dist_StrategyAttr : Dist_Attr<"Strategy", "strategy"> {
  let summary = "Which loop of an operation is split over which axis";
  let description = [{
    `#dist.strategy<@m, {b = {6:"dp"}, n = {3, 12:"tp", 64}}>`

    Names are factors of the operation's sharding rule; factors that are not
    named are whole. A linear factor is written `{1:"tp"}`.

    Constraints: 1. each name is a factor of the rule; 2. the parts multiply to
    the factor's size; 3. each axis occurs once; 4. replicate factors are whole;
    5. no shard is empty.
  }];
  let parameters = (ins "::mlir::FlatSymbolRefAttr":$mesh,
                        ArrayRefParameter<"::mlir::StringAttr">:$names,
                        ArrayRefParameter<"::partita::dist::DimAttr">:$factors);
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{
    static StrategyAttr get(::mlir::MLIRContext *context,
                            ::mlir::FlatSymbolRefAttr mesh,
                            const ::partita::Mesh &data,
                            const ::partita::ShardingRule &rule,
                            const ::partita::Strategy &strategy);
    ::partita::Result<::partita::Strategy>
    toData(const ::partita::Mesh &mesh,
           const ::partita::ShardingRule &rule) const;
  }];
}

def Dist_OffsetAttr : Dist_Attr<"Offset", "offset"> {
  let summary = "Where a rank's interval of a factor begins";
  let description = [{
    `#dist.offset<@m, {1021:"tp"}>` is the first of 1021 units that belongs to the
    rank that evaluates it: the only thing in which local programs of one rank
    class differ.
  }];
  let parameters = (ins "::mlir::FlatSymbolRefAttr":$mesh,
                        "::partita::dist::FactorAttr":$factor);
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{
    ::partita::Result<::partita::ShardOffset>
    toData(const ::partita::Mesh &mesh) const;
  }];
}

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

class Dist_Op<string mnemonic, list<Trait> traits = []>
    : Op<Dist_Dialect, mnemonic, traits>;

def Dist_MeshOp : Dist_Op<"mesh", [Symbol]> {
  let summary = "A named grid of ranks";
  let description = [{
    Constraints: 1. axis names are unique; 2. sizes are positive; 3. there are
    at most 16 axes; 4. `ranks`, if given, has a different number for each place.

    ```mlir
    dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 4>}
    ```

    Where stages have different axes, `stages` names those of each, and 5. there
    are as many as ranks along `pp`, each of names of axes:

    ```mlir
    dist.mesh @m {axes = ["pp", "tp"], sizes = array<i64: 2, 2>,
                  stages = [["tp"], []]}
    ```

    A stage has a mesh of its own, a part of the ranks: place i of the grid is
    rank `ranks`[i] of the program.

    ```mlir
    dist.mesh @stage1 {axes = ["tp"], sizes = array<i64: 2>,
                       ranks = array<i64: 2, 3>}
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrArrayAttr:$axes,
                       DenseI64ArrayAttr:$sizes,
                       OptionalAttr<DenseI64ArrayAttr>:$ranks,
                       OptionalAttr<ArrayAttr>:$stages);
  let assemblyFormat = "$sym_name attr-dict";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::partita::Mesh getMesh();
    /// The program's rank at each place of the grid.
    std::vector<int64_t> rankNumbers();
  }];
}

class Dist_ReshardBase<string mnemonic, string what>
    : Dist_Op<mnemonic, [Pure,
        AllTypesMatch<["input", "result"]>]> {
  let summary = what;
  let arguments = (ins AnyRankedTensor:$input, Dist_ShardingAttr:$from,
                       Dist_ShardingAttr:$to);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = [{
    $input attr-dict `:` type($result) `from` qualified($from) `to`
    qualified($to)
  }];
  let hasVerifier = 1;
}

/// One collective or free move among ranks that differ along `axes` only.
class Dist_MoveOp<string mnemonic, string what>
    : Dist_ReshardBase<mnemonic, what> {
  let arguments = (ins AnyRankedTensor:$input, StrArrayAttr:$axes,
                       Dist_ShardingAttr:$from, Dist_ShardingAttr:$to);
  let assemblyFormat = [{
    $input `axes` $axes attr-dict `:` type($result) `from` qualified($from) `to`
    qualified($to)
  }];
}

def Dist_ReshardOp : Dist_ReshardBase<"reshard",
    "Changes a value's sharding by the cheapest collectives"> {
  let description = [{
    Placed where a use demands another sharding than its producer gives. The
    pass `dist-reshard-to-collectives` replaces it by the cheapest path.
    Constraints: both shardings are legal for the type on one mesh.
  }];
}
def Dist_AllGatherOp : Dist_MoveOp<"all_gather",
    "Every rank of a group receives all its members' shards"> {
  let description = [{ Constraint: `to` is `from` without the last axes of one
    or more factors. }];
}
def Dist_ReduceScatterOp : Dist_MoveOp<"reduce_scatter",
    "Combines pending values; each rank keeps its shard"> {
  let description = [{ Constraint: partial axes of `from` become last axes of
    factors in `to`. }];
}
def Dist_AllReduceOp : Dist_MoveOp<"all_reduce",
    "Combines pending values on every rank of a group"> {
  let description = [{ Constraint: `to` has fewer partial axes and equal
    dimensions. }];
}
def Dist_AllToAllOp : Dist_MoveOp<"all_to_all",
    "Moves an axis from one factor to another"> {
  let description = [{ Constraint: neither side is partial over the axes that
    move. }];
}
def Dist_PermuteOp : Dist_MoveOp<"permute",
    "Ranks exchange whole shards"> {
  let description = [{ Constraint: every rank's shard after it is the shard of some
    rank before it. }];
}
def Dist_HaloExchangeOp : Dist_MoveOp<"halo_exchange",
    "Each rank receives what its windows read of its neighbours' blocks"> {
  let description = [{ Constraint: `to` is `from` with halos on factors that
    have axes. }];
}
def Dist_SliceOp : Dist_MoveOp<"slice",
    "Each rank keeps a part of what it holds; nothing moves"> {
  let description = [{ Constraint: `to` is `from` with more axes on factors. }];
}
def Dist_ToPartialOp : Dist_MoveOp<"to_partial",
    "One rank keeps the value, the others of the group hold zero"> {
  let description = [{ Constraint: `to` is `from` with more partial axes and
    combiner sum. }];
}

def Dist_SoftmaxMergeOp : Dist_Op<"softmax_merge", [Pure,
    AllTypesMatch<["out", "result"]>, AllTypesMatch<["lse", "result_lse"]>]> {
  let summary = "Merges attention over parts of the keys";
  let description = [{
    Both results of an attention whose keys are split over `axes`: each rank's
    `out` is normalised over its own keys and `lse` [b, h, s] is the logarithm
    of its denominators. With M the maximum of lse over the group and
    w = exp(lse - M): result = sum(w out) / sum(w), result_lse = M + log sum(w).
    Constraints: `from` is `to` with the axes pending with combiner
    softmax_merge; lse has the dimensions of out but the last.
  }];
  let arguments = (ins AnyRankedTensor:$out, AnyRankedTensor:$lse,
                       StrArrayAttr:$axes, Dist_ShardingAttr:$from,
                       Dist_ShardingAttr:$to, Dist_ShardingAttr:$from_lse,
                       Dist_ShardingAttr:$to_lse);
  let results = (outs AnyRankedTensor:$result, AnyRankedTensor:$result_lse);
  let assemblyFormat = [{
    $out `,` $lse `axes` $axes attr-dict `:` type($out) `,` type($lse)
    `from` qualified($from) `to` qualified($to)
    `from_lse` qualified($from_lse) `to_lse` qualified($to_lse)
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Stages
//===----------------------------------------------------------------------===//

def Dist_StageOp : Dist_Op<"stage"> {
  let summary = "Runs a stage: a part of the program on a part of the ranks";
  let description = [{
    `entry` names the stage's function, or, once it is local, the functions
    `<entry>_class<i>` of its rank classes. Nothing else of the program is seen
    there. Types are global.

    Constraints: 1. `mesh` is a mesh of the module; 2. numbers ascend; 3. no rank
    is in two stages; 4. operands are arguments of the function or transfers to
    this stage. With SSA dominance a value can only go to a later stage.

    ```mlir
    %h = dist.stage 0 "step_stage0" on @stage0(%x)
         : (tensor<4x8xf32>) -> tensor<4x8xf32>
    %t = dist.transfer %h : tensor<4x8xf32>
         from #dist.sharding<@stage0, [{4}, {8:"tp"} ]>
         to #dist.sharding<@stage1, [{4}, {8} ]>
    %y = dist.stage 1 "step_stage1" on @stage1(%t)
         : (tensor<4x8xf32>) -> tensor<4x8xf32>
    ```
  }];
  let arguments = (ins I64Attr:$number, StrAttr:$entry,
                       FlatSymbolRefAttr:$mesh,
                       Variadic<AnyRankedTensor>:$inputs);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    $number $entry `on` $mesh `(` $inputs `)` attr-dict `:`
    functional-type($inputs, $results)
  }];
  let hasVerifier = 1;
}

def Dist_TransferOp : Dist_Op<"transfer", [Pure,
    AllTypesMatch<["input", "result"]>]> {
  let summary = "What a stage made goes to another one";
  let description = [{
    Each rank of the other stage receives its box of `to` from ranks that hold
    parts of it in `from`, point to point, and nothing else.

    Constraints: 1. the operand is a result of a stage on the mesh of `from`;
    2. `to` is on another mesh, which shares no rank with it; 3. both are legal
    for the type, and neither is partial; 4. `from` has no halo.
  }];
  let arguments = (ins AnyRankedTensor:$input, Dist_ShardingAttr:$from,
                       Dist_ShardingAttr:$to);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = [{
    $input attr-dict `:` type($result) `from` qualified($from) `to`
    qualified($to)
  }];
  let hasVerifier = 1;
}

#endif // PARTITA_DIST
