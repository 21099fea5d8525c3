// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt %s | %partita-opt | FileCheck %s
// RUN: %partita-opt %s -mlir-print-op-generic | %partita-opt | FileCheck %s

dist.mesh @m {axes = ["tp"], sizes = array<i64: 2>}

// CHECK-LABEL: func.func @moves
func.func @moves(%x: tensor<2x12xf32>, %v: tensor<12xf32>) {
  // CHECK: nn.reshape %{{.*}} : tensor<2x12xf32> to tensor<2x3x4xf32>
  %0 = nn.reshape %x : tensor<2x12xf32> to tensor<2x3x4xf32>
  // CHECK: nn.transpose %{{.*}} [1, 0] : tensor<2x12xf32>
  %1 = nn.transpose %x [1, 0] : tensor<2x12xf32>
  // CHECK: nn.broadcast %{{.*}} [1] : tensor<12xf32> to tensor<2x12xf32>
  %2 = nn.broadcast %v [1] : tensor<12xf32> to tensor<2x12xf32>
  // CHECK: nn.slice %{{.*}} [0, 10] step [1, -3] : tensor<2x12xf32> to tensor<2x4xf32>
  %3 = nn.slice %x [0, 10] step [1, -3] : tensor<2x12xf32> to tensor<2x4xf32>
  // CHECK: nn.pad %{{.*}} [0, 1] [2, 0] value 5.000000e-01 : tensor<2x12xf32> to tensor<4x13xf32>
  %4 = nn.pad %x [0, 1] [2, 0] value 0.5 : tensor<2x12xf32> to tensor<4x13xf32>
  return
}

// CHECK-LABEL: func.func @parts
func.func @parts(%x: tensor<2x12xf32>, %y: tensor<2x3xf32>) {
  // CHECK: nn.concat %{{.*}}, %{{.*}} axis 1 : tensor<2x12xf32>, tensor<2x3xf32> to tensor<2x15xf32>
  %0 = nn.concat %x, %y axis 1 : tensor<2x12xf32>, tensor<2x3xf32> to tensor<2x15xf32>
  // CHECK: nn.split %{{.*}} axis 1 : tensor<2x12xf32> to tensor<2x5xf32>, tensor<2x7xf32>
  %1:2 = nn.split %x axis 1 : tensor<2x12xf32> to tensor<2x5xf32>, tensor<2x7xf32>
  return
}

// CHECK-LABEL: func.func @sources
func.func @sources(%x: tensor<5x4xf32>, %i: tensor<2x3xi64>) -> tensor<2x3x4xf32> {
  // CHECK: nn.gather %{{.*}}, %{{.*}} axis 0 : tensor<5x4xf32>, tensor<2x3xi64>{{$}}
  %0 = nn.gather %x, %i axis 0 : tensor<5x4xf32>, tensor<2x3xi64>
  // CHECK: nn.gather %{{.*}}, %{{.*}} axis 0 : tensor<5x4xf32>, tensor<2x3xi64> base #dist.offset<@m, {10:"tp"}>
  %1 = nn.gather %x, %i axis 0 : tensor<5x4xf32>, tensor<2x3xi64> base #dist.offset<@m, {10:"tp"}>
  // CHECK: nn.iota 1 start 1.000000e+00 step 5.000000e-01 : tensor<2x4xf32>{{$}}
  %2 = nn.iota 1 start 1.0 step 0.5 : tensor<2x4xf32>
  // CHECK: nn.iota 0 start 0.000000e+00 step 1.000000e+00 : tensor<4xi64> base #dist.offset<@m, {8:"tp"}>
  %3 = nn.iota 0 start 0.0 step 1.0 : tensor<4xi64> base #dist.offset<@m, {8:"tp"}>
  // CHECK: nn.constant dense<[1, 2]> : tensor<2xi64>
  %4 = "nn.constant"() {value = dense<[1, 2]> : tensor<2xi64>} : () -> tensor<2xi64>
  // A splat may be large.
  // CHECK: nn.constant dense<0.000000e+00> : tensor<4096x4096xf32>
  %5 = "nn.constant"() {value = dense<0.0> : tensor<4096x4096xf32>} : () -> tensor<4096x4096xf32>
  return %0 : tensor<2x3x4xf32>
}
