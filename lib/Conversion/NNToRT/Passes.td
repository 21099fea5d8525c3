//===- Passes.td - From local operations to commands -------*- tablegen -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

include "mlir/Pass/PassBase.td"

def NNToRT : Pass<"nn-to-rt", "::mlir::ModuleOp"> {
  let summary = "Turns local nn operations into views, calls and fusions";
  let description = [{
    Precondition: local functions, as `localize` leaves them. Afterwards every
    operation is a command or a view in the normal form of the rt dialect, and
    every rt.call knows its workspace. Operations that only move no data become
    views; matrix products, attention, gathers and the like become library calls,
    with the epilogues that follow them; the rest becomes fusions.

    ```mlir
    // before
    %t = nn.transpose %w [1, 0] : tensor<16x8xf32>
    %y = nn.matmul %x, %t : tensor<4x8xf32>, tensor<8x16xf32>
    %c = nn.broadcast %b [1] : tensor<16xf32> to tensor<4x16xf32>
    %z = nn.add %y, %c : tensor<4x16xf32>
    %r = nn.relu %z : tensor<4x16xf32>
    // after (%w is a parameter, so its packed form is made once)
    %t = rt.view %w offset 0 strides [1, 8] : tensor<16x8xf32> to tensor<8x16xf32>
    %p = rt.call "pack_weight"(%t) {config = {packed = array<i64: 8, 16>}}
         : (tensor<8x16xf32>) -> tensor<640xui8>
    %r = rt.call "matmul"(%x, %p, %b) {config = {epilogue = "bias,relu", ..}}
         : (tensor<4x8xf32>, tensor<640xui8>, tensor<16xf32>) -> tensor<4x16xf32>
    ```
  }];
  let options = [Option<"threads", "threads", "int", "1",
      "Threads that run library calls">];
  let dependentDialects = ["::partita::rt::RTDialect", "::partita::nn::NNDialect"];
}
