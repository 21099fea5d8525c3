// RUN: %partita-opt %s -nn-raise-activations | FileCheck %s

// BERT: x * (0.5 * (1 + erf(x / 1.41421))).
// CHECK-LABEL: func.func @gelu
// CHECK: %[[G:.*]] = nn.gelu %arg0 {nn.id = "out", nn.nodes = ["div", "erf", "one", "half", "out"]}
// CHECK: return %[[G]]
func.func @gelu(%x: tensor<8xf32>) -> tensor<8xf32> {
  %r2 = nn.constant dense<1.41421354> : tensor<8xf32> {nn.id = "r2", nn.nodes = ["div"]} : tensor<8xf32>
  %1 = nn.constant dense<1.0> : tensor<8xf32> {nn.id = "1", nn.nodes = ["one"]} : tensor<8xf32>
  %h = nn.constant dense<0.5> : tensor<8xf32> {nn.id = "h", nn.nodes = ["half"]} : tensor<8xf32>
  %d = nn.div %x, %r2 {nn.id = "div", nn.nodes = ["div"]} : tensor<8xf32>
  %e = nn.erf %d {nn.id = "erf", nn.nodes = ["erf"]} : tensor<8xf32>
  %p = nn.add %e, %1 {nn.id = "one", nn.nodes = ["one"]} : tensor<8xf32>
  %q = nn.mul %h, %p {nn.id = "half", nn.nodes = ["half"]} : tensor<8xf32>
  %y = nn.mul %x, %q {nn.id = "out", nn.nodes = ["out"]} : tensor<8xf32>
  return %y : tensor<8xf32>
}

// The same with the half on x and a product in place of the quotient.
// CHECK-LABEL: func.func @gelu_reordered
// CHECK: nn.gelu %arg0
func.func @gelu_reordered(%x: tensor<8xf32>) -> tensor<8xf32> {
  %r2 = nn.constant dense<0.707106769> : tensor<8xf32> {nn.id = "r2", nn.nodes = []} : tensor<8xf32>
  %1 = nn.constant dense<1.0> : tensor<8xf32> {nn.id = "1", nn.nodes = []} : tensor<8xf32>
  %h = nn.constant dense<0.5> : tensor<8xf32> {nn.id = "h", nn.nodes = []} : tensor<8xf32>
  %d = nn.mul %r2, %x {nn.id = "div", nn.nodes = []} : tensor<8xf32>
  %e = nn.erf %d {nn.id = "erf", nn.nodes = []} : tensor<8xf32>
  %p = nn.add %1, %e {nn.id = "one", nn.nodes = []} : tensor<8xf32>
  %q = nn.mul %x, %h {nn.id = "half", nn.nodes = []} : tensor<8xf32>
  %y = nn.mul %p, %q {nn.id = "out", nn.nodes = []} : tensor<8xf32>
  return %y : tensor<8xf32>
}

// GPT-2.
// CHECK-LABEL: func.func @gelu_tanh
// CHECK: nn.gelu %arg0 {{{.*}}tanh}
func.func @gelu_tanh(%x: tensor<8xf32>) -> tensor<8xf32> {
  %1 = nn.constant dense<1.0> : tensor<8xf32> {nn.id = "1", nn.nodes = []} : tensor<8xf32>
  %h = nn.constant dense<0.5> : tensor<8xf32> {nn.id = "h", nn.nodes = []} : tensor<8xf32>
  %k = nn.constant dense<0.0447149985> : tensor<8xf32> {nn.id = "k", nn.nodes = []} : tensor<8xf32>
  %c = nn.constant dense<0.797884583> : tensor<8xf32> {nn.id = "c", nn.nodes = []} : tensor<8xf32>
  %xh = nn.mul %x, %h {nn.id = "xh", nn.nodes = []} : tensor<8xf32>
  %x2 = nn.mul %x, %x {nn.id = "x2", nn.nodes = []} : tensor<8xf32>
  %x3 = nn.mul %x2, %x {nn.id = "x3", nn.nodes = []} : tensor<8xf32>
  %kx3 = nn.mul %x3, %k {nn.id = "kx3", nn.nodes = []} : tensor<8xf32>
  %s = nn.add %x, %kx3 {nn.id = "s", nn.nodes = []} : tensor<8xf32>
  %a = nn.mul %s, %c {nn.id = "a", nn.nodes = []} : tensor<8xf32>
  %t = nn.tanh %a {nn.id = "t", nn.nodes = []} : tensor<8xf32>
  %p = nn.add %t, %1 {nn.id = "p", nn.nodes = []} : tensor<8xf32>
  %y = nn.mul %xh, %p {nn.id = "out", nn.nodes = []} : tensor<8xf32>
  return %y : tensor<8xf32>
}

