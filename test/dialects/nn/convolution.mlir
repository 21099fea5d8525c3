// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt %s | %partita-opt | FileCheck %s
// RUN: %partita-opt %s -mlir-print-op-generic | %partita-opt | FileCheck %s

// CHECK-LABEL: func.func @convolutions
func.func @convolutions(%x: tensor<1x6x9x7xf32>, %w: tensor<8x3x3x3xf32>, %t: tensor<6x4x2x2xf32>)
    -> (tensor<1x8x5x4xf32>, tensor<1x8x18x14xf32>) {
  // CHECK: nn.conv %{{.*}}, %{{.*}} strides [2, 2] dilations [1, 1] pads [1, 1] [1, 1] : tensor<1x6x9x7xf32>, tensor<8x3x3x3xf32>
  %0 = nn.conv %x, %w strides [2, 2] dilations [1, 1] pads [1, 1] [1, 1]
      : tensor<1x6x9x7xf32>, tensor<8x3x3x3xf32>
  // CHECK: nn.conv_transpose %{{.*}}, %{{.*}} groups 2 strides [2, 2] dilations [1, 1] pads [0, 0] [0, 0] output_pads [0, 0]
  %1 = nn.conv_transpose %x, %t groups 2 strides [2, 2] dilations [1, 1] pads [0, 0] [0, 0]
      output_pads [0, 0] : tensor<1x6x9x7xf32>, tensor<6x4x2x2xf32>
  return %0, %1 : tensor<1x8x5x4xf32>, tensor<1x8x18x14xf32>
}

// CHECK-LABEL: func.func @pools
func.func @pools(%x: tensor<1x6x9xf32>) -> tensor<1x6x5xf32> {
  // CHECK: nn.pool "max", %{{.*}} kernel [3] strides [2] dilations [1] pads [1] [1] : tensor<1x6x9xf32>
  %0 = nn.pool "max", %x kernel [3] strides [2] dilations [1] pads [1] [1] : tensor<1x6x9xf32>
  // CHECK: nn.pool "sum"
  %1 = nn.pool "sum", %x kernel [3] strides [2] dilations [1] pads [1] [1] : tensor<1x6x9xf32>
  return %1 : tensor<1x6x5xf32>
}
