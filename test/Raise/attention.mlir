// RUN: %partita-opt %s -nn-simplify -nn-raise-attention -nn-simplify -nn-deduplicate | FileCheck %s

// BERT: the keys' transpose does heads and product at once, a scale, a mask of
// the keys.
// CHECK-LABEL: func.func @bert
// CHECK: %[[K:.*]] = nn.transpose %arg1 [0, 2, 1, 3]
// CHECK: %[[O:.*]], %{{.*}} = nn.attention %arg0, %[[K]], %arg2 mask %arg3 scale 2.500000e-01
// CHECK-SAME: nn.id = "pv"
// CHECK-SAME: nn.nodes = ["kt", "qk", "scale", "mask", "softmax", "pv"]
// CHECK-SAME: tensor<2x1x1x8xf32>
// CHECK: return %[[O]]
func.func @bert(%q: tensor<2x3x8x16xf32>, %k: tensor<2x8x3x16xf32>, %v: tensor<2x3x8x16xf32>,
                %m: tensor<2x1x1x8xf32>) -> tensor<2x3x8x16xf32> {
  %kt = nn.transpose %k [0, 2, 3, 1] {nn.id = "kt", nn.nodes = ["kt"]} : tensor<2x8x3x16xf32>
  %s = nn.matmul %q, %kt {nn.id = "qk", nn.nodes = ["qk"]} : tensor<2x3x8x16xf32>, tensor<2x3x16x8xf32>
  %c = nn.constant dense<0.25> : tensor<2x3x8x8xf32> {nn.id = "c", nn.nodes = ["scale"]} : tensor<2x3x8x8xf32>
  %t = nn.mul %s, %c {nn.id = "scale", nn.nodes = ["scale"]} : tensor<2x3x8x8xf32>
  %mb = nn.broadcast %m [0, 1, 2, 3] {nn.id = "mb", nn.nodes = ["mask"]} : tensor<2x1x1x8xf32> to tensor<2x3x8x8xf32>
  %u = nn.add %t, %mb {nn.id = "mask", nn.nodes = ["mask"]} : tensor<2x3x8x8xf32>
  %p = nn.softmax %u axis 3 {nn.id = "softmax", nn.nodes = ["softmax"]} : tensor<2x3x8x8xf32>
  %o = nn.matmul %p, %v {nn.id = "pv", nn.nodes = ["pv"]} : tensor<2x3x8x8xf32>, tensor<2x3x8x16xf32>
  return %o : tensor<2x3x8x16xf32>
}

// torch's scaled_dot_product_attention: the root of the scale on both sides, a
// guard against rows that are masked as a whole.
// CHECK-LABEL: func.func @sdpa
// CHECK: nn.attention %arg0, %arg1, %arg2 mask %arg3 scale 2.500000e-01
// CHECK-NOT: nn.softmax
// CHECK: return
func.func @sdpa(%q: tensor<2x3x8x16xf32>, %k: tensor<2x3x8x16xf32>, %v: tensor<2x3x8x16xf32>,
                %m: tensor<2x3x8x8xf32>) -> tensor<2x3x8x16xf32> {
  %kt = nn.transpose %k [0, 1, 3, 2] {nn.id = "kt", nn.nodes = []} : tensor<2x3x8x16xf32>
  %cq = nn.constant dense<0.5> : tensor<2x3x8x16xf32> {nn.id = "cq", nn.nodes = []} : tensor<2x3x8x16xf32>
  %ck = nn.constant dense<0.5> : tensor<2x3x16x8xf32> {nn.id = "ck", nn.nodes = []} : tensor<2x3x16x8xf32>
  %qs = nn.mul %q, %cq {nn.id = "qs", nn.nodes = []} : tensor<2x3x8x16xf32>
  %ks = nn.mul %ck, %kt {nn.id = "ks", nn.nodes = []} : tensor<2x3x16x8xf32>
  %s = nn.matmul %qs, %ks {nn.id = "qk", nn.nodes = []} : tensor<2x3x8x16xf32>, tensor<2x3x16x8xf32>
  %u = nn.add %m, %s {nn.id = "mask", nn.nodes = []} : tensor<2x3x8x8xf32>
  %p = nn.softmax %u axis 3 {nn.id = "softmax", nn.nodes = []} : tensor<2x3x8x8xf32>
  %nan = nn.compare "ne", %p, %p {nn.id = "nan", nn.nodes = []} : tensor<2x3x8x8xf32>
  %z = nn.constant dense<0.0> : tensor<2x3x8x8xf32> {nn.id = "z", nn.nodes = []} : tensor<2x3x8x8xf32>
  %g = nn.select %nan, %z, %p {nn.id = "g", nn.nodes = []} : tensor<2x3x8x8xi1>, tensor<2x3x8x8xf32>
  %o = nn.matmul %g, %v {nn.id = "pv", nn.nodes = []} : tensor<2x3x8x8xf32>, tensor<2x3x8x16xf32>
  return %o : tensor<2x3x8x16xf32>
}

