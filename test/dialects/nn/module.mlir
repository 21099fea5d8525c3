// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt %s | %partita-opt | FileCheck %s
// RUN: %partita-opt %s -mlir-print-op-generic | %partita-opt | FileCheck %s

// CHECK: module attributes {nn.files = [{hash = 7 : i64, path = "w.bin", size = 96 : i64}]}
module attributes {nn.files = [{path = "w.bin", size = 96 : i64, hash = 7 : i64}]} {
  dist.mesh @m {axes = ["tp"], sizes = array<i64: 2>}
  // CHECK: nn.parameter @w : tensor<4x6xf32> {file = 0 : i64, length = 96 : i64, offset = 0 : i64}
  nn.parameter @w : tensor<4x6xf32> {file = 0 : i64, offset = 0 : i64, length = 96 : i64}
  // Absent weights have no length.
  // CHECK: nn.parameter @absent : tensor<4xi1> {file = -1 : i64, length = 0 : i64, offset = 0 : i64}
  nn.parameter @absent : tensor<4xi1> {file = -1 : i64, offset = 0 : i64, length = 0 : i64}

  // CHECK-LABEL: func.func @step
  func.func @step(%x: tensor<2xf32>) {
    // CHECK: nn.get_parameter @w : tensor<4x6xf32>
    %0 = nn.get_parameter @w : tensor<4x6xf32>
    // CHECK: nn.get_parameter @w : tensor<4x3xf32> sharding #dist.sharding<@m, [{4}, {6:"tp"}]>
    %1 = nn.get_parameter @w : tensor<4x3xf32> sharding #dist.sharding<@m, [{4}, {6:"tp"}]>
    // CHECK: nn.unregistered "com.example" "Frobnicate" 3(%{{.*}}, %{{.*}}) : (tensor<2xf32>, tensor<2xf32>) -> tensor<7xf32>
    %2 = nn.unregistered "com.example" "Frobnicate" 3 (%x, %x) : (tensor<2xf32>, tensor<2xf32>) -> tensor<7xf32>
    return
  }
}
