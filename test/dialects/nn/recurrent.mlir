// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt %s | %partita-opt | FileCheck %s
// RUN: %partita-opt %s -mlir-print-op-generic | %partita-opt | FileCheck %s

// CHECK-LABEL: func.func @recurrent
func.func @recurrent(%x: tensor<3x5x8xf32>, %w: tensor<2x8xf32>, %h: tensor<5x2xf32>, %p: tensor<3x2xf32>, %l: tensor<5xi32>) {
  // CHECK: nn.lstm %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} peepholes %{{.*}} lengths %{{.*}} {activations = "Sigmoid,Tanh,Tanh", {{.*}}reverse}
  %s:3 = nn.lstm %x, %w, %h, %h peepholes %p lengths %l {activations = "Sigmoid,Tanh,Tanh", alpha = array<f64: 0.0, 0.0, 0.0>, beta = array<f64: 0.0, 0.0, 0.0>, clip = 0.0 : f64, reverse} : (tensor<3x5x8xf32>, tensor<2x8xf32>, tensor<5x2xf32>, tensor<5x2xf32>, tensor<3x2xf32>, tensor<5xi32>) -> (tensor<3x5x2xf32>, tensor<5x2xf32>, tensor<5x2xf32>)
  // CHECK: nn.cumprod %{{.*}} axis 1 exclusive : tensor<5x2xf32>
  %c = nn.cumprod %h axis 1 exclusive : tensor<5x2xf32>
  return
}
