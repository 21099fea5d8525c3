// RUN: not %partita-opt --fusion-to-kernel --split-input-file %s 2>&1 | FileCheck %s

// CHECK: error[codegen.operation]: e (node): nn.exp: has no kernel for elements of type i64
func.func @type(%x: tensor<8xi64>) -> tensor<8xi64> {
  %0 = rt.fusion(%x) {nn.id = "e", nn.nodes = ["node"]} : (tensor<8xi64>) -> tensor<8xi64> {
  ^bb0(%a: tensor<8xi64>):
    %1 = nn.exp %a : tensor<8xi64>
    rt.yield %1 : tensor<8xi64>
  }
  return %0 : tensor<8xi64>
}

// -----

// CHECK: error[codegen.fusion]: {{.*}}does not reduce trailing dimensions
func.func @leading(%x: tensor<4x8xf32>) -> tensor<8xf32> {
  %0 = rt.fusion(%x) : (tensor<4x8xf32>) -> tensor<8xf32> {
  ^bb0(%a: tensor<4x8xf32>):
    %1 = nn.reduce "sum", %a [0] : tensor<4x8xf32>
    rt.yield %1 : tensor<8xf32>
  }
  return %0 : tensor<8xf32>
}

// -----

// CHECK: error[codegen.fusion]: {{.*}}cannot be in a fusion
func.func @foreign(%x: tensor<4x8xf32>) -> tensor<8x4xf32> {
  %0 = rt.fusion(%x) : (tensor<4x8xf32>) -> tensor<8x4xf32> {
  ^bb0(%a: tensor<4x8xf32>):
    %1 = nn.transpose %a [1, 0] : tensor<4x8xf32>
    rt.yield %1 : tensor<8x4xf32>
  }
  return %0 : tensor<8x4xf32>
}
