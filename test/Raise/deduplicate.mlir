// RUN: %partita-opt %s -nn-deduplicate | FileCheck %s

// CHECK: nn.parameter @used
// CHECK-NOT: nn.parameter @unused
nn.parameter @used : tensor<2xf32> {file = 0 : i64, offset = 0 : i64, length = 8 : i64}
nn.parameter @unused : tensor<2xf32> {file = 0 : i64, offset = 8 : i64, length = 8 : i64}

// CHECK-LABEL: func.func @step
// CHECK-NEXT: %[[W:.*]] = nn.get_parameter @used
// CHECK-NEXT: %[[A:.*]] = nn.add %arg0, %[[W]] {nn.id = "a", nn.nodes = ["one", "two"]}
// CHECK-NEXT: %[[B:.*]] = nn.mul %[[A]], %[[A]]
// CHECK-NEXT: return %[[B]]
func.func @step(%x: tensor<2xf32>) -> tensor<2xf32> {
  %w = nn.get_parameter @used {nn.id = "used", nn.nodes = []} : tensor<2xf32>
  %a = nn.add %x, %w {nn.id = "a", nn.nodes = ["one"]} : tensor<2xf32>
  %b = nn.add %x, %w {nn.id = "b", nn.nodes = ["two"]} : tensor<2xf32>
  %dead = nn.neg %b {nn.id = "dead", nn.nodes = []} : tensor<2xf32>
  %v = nn.get_parameter @unused {nn.id = "unused", nn.nodes = []} : tensor<2xf32>
  %c = nn.mul %a, %b {nn.id = "c", nn.nodes = []} : tensor<2xf32>
  return %c : tensor<2xf32>
}

// Attributes count.
// CHECK-LABEL: func.func @different
// CHECK-COUNT-2: nn.softmax
func.func @different(%x: tensor<2x2xf32>) -> tensor<2x2xf32> {
  %a = nn.softmax %x axis 0 {nn.id = "a", nn.nodes = []} : tensor<2x2xf32>
  %b = nn.softmax %x axis 1 {nn.id = "b", nn.nodes = []} : tensor<2x2xf32>
  %c = nn.add %a, %b {nn.id = "c", nn.nodes = []} : tensor<2x2xf32>
  return %c : tensor<2x2xf32>
}