// The same in bfloat16, which rounds the constants by up to 2^-8.
// CHECK-LABEL: func.func @gelu_tanh_bf16
// CHECK: nn.gelu %arg0 {{{.*}}tanh}
func.func @gelu_tanh_bf16(%x: tensor<8xbf16>) -> tensor<8xbf16> {
  %1 = nn.constant dense<1.0> : tensor<8xbf16> {nn.id = "1", nn.nodes = []} : tensor<8xbf16>
  %h = nn.constant dense<0.5> : tensor<8xbf16> {nn.id = "h", nn.nodes = []} : tensor<8xbf16>
  %k = nn.constant dense<0.0446777344> : tensor<8xbf16> {nn.id = "k", nn.nodes = []} : tensor<8xbf16>
  %c = nn.constant dense<0.796875> : tensor<8xbf16> {nn.id = "c", nn.nodes = []} : tensor<8xbf16>
  %xh = nn.mul %x, %h {nn.id = "xh", nn.nodes = []} : tensor<8xbf16>
  %x2 = nn.mul %x, %x {nn.id = "x2", nn.nodes = []} : tensor<8xbf16>
  %x3 = nn.mul %x2, %x {nn.id = "x3", nn.nodes = []} : tensor<8xbf16>
  %kx3 = nn.mul %x3, %k {nn.id = "kx3", nn.nodes = []} : tensor<8xbf16>
  %s = nn.add %x, %kx3 {nn.id = "s", nn.nodes = []} : tensor<8xbf16>
  %a = nn.mul %s, %c {nn.id = "a", nn.nodes = []} : tensor<8xbf16>
  %t = nn.tanh %a {nn.id = "t", nn.nodes = []} : tensor<8xbf16>
  %p = nn.add %t, %1 {nn.id = "p", nn.nodes = []} : tensor<8xbf16>
  %y = nn.mul %xh, %p {nn.id = "out", nn.nodes = []} : tensor<8xbf16>
  return %y : tensor<8xbf16>
}

// Constants so far off are others in float32.
// CHECK-LABEL: func.func @not_gelu_tanh
// CHECK-NOT: nn.gelu
func.func @not_gelu_tanh(%x: tensor<8xf32>) -> tensor<8xf32> {
  %1 = nn.constant dense<1.0> : tensor<8xf32> {nn.id = "1", nn.nodes = []} : tensor<8xf32>
  %h = nn.constant dense<0.5> : tensor<8xf32> {nn.id = "h", nn.nodes = []} : tensor<8xf32>
  %k = nn.constant dense<0.0447149985> : tensor<8xf32> {nn.id = "k", nn.nodes = []} : tensor<8xf32>
  %c = nn.constant dense<0.796875> : tensor<8xf32> {nn.id = "c", nn.nodes = []} : tensor<8xf32>
  %xh = nn.mul %x, %h {nn.id = "xh", nn.nodes = []} : tensor<8xf32>
  %x2 = nn.mul %x, %x {nn.id = "x2", nn.nodes = []} : tensor<8xf32>
  %x3 = nn.mul %x2, %x {nn.id = "x3", nn.nodes = []} : tensor<8xf32>
  %kx3 = nn.mul %x3, %k {nn.id = "kx3", nn.nodes = []} : tensor<8xf32>
  %s = nn.add %x, %kx3 {nn.id = "s", nn.nodes = []} : tensor<8xf32>
  %a = nn.mul %s, %c {nn.id = "a", nn.nodes = []} : tensor<8xf32>
  %t = nn.tanh %a {nn.id = "t", nn.nodes = []} : tensor<8xf32>
  %p = nn.add %t, %1 {nn.id = "p", nn.nodes = []} : tensor<8xf32>
  %y = nn.mul %xh, %p {nn.id = "out", nn.nodes = []} : tensor<8xf32>
  return %y : tensor<8xf32>
}

