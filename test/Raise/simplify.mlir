// RUN: %partita-opt %s -nn-simplify | FileCheck %s

// CHECK-LABEL: func.func @reshapes
// CHECK-NEXT: return %arg0
func.func @reshapes(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %a = nn.reshape %x {nn.id = "a", nn.nodes = ["a"]} : tensor<2x3xf32> to tensor<6xf32>
  %b = nn.reshape %a {nn.id = "b", nn.nodes = ["b"]} : tensor<6xf32> to tensor<2x3xf32>
  return %b : tensor<2x3xf32>
}

// The joined operation has the id of the last and covers both.
// CHECK-LABEL: func.func @transposes
// CHECK-NEXT: nn.transpose %arg0 [2, 1, 0] {nn.id = "b", nn.nodes = ["a", "b"]}
func.func @transposes(%x: tensor<2x3x4xf32>) -> tensor<4x3x2xf32> {
  %a = nn.transpose %x [1, 2, 0] {nn.id = "a", nn.nodes = ["a"]} : tensor<2x3x4xf32>
  %b = nn.transpose %a [1, 0, 2] {nn.id = "b", nn.nodes = ["b"]} : tensor<3x4x2xf32>
  return %b : tensor<4x3x2xf32>
}

// CHECK-LABEL: func.func @transpose_of_ones
// CHECK-NEXT: nn.reshape %arg0
func.func @transpose_of_ones(%x: tensor<1x3x1x4xf32>) -> tensor<3x1x1x4xf32> {
  %a = nn.transpose %x [1, 0, 2, 3] {nn.id = "a", nn.nodes = []} : tensor<1x3x1x4xf32>
  return %a : tensor<3x1x1x4xf32>
}

// CHECK-LABEL: func.func @broadcasts
// CHECK-NEXT: nn.broadcast %arg0 [2]
// CHECK-SAME: tensor<4xf32> to tensor<2x3x4xf32>
func.func @broadcasts(%x: tensor<4xf32>) -> tensor<2x3x4xf32> {
  %a = nn.reshape %x {nn.id = "a", nn.nodes = []} : tensor<4xf32> to tensor<1x4xf32>
  %b = nn.broadcast %a [0, 1] {nn.id = "b", nn.nodes = []} : tensor<1x4xf32> to tensor<3x4xf32>
  %c = nn.broadcast %b [1, 2] {nn.id = "c", nn.nodes = []} : tensor<3x4xf32> to tensor<2x3x4xf32>
  return %c : tensor<2x3x4xf32>
}

// CHECK-LABEL: func.func @slices
// CHECK-NEXT: nn.slice %arg0 [7] step [-2]
func.func @slices(%x: tensor<10xf32>) -> tensor<2xf32> {
  %a = nn.slice %x [9] step [-1] {nn.id = "a", nn.nodes = []} : tensor<10xf32> to tensor<8xf32>
  %b = nn.slice %a [2] step [2] {nn.id = "b", nn.nodes = []} : tensor<8xf32> to tensor<2xf32>
  return %b : tensor<2xf32>
}

// CHECK-LABEL: func.func @numbers
// CHECK-NEXT: nn.constant dense<2.000000e+00> : tensor<3x2xf32>
// CHECK-NEXT: nn.mul %arg0
// CHECK-NEXT: return
func.func @numbers(%x: tensor<3x2xf32>) -> tensor<3x2xf32> {
  %two = nn.constant dense<2.0> : tensor<2xf32> {nn.id = "two", nn.nodes = []} : tensor<2xf32>
  %b = nn.broadcast %two [1] {nn.id = "b", nn.nodes = []} : tensor<2xf32> to tensor<3x2xf32>
  %one = nn.constant dense<1.0> : tensor<3x2xf32> {nn.id = "one", nn.nodes = []} : tensor<3x2xf32>
  %zero = nn.constant dense<0.0> : tensor<3x2xf32> {nn.id = "zero", nn.nodes = []} : tensor<3x2xf32>
  %0 = nn.mul %x, %b {nn.id = "m", nn.nodes = []} : tensor<3x2xf32>
  %1 = nn.mul %one, %0 {nn.id = "m1", nn.nodes = []} : tensor<3x2xf32>
  %2 = nn.add %1, %zero {nn.id = "a", nn.nodes = []} : tensor<3x2xf32>
  return %2 : tensor<3x2xf32>
}

// A remainder is no identity, and 0 - x is no x.
// CHECK-LABEL: func.func @not_neutral
// CHECK: nn.sub
// CHECK: nn.div
func.func @not_neutral(%x: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>) {
  %zero = nn.constant dense<0.0> : tensor<2xf32> {nn.id = "zero", nn.nodes = []} : tensor<2xf32>
  %two = nn.constant dense<2.0> : tensor<2xf32> {nn.id = "two", nn.nodes = []} : tensor<2xf32>
  %a = nn.sub %zero, %x {nn.id = "a", nn.nodes = []} : tensor<2xf32>
  %b = nn.div %two, %x {nn.id = "b", nn.nodes = []} : tensor<2xf32>
  return %a, %b : tensor<2xf32>, tensor<2xf32>
}

