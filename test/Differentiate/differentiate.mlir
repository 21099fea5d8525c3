// RUN: %partita-opt --nn-differentiate="loss=given optimizer=none" %s | FileCheck %s --check-prefix=GRAD
// RUN: %partita-opt --nn-differentiate="loss=sum" %s | FileCheck %s --check-prefix=ADAMW

// The gradient to the output is an input; those of the weights are results.
// What is built for an operation has its id and its nodes.

nn.parameter @w : tensor<4x3xf32> {file = -1 : i64, offset = 0 : i64, length = 48 : i64}
nn.parameter @b : tensor<3xf32> {file = -1 : i64, offset = 48 : i64, length = 12 : i64}
nn.parameter @unused : tensor<3xf32> {file = -1 : i64, offset = 60 : i64, length = 12 : i64}

// GRAD-LABEL: func.func @step
// GRAD-SAME: %[[X:[a-z0-9]+]]: tensor<2x5x4xf32>
// GRAD-SAME: %[[G:[a-z0-9]+]]: tensor<2x5x3xf32> {nn.dims = ["batch", "seq", ""], nn.name = "train.cotangent"}
// GRAD-SAME: -> (tensor<2x5x3xf32> {{{.*}}nn.name = "y"}, tensor<f32> {nn.name = "train.loss"},
// GRAD-SAME: tensor<4x3xf32> {nn.name = "w.grad"}, tensor<3xf32> {nn.name = "b.grad"}
// GRAD: %[[S:.*]] = nn.add {{.*}}nn.id = "sum"
// GRAD: %[[Y:.*]] = nn.relu %[[S]]
// GRAD: %[[L:.*]] = nn.reduce "sum", {{.*}} [0, 1, 2] {nn.id = "train.loss.1"
// GRAD: %[[M:.*]] = nn.compare "gt", %[[S]], {{.*}}nn.nodes = ["Relu"]
// GRAD: %[[R:.*]] = nn.select %[[M]], %[[G]], %{{.*}} {nn.id = "relu/grad.2", nn.nodes = ["Relu"]}
// GRAD: %[[B:.*]] = nn.reduce "sum", %[[R]] [0, 1] {nn.id = "spread/grad"
// GRAD-DAG: %[[RX:.*]] = nn.reshape %[[X]] {{.*}} to tensor<10x4xf32>
// GRAD-DAG: %[[RG:.*]] = nn.reshape %[[R]] {{.*}} to tensor<10x3xf32>
// GRAD: %[[T:.*]] = nn.transpose %[[RX]] [1, 0]
// GRAD: %[[W:.*]] = nn.matmul %[[T]], %[[RG]] {nn.id = "product/grad.3", nn.nodes = ["Product"]}
// GRAD: return %[[Y]], %[[L]], %[[W]], %[[B]] :

// Weights are states, read as arguments and written as results of their names.
// An update stands where its gradient is complete.

// ADAMW-LABEL: func.func @step
// ADAMW-SAME: tensor<4x3xf32> {nn.name = "w", nn.state = @w}
// ADAMW-SAME: tensor<4x3xf32> {nn.name = "w.m", nn.state}, {{[^:]*}}: tensor<4x3xf32> {nn.name = "w.v", nn.state}
// ADAMW-SAME: tensor<f32> {nn.name = "train.learning_rate"}, {{[^:]*}}: tensor<i64> {nn.name = "train.step", nn.range = "1:1000"}
// ADAMW-NOT: "unused"
// ADAMW-SAME: -> (tensor<f32> {nn.name = "train.loss"}, tensor<4x3xf32> {nn.name = "w", nn.state}
// ADAMW-NOT: nn.get_parameter
// ADAMW: nn.id = "spread/grad"
// ADAMW: nn.id = "b/adamw"
// ADAMW: nn.matmul {{.*}}nn.id = "product/grad.3"
// ADAMW: nn.id = "w/adamw"

func.func @step(%x: tensor<2x5x4xf32> {nn.name = "x", nn.dims = ["batch", "seq", ""]})
    -> (tensor<2x5x3xf32> {nn.name = "y", nn.dims = ["batch", "seq", ""]}) {
  %w = nn.get_parameter @w {nn.id = "w"} : tensor<4x3xf32>
  %b = nn.get_parameter @b {nn.id = "b"} : tensor<3xf32>
  %u = nn.get_parameter @unused {nn.id = "u"} : tensor<3xf32>
  %p = nn.matmul %x, %w {nn.id = "product", nn.nodes = ["Product"]} : tensor<2x5x4xf32>, tensor<4x3xf32>
  %r = nn.broadcast %b [2] {nn.id = "spread", nn.nodes = ["Bias"]} : tensor<3xf32> to tensor<2x5x3xf32>
  %s = nn.add %p, %r {nn.id = "sum", nn.nodes = ["Bias"]} : tensor<2x5x3xf32>
  %y = nn.relu %s {nn.id = "relu", nn.nodes = ["Relu"]} : tensor<2x5x3xf32>
  return %y : tensor<2x5x3xf32>
}
