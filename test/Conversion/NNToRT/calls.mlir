// RUN: %partita-opt --nn-to-rt --split-input-file %s | FileCheck %s

// The mask is repeated by strides; lse is a result only if it is read.
// CHECK-LABEL: func.func @attention
// CHECK: %[[M:.*]] = rt.view %arg3 offset 0 strides [7, 0, 0, 1] : tensor<2x1x1x7xf32> to tensor<2x6x5x7xf32>
// CHECK: rt.call "attention"(%arg0, %arg1, %arg2, %[[M]])
// CHECK-SAME: causal = array<i64: 0>
// CHECK-SAME: has_mask = array<i64: 1>
// CHECK-SAME: scale = array<f64: 2.500000e-01>
// CHECK-SAME: matmul_flops = 13440
// CHECK-SAME: -> (tensor<2x6x5x8xf32>, tensor<2x6x5xf32>)
func.func @attention(%q: tensor<2x6x5x8xf32>, %k: tensor<2x3x7x8xf32>, %v: tensor<2x3x7x8xf32>, %m: tensor<2x1x1x7xf32>) -> (tensor<2x6x5x8xf32>, tensor<2x6x5xf32>) {
  %o, %l = nn.attention %q, %k, %v mask %m scale 0.25 : tensor<2x6x5x8xf32>, tensor<2x3x7x8xf32>, tensor<2x3x7x8xf32>, tensor<2x1x1x7xf32>
  return %o, %l : tensor<2x6x5x8xf32>, tensor<2x6x5xf32>
}

// -----

// CHECK-LABEL: func.func @rope
// CHECK-DAG: %[[C:.*]] = rt.view %arg1 offset 0 strides [0, 0, 4, 1] : tensor<1x5x4xf32> to tensor<2x6x5x4xf32>
// CHECK-DAG: %[[S:.*]] = rt.view %arg2 offset 0 strides [0, 0, 4, 1] : tensor<1x5x4xf32> to tensor<2x6x5x4xf32>
// CHECK: rt.call "rope"(%arg0, %[[C]], %[[S]])
func.func @rope(%x: tensor<2x6x5x8xf32>, %c: tensor<1x5x4xf32>, %s: tensor<1x5x4xf32>) -> tensor<2x6x5x8xf32> {
  %0 = nn.rope %x, %c, %s : tensor<2x6x5x8xf32>, tensor<1x5x4xf32>, tensor<1x5x4xf32>
  return %0 : tensor<2x6x5x8xf32>
}

// -----

// What a call reads through a copy, others read as it is.
// CHECK-LABEL: func.func @rope_in_half_precision
// CHECK: rt.call "rope"
// CHECK: rt.fusion(%arg2) : (tensor<1x5x4xbf16>)
func.func @rope_in_half_precision(%x: tensor<2x6x5x8xbf16>, %c: tensor<1x5x4xbf16>, %s: tensor<1x5x4xbf16>) -> (tensor<2x6x5x8xbf16>, tensor<1x5x4xbf16>) {
  %0 = nn.rope %x, %c, %s : tensor<2x6x5x8xbf16>, tensor<1x5x4xbf16>, tensor<1x5x4xbf16>
  %1 = nn.neg %s : tensor<1x5x4xbf16>
  return %0, %1 : tensor<2x6x5x8xbf16>, tensor<1x5x4xbf16>
}

// -----

// Where a rank's part begins goes along as data.
module {
  dist.mesh @m {axes = ["tp"], sizes = array<i64: 2>}
  // CHECK-LABEL: func.func @step_class0
  // CHECK: rt.call "gather"(%arg0, %arg1) {bases = [#dist.offset<@m, {10:"tp"}>], config = {axis = array<i64: 0>, base = array<i64: 0>}}
  // CHECK: rt.call "iota"() {bases = [#dist.offset<@m, {10:"tp"}>], config = {axis = array<i64: 0>, base = array<i64: 0>, start = array<f64: 1.000000e+00>, step = array<f64: 2.000000e+00>}}
  func.func @step_class0(%x: tensor<5x3xf32>, %i: tensor<4xi64>) -> (tensor<4x3xf32>, tensor<5xf32>) {
    %0 = nn.gather %x, %i axis 0 : tensor<5x3xf32>, tensor<4xi64> base #dist.offset<@m, {10:"tp"}>
    %1 = nn.iota 0 start 1.0 step 2.0 : tensor<5xf32> base #dist.offset<@m, {10:"tp"}>
    return %0, %1 : tensor<4x3xf32>, tensor<5xf32>
  }
}

// -----

// Causal attention needs both positions: of what is whole, the first.
module {
  dist.mesh @m {axes = ["tp"], sizes = array<i64: 2>}
  // CHECK-LABEL: func.func @step_class0
  // CHECK: rt.call "attention"(%arg0, %arg1, %arg2) {bases = [#dist.offset<@m, {8:"tp"}>, #dist.offset<@m, {7}>]
  func.func @step_class0(%q: tensor<2x3x4x8xf32>, %k: tensor<2x3x7x8xf32>, %v: tensor<2x3x7x8xf32>) -> tensor<2x3x4x8xf32> {
    %o, %l = nn.attention %q, %k, %v scale 0.25 causal : tensor<2x3x4x8xf32>, tensor<2x3x7x8xf32>, tensor<2x3x7x8xf32> query_base #dist.offset<@m, {8:"tp"}>
    return %o : tensor<2x3x4x8xf32>
  }
}