// CHECK-LABEL: func.func @inverse_root
// CHECK-NEXT: nn.rsqrt %arg0
// CHECK-NEXT: nn.rsqrt %arg0
func.func @inverse_root(%x: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>) {
  %one = nn.constant dense<1.0> : tensor<2xf32> {nn.id = "one", nn.nodes = []} : tensor<2xf32>
  %r = nn.sqrt %x {nn.id = "r", nn.nodes = []} : tensor<2xf32>
  %a = nn.reciprocal %r {nn.id = "a", nn.nodes = []} : tensor<2xf32>
  %b = nn.div %one, %r {nn.id = "b", nn.nodes = []} : tensor<2xf32>
  return %a, %b : tensor<2xf32>, tensor<2xf32>
}

// A linear layer on flattened rows, with bias, activation and another layer.
// CHECK-LABEL: func.func @sandwich
// CHECK-NOT: nn.reshape
// CHECK: %[[A:.*]] = nn.matmul %arg0, %arg1 {nn.id = "first", nn.nodes = ["first"]} : tensor<2x8x4xf32>, tensor<4x6xf32>
// CHECK: %[[B:.*]] = nn.broadcast %arg2 [2]
// CHECK-SAME: tensor<6xf32> to tensor<2x8x6xf32>
// CHECK: %[[C:.*]] = nn.add %[[A]], %[[B]] {nn.id = "bias"
// CHECK: %[[D:.*]] = nn.relu %[[C]]
// CHECK: %[[E:.*]] = nn.matmul %[[D]], %arg3
// CHECK: return %[[E]]
func.func @sandwich(%x: tensor<2x8x4xf32>, %w: tensor<4x6xf32>, %b: tensor<6xf32>,
                    %v: tensor<6x5xf32>) -> tensor<2x8x5xf32> {
  %0 = nn.reshape %x {nn.id = "r0", nn.nodes = ["r0"]} : tensor<2x8x4xf32> to tensor<16x4xf32>
  %1 = nn.matmul %0, %w {nn.id = "first", nn.nodes = ["first"]} : tensor<16x4xf32>, tensor<4x6xf32>
  %2 = nn.broadcast %b [1] {nn.id = "b", nn.nodes = ["bias"]} : tensor<6xf32> to tensor<16x6xf32>
  %3 = nn.add %1, %2 {nn.id = "bias", nn.nodes = ["bias"]} : tensor<16x6xf32>
  %4 = nn.relu %3 {nn.id = "relu", nn.nodes = ["relu"]} : tensor<16x6xf32>
  %5 = nn.matmul %4, %v {nn.id = "second", nn.nodes = ["second"]} : tensor<16x6xf32>, tensor<6x5xf32>
  %6 = nn.reshape %5 {nn.id = "r1", nn.nodes = ["r1"]} : tensor<16x5xf32> to tensor<2x8x5xf32>
  return %6 : tensor<2x8x5xf32>
}

// With one batch the flattening joins nothing; it goes because it is undone.
// CHECK-LABEL: func.func @sandwich_of_one
// CHECK-NEXT: nn.matmul %arg0, %arg1
// CHECK-NEXT: return
func.func @sandwich_of_one(%x: tensor<1x8x4xf32>, %w: tensor<4x6xf32>) -> tensor<1x8x6xf32> {
  %0 = nn.reshape %x {nn.id = "r0", nn.nodes = []} : tensor<1x8x4xf32> to tensor<8x4xf32>
  %1 = nn.matmul %0, %w {nn.id = "m", nn.nodes = []} : tensor<8x4xf32>, tensor<4x6xf32>
  %2 = nn.reshape %1 {nn.id = "r1", nn.nodes = []} : tensor<8x6xf32> to tensor<1x8x6xf32>
  return %2 : tensor<1x8x6xf32>
}

// A pooler takes one position; the product has no use for its dimension.
// CHECK-LABEL: func.func @pooler
// CHECK: nn.matmul {{.*}} : tensor<6x4xf32>, tensor<4x4xf32>
func.func @pooler(%x: tensor<6x10x4xf32>, %w: tensor<4x4xf32>) -> tensor<6x4xf32> {
  %0 = nn.slice %x [0, 0, 0] step [1, 1, 1] {nn.id = "s", nn.nodes = []} : tensor<6x10x4xf32> to tensor<6x1x4xf32>
  %1 = nn.reshape %0 {nn.id = "r", nn.nodes = []} : tensor<6x1x4xf32> to tensor<6x4xf32>
  %2 = nn.matmul %1, %w {nn.id = "m", nn.nodes = []} : tensor<6x4xf32>, tensor<4x4xf32>
  return %2 : tensor<6x4xf32>
}