// Llama: keys and values repeated for three query heads each.
// CHECK-LABEL: func.func @grouped
// CHECK-NOT: nn.broadcast
// CHECK: nn.attention %arg0, %arg1, %arg2 scale 2.500000e-01
// CHECK-SAME: tensor<2x6x8x16xf32>, tensor<2x2x8x16xf32>, tensor<2x2x8x16xf32>
func.func @grouped(%q: tensor<2x6x8x16xf32>, %k: tensor<2x2x8x16xf32>, %v: tensor<2x2x8x16xf32>) -> tensor<2x6x8x16xf32> {
  %k5 = nn.reshape %k {nn.id = "k5", nn.nodes = []} : tensor<2x2x8x16xf32> to tensor<2x2x1x8x16xf32>
  %kb = nn.broadcast %k5 [0, 1, 2, 3, 4] {nn.id = "kb", nn.nodes = []} : tensor<2x2x1x8x16xf32> to tensor<2x2x3x8x16xf32>
  %kh = nn.reshape %kb {nn.id = "kh", nn.nodes = []} : tensor<2x2x3x8x16xf32> to tensor<2x6x8x16xf32>
  %v5 = nn.reshape %v {nn.id = "v5", nn.nodes = []} : tensor<2x2x8x16xf32> to tensor<2x2x1x8x16xf32>
  %vb = nn.broadcast %v5 [0, 1, 2, 3, 4] {nn.id = "vb", nn.nodes = []} : tensor<2x2x1x8x16xf32> to tensor<2x2x3x8x16xf32>
  %vh = nn.reshape %vb {nn.id = "vh", nn.nodes = []} : tensor<2x2x3x8x16xf32> to tensor<2x6x8x16xf32>
  %kt = nn.transpose %kh [0, 1, 3, 2] {nn.id = "kt", nn.nodes = []} : tensor<2x6x8x16xf32>
  %s = nn.matmul %q, %kt {nn.id = "qk", nn.nodes = []} : tensor<2x6x8x16xf32>, tensor<2x6x16x8xf32>
  %c = nn.constant dense<4.0> : tensor<2x6x8x8xf32> {nn.id = "c", nn.nodes = []} : tensor<2x6x8x8xf32>
  %t = nn.div %s, %c {nn.id = "scale", nn.nodes = []} : tensor<2x6x8x8xf32>
  %p = nn.softmax %t axis 3 {nn.id = "softmax", nn.nodes = []} : tensor<2x6x8x8xf32>
  %o = nn.matmul %p, %vh {nn.id = "pv", nn.nodes = []} : tensor<2x6x8x8xf32>, tensor<2x6x8x16xf32>
  return %o : tensor<2x6x8x16xf32>
}

// Heads repeated the other way round (tiled) belong to other groups.
// CHECK-LABEL: func.func @tiled
// CHECK: nn.attention
// CHECK-SAME: tensor<2x6x8x16xf32>, tensor<2x6x8x16xf32>, tensor<2x6x8x16xf32>
func.func @tiled(%q: tensor<2x6x8x16xf32>, %k: tensor<2x2x8x16xf32>, %v: tensor<2x2x8x16xf32>) -> tensor<2x6x8x16xf32> {
  %kb = nn.broadcast %k [0, 2, 3, 4] {nn.id = "kb", nn.nodes = []} : tensor<2x2x8x16xf32> to tensor<2x3x2x8x16xf32>
  %kh = nn.reshape %kb {nn.id = "kh", nn.nodes = []} : tensor<2x3x2x8x16xf32> to tensor<2x6x8x16xf32>
  %vb = nn.broadcast %v [0, 2, 3, 4] {nn.id = "vb", nn.nodes = []} : tensor<2x2x8x16xf32> to tensor<2x3x2x8x16xf32>
  %vh = nn.reshape %vb {nn.id = "vh", nn.nodes = []} : tensor<2x3x2x8x16xf32> to tensor<2x6x8x16xf32>
  %kt = nn.transpose %kh [0, 1, 3, 2] {nn.id = "kt", nn.nodes = []} : tensor<2x6x8x16xf32>
  %s = nn.matmul %q, %kt {nn.id = "qk", nn.nodes = []} : tensor<2x6x8x16xf32>, tensor<2x6x16x8xf32>
  %p = nn.softmax %s axis 3 {nn.id = "softmax", nn.nodes = []} : tensor<2x6x8x8xf32>
  %o = nn.matmul %p, %vh {nn.id = "pv", nn.nodes = []} : tensor<2x6x8x8xf32>, tensor<2x6x8x16xf32>
  return %o : tensor<2x6x8x16xf32>
}