// The other spelling: sqrt(2/pi) x (1 + 0.044715 x^2).
// CHECK-LABEL: func.func @gelu_tanh_factored
// CHECK: nn.gelu %arg0 {{{.*}}tanh}
func.func @gelu_tanh_factored(%x: tensor<8xf32>) -> tensor<8xf32> {
  %1 = nn.constant dense<1.0> : tensor<8xf32> {nn.id = "1", nn.nodes = []} : tensor<8xf32>
  %h = nn.constant dense<0.5> : tensor<8xf32> {nn.id = "h", nn.nodes = []} : tensor<8xf32>
  %k = nn.constant dense<0.044715> : tensor<8xf32> {nn.id = "k", nn.nodes = []} : tensor<8xf32>
  %c = nn.constant dense<0.797884583> : tensor<8xf32> {nn.id = "c", nn.nodes = []} : tensor<8xf32>
  %kx = nn.mul %k, %x {nn.id = "kx", nn.nodes = []} : tensor<8xf32>
  %kx2 = nn.mul %kx, %x {nn.id = "kx2", nn.nodes = []} : tensor<8xf32>
  %s = nn.add %1, %kx2 {nn.id = "s", nn.nodes = []} : tensor<8xf32>
  %cx = nn.mul %c, %x {nn.id = "cx", nn.nodes = []} : tensor<8xf32>
  %a = nn.mul %cx, %s {nn.id = "a", nn.nodes = []} : tensor<8xf32>
  %t = nn.tanh %a {nn.id = "t", nn.nodes = []} : tensor<8xf32>
  %p = nn.add %1, %t {nn.id = "p", nn.nodes = []} : tensor<8xf32>
  %hx = nn.mul %h, %x {nn.id = "hx", nn.nodes = []} : tensor<8xf32>
  %y = nn.mul %hx, %p {nn.id = "out", nn.nodes = []} : tensor<8xf32>
  return %y : tensor<8xf32>
}

// Another constant is another function.
// CHECK-LABEL: func.func @not_gelu
// CHECK-NOT: nn.gelu
// CHECK: return
func.func @not_gelu(%x: tensor<8xf32>) -> tensor<8xf32> {
  %r2 = nn.constant dense<1.5> : tensor<8xf32> {nn.id = "r2", nn.nodes = []} : tensor<8xf32>
  %1 = nn.constant dense<1.0> : tensor<8xf32> {nn.id = "1", nn.nodes = []} : tensor<8xf32>
  %h = nn.constant dense<0.5> : tensor<8xf32> {nn.id = "h", nn.nodes = []} : tensor<8xf32>
  %d = nn.div %x, %r2 {nn.id = "div", nn.nodes = []} : tensor<8xf32>
  %e = nn.erf %d {nn.id = "erf", nn.nodes = []} : tensor<8xf32>
  %p = nn.add %e, %1 {nn.id = "one", nn.nodes = []} : tensor<8xf32>
  %q = nn.mul %h, %p {nn.id = "half", nn.nodes = []} : tensor<8xf32>
  %y = nn.mul %x, %q {nn.id = "out", nn.nodes = []} : tensor<8xf32>
  return %y : tensor<8xf32>
}

// CHECK-LABEL: func.func @silu
// CHECK: nn.silu %arg0
// CHECK: nn.silu %arg0
func.func @silu(%x: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  %s = nn.sigmoid %x {nn.id = "s", nn.nodes = []} : tensor<8xf32>
  %a = nn.mul %x, %s {nn.id = "a", nn.nodes = []} : tensor<8xf32>
  %b = nn.mul %s, %x {nn.id = "b", nn.nodes = []} : tensor<8xf32>
  return %a, %b : tensor<8xf32>, tensor<8xf32>
}

// A gate is no silu.
// CHECK-LABEL: func.func @gate
// CHECK-NOT: nn.silu
// CHECK: return
func.func @gate(%x: tensor<8xf32>, %z: tensor<8xf32>) -> tensor<8xf32> {
  %s = nn.sigmoid %x {nn.id = "s", nn.nodes = []} : tensor<8xf32>
  %a = nn.mul %z, %s {nn.id = "a", nn.nodes = []} : tensor<8xf32>
  return %a : tensor<8xf32>
}