// Heads are not rows: this reshape stays where it is.
// CHECK-LABEL: func.func @heads
// CHECK-NEXT: nn.reshape
// CHECK-NEXT: nn.relu
func.func @heads(%x: tensor<2x8x12xf32>) -> tensor<2x8x3x4xf32> {
  %0 = nn.reshape %x {nn.id = "r", nn.nodes = []} : tensor<2x8x12xf32> to tensor<2x8x3x4xf32>
  %1 = nn.relu %0 {nn.id = "m", nn.nodes = []} : tensor<2x8x3x4xf32>
  return %1 : tensor<2x8x3x4xf32>
}

// A bias of all keys changes no softmax; that of queries does.
// CHECK-LABEL: func.func @key_bias
// CHECK-DAG: %[[Q:.*]] = nn.add %arg0
// CHECK-DAG: %[[K:.*]] = nn.reshape %arg1 {nn.id = "split"
// CHECK-DAG: %[[T:.*]] = nn.transpose %[[K]] [0, 2, 1, 3] {nn.id = "heads"
// CHECK: nn.attention %[[Q]], %[[T]], %{{.*}} scale 1.000000e+00 {nn.id = "attention", nn.nodes = ["bias", "attention"]}
func.func @key_bias(%q: tensor<1x2x3x4xf32>, %k: tensor<1x5x8xf32>, %b: tensor<8xf32>, %c: tensor<4xf32>) -> tensor<1x2x3x4xf32> {
  %cs = nn.broadcast %c [3] {nn.id = "cs", nn.nodes = []} : tensor<4xf32> to tensor<1x2x3x4xf32>
  %qb = nn.add %q, %cs {nn.id = "qb", nn.nodes = []} : tensor<1x2x3x4xf32>
  %bs = nn.broadcast %b [2] {nn.id = "bs", nn.nodes = []} : tensor<8xf32> to tensor<1x5x8xf32>
  %kb = nn.add %k, %bs {nn.id = "kb", nn.nodes = ["bias"]} : tensor<1x5x8xf32>
  %s = nn.reshape %kb {nn.id = "split", nn.nodes = []} : tensor<1x5x8xf32> to tensor<1x5x2x4xf32>
  %h = nn.transpose %s [0, 2, 1, 3] {nn.id = "heads", nn.nodes = []} : tensor<1x5x2x4xf32>
  %vs = nn.reshape %k {nn.id = "vs", nn.nodes = []} : tensor<1x5x8xf32> to tensor<1x5x2x4xf32>
  %v = nn.transpose %vs [0, 2, 1, 3] {nn.id = "vh", nn.nodes = []} : tensor<1x5x2x4xf32>
  %o, %l = nn.attention %qb, %h, %v scale 1.0 {nn.id = "attention", nn.nodes = ["attention"]} : tensor<1x2x3x4xf32>, tensor<1x2x5x4xf32>, tensor<1x2x5x4xf32>
  return %o : tensor<1x2x3x4xf32>
}

// A bias that differs between keys, and one whose lse is read, stay.
// CHECK-LABEL: func.func @key_bias_stays
// CHECK-COUNT-2: nn.add
func.func @key_bias_stays(%q: tensor<1x2x3x4xf32>, %k: tensor<1x2x5x4xf32>, %b: tensor<5xf32>, %c: tensor<4xf32>) -> (tensor<1x2x3x4xf32>, tensor<1x2x3xf32>) {
  %bs = nn.broadcast %b [2] {nn.id = "bs", nn.nodes = []} : tensor<5xf32> to tensor<1x2x5x4xf32>
  %kb = nn.add %k, %bs {nn.id = "kb", nn.nodes = []} : tensor<1x2x5x4xf32>
  %o, %l = nn.attention %q, %kb, %k scale 1.0 {nn.id = "a", nn.nodes = []} : tensor<1x2x3x4xf32>, tensor<1x2x5x4xf32>, tensor<1x2x5x4xf32>
  %cs = nn.broadcast %c [3] {nn.id = "cs", nn.nodes = []} : tensor<4xf32> to tensor<1x2x5x4xf32>
  %kc = nn.add %k, %cs {nn.id = "kc", nn.nodes = []} : tensor<1x2x5x4xf32>
  %p, %m = nn.attention %q, %kc, %k scale 1.0 {nn.id = "d", nn.nodes = []} : tensor<1x2x3x4xf32>, tensor<1x2x5x4xf32>, tensor<1x2x5x4xf32>
  return %o, %m : tensor<1x2x3x4xf32>, tensor<1x2x3xf32>
}