// masked_fill, and batch and heads in one dimension.
// CHECK-LABEL: func.func @masked_fill
// CHECK: %[[M:.*]] = nn.select
// CHECK-SAME: tensor<1x1x8x8xi1>
// CHECK: %[[O:.*]], %{{.*}} = nn.attention {{.*}} mask %[[M]]
// CHECK: nn.reshape %[[O]]
func.func @masked_fill(%q: tensor<6x8x16xf32>, %k: tensor<6x8x16xf32>, %v: tensor<6x8x16xf32>,
                       %see: tensor<8x8xi1>) -> tensor<6x8x16xf32> {
  %kt = nn.transpose %k [0, 2, 1] {nn.id = "kt", nn.nodes = []} : tensor<6x8x16xf32>
  %s = nn.matmul %q, %kt {nn.id = "qk", nn.nodes = []} : tensor<6x8x16xf32>, tensor<6x16x8xf32>
  %mb = nn.broadcast %see [1, 2] {nn.id = "mb", nn.nodes = []} : tensor<8x8xi1> to tensor<6x8x8xi1>
  %low = nn.constant dense<-1.0e9> : tensor<6x8x8xf32> {nn.id = "low", nn.nodes = []} : tensor<6x8x8xf32>
  %u = nn.select %mb, %s, %low {nn.id = "fill", nn.nodes = []} : tensor<6x8x8xi1>, tensor<6x8x8xf32>
  %p = nn.softmax %u axis 2 {nn.id = "softmax", nn.nodes = []} : tensor<6x8x8xf32>
  %o = nn.matmul %p, %v {nn.id = "pv", nn.nodes = []} : tensor<6x8x8xf32>, tensor<6x8x16xf32>
  return %o : tensor<6x8x16xf32>
}

// where(hidden, -inf, scores).
// CHECK-LABEL: func.func @inverted_fill
// CHECK: %[[LOW:.*]] = nn.constant dense<0xFF800000> : tensor<1x1x8x8xf32>
// CHECK: %[[M:.*]] = nn.select %{{.*}}, %[[LOW]], %{{.*}}
// CHECK: nn.attention {{.*}} mask %[[M]]
func.func @inverted_fill(%q: tensor<2x3x8x16xf32>, %k: tensor<2x3x8x16xf32>, %v: tensor<2x3x8x16xf32>,
                         %hidden: tensor<8x8xi1>) -> tensor<2x3x8x16xf32> {
  %kt = nn.transpose %k [0, 1, 3, 2] {nn.id = "kt", nn.nodes = []} : tensor<2x3x8x16xf32>
  %s = nn.matmul %q, %kt {nn.id = "qk", nn.nodes = []} : tensor<2x3x8x16xf32>, tensor<2x3x16x8xf32>
  %hb = nn.broadcast %hidden [2, 3] {nn.id = "hb", nn.nodes = []} : tensor<8x8xi1> to tensor<2x3x8x8xi1>
  %low = nn.constant dense<0xFF800000> : tensor<2x3x8x8xf32> {nn.id = "low", nn.nodes = []} : tensor<2x3x8x8xf32>
  %u = nn.select %hb, %low, %s {nn.id = "fill", nn.nodes = []} : tensor<2x3x8x8xi1>, tensor<2x3x8x8xf32>
  %p = nn.softmax %u axis 3 {nn.id = "softmax", nn.nodes = []} : tensor<2x3x8x8xf32>
  %o = nn.matmul %p, %v {nn.id = "pv", nn.nodes = []} : tensor<2x3x8x8xf32>, tensor<2x3x8x16xf32>
  return %o : tensor<2x3x8x16xf32>
}

