// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt %s | %partita-opt | FileCheck %s
// RUN: %partita-opt %s -mlir-print-op-generic | %partita-opt | FileCheck %s

// CHECK: dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}

// Attributes by themselves.
// CHECK-LABEL: func.func private @attributes
// CHECK-SAME: dim = #dist.dim<{3, 12:"tp", 64}>
// CHECK-SAME: factor = #dist.factor<{12:"dp","tp"}>
// CHECK-SAME: offset = #dist.offset<@m, {1021:"tp"}>
// CHECK-SAME: pending = #dist.sharding<@m, [{4}], partial={"dp", "tp"} max>
// CHECK-SAME: scalar = #dist.sharding<@m, []>
// CHECK-SAME: strategy = #dist.strategy<@m, {b = {6:"dp"}, "linear 0" = {1:"tp"}}>
// CHECK-SAME: whole = #dist.strategy<@m, {}>
func.func private @attributes() attributes {
  dim = #dist.dim<{3, 12:"tp", 64}>,
  factor = #dist.factor<{12:"dp", "tp"}>,
  offset = #dist.offset<@m, {1021:"tp"}>,
  pending = #dist.sharding<@m, [{4}], partial={"dp", "tp"} max>,
  scalar = #dist.sharding<@m, []>,
  strategy = #dist.strategy<@m, {b = {6:"dp"}, "linear 0" = {1:"tp"}}>,
  whole = #dist.strategy<@m, {}>}

// CHECK-LABEL: func.func @moves
// CHECK-SAME: dist.sharding = #dist.sharding<@m, [{6:"dp"}, {3, 4:"tp", 2}]>
func.func @moves(%x: tensor<6x24xf32> {dist.sharding = #dist.sharding<@m, [{6:"dp"}, {3, 4:"tp", 2}]>}) {
  // CHECK: dist.reshard %{{.*}} : tensor<6x24xf32> from #dist.sharding<@m, [{6:"dp"}, {3, 4:"tp", 2}]> to #dist.sharding<@m, [{6:"tp"}, {24:"dp"}]>
  %0 = dist.reshard %x : tensor<6x24xf32>
    from #dist.sharding<@m, [{6:"dp"}, {3, 4:"tp", 2}]> to #dist.sharding<@m, [{6:"tp"}, {24:"dp"}]>
  // CHECK: dist.all_gather %{{.*}} axes ["tp"] : tensor<6x24xf32> from #dist.sharding<@m, [{6:"dp","tp"}, {24}]> to #dist.sharding<@m, [{6:"dp"}, {24}]>
  %1 = dist.all_gather %x axes ["tp"] : tensor<6x24xf32>
    from #dist.sharding<@m, [{6:"dp","tp"}, {24}]> to #dist.sharding<@m, [{6:"dp"}, {24}]>
  // CHECK: dist.reduce_scatter
  %2 = dist.reduce_scatter %x axes ["tp"] : tensor<6x24xf32>
    from #dist.sharding<@m, [{6:"dp"}, {24}], partial={"tp"} sum> to #dist.sharding<@m, [{6:"dp"}, {24:"tp"}]>
  // CHECK: dist.all_reduce
  %3 = dist.all_reduce %x axes ["dp"] : tensor<6x24xf32>
    from #dist.sharding<@m, [{6}, {24}], partial={"dp", "tp"} sum> to #dist.sharding<@m, [{6}, {24}], partial={"tp"} sum>
  // CHECK: dist.all_to_all
  %4 = dist.all_to_all %x axes ["tp"] : tensor<6x24xf32>
    from #dist.sharding<@m, [{6:"tp"}, {24}]> to #dist.sharding<@m, [{6}, {24:"tp"}]>
  // CHECK: dist.permute
  %5 = dist.permute %x axes ["dp", "tp"] : tensor<6x24xf32>
    from #dist.sharding<@m, [{6:"dp", "tp"}, {24}]> to #dist.sharding<@m, [{6:"tp", "dp"}, {24}]>
  // CHECK: dist.halo_exchange %{{.*}} axes ["dp"] : tensor<6x24xf32> from #dist.sharding<@m, [{6:"dp"}, {24}]> to #dist.sharding<@m, [{6:"dp" halo(3, 2, 1, 3)}, {24}]>
  %h = dist.halo_exchange %x axes ["dp"] : tensor<6x24xf32>
    from #dist.sharding<@m, [{6:"dp"}, {24}]> to #dist.sharding<@m, [{6:"dp" halo(3, 2, 1, 3)}, {24}]>
  // CHECK: dist.slice
  %6 = dist.slice %x axes ["dp"] : tensor<6x24xf32>
    from #dist.sharding<@m, [{6}, {24}]> to #dist.sharding<@m, [{6}, {24:"dp"}]>
  // CHECK: dist.to_partial
  %7 = dist.to_partial %x axes ["dp"] : tensor<6x24xf32>
    from #dist.sharding<@m, [{6}, {24:"tp"}]> to #dist.sharding<@m, [{6}, {24:"tp"}], partial={"dp"} sum>
  return
}

// CHECK-LABEL: func.func @softmax_merge
func.func @softmax_merge(%out: tensor<2x3x4x5xf32>, %lse: tensor<2x3x4xf32>) {
  // CHECK: dist.softmax_merge %{{.*}}, %{{.*}} axes ["tp"] : tensor<2x3x4x5xf32>, tensor<2x3x4xf32>
  // CHECK-SAME: from #dist.sharding<@m, [{2:"dp"}, {3}, {4}, {5}], partial={"tp"} softmax_merge>
  // CHECK-SAME: to_lse #dist.sharding<@m, [{2:"dp"}, {3}, {4}]>
  %0:2 = dist.softmax_merge %out, %lse axes ["tp"] : tensor<2x3x4x5xf32>, tensor<2x3x4xf32>
    from #dist.sharding<@m, [{2:"dp"}, {3}, {4}, {5}], partial={"tp"} softmax_merge>
    to #dist.sharding<@m, [{2:"dp"}, {3}, {4}, {5}]>
    from_lse #dist.sharding<@m, [{2:"dp"}, {3}, {4}], partial={"tp"} softmax_merge>
    to_lse #dist.sharding<@m, [{2:"dp"}, {3}, {4}]>
  return
}
