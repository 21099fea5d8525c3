// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt %s | %partita-opt | FileCheck %s
// RUN: %partita-opt %s -mlir-print-op-generic | %partita-opt | FileCheck %s

dist.mesh @m {axes = ["tp"], sizes = array<i64: 2>}

// CHECK-LABEL: func.func @step_class0
// CHECK-SAME: attributes {rt.ranks = array<i64: 0>}
func.func @step_class0(%x: tensor<4x3xf32> {dist.sharding = #dist.sharding<@m, [{4}, {5:"tp"}]>})
    -> tensor<4x5xf32> attributes {rt.ranks = array<i64: 0>} {
  // CHECK: rt.collective "all_gather" %{{.*}} axes ["tp"] : tensor<4x3xf32> to tensor<4x5xf32> from #dist.sharding<@m, [{4}, {5:"tp"}]> to #dist.sharding<@m, [{4}, {5}]>
  %0 = rt.collective "all_gather" %x axes ["tp"] : tensor<4x3xf32> to tensor<4x5xf32>
    from #dist.sharding<@m, [{4}, {5:"tp"}]> to #dist.sharding<@m, [{4}, {5}]>
  // CHECK: rt.shard "slice" %{{.*}} axes ["tp"] : tensor<4x5xf32> to tensor<2x5xf32>
  %1 = rt.shard "slice" %0 axes ["tp"] : tensor<4x5xf32> to tensor<2x5xf32>
    from #dist.sharding<@m, [{4}, {5}]> to #dist.sharding<@m, [{4:"tp"}, {5}]>
  // CHECK: rt.shard "to_partial"
  %2 = rt.shard "to_partial" %0 axes ["tp"] : tensor<4x5xf32> to tensor<4x5xf32>
    from #dist.sharding<@m, [{4}, {5}]> to #dist.sharding<@m, [{4}, {5}], partial={"tp"} sum>
  // CHECK: rt.collective "all_reduce"
  %3 = rt.collective "all_reduce" %2 axes ["tp"] : tensor<4x5xf32> to tensor<4x5xf32>
    from #dist.sharding<@m, [{4}, {5}], partial={"tp"} sum> to #dist.sharding<@m, [{4}, {5}]>
  // CHECK: rt.collective "reduce_scatter"
  %4 = rt.collective "reduce_scatter" %2 axes ["tp"] : tensor<4x5xf32> to tensor<2x5xf32>
    from #dist.sharding<@m, [{4}, {5}], partial={"tp"} sum> to #dist.sharding<@m, [{4:"tp"}, {5}]>
  // CHECK: rt.collective "all_to_all"
  %5 = rt.collective "all_to_all" %4 axes ["tp"] : tensor<2x5xf32> to tensor<4x3xf32>
    from #dist.sharding<@m, [{4:"tp"}, {5}]> to #dist.sharding<@m, [{4}, {5:"tp"}]>
  // CHECK: rt.collective "permute"
  %6 = rt.collective "permute" %4 axes ["tp"] : tensor<2x5xf32> to tensor<2x5xf32>
    from #dist.sharding<@m, [{4:"tp"}, {5}]> to #dist.sharding<@m, [{4:"tp"}, {5}]>
  return %3 : tensor<4x5xf32>
}

// CHECK-LABEL: func.func @commands
func.func @commands(%a: tensor<4x8xf32>, %b: tensor<8x16xf32>) {
  // CHECK: rt.view %{{.*}} offset 0 strides [1, 8] : tensor<4x8xf32> to tensor<8x4xf32>
  %0 = rt.view %a offset 0 strides [1, 8] : tensor<4x8xf32> to tensor<8x4xf32>
  // CHECK: rt.view %{{.*}} offset 31 strides [-8, 0] : tensor<4x8xf32> to tensor<4x3xf32>
  %1 = rt.view %a offset 31 strides [-8, 0] : tensor<4x8xf32> to tensor<4x3xf32>
  // CHECK: rt.call "matmul"(%{{.*}}, %{{.*}}) {bases = [#dist.offset<@m, {9:"tp"}>], config = {epilogue = "none"}, matmul_flops = 1024 : i64, permutations = [array<i64: 1, 0>], workspace = 64 : i64} : (tensor<4x8xf32>, tensor<8x16xf32>) -> tensor<16x4xf32>
  %2 = rt.call "matmul"(%a, %b) {permutations = [array<i64: 1, 0>], bases = [#dist.offset<@m, {9:"tp"}>],
    config = {epilogue = "none"}, workspace = 64 : i64, matmul_flops = 1024 : i64}
    : (tensor<4x8xf32>, tensor<8x16xf32>) -> tensor<16x4xf32>
  // CHECK: rt.fusion(%{{.*}}) : (tensor<8x4xf32>) -> tensor<8x4xf32> {
  // CHECK: ^bb0(%{{.*}}: tensor<8x4xf32>):
  // CHECK: rt.yield %{{.*}} : tensor<8x4xf32>
  %3 = rt.fusion(%0) : (tensor<8x4xf32>) -> tensor<8x4xf32> {
  ^bb0(%x: tensor<8x4xf32>):
    %y = nn.exp %x : tensor<8x4xf32>
    rt.yield %y : tensor<8x4xf32>
  }
  // CHECK: rt.fusion(%{{.*}}) {permutations = [array<i64: 1, 0>]} : (tensor<4x8xf32>) -> tensor<8x4xf32>
  %4 = rt.fusion(%a) {permutations = [array<i64: 1, 0>]} : (tensor<4x8xf32>) -> tensor<8x4xf32> {
  ^bb0(%x: tensor<4x8xf32>):
    rt.yield %x : tensor<4x8xf32>
  }
  // CHECK: rt.kernel "k_1f3a"(%{{.*}}, %{{.*}}) : (tensor<8x4xf32>, tensor<4x8xf32>) -> (tensor<8x4xf32>, tensor<4xf32>)
  %5:2 = rt.kernel "k_1f3a"(%0, %a) : (tensor<8x4xf32>, tensor<4x8xf32>) -> (tensor<8x4xf32>, tensor<4xf32>)
  return
}