// A bias of positions and a mask: one is added to the other.
// CHECK-LABEL: func.func @two_masks
// CHECK: %[[M:.*]] = nn.add
// CHECK: nn.attention {{.*}} mask %[[M]]
// CHECK-SAME: tensor<2x3x8x8xf32>
func.func @two_masks(%q: tensor<2x3x8x16xf32>, %k: tensor<2x3x8x16xf32>, %v: tensor<2x3x8x16xf32>,
                     %a: tensor<3x8x8xf32>, %m: tensor<2x1x1x8xf32>) -> tensor<2x3x8x16xf32> {
  %kt = nn.transpose %k [0, 1, 3, 2] {nn.id = "kt", nn.nodes = []} : tensor<2x3x8x16xf32>
  %s = nn.matmul %q, %kt {nn.id = "qk", nn.nodes = []} : tensor<2x3x8x16xf32>, tensor<2x3x16x8xf32>
  %ab = nn.broadcast %a [1, 2, 3] {nn.id = "ab", nn.nodes = []} : tensor<3x8x8xf32> to tensor<2x3x8x8xf32>
  %mb = nn.broadcast %m [0, 1, 2, 3] {nn.id = "mb", nn.nodes = []} : tensor<2x1x1x8xf32> to tensor<2x3x8x8xf32>
  %t = nn.add %s, %ab {nn.id = "bias", nn.nodes = []} : tensor<2x3x8x8xf32>
  %u = nn.add %t, %mb {nn.id = "mask", nn.nodes = []} : tensor<2x3x8x8xf32>
  %p = nn.softmax %u axis 3 {nn.id = "softmax", nn.nodes = []} : tensor<2x3x8x8xf32>
  %o = nn.matmul %p, %v {nn.id = "pv", nn.nodes = []} : tensor<2x3x8x8xf32>, tensor<2x3x8x16xf32>
  return %o : tensor<2x3x8x16xf32>
}

// Probabilities that are a result too.
// CHECK-LABEL: func.func @read_elsewhere
// CHECK-NOT: nn.attention
// CHECK: return
func.func @read_elsewhere(%q: tensor<2x3x8x16xf32>, %k: tensor<2x3x8x16xf32>, %v: tensor<2x3x8x16xf32>)
    -> (tensor<2x3x8x16xf32>, tensor<2x3x8x8xf32>) {
  %kt = nn.transpose %k [0, 1, 3, 2] {nn.id = "kt", nn.nodes = []} : tensor<2x3x8x16xf32>
  %s = nn.matmul %q, %kt {nn.id = "qk", nn.nodes = []} : tensor<2x3x8x16xf32>, tensor<2x3x16x8xf32>
  %p = nn.softmax %s axis 3 {nn.id = "softmax", nn.nodes = []} : tensor<2x3x8x8xf32>
  %o = nn.matmul %p, %v {nn.id = "pv", nn.nodes = []} : tensor<2x3x8x8xf32>, tensor<2x3x8x16xf32>
  return %o, %p : tensor<2x3x8x16xf32>, tensor<2x3x8x8xf32>
}

// A scale after the mask scales the mask too.
// CHECK-LABEL: func.func @scaled_mask
// CHECK-NOT: nn.attention
// CHECK: return
func.func @scaled_mask(%q: tensor<2x3x8x16xf32>, %k: tensor<2x3x8x16xf32>, %v: tensor<2x3x8x16xf32>,
                       %m: tensor<2x3x8x8xf32>) -> tensor<2x3x8x16xf32> {
  %kt = nn.transpose %k [0, 1, 3, 2] {nn.id = "kt", nn.nodes = []} : tensor<2x3x8x16xf32>
  %s = nn.matmul %q, %kt {nn.id = "qk", nn.nodes = []} : tensor<2x3x8x16xf32>, tensor<2x3x16x8xf32>
  %u = nn.add %s, %m {nn.id = "mask", nn.nodes = []} : tensor<2x3x8x8xf32>
  %c = nn.constant dense<0.25> : tensor<2x3x8x8xf32> {nn.id = "c", nn.nodes = []} : tensor<2x3x8x8xf32>
  %t = nn.mul %u, %c {nn.id = "scale", nn.nodes = []} : tensor<2x3x8x8xf32>
  %p = nn.softmax %t axis 3 {nn.id = "softmax", nn.nodes = []} : tensor<2x3x8x8xf32>
  %o = nn.matmul %p, %v {nn.id = "pv", nn.nodes = []} : tensor<2x3x8x8xf32>, tensor<2x3x8x16xf32>
  return %o : tensor<2x3x8x16xf32>
}

// Softmax over queries is something else.
// CHECK-LABEL: func.func @other_axis
// CHECK-NOT: nn.attention
// CHECK: return
func.func @other_axis(%q: tensor<2x3x8x16xf32>, %k: tensor<2x3x8x16xf32>, %v: tensor<2x3x8x16xf32>) -> tensor<2x3x8x16xf32> {
  %kt = nn.transpose %k [0, 1, 3, 2] {nn.id = "kt", nn.nodes = []} : tensor<2x3x8x16xf32>
  %s = nn.matmul %q, %kt {nn.id = "qk", nn.nodes = []} : tensor<2x3x8x16xf32>, tensor<2x3x16x8xf32>
  %p = nn.softmax %s axis 2 {nn.id = "softmax", nn.nodes = []} : tensor<2x3x8x8xf32>
  %o = nn.matmul %p, %v {nn.id = "pv", nn.nodes = []} : tensor<2x3x8x8xf32>, tensor<2x3x8x16xf32>
  return %o : tensor<2x3x8x16xf32>
}
