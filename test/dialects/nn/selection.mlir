// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt %s | %partita-opt | FileCheck %s
// RUN: %partita-opt %s -mlir-print-op-generic | %partita-opt | FileCheck %s

// CHECK-LABEL: func.func @selection
func.func @selection(%x: tensor<4x9xf32>, %i: tensor<4x3xi64>, %u: tensor<4x3xf32>) {
  // CHECK: nn.topk %{{.*}} axis 1 largest : tensor<4x9xf32> to tensor<4x2xf32>, tensor<4x2xi64>
  %v, %k = nn.topk %x axis 1 largest : tensor<4x9xf32> to tensor<4x2xf32>, tensor<4x2xi64>
  // CHECK: nn.gather_elements %{{.*}}, %{{.*}} axis 1 : tensor<4x9xf32>, tensor<4x3xi64>
  %0 = nn.gather_elements %x, %i axis 1 : tensor<4x9xf32>, tensor<4x3xi64>
  // CHECK: nn.gather_nd %{{.*}}, %{{.*}} batch 1 : tensor<4x9xf32>, tensor<4x3x1xi64>
  %j = nn.reshape %i : tensor<4x3xi64> to tensor<4x3x1xi64>
  %1 = nn.gather_nd %x, %j batch 1 : tensor<4x9xf32>, tensor<4x3x1xi64>
  // CHECK: nn.scatter_elements "add", %{{.*}}, %{{.*}}, %{{.*}} axis 1 : tensor<4x9xf32>, tensor<4x3xi64>, tensor<4x3xf32>
  %2 = nn.scatter_elements "add", %x, %i, %u axis 1 : tensor<4x9xf32>, tensor<4x3xi64>, tensor<4x3xf32>
  // CHECK: nn.scatter_nd "none", %{{.*}}, %{{.*}}, %{{.*}} batch 1 : tensor<4x9xf32>, tensor<4x3x1xi64>, tensor<4x3xf32>
  %3 = nn.scatter_nd "none", %x, %j, %u batch 1 : tensor<4x9xf32>, tensor<4x3x1xi64>, tensor<4x3xf32>
  return
}
