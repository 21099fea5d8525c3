// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt --nn-to-rt --split-input-file %s | FileCheck %s

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

// -----

// A collective takes what lies with channels last as it lies: its shardings have
// the dimensions in that order.
// CHECK-LABEL: func.func @moved
// CHECK: %[[Y:.*]] = rt.call "conv"
// CHECK-SAME: -> tensor<1x3x5x32xf32>
// CHECK: %[[H:.*]] = rt.collective "halo_exchange" %[[Y]] axes ["x"] : tensor<1x3x5x32xf32> to
// CHECK-SAME: tensor<1x4x5x32xf32>
// CHECK-SAME: from #dist.sharding<@m, [{1}, {6:"x"}, {5}, {32}]>
// CHECK-SAME: to #dist.sharding<@m, [{1}, {6:"x" halo(6, 1, 1, 3)}, {5}, {32}]>
// CHECK-NOT: "copy"
// CHECK: rt.view %[[H]] offset 0 strides [640, 1, 160, 32] : tensor<1x4x5x32xf32> to tensor<1x32x4x5xf32>
// CHECK: rt.call "conv"
module {
  dist.mesh @m {axes = ["x"], sizes = array<i64: 2>}
  nn.parameter @w : tensor<32x32x3x3xf32> {file = -1 : i64, offset = 0 : i64, length = 36864 : i64}
  func.func @moved(%x: tensor<1x32x3x5xf32>) -> tensor<1x32x3x5xf32> attributes {rt.ranks = array<i64: 0>} {
    %w = nn.get_parameter @w : tensor<32x32x3x3xf32>
    %0 = nn.conv %x, %w strides [1, 1] dilations [1, 1] pads [1, 1] [1, 1]
        : tensor<1x32x3x5xf32>, tensor<32x32x3x3xf32>
    %1 = rt.collective "halo_exchange" %0 axes ["x"] : tensor<1x32x3x5xf32> to tensor<1x32x4x5xf32>
        from #dist.sharding<@m, [{1}, {32}, {6:"x"}, {5}]>
        to #dist.sharding<@m, [{1}, {32}, {6:"x" halo(6, 1, 1, 3)}, {5}]>
    %2 = nn.conv %1, %w strides [1, 1] dilations [1, 1] pads [1, 1] [0, 1]
        : tensor<1x32x4x5xf32>, tensor<32x32x3x3xf32>
    return %2 : tensor<1x32x3x5xf32>
  }
}
