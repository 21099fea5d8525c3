// RUN: %partita-opt %s -nn-hoist-slices | FileCheck %s

// One row is read of a layer that normalises, multiplies and adds what it began
// with; the slices of both operands of the addition are of the same input.
// CHECK-LABEL: func.func @one_row
// CHECK-NOT: tensor<2x5x8xf32> to tensor<2x5x8xf32>
// CHECK-DAG: %[[A:.*]] = nn.slice %arg0 [0, 3, 0] step [1, 1, 1] {{.*}} : tensor<2x5x8xf32> to tensor<2x1x8xf32>
// CHECK: %[[N:.*]] = nn.layer_norm %{{.*}}, %arg1, %arg2 {{.*}} : tensor<2x1x8xf32>
// CHECK: %[[M:.*]] = nn.matmul %[[N]], %arg3 {{.*}} : tensor<2x1x8xf32>, tensor<8x8xf32>
// CHECK: %[[R:.*]] = nn.add %{{.*}} {nn.id = "sum", nn.nodes = ["Sum"]} : tensor<2x1x8xf32>
// CHECK: return %[[R]]
func.func @one_row(%x: tensor<2x5x8xf32>, %w: tensor<8xf32>, %b: tensor<8xf32>, %m: tensor<8x8xf32>) -> tensor<2x1x8xf32> {
  %n = nn.layer_norm %x, %w, %b epsilon 1.0e-5 {nn.id = "norm", nn.nodes = ["Norm"]} : tensor<2x5x8xf32>, tensor<8xf32>, tensor<8xf32>
  %p = nn.matmul %n, %m {nn.id = "product", nn.nodes = ["Product"]} : tensor<2x5x8xf32>, tensor<8x8xf32>
  %s = nn.add %p, %x {nn.id = "sum", nn.nodes = ["Sum"]} : tensor<2x5x8xf32>
  %r = nn.slice %s [0, 3, 0] step [1, 1, 1] {nn.id = "row", nn.nodes = ["Row"]} : tensor<2x5x8xf32> to tensor<2x1x8xf32>
  return %r : tensor<2x1x8xf32>
}

// Queries are rows; keys and values stay. So it is behind heads, too.
// CHECK-LABEL: func.func @queries
// CHECK: %[[Q:.*]] = nn.slice %arg0 [0, 0, 0] step [1, 1, 1] {{.*}} : tensor<1x6x8xf32> to tensor<1x1x8xf32>
// CHECK: %[[H:.*]] = nn.reshape %[[Q]] {{.*}} : tensor<1x1x8xf32> to tensor<1x1x2x4xf32>
// CHECK: %[[T:.*]] = nn.transpose %[[H]]
// CHECK: nn.attention %[[T]], %arg1, %arg1 {{.*}} : tensor<1x2x1x4xf32>, tensor<1x2x6x4xf32>
func.func @queries(%x: tensor<1x6x8xf32>, %k: tensor<1x2x6x4xf32>) -> tensor<1x2x1x4xf32> {
  %h = nn.reshape %x {nn.id = "heads", nn.nodes = []} : tensor<1x6x8xf32> to tensor<1x6x2x4xf32>
  %q = nn.transpose %h [0, 2, 1, 3] {nn.id = "q", nn.nodes = []} : tensor<1x6x2x4xf32>
  %o, %l = nn.attention %q, %k, %k scale 5.0e-1 {nn.id = "a", nn.nodes = []} : tensor<1x2x6x4xf32>, tensor<1x2x6x4xf32>, tensor<1x2x6x4xf32>
  %r = nn.slice %o [0, 0, 0, 0] step [1, 1, 1, 1] {nn.id = "first", nn.nodes = []} : tensor<1x2x6x4xf32> to tensor<1x2x1x4xf32>
  return %r : tensor<1x2x1x4xf32>
}

// A softmax needs the whole of its dimension, another reader the whole tensor,
// and two slices are not one.
// CHECK-LABEL: func.func @stays
// CHECK: nn.softmax %arg0 {{.*}}tensor<4x6xf32>
// CHECK: nn.tanh %arg0 {{.*}}tensor<4x6xf32>
// CHECK: nn.exp %arg0 {{.*}}tensor<4x6xf32>
func.func @stays(%x: tensor<4x6xf32>) -> (tensor<4x1xf32>, tensor<1x6xf32>, tensor<4x6xf32>, tensor<1x6xf32>, tensor<1x6xf32>) {
  %s = nn.softmax %x axis 1 {nn.id = "s", nn.nodes = []} : tensor<4x6xf32>
  %a = nn.slice %s [0, 0] step [1, 1] {nn.id = "a", nn.nodes = []} : tensor<4x6xf32> to tensor<4x1xf32>
  %t = nn.tanh %x {nn.id = "t", nn.nodes = []} : tensor<4x6xf32>
  %b = nn.slice %t [0, 0] step [1, 1] {nn.id = "b", nn.nodes = []} : tensor<4x6xf32> to tensor<1x6xf32>
  %e = nn.exp %x {nn.id = "e", nn.nodes = []} : tensor<4x6xf32>
  %c = nn.slice %e [0, 0] step [1, 1] {nn.id = "c", nn.nodes = []} : tensor<4x6xf32> to tensor<1x6xf32>
  %d = nn.slice %e [1, 0] step [1, 1] {nn.id = "d", nn.nodes = []} : tensor<4x6xf32> to tensor<1x6xf32>
  return %a, %b, %t, %c, %d : tensor<4x1xf32>, tensor<1x6xf32>, tensor<4x6xf32>, tensor<1x6xf32>, tensor<1x6xf32>
}

// A parameter is what it is.
// CHECK-LABEL: func.func @parameter
// CHECK-NEXT: nn.get_parameter @w {{.*}} : tensor<4x6xf32>
// CHECK-NEXT: nn.slice
nn.parameter @w : tensor<4x6xf32> {file = -1 : i64, offset = 0 : i64, length = 96 : i64}
func.func @parameter() -> tensor<1x6xf32> {
  %w = nn.get_parameter @w {nn.id = "w", nn.nodes = []} : tensor<4x6xf32>
  %s = nn.slice %w [2, 0] step [1, 1] {nn.id = "s", nn.nodes = []} : tensor<4x6xf32> to tensor<1x6xf32>
  return %s : tensor<1x6xf32>
}
