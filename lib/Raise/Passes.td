//===- Passes.td - Composites from decompositions ----------*- tablegen -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

include "mlir/Pass/PassBase.td"

def Simplify : Pass<"nn-simplify", "::mlir::ModuleOp"> {
  let summary = "Removes moves and arithmetic that change nothing";
  let description = [{
    Joins reshapes, transposes, broadcasts and slices with those before them,
    removes operations that do nothing, and sinks a reshape that joins leading
    dimensions below matrix products and elementwise operations, where it meets
    the reshape that undoes it. A bias that is the same for all keys of an
    attention goes: its softmax cancels it. The patterns of the other passes rely
    on this pass: a vector reaches its use through one broadcast, a product has all its rows'
    dimensions.

    ```mlir
    %a = nn.reshape %x : tensor<2x8x4xf32> to tensor<16x4xf32>          // before
    %b = nn.matmul %a, %w : tensor<16x4xf32>, tensor<4x6xf32>
    %c = nn.reshape %b : tensor<16x6xf32> to tensor<2x8x6xf32>
    %c = nn.matmul %x, %w : tensor<2x8x4xf32>, tensor<4x6xf32>           // after
    ```
  }];
}

def Deduplicate : Pass<"nn-deduplicate", "::mlir::ModuleOp"> {
  let summary = "Computes equal things once, and unused things never";
  let description = [{
    Operations with equal operands, types and attributes other than nn.id and
    nn.nodes become one, which covers the nodes of all. Parameters that nothing
    reads go too.
  }];
}

def RaiseNorms : Pass<"nn-raise-norms", "::mlir::ModuleOp"> {
  let summary = "Finds layer_norm and rms_norm";
  let description = [{
    `x / sqrt(mean(x^2) + e) * w` becomes nn.rms_norm; with the mean taken off
    before, and a bias after if there is one, nn.layer_norm. Reciprocals, rsqrt
    and divisions are equal here, and so is the order of operands.

    ```mlir
    %n = nn.rms_norm %x, %w epsilon 1.0e-6 : tensor<2x8xf32>, tensor<8xf32>
    ```
  }];
}

def RaiseActivations : Pass<"nn-raise-activations", "::mlir::ModuleOp"> {
  let summary = "Finds gelu (both forms) and silu";
  let description = [{
    Products are looked at as a whole, so that neither their association nor
    where the constants stand matters.

    ```mlir
    %g = nn.gelu %x : tensor<2x8xf32>       // 0.5 x (1 + erf(x / 1.41421))
    %s = nn.silu %x : tensor<2x8xf32>       // x sigmoid(x)
    ```
  }];
}

def RaiseRope : Pass<"nn-raise-rope", "::mlir::ModuleOp"> {
  let summary = "Finds rotary embeddings";
  let description = [{
    `x * cos + concat(-x2, x1) * sin` for x = (x1, x2) becomes nn.rope if the
    halves of the tables are equal by construction; tables of half the width are
    built beside them.

    ```mlir
    %r = nn.rope %x, %cos, %sin : tensor<1x4x8x16xf32>, tensor<1x8x8xf32>,
                                  tensor<1x8x8xf32>
    ```
  }];
}

def RaiseAttention : Pass<"nn-raise-attention", "::mlir::ModuleOp"> {
  let summary = "Finds scaled dot-product attention";
  let description = [{
    `softmax(scale * q k^T + mask) v`, with the scale anywhere before the mask,
    becomes nn.attention. Masks lose the broadcasts that gave them the scores'
    shape; keys and values that are repeated for groups of query heads lose the
    repetition. Scores or probabilities that something else reads prevent it.

    ```mlir
    %o, %l = nn.attention %q, %k, %v mask %m scale 2.5e-1 : ...
    ```
  }];
}

def HoistSlices : Pass<"nn-hoist-slices", "::mlir::ModuleOp"> {
  let summary = "Takes slices before what computes their input";
  let description = [{
    Where all that is read of a result is one slice, and the loops that it cuts
    are parallel in the operation's sharding rule, the operands are sliced
    instead: a classifier that reads one token leaves the last layer's products
    one row. Queries of an attention are such rows, unless it is causal.

    ```mlir
    %y = nn.matmul %x, %w : tensor<197x8xf32>, tensor<8x4xf32>           // before
    %z = nn.slice %y [0, 0] step [1, 1] : tensor<197x4xf32> to tensor<1x4xf32>
    %s = nn.slice %x [0, 0] step [1, 1] : tensor<197x8xf32> to tensor<1x8xf32>
    %z = nn.matmul %s, %w : tensor<1x8xf32>, tensor<8x4xf32>              // after
    ```
  }];
}

def ReportRaised : Pass<"nn-report-raised", "::mlir::ModuleOp"> {
  let summary = "Counts composites and what looks like parts of one";
  let description = [{
    Sets nn.raise_report = {raised = {attention = 3 : i64, ..}, left = {..}} and
    makes every nn.id unique. Changes nothing else.
  }];
}
