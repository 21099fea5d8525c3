// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt --nn-to-rt %s | FileCheck %s

// A convolution takes bias, addition and activation as epilogues and stores
// channels last; so does the pool that reads it. The weight is packed at load.
// CHECK-LABEL: func.func @block
// CHECK: %[[P:.*]] = rt.call "pack_conv"
// CHECK-SAME: epilogue = "bias,relu", input = array<i64: 1, 16, 6, 5>
// CHECK: %[[B:.*]] = rt.view %{{.*}} offset 0 strides [1, 1, 1] : tensor<32xf32> to tensor<32x1x1xf32>
// CHECK: %[[Y:.*]] = rt.call "conv"(%arg0, %[[P]], %[[B]])
// CHECK-SAME: epilogue = "bias,relu", packed = array<i64: 32, 16, 3, 3>
// CHECK-SAME: permutations = [array<i64: 0, 3, 1, 2>]
// CHECK-SAME: -> tensor<1x6x5x32xf32>
// CHECK: rt.view %[[Y]] offset 0 strides [960, 1, 160, 32] : tensor<1x6x5x32xf32> to tensor<1x32x6x5xf32>
// CHECK: rt.call "pool"
// CHECK-SAME: permutations = [array<i64: 0, 3, 1, 2>]
// CHECK-SAME: -> tensor<1x3x2x32xf32>
module {
  nn.parameter @w : tensor<32x16x3x3xf32> {file = -1 : i64, offset = 0 : i64, length = 18432 : i64}
  nn.parameter @b : tensor<32xf32> {file = -1 : i64, offset = 0 : i64, length = 128 : i64}
  func.func @block(%x: tensor<1x16x6x5xf32>) -> tensor<1x32x3x2xf32> {
    %w = nn.get_parameter @w : tensor<32x16x3x3xf32>
    %b = nn.get_parameter @b : tensor<32xf32>
    %0 = nn.conv %x, %w strides [1, 1] dilations [1, 1] pads [1, 1] [1, 1]
        : tensor<1x16x6x5xf32>, tensor<32x16x3x3xf32>
    %1 = nn.broadcast %b [1] : tensor<32xf32> to tensor<1x32x6x5xf32>
    %2 = nn.add %0, %1 : tensor<1x32x6x5xf32>
    %3 = nn.relu %2 : tensor<1x32x6x5xf32>
    %4 = nn.pool "max", %3 kernel [2, 2] strides [2, 2] dilations [1, 1] pads [0, 0] [0, 0]
        : tensor<1x32x6x5xf32>
    return %4 : tensor<1x32x3x2xf32>
  }
}
