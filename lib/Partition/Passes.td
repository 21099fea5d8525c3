//===- Passes.td - From strategies to local programs -------*- tablegen -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

include "mlir/Pass/PassBase.td"

def SplitStages : Pass<"dist-split-stages", "::mlir::ModuleOp"> {
  let summary = "Makes a function on a mesh of its own of each stage";
  let description = [{
    Precondition: one dist.mesh with an axis pp; a strategy and a stage on every
    operation of @step. After it, no function sees another stage.

    ```mlir
    // before
    %h = nn.relu %x {dist.in_stage = 0, dist.strategy = ..}
    %y = nn.tanh %h {dist.in_stage = 1, dist.strategy = ..}
    // after
    %h = dist.stage 0 "step_stage0" on @stage0(%x)
    %t = dist.transfer %h : .. from #dist.sharding<@stage0, ..> to ..
    %y = dist.stage 1 "step_stage1" on @stage1(%t)
    ```
  }];
  let dependentDialects = ["::partita::dist::DistDialect"];
}

def InsertReshards : Pass<"dist-insert-reshards", "::mlir::ModuleOp"> {
  let summary = "Puts a reshard where a use demands another sharding";
  let description = [{
    Precondition: one dist.mesh; a strategy on every operation of @step; a
    sharding on its arguments and results. After it, each operand arrives in the
    sharding that its operation's strategy demands.

    ```mlir
    // before: %y is pending over tp, the addition wants it whole
    %y = nn.matmul %x, %w {dist.strategy = #dist.strategy<@m, {k = {8:"tp"}}>}
    %z = nn.add %y, %b {dist.strategy = #dist.strategy<@m, {}>}
    // after
    %r = dist.reshard %y : .. from [..] partial={"tp"} sum to [..]
    %z = nn.add %r, %b
    ```
  }];
  let options = [Option<"topology", "topology", "std::string", "\"cpu:1\"",
      "Machine whose prices decide where ways part; ranks as in the mesh">];
  let dependentDialects = ["::partita::dist::DistDialect"];
}

def LowerReshards : Pass<"dist-reshard-to-collectives", "::mlir::ModuleOp"> {
  let summary = "Replaces reshards by their cheapest collectives";
  let description = [{
    Types stay global. Each reshard becomes the cheapest path of all-gather,
    reduce-scatter, all-reduce, all-to-all, permute, slice and to-partial.

    ```mlir
    %r = dist.reshard %y : tensor<4x8xf32> from #pending to #whole   // before
    %r = dist.all_reduce %y axes ["tp"] : tensor<4x8xf32> from .. to ..  // after
    ```
  }];
  let options = [Option<"topology", "topology", "std::string", "\"cpu:1\"",
      "Machine whose prices decide; ranks as in the mesh">];
  let dependentDialects = ["::partita::dist::DistDialect"];
}

def Localize : Pass<"localize", "::mlir::ModuleOp"> {
  let summary = "Makes one local function for each class of ranks";
  let description = [{
    Precondition: reshards are lowered. Ranks with equal local shapes share a
    function @step_class<i> (attribute `rt.ranks`); strategies are gone, moves
    are rt.collective and rt.shard.

    ```mlir
    func.func @step(%x: tensor<5x8xf32> {dist.sharding = [{5:"dp"}, {8} ]}) // before
    func.func @step_class0(%x: tensor<3x8xf32> ..) attributes {rt.ranks = [0]}
    func.func @step_class1(%x: tensor<2x8xf32> ..) attributes {rt.ranks = [1]}
    ```
  }];
  let dependentDialects = ["::partita::rt::RTDialect"];
}
