// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt --nn-simplify --split-input-file %s | FileCheck %s

// A bias and a batch norm: one convolution with a scaled weight and one bias.
// CHECK-LABEL: func.func @batch_norm
// CHECK: %[[W:.*]] = nn.get_parameter @w
// CHECK: %[[B:.*]] = nn.get_parameter @b
// CHECK: %[[S:.*]] = nn.get_parameter @s
// CHECK: %[[T:.*]] = nn.get_parameter @t
// CHECK: %[[SW:.*]] = nn.broadcast %[[S]] [0] {{.*}} : tensor<8xf32> to tensor<8x3x3x3xf32>
// CHECK: %[[WS:.*]] = nn.mul %[[W]], %[[SW]]
// CHECK: %[[Y:.*]] = nn.conv %arg0, %[[WS]]
// CHECK-SAME: nn.id = "conv"
// CHECK: %[[BS:.*]] = nn.mul %[[B]], %[[S]]
// CHECK: %[[BT:.*]] = nn.add %[[BS]], %[[T]]
// CHECK: %[[R:.*]] = nn.broadcast %[[BT]] [1]
// CHECK: %[[Z:.*]] = nn.add %[[Y]], %[[R]] {nn.id = "shift", nn.nodes = ["conv", "norm"]}
// CHECK: return %[[Z]]
module {
  nn.parameter @w : tensor<8x3x3x3xf32> {file = -1 : i64, offset = 0 : i64, length = 864 : i64}
  nn.parameter @b : tensor<8xf32> {file = -1 : i64, offset = 0 : i64, length = 32 : i64}
  nn.parameter @s : tensor<8xf32> {file = -1 : i64, offset = 0 : i64, length = 32 : i64}
  nn.parameter @t : tensor<8xf32> {file = -1 : i64, offset = 0 : i64, length = 32 : i64}
  func.func @batch_norm(%x: tensor<1x3x6x6xf32>) -> tensor<1x8x6x6xf32> {
    %w = nn.get_parameter @w : tensor<8x3x3x3xf32>
    %b = nn.get_parameter @b : tensor<8xf32>
    %s = nn.get_parameter @s : tensor<8xf32>
    %t = nn.get_parameter @t : tensor<8xf32>
    %0 = nn.conv %x, %w strides [1, 1] dilations [1, 1] pads [1, 1] [1, 1] {nn.id = "conv", nn.nodes = ["conv"]}
        : tensor<1x3x6x6xf32>, tensor<8x3x3x3xf32>
    %1 = nn.broadcast %b [1] : tensor<8xf32> to tensor<1x8x6x6xf32>
    %2 = nn.add %0, %1 {nn.id = "bias", nn.nodes = ["conv"]} : tensor<1x8x6x6xf32>
    %3 = nn.broadcast %s [1] : tensor<8xf32> to tensor<1x8x6x6xf32>
    %4 = nn.mul %2, %3 {nn.id = "scale", nn.nodes = ["norm"]} : tensor<1x8x6x6xf32>
    %5 = nn.broadcast %t [1] : tensor<8xf32> to tensor<1x8x6x6xf32>
    %6 = nn.add %4, %5 {nn.id = "shift", nn.nodes = ["norm"]} : tensor<1x8x6x6xf32>
    return %6 : tensor<1x8x6x6xf32>
  }
}

// -----

// Columns of a matrix are scaled; rows of the product are not its to scale.
// CHECK-LABEL: func.func @matmul
// CHECK: nn.matmul
// CHECK-NOT: nn.mul
// CHECK: nn.matmul
// CHECK: nn.mul
module {
  nn.parameter @w : tensor<4x6xf32> {file = -1 : i64, offset = 0 : i64, length = 96 : i64}
  nn.parameter @s : tensor<6xf32> {file = -1 : i64, offset = 0 : i64, length = 24 : i64}
  nn.parameter @r : tensor<5xf32> {file = -1 : i64, offset = 0 : i64, length = 20 : i64}
  func.func @matmul(%x: tensor<5x4xf32>) -> (tensor<5x6xf32>, tensor<5x6xf32>) {
    %w = nn.get_parameter @w : tensor<4x6xf32>
    %s = nn.get_parameter @s : tensor<6xf32>
    %r = nn.get_parameter @r : tensor<5xf32>
    %0 = nn.matmul %x, %w : tensor<5x4xf32>, tensor<4x6xf32>
    %1 = nn.broadcast %s [1] : tensor<6xf32> to tensor<5x6xf32>
    %2 = nn.mul %0, %1 : tensor<5x6xf32>
    %3 = nn.matmul %x, %w : tensor<5x4xf32>, tensor<4x6xf32>
    %4 = nn.broadcast %r [0] : tensor<5xf32> to tensor<5x6xf32>
    %5 = nn.mul %3, %4 : tensor<5x6xf32>
    return %2, %5 : tensor<5x6xf32>, tensor<5x6xf32>
  }
}

// -----

// What is computed in each step scales no weight.
// CHECK-LABEL: func.func @gate
// CHECK: nn.conv
// CHECK: nn.mul
module {
  nn.parameter @w : tensor<8x3x1x1xf32> {file = -1 : i64, offset = 0 : i64, length = 96 : i64}
  func.func @gate(%x: tensor<1x3x6x6xf32>, %s: tensor<8xf32>) -> tensor<1x8x6x6xf32> {
    %w = nn.get_parameter @w : tensor<8x3x1x1xf32>
    %0 = nn.conv %x, %w strides [1, 1] dilations [1, 1] pads [0, 0] [0, 0]
        : tensor<1x3x6x6xf32>, tensor<8x3x1x1xf32>
    %1 = nn.broadcast %s [1] : tensor<8xf32> to tensor<1x8x6x6xf32>
    %2 = nn.mul %0, %1 : tensor<1x8x6x6xf32>
    return %2 : tensor<1x8x6x6xf32>
  }
}
