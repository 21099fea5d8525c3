// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt %s | %partita-opt | FileCheck %s
// RUN: %partita-opt %s -mlir-print-op-generic | %partita-opt | FileCheck %s

// CHECK-LABEL: func.func @reduce
func.func @reduce(%x: tensor<4x8x2xf32>) -> tensor<8xf32> {
  // CHECK: nn.reduce "sum", %{{.*}} [0, 2] : tensor<4x8x2xf32>
  %0 = nn.reduce "sum", %x [0, 2] : tensor<4x8x2xf32>
  // CHECK: nn.reduce "max", %{{.*}} [] : tensor<4x8x2xf32>
  %1 = nn.reduce "max", %x [] : tensor<4x8x2xf32>
  // CHECK: nn.reduce "min"
  %2 = nn.reduce "min", %x [1] : tensor<4x8x2xf32>
  // CHECK: nn.reduce "prod"
  %3 = nn.reduce "prod", %x [0, 1, 2] : tensor<4x8x2xf32>
  return %0 : tensor<8xf32>
}

// CHECK-LABEL: func.func @along
func.func @along(%x: tensor<4x8xf32>) {
  // CHECK: nn.cumsum %{{.*}} axis 1 : tensor<4x8xf32>
  %0 = nn.cumsum %x axis 1 : tensor<4x8xf32>
  // CHECK: nn.cumsum %{{.*}} axis 0 exclusive reverse : tensor<4x8xf32>
  %1 = nn.cumsum %x axis 0 exclusive reverse : tensor<4x8xf32>
  // CHECK: nn.softmax %{{.*}} axis 1 : tensor<4x8xf32>
  %2 = nn.softmax %x axis 1 : tensor<4x8xf32>
  // CHECK: nn.softmax %{{.*}} axis 0 : tensor<4x8xf32>
  %3 = nn.softmax %x axis 0 : tensor<4x8xf32>
  return
}

// CHECK-LABEL: func.func @norms
func.func @norms(%x: tensor<4x8xf32>, %s: tensor<8xf32>) {
  // CHECK: nn.layer_norm %{{.*}}, %{{.*}}, %{{.*}} epsilon 1.000000e-05 : tensor<4x8xf32>, tensor<8xf32>, tensor<8xf32>
  %0 = nn.layer_norm %x, %s, %s epsilon 1.0e-5 : tensor<4x8xf32>, tensor<8xf32>, tensor<8xf32>
  // CHECK: nn.layer_norm %{{.*}}, %{{.*}} epsilon 1.000000e-05 : tensor<4x8xf32>, tensor<8xf32>
  %1 = nn.layer_norm %x, %s epsilon 1.0e-5 : tensor<4x8xf32>, tensor<8xf32>
  // CHECK: nn.rms_norm %{{.*}}, %{{.*}} epsilon 1.000000e-05 : tensor<4x8xf32>, tensor<8xf32>
  %2 = nn.rms_norm %x, %s epsilon 1.0e-5 : tensor<4x8xf32>, tensor<8xf32>
  return
}
