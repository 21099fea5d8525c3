// RUN: not %partita-opt --nn-to-rt --split-input-file %s 2>&1 | FileCheck %s

// CHECK: error[rt.operation]: bad (Node): 'nn.unregistered' has no implementation on this target
func.func @unknown(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = nn.unregistered "ai.onnx" "Frobnicate" 18 (%x) {nn.id = "bad", nn.nodes = ["Node"]} : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// CHECK: error[rt.element-type]: product: has no implementation for elements of type i64
func.func @integers(%x: tensor<4x4xi64>) -> tensor<4x4xi64> {
  %0 = nn.matmul %x, %x {nn.id = "product"} : tensor<4x4xi64>, tensor<4x4xi64>
  return %0 : tensor<4x4xi64>
}
