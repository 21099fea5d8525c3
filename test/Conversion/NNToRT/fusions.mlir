// RUN: %partita-opt --nn-to-rt --split-input-file %s | FileCheck %s

// A residual, its norm and what follows by rows are one fusion with two results.
// CHECK-LABEL: func.func @residual_norm
// CHECK: %[[F:.*]]:2 = rt.fusion(%arg0, %arg1, %arg2)
// CHECK-SAME: nn.id = "y"
// CHECK-SAME: nn.nodes = ["s", "sq", "y"]
// CHECK: %[[S:.*]] = nn.add
// CHECK: %[[N:.*]] = nn.rms_norm %[[S]],
// CHECK: rt.yield %[[S]], %[[N]]
// CHECK: return %[[F]]#0, %[[F]]#1
func.func @residual_norm(%x: tensor<4x8xf32>, %r: tensor<4x8xf32>, %g: tensor<8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %s = nn.add %x, %r {nn.id = "s", nn.nodes = ["s"]} : tensor<4x8xf32>
  %y = nn.rms_norm %s, %g epsilon 1.0e-6 {nn.id = "y", nn.nodes = ["sq", "y"]} : tensor<4x8xf32>, tensor<8xf32>
  return %s, %y : tensor<4x8xf32>, tensor<4x8xf32>
}

// -----

// What is computed for each row comes back to its elements inside the fusion.
// CHECK-LABEL: func.func @by_rows
// CHECK-COUNT-1: rt.fusion
// CHECK-NOT: rt.fusion
// CHECK: nn.reduce
// CHECK: nn.reshape
// CHECK: nn.broadcast
// CHECK: return
func.func @by_rows(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %0 = nn.reduce "sum", %x [1] : tensor<4x8xf32>
  %1 = nn.reshape %0 : tensor<4xf32> to tensor<4x1xf32>
  %2 = nn.sqrt %1 : tensor<4x1xf32>
  %3 = nn.broadcast %2 [0, 1] : tensor<4x1xf32> to tensor<4x8xf32>
  %4 = nn.div %x, %3 : tensor<4x8xf32>
  %5 = nn.exp %4 : tensor<4x8xf32>
  return %5 : tensor<4x8xf32>
}

// -----

// Another shape is another fusion; its result is read repeated.
// CHECK-LABEL: func.func @mask
// CHECK: %[[M:.*]] = rt.fusion({{.*}}) : (tensor<2x1x4xi64>) -> tensor<2x1x4xf32>
// CHECK: %[[V:.*]] = rt.view %[[M]] offset 0 strides [4, 0, 1] : tensor<2x1x4xf32> to tensor<2x3x4xf32>
// CHECK: rt.fusion(%arg1, %[[V]])
// CHECK: nn.add
// CHECK: nn.softmax
func.func @mask(%m: tensor<2x4xi64>, %x: tensor<2x3x4xf32>) -> tensor<2x3x4xf32> {
  %0 = nn.reshape %m : tensor<2x4xi64> to tensor<2x1x4xi64>
  %1 = nn.cast %0 : tensor<2x1x4xi64> to tensor<2x1x4xf32>
  %2 = nn.broadcast %1 [0, 1, 2] : tensor<2x1x4xf32> to tensor<2x3x4xf32>
  %3 = nn.add %x, %2 : tensor<2x3x4xf32>
  %4 = nn.softmax %3 axis 2 : tensor<2x3x4xf32>
  return %4 : tensor<2x3x4xf32>
}

// -----

// Reductions over leading dimensions read their operand transposed.
// CHECK-LABEL: func.func @leading
// CHECK: %[[V:.*]] = rt.view %arg0 offset 0 strides [1, 8] : tensor<4x8xf32> to tensor<8x4xf32>
// CHECK: rt.fusion(%[[V]]) : (tensor<8x4xf32>) -> tensor<8xf32>
// CHECK: nn.reduce "max", %{{.*}} [1]
func.func @leading(%x: tensor<4x8xf32>) -> tensor<8xf32> {
  %0 = nn.reduce "max", %x [0] : tensor<4x8xf32>
  return %0 : tensor<8xf32>
}

// -----

// What depends on parameters alone runs once, so it stays apart.
module {
  nn.parameter @w : tensor<8xf32> {file = -1 : i64, offset = 0 : i64, length = 32 : i64}
  // CHECK-LABEL: func.func @load_time
  // CHECK: %[[W:.*]] = rt.fusion({{.*}}) : (tensor<8xf32>) -> tensor<8xf32>
  // CHECK: nn.exp
  // CHECK: rt.fusion(%arg0, %[[W]])
  // CHECK: nn.mul
  func.func @load_time(%x: tensor<8xf32>) -> tensor<8xf32> {
    %w = nn.get_parameter @w : tensor<8xf32>
    %0 = nn.exp %w : tensor<8xf32>
    %1 = nn.mul %x, %0 : tensor<8xf32>
    return %1 : tensor<8xf32>
  }
}

// -----

// A fusion ends before anything outside reads it: the product comes between.
// CHECK-LABEL: func.func @between
// CHECK: %[[A:.*]] = rt.fusion(%arg0)
// CHECK: nn.exp
// CHECK: %[[B:.*]] = rt.call "cumsum"(%[[A]])
// CHECK: rt.fusion(%[[A]], %[[B]])
// CHECK: nn.add
func.func @between(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %0 = nn.exp %x : tensor<4x8xf32>
  %1 = nn.cumsum %0 axis 1 : tensor<4x8xf32>
  %2 = nn.add %0, %1 : tensor<4x8xf32>
  return %2 : tensor<4x8xf32>
}

// -----

// Nothing moves across a collective of the step, even where no data flows.
module {
  dist.mesh @m {axes = ["tp"], sizes = array<i64: 2>}
  // CHECK-LABEL: func.func @step_class0
  // CHECK: rt.fusion(%arg0)
  // CHECK: nn.exp
  // CHECK: rt.collective
  // CHECK: rt.fusion
  // CHECK: nn.neg
  func.func @step_class0(%x: tensor<4x8xf32>, %y: tensor<2x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) attributes {rt.ranks = array<i64: 0, 1>} {
    %0 = nn.exp %x : tensor<4x8xf32>
    %1 = rt.collective "all_gather" %y axes ["tp"] : tensor<2x8xf32> to tensor<4x8xf32> from #dist.sharding<@m, [{4:"tp"}, {8}]> to #dist.sharding<@m, [{4}, {8}]>
    %2 = nn.neg %0 : tensor<4x8xf32>
    return %1, %2 : tensor<4x8xf32>, tensor<4x8xf32>
  }
}

// -----

// Operands of collectives and results of the program are dense.
module {
  dist.mesh @m {axes = ["tp"], sizes = array<i64: 2>}
  // CHECK-LABEL: func.func @step_class0
  // CHECK: %[[V:.*]] = rt.view %arg0
  // CHECK: %[[C:.*]] = rt.call "copy"(%[[V]])
  // CHECK: rt.collective "all_gather" %[[C]]
  func.func @step_class0(%y: tensor<8x2xf32>) -> tensor<4x8xf32> attributes {rt.ranks = array<i64: 0, 1>} {
    %0 = nn.transpose %y [1, 0] : tensor<8x2xf32>
    %1 = rt.collective "all_gather" %0 axes ["tp"] : tensor<2x8xf32> to tensor<4x8xf32> from #dist.sharding<@m, [{4:"tp"}, {8}]> to #dist.sharding<@m, [{4}, {8}]>
    return %1 : tensor<4x8xf32>
  }
}
