// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt %s | %partita-opt | FileCheck %s
// RUN: %partita-opt %s -mlir-print-op-generic | %partita-opt | FileCheck %s
// RUN: %partita-opt %s -mlir-print-op-generic | %partita-opt | FileCheck %s

// CHECK-LABEL: func.func @bits
func.func @bits(%a: tensor<4xi8>, %b: tensor<4xi8>) {
  // CHECK: nn.bit_and %{{.*}}, %{{.*}} : tensor<4xi8>
  %and = nn.bit_and %a, %b : tensor<4xi8>
  // CHECK: nn.bit_or %{{.*}}, %{{.*}} : tensor<4xi8>
  %or = nn.bit_or %a, %b : tensor<4xi8>
  // CHECK: nn.bit_xor %{{.*}}, %{{.*}} : tensor<4xi8>
  %xor = nn.bit_xor %a, %b : tensor<4xi8>
  // CHECK: nn.bit_not %{{.*}} : tensor<4xi8>
  %not = nn.bit_not %a : tensor<4xi8>
  // CHECK: nn.shift_left %{{.*}}, %{{.*}} : tensor<4xi8>
  %left = nn.shift_left %a, %b : tensor<4xi8>
  // CHECK: nn.shift_right %{{.*}}, %{{.*}} : tensor<4xi8>
  %right = nn.shift_right %a, %b : tensor<4xi8>
  // CHECK: nn.bitcast %{{.*}} : tensor<4xi8> to tensor<4xui8>
  %cast = nn.bitcast %a : tensor<4xi8> to tensor<4xui8>
  return
}

// CHECK-LABEL: func.func @trigonometry
func.func @trigonometry(%a: tensor<4xf32>) {
  // CHECK: nn.asin %{{.*}} : tensor<4xf32>
  %asin = nn.asin %a : tensor<4xf32>
  // CHECK: nn.atanh %{{.*}} : tensor<4xf32>
  %atanh = nn.atanh %a : tensor<4xf32>
  return
}
