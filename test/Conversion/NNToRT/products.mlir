// RUN: %partita-opt --nn-to-rt --split-input-file %s | FileCheck %s

module {
  nn.parameter @w : tensor<16x8xf32> {file = -1 : i64, offset = 0 : i64, length = 512 : i64}
  nn.parameter @b : tensor<16xf32> {file = -1 : i64, offset = 0 : i64, length = 64 : i64}

  // A weight is packed once; what follows the product is
  // its epilogue, through reshapes that keep its columns.
  // CHECK-LABEL: func.func @epilogues
  // CHECK: %[[W:.*]] = nn.get_parameter @w
  // CHECK: %[[T:.*]] = rt.view %[[W]] offset 0 strides [1, 8] : tensor<16x8xf32> to tensor<8x16xf32>
  // CHECK: %[[P:.*]] = rt.call "pack_weight"(%[[T]]) {config = {packed = array<i64: 8, 16>}
  // CHECK-NOT: pack_weight
  // CHECK: %[[R:.*]] = rt.view %arg1 offset 0 strides [48, 16, 1] : tensor<6x16xf32> to tensor<2x3x16xf32>
  // CHECK: %[[C:.*]] = rt.call "matmul"(%arg0, %[[P]], %{{.*}}, %[[R]])
  // CHECK-SAME: epilogue = "bias,gelu_erf,add"
  // CHECK-SAME: matmul_flops = 1536
  // CHECK-SAME: nn.id = "m/add"
  // CHECK-SAME: nn.nodes = ["m", "m/bias", "m/gelu", "m/add"]
  // CHECK-SAME: -> tensor<2x3x16xf32>
  // CHECK: rt.call "matmul"(%{{.*}}, %[[P]])
  func.func @epilogues(%x: tensor<2x3x8xf32>, %r: tensor<6x16xf32>) -> (tensor<6x16xf32>, tensor<2x3x16xf32>) {
    %w = nn.get_parameter @w : tensor<16x8xf32>
    %b = nn.get_parameter @b : tensor<16xf32>
    %t = nn.transpose %w [1, 0] : tensor<16x8xf32>
    %m = nn.matmul %x, %t {nn.id = "m", nn.nodes = ["m"]} : tensor<2x3x8xf32>, tensor<8x16xf32>
    %s = nn.reshape %m : tensor<2x3x16xf32> to tensor<6x16xf32>
    %bb = nn.broadcast %b [1] : tensor<16xf32> to tensor<6x16xf32>
    %a = nn.add %s, %bb {nn.id = "m/bias", nn.nodes = ["m/bias"]} : tensor<6x16xf32>
    %g = nn.gelu %a {nn.id = "m/gelu", nn.nodes = ["m/gelu"]} : tensor<6x16xf32>
    %e = nn.add %r, %g {nn.id = "m/add", nn.nodes = ["m/add"]} : tensor<6x16xf32>
    %n = nn.matmul %x, %t {nn.id = "n", nn.nodes = ["n"]} : tensor<2x3x8xf32>, tensor<8x16xf32>
    return %e, %n : tensor<6x16xf32>, tensor<2x3x16xf32>
  }
}

// -----

// Gate and up: the first of the two products takes what follows.
// CHECK-LABEL: func.func @gated
// CHECK: %[[U:.*]] = rt.call "matmul"(%arg0, %arg2)
// CHECK-NOT: epilogue
// CHECK: rt.call "matmul"(%arg0, %arg1, %[[U]])
// CHECK-SAME: epilogue = "silu,mul"
// CHECK-NOT: rt.fusion
func.func @gated(%x: tensor<4x8xf32>, %g: tensor<8x16xf32>, %u: tensor<8x16xf32>) -> tensor<4x16xf32> {
  %0 = nn.matmul %x, %g : tensor<4x8xf32>, tensor<8x16xf32>
  %1 = nn.silu %0 : tensor<4x16xf32>
  %2 = nn.matmul %x, %u : tensor<4x8xf32>, tensor<8x16xf32>
  %3 = nn.mul %1, %2 : tensor<4x16xf32>
  return %3 : tensor<4x16xf32>
}

// -----

// A product that is read twice is no epilogue's.
// CHECK-LABEL: func.func @two_readers
// CHECK: %[[C:.*]] = rt.call "matmul"(%arg0, %arg1)
// CHECK-NOT: epilogue
// CHECK: rt.fusion(%[[C]])
func.func @two_readers(%x: tensor<4x8xf32>, %w: tensor<8x16xf32>) -> (tensor<4x16xf32>, tensor<4x16xf32>) {
  %0 = nn.matmul %x, %w : tensor<4x8xf32>, tensor<8x16xf32>
  %1 = nn.relu %0 : tensor<4x16xf32>
  return %0, %1 : tensor<4x16xf32>, tensor<4x16xf32>
}

// -----

// Between the parts of a sum stands the collective: the bias comes after it.
module {
  dist.mesh @m {axes = ["tp"], sizes = array<i64: 2>}
  // CHECK-LABEL: func.func @step_class0
  // CHECK: %[[C:.*]] = rt.call "matmul"(%arg0, %arg1)
  // CHECK-NOT: epilogue
  // CHECK: %[[S:.*]] = rt.collective "all_reduce" %[[C]]
  // CHECK: rt.fusion(%[[S]],
  func.func @step_class0(%x: tensor<4x4xf32>, %w: tensor<4x16xf32>, %b: tensor<16xf32>) -> tensor<4x16xf32> attributes {rt.ranks = array<i64: 0, 1>} {
    %0 = nn.matmul %x, %w : tensor<4x4xf32>, tensor<4x16xf32>
    %1 = rt.collective "all_reduce" %0 axes ["tp"] : tensor<4x16xf32> to tensor<4x16xf32> from #dist.sharding<@m, [{4}, {16}], partial={"tp"} sum> to #dist.sharding<@m, [{4}, {16}]>
    %2 = nn.broadcast %b [1] : tensor<16xf32> to tensor<4x16xf32>
    %3 = nn.add %1, %2 : tensor<4x16xf32>
    return %3 : tensor<4x16xf32>
  }
}

// -----

// Half precision multiplies in single.
// CHECK-LABEL: func.func @half
// CHECK: rt.call "copy"(%arg0) : (tensor<4x8xf16>) -> tensor<4x8xf32>
// CHECK: rt.call "copy"(%arg1) : (tensor<8x16xf16>) -> tensor<8x16xf32>
// CHECK: rt.call "matmul"
// CHECK-SAME: -> tensor<4x16xf32>
// CHECK: rt.call "copy"({{.*}}) : (tensor<4x16xf32>) -> tensor<4x16xf16>
func.func @half(%x: tensor<4x8xf16>, %w: tensor<8x16xf16>) -> tensor<4x16xf16> {
  %0 = nn.matmul %x, %w : tensor<4x8xf16>, tensor<8x16xf16>
  return %0 : tensor<4x16xf16>
}
