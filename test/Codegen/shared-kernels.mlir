// RUN: %partita-opt --fusion-to-kernel %s | FileCheck %s

// Equal bodies with equal addressing are one kernel, whatever ids and nodes say;
// where the view begins does not matter.
// CHECK-LABEL: func.func @shared
// CHECK: rt.kernel "[[A:exp_8_[0-9a-f]+]]"(%arg0) {nn.id = "first", nn.nodes = ["one"]}
// CHECK: rt.kernel "[[A]]"(%{{.*}}) {nn.id = "second", nn.nodes = ["two"]}
// CHECK: rt.kernel "[[B:exp_8_[0-9a-f]+]]"(%{{.*}}) {nn.id = "third"}
// CHECK: module @kernels
// CHECK: func.func @[[A]](%{{.*}}: memref<8xf32> {llvm.noalias}
// CHECK: func.func @[[B]](%{{.*}}: memref<8xf32, strided<[2]>> {llvm.noalias}
// CHECK-NOT: func.func
func.func @shared(%x: tensor<8xf32>, %y: tensor<16xf32>) -> (tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) {
  %0 = rt.fusion(%x) {nn.id = "first", nn.nodes = ["one"]} : (tensor<8xf32>) -> tensor<8xf32> {
  ^bb0(%a: tensor<8xf32>):
    %3 = nn.exp %a {nn.id = "e0"} : tensor<8xf32>
    rt.yield %3 : tensor<8xf32>
  }
  %v = rt.view %y offset 8 strides [1] : tensor<16xf32> to tensor<8xf32>
  %1 = rt.fusion(%v) {nn.id = "second", nn.nodes = ["two"]} : (tensor<8xf32>) -> tensor<8xf32> {
  ^bb0(%a: tensor<8xf32>):
    %3 = nn.exp %a {nn.id = "e1"} : tensor<8xf32>
    rt.yield %3 : tensor<8xf32>
  }
  %w = rt.view %y offset 0 strides [2] : tensor<16xf32> to tensor<8xf32>
  %2 = rt.fusion(%w) {nn.id = "third"} : (tensor<8xf32>) -> tensor<8xf32> {
  ^bb0(%a: tensor<8xf32>):
    %3 = nn.exp %a : tensor<8xf32>
    rt.yield %3 : tensor<8xf32>
  }
  return %0, %1, %2 : tensor<8xf32>, tensor<8xf32>, tensor<8xf32>
}
