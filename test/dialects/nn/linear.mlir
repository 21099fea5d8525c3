// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt %s | %partita-opt | FileCheck %s
// RUN: %partita-opt %s -mlir-print-op-generic | %partita-opt | FileCheck %s

// CHECK-LABEL: func.func @matmul
func.func @matmul(%a: tensor<2x8x16xf32>, %b: tensor<16x32xf32>, %c: tensor<2x16x4xf32>) {
  // CHECK: nn.matmul %{{.*}}, %{{.*}} : tensor<2x8x16xf32>, tensor<16x32xf32>
  %0 = nn.matmul %a, %b : tensor<2x8x16xf32>, tensor<16x32xf32>
  // CHECK: nn.matmul %{{.*}}, %{{.*}} : tensor<2x8x16xf32>, tensor<2x16x4xf32>
  %1 = nn.matmul %a, %c : tensor<2x8x16xf32>, tensor<2x16x4xf32>
  return
}

dist.mesh @m {axes = ["tp"], sizes = array<i64: 2>}

// CHECK-LABEL: func.func @attention
func.func @attention(%q: tensor<2x6x5x8xf32>, %k: tensor<2x2x7x8xf32>, %v: tensor<2x2x7x4xf32>,
                     %mask: tensor<1x1x5x7xi1>) {
  // CHECK: nn.attention %{{.*}}, %{{.*}}, %{{.*}} scale 1.250000e-01 : tensor<2x6x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x4xf32>
  %0:2 = nn.attention %q, %k, %v scale 0.125 : tensor<2x6x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x4xf32>
  // CHECK: nn.attention %{{.*}}, %{{.*}}, %{{.*}} mask %{{.*}} scale 1.250000e-01 causal : tensor<2x6x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x4xf32>, tensor<1x1x5x7xi1>
  %1:2 = nn.attention %q, %k, %v mask %mask scale 0.125 causal
    : tensor<2x6x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x4xf32>, tensor<1x1x5x7xi1>
  // CHECK: nn.attention
  // CHECK-SAME: query_base #dist.offset<@m, {10:"tp"}> key_base #dist.offset<@m, {14:"tp"}>
  %2:2 = nn.attention %q, %k, %v scale 0.125 causal
    : tensor<2x6x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x4xf32>
    query_base #dist.offset<@m, {10:"tp"}> key_base #dist.offset<@m, {14:"tp"}>
  return
}

// CHECK-LABEL: func.func @rope
func.func @rope(%x: tensor<2x4x5x8xf32>, %c: tensor<1x5x4xf32>) {
  // CHECK: nn.rope %{{.*}}, %{{.*}}, %{{.*}} : tensor<2x4x5x8xf32>, tensor<1x5x4xf32>, tensor<1x5x4xf32>
  %0 = nn.rope %x, %c, %c : tensor<2x4x5x8xf32>, tensor<1x5x4xf32>, tensor<1x5x4xf32>
  // CHECK: nn.rope %{{.*}}, %{{.*}}, %{{.*}} interleaved : tensor<2x4x5x8xf32>
  %1 = nn.rope %x, %c, %c interleaved : tensor<2x4x5x8xf32>, tensor<1x5x4xf32>, tensor<1x5x4xf32>
  return
}
