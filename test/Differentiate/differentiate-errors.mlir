// RUN: not %partita-opt --nn-differentiate="loss=sum optimizer=none" --split-input-file %s 2>&1 | FileCheck %s
// RUN: not %partita-opt --nn-differentiate="loss=least" --split-input-file %s 2>&1 | FileCheck %s --check-prefix=LOSS
// RUN: not %partita-opt --nn-differentiate="optimizer=newton" --split-input-file %s 2>&1 | FileCheck %s --check-prefix=OPTIMIZER
// RUN: not %partita-opt --nn-differentiate="output=z" --split-input-file %s 2>&1 | FileCheck %s --check-prefix=OUTPUT

// LOSS: there is no loss least
// OPTIMIZER: there is no optimizer newton
// OUTPUT: error[differentiate.output]: z: is no output of the model
// OUTPUT-NEXT: hint: its outputs are y

// One run names everything that has no rule, with the first of its nodes.

// CHECK: error[differentiate.unsupported]: the path from the weights to the loss
// CHECK-NEXT: nn.reduce: of kind "prod" has no rule (1 time, first at node "Multiply")
// CHECK-NEXT: nn.det: has no rule (2 times, first at node "First")

nn.parameter @w : tensor<3x3xf32> {file = -1 : i64, offset = 0 : i64, length = 36 : i64}
func.func @step(%x: tensor<3x3xf32>) -> (tensor<f32> {nn.name = "y"}) {
  %w = nn.get_parameter @w {nn.id = "w"} : tensor<3x3xf32>
  %m = nn.matmul %x, %w {nn.id = "m"} : tensor<3x3xf32>, tensor<3x3xf32>
  %a = nn.det %m {nn.id = "a", nn.nodes = ["First"]} : tensor<3x3xf32>
  %b = nn.det %w {nn.id = "b", nn.nodes = ["Second"]} : tensor<3x3xf32>
  %p = nn.reduce "prod", %m [0, 1] {nn.id = "p", nn.nodes = ["Multiply"]} : tensor<3x3xf32>
  %s = nn.add %a, %b {nn.id = "s"} : tensor<f32>
  %y = nn.add %s, %p {nn.id = "y"} : tensor<f32>
  return %y : tensor<f32>
}

// -----

// CHECK: error[differentiate.constant]: y: does not depend on any weight

func.func @step(%x: tensor<3xf32>) -> (tensor<3xf32> {nn.name = "y"}) {
  %y = nn.exp %x {nn.id = "y"} : tensor<3xf32>
  return %y : tensor<3xf32>
}

// -----

// CHECK: error[differentiate.output]: training: no output is of floating point

func.func @step(%x: tensor<3xi64>) -> (tensor<3xi64> {nn.name = "y"}) {
  %y = nn.neg %x {nn.id = "y"} : tensor<3xi64>
  return %y : tensor<3xi64>
}

// -----

// CHECK: error[differentiate.entry]: module: there is no function @step

func.func @main() {
  return
}
