// RUN: %partita-opt --nn-differentiate="loss=given optimizer=none input-gradients" --split-input-file %s | FileCheck %s

// The row sums of attention are subtracted from the gradient of its scores; the
// mask gets a gradient where something trainable made it.

// CHECK-LABEL: func.func @step
// CHECK-SAME: %[[Q:[a-z0-9]+]]: tensor<2x4x3x8xf32>
// CHECK-SAME: %[[G:[a-z0-9]+]]: tensor<2x4x3x8xf32> {nn.name = "train.cotangent"}
// CHECK: %[[O:.*]], %[[L:.*]] = nn.attention
// CHECK: %[[P:.*]] = nn.mul %[[G]], %[[O]]
// CHECK: %[[D:.*]] = nn.reduce "sum", %[[P]] [3]
// CHECK: nn.attention_gradient %[[Q]], %{{.*}}, %{{.*}}, %[[L]], %[[D]], %[[G]], %{{.*}} scale 5.000000e-01 causal {nn.id = "a/grad.2"
// CHECK-SAME: to tensor<2x4x3x8xf32>, tensor<2x2x3x8xf32>, tensor<2x2x3x8xf32>, tensor<1x4x3x3xf32>
func.func @step(%q: tensor<2x4x3x8xf32>, %k: tensor<2x2x3x8xf32>, %v: tensor<2x2x3x8xf32>, %m: tensor<1x4x3x3xf32>)
    -> (tensor<2x4x3x8xf32> {nn.name = "y"}) {
  %o, %l = nn.attention %q, %k, %v mask %m scale 0.5 causal {nn.id = "a", nn.nodes = ["A"]} : tensor<2x4x3x8xf32>, tensor<2x2x3x8xf32>, tensor<2x2x3x8xf32>, tensor<1x4x3x3xf32>
  return %o : tensor<2x4x3x8xf32>
}

// -----

// The table of an embedding gets a sum over the indices, and what two uses of one
// value get is added up under the value's name.

// CHECK-LABEL: func.func @step
// CHECK: %[[G:.*]] = nn.gather_gradient %{{.*}}, %{{.*}} axis 0 {nn.id = "rows/grad"} : tensor<5xi64>, tensor<5x4xf32> to tensor<9x4xf32>
// CHECK: nn.add %{{.*}}, %[[G]] {nn.id = "w/grad.sum"} : tensor<9x4xf32>
nn.parameter @w : tensor<9x4xf32> {file = -1 : i64, offset = 0 : i64, length = 144 : i64}
func.func @step(%i: tensor<5xi64>) -> (tensor<5x9xf32> {nn.name = "y"}) {
  %w = nn.get_parameter @w {nn.id = "w"} : tensor<9x4xf32>
  %r = nn.gather %w, %i axis 0 {nn.id = "rows"} : tensor<9x4xf32>, tensor<5xi64>
  %t = nn.transpose %w [1, 0] {nn.id = "columns"} : tensor<9x4xf32>
  %y = nn.matmul %r, %t {nn.id = "y"} : tensor<5x4xf32>, tensor<4x9xf32>
  return %y : tensor<5x9xf32>
}

// -----

// What is called like something that there is gets a number. Weights keep their
// names, since those are unique with the inputs'.

// CHECK-LABEL: func.func @step
// CHECK-SAME: nn.name = "train.cotangent"}, %{{[^:]*}}: tensor<4xf32> {nn.name = "train.cotangent.1"}
// CHECK-SAME: tensor<4xf32> {nn.name = "w.grad"}
// CHECK-SAME: tensor<4xf32> {nn.name = "w.grad.1"}
nn.parameter @w : tensor<4xf32> {file = -1 : i64, offset = 0 : i64, length = 16 : i64}
func.func @step(%x: tensor<4xf32> {nn.name = "train.cotangent"}) -> (tensor<4xf32> {nn.name = "w.grad"}) {
  %w = nn.get_parameter @w {nn.id = "w"} : tensor<4xf32>
  %y = nn.mul %x, %w {nn.id = "y"} : tensor<4xf32>
  return %y : tensor<4xf32>
}
