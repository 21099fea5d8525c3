// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt %s -dist-split-stages | FileCheck %s
// RUN: %partita-opt %s -dist-split-stages -dist-insert-reshards \
// RUN:   -dist-reshard-to-collectives -localize | FileCheck %s --check-prefix=LOCAL

// Two stages of two ranks each. The sum is pending where it is made, so it is
// combined there; the residual goes as it is to whom wants it; the weight that
// both stages use is loaded by both, and so is what is made of it.

module {
  // CHECK: dist.mesh @m
  // CHECK-NEXT: dist.mesh @stage0 {axes = ["pp", "tp"], ranks = array<i64: 0, 1>, sizes = array<i64: 1, 2>}
  // CHECK-NEXT: dist.mesh @stage1 {axes = ["pp", "tp"], ranks = array<i64: 2, 3>, sizes = array<i64: 1, 2>}
  dist.mesh @m {axes = ["pp", "tp"], sizes = array<i64: 2, 2>}
  nn.parameter @w : tensor<8x8xf32> {file = -1 : i64, offset = 0 : i64, length = 0 : i64}

  // CHECK: func.func @step_stage0(%arg0: tensor<4x8xf32> {dist.sharding = #dist.sharding<@stage0, [{4}, {8}]>
  // CHECK-SAME: -> (tensor<4x8xf32> {dist.sharding = #dist.sharding<@stage0, [{4}, {8:"tp"}]>}
  // CHECK-SAME: tensor<4x8xf32> {dist.sharding = #dist.sharding<@stage0, [{4}, {8}]>})
  // CHECK-SAME: dist.on = @stage0
  // CHECK: nn.get_parameter @w
  // CHECK: nn.neg
  // CHECK: nn.matmul

  // CHECK: func.func @step_stage1
  // CHECK-SAME: dist.on = @stage1
  // CHECK: nn.get_parameter @w
  // CHECK: nn.neg
  // CHECK-NOT: nn.relu
  // CHECK: nn.matmul

  // CHECK: func.func @step(%[[X:.*]]: tensor<4x8xf32>
  // CHECK-NEXT: %[[S:.*]]:2 = dist.stage 0 "step_stage0" on @stage0(%[[X]])
  // CHECK-NEXT: %[[R:.*]] = dist.transfer %[[S]]#0 {nn.id = "relu/to1"}
  // CHECK-SAME: from #dist.sharding<@stage0, [{4}, {8:"tp"}]> to #dist.sharding<@stage1, [{4}, {8}]>
  // CHECK-NEXT: %[[P:.*]] = dist.transfer %[[S]]#1 {nn.id = "product/to1"}
  // CHECK-NEXT: %[[Y:.*]] = dist.stage 1 "step_stage1" on @stage1(%[[R]], %[[P]])
  // CHECK-NEXT: return %[[Y]]

  // LOCAL: func.func @step_stage0_class0
  // LOCAL-SAME: rt.ranks = array<i64: 0, 1>
  // LOCAL: rt.collective "all_reduce"
  // LOCAL: func.func @step_stage1_class0
  // LOCAL-SAME: rt.ranks = array<i64: 0, 1>
  // LOCAL: rt.collective "all_gather" %{{.*}} axes ["tp"] {nn.id = "neg/all_gather"}
  // LOCAL-NOT: rt.collective
  // LOCAL: func.func @step(
  func.func @step(%x: tensor<4x8xf32> {nn.name = "x",
                    dist.sharding = #dist.sharding<@m, [{4}, {8}]>})
      -> (tensor<4x8xf32> {nn.name = "y", dist.in_stage = 1 : i64,
                    dist.sharding = #dist.sharding<@m, [{4}, {8}]>}) {
    %w = nn.get_parameter @w {nn.id = "w", dist.in_stage = 0 : i64, dist.strategy = #dist.strategy<@m, {d0 = {8:"tp"}}>} : tensor<8x8xf32>
    %n = nn.neg %w {nn.id = "neg", dist.in_stage = 0 : i64, dist.strategy = #dist.strategy<@m, {d0 = {8:"tp"}}>} : tensor<8x8xf32>
    %r = nn.relu %x {nn.id = "relu", dist.in_stage = 0 : i64, dist.strategy = #dist.strategy<@m, {d1 = {8:"tp"}}>} : tensor<4x8xf32>
    %p = nn.matmul %r, %n {nn.id = "product", dist.in_stage = 0 : i64, dist.strategy = #dist.strategy<@m, {k = {8:"tp"}}>} : tensor<4x8xf32>, tensor<8x8xf32>
    %a = nn.add %r, %p {nn.id = "add", dist.in_stage = 1 : i64, dist.strategy = #dist.strategy<@m, {}>} : tensor<4x8xf32>
    %q = nn.matmul %a, %n {nn.id = "again", dist.in_stage = 1 : i64, dist.strategy = #dist.strategy<@m, {}>} : tensor<4x8xf32>, tensor<8x8xf32>
    return %q : tensor<4x8xf32>
  }
}
