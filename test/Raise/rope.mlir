// RUN: %partita-opt %s -nn-simplify -nn-raise-rope -nn-deduplicate -nn-simplify | FileCheck %s

// Llama: tables cos(concat(f, f)), heads before the sequence; queries and keys
// share the tables of half the width.
// CHECK-LABEL: func.func @llama
// CHECK: %[[C:.*]] = nn.cos %arg2 {{.*}} : tensor<1x8x2xf32>
// CHECK: %[[S:.*]] = nn.sin %arg2 {{.*}} : tensor<1x8x2xf32>
// CHECK: %[[Q:.*]] = nn.rope %arg0, %[[C]], %[[S]] {nn.id = "q", nn.nodes = ["cosq", "sinq", "lo", "hi", "neg", "rot", "q"]}
// CHECK: %[[K:.*]] = nn.rope %arg1, %[[C]], %[[S]] {nn.id = "k"
// CHECK: return %[[Q]], %[[K]]
func.func @llama(%q: tensor<2x3x8x4xf32>, %k: tensor<2x1x8x4xf32>, %f: tensor<1x8x2xf32>)
    -> (tensor<2x3x8x4xf32>, tensor<2x1x8x4xf32>) {
  %ff = nn.concat %f, %f axis 2 {nn.id = "ff", nn.nodes = ["ff"]} : tensor<1x8x2xf32>, tensor<1x8x2xf32> to tensor<1x8x4xf32>
  %c = nn.cos %ff {nn.id = "c", nn.nodes = ["c"]} : tensor<1x8x4xf32>
  %s = nn.sin %ff {nn.id = "s", nn.nodes = ["s"]} : tensor<1x8x4xf32>
  %c4 = nn.reshape %c {nn.id = "c4", nn.nodes = ["c4"]} : tensor<1x8x4xf32> to tensor<1x1x8x4xf32>
  %s4 = nn.reshape %s {nn.id = "s4", nn.nodes = ["s4"]} : tensor<1x8x4xf32> to tensor<1x1x8x4xf32>
  %cq = nn.broadcast %c4 [0, 1, 2, 3] {nn.id = "cq", nn.nodes = ["cosq"]} : tensor<1x1x8x4xf32> to tensor<2x3x8x4xf32>
  %sq = nn.broadcast %s4 [0, 1, 2, 3] {nn.id = "sq", nn.nodes = ["sinq"]} : tensor<1x1x8x4xf32> to tensor<2x3x8x4xf32>
  %q1 = nn.slice %q [0, 0, 0, 0] step [1, 1, 1, 1] {nn.id = "q1", nn.nodes = ["lo"]} : tensor<2x3x8x4xf32> to tensor<2x3x8x2xf32>
  %q2 = nn.slice %q [0, 0, 0, 2] step [1, 1, 1, 1] {nn.id = "q2", nn.nodes = ["hi"]} : tensor<2x3x8x4xf32> to tensor<2x3x8x2xf32>
  %nq = nn.neg %q2 {nn.id = "nq", nn.nodes = ["neg"]} : tensor<2x3x8x2xf32>
  %rq = nn.concat %nq, %q1 axis 3 {nn.id = "rq", nn.nodes = ["rot"]} : tensor<2x3x8x2xf32>, tensor<2x3x8x2xf32> to tensor<2x3x8x4xf32>
  %qc = nn.mul %q, %cq {nn.id = "qc", nn.nodes = ["cosq"]} : tensor<2x3x8x4xf32>
  %qs = nn.mul %rq, %sq {nn.id = "qs", nn.nodes = ["sinq"]} : tensor<2x3x8x4xf32>
  %qr = nn.add %qc, %qs {nn.id = "q", nn.nodes = ["q"]} : tensor<2x3x8x4xf32>
  %ck = nn.broadcast %c4 [0, 1, 2, 3] {nn.id = "ck", nn.nodes = []} : tensor<1x1x8x4xf32> to tensor<2x1x8x4xf32>
  %sk = nn.broadcast %s4 [0, 1, 2, 3] {nn.id = "sk", nn.nodes = []} : tensor<1x1x8x4xf32> to tensor<2x1x8x4xf32>
  %k1, %k2 = nn.split %k axis 3 {nn.id = "ks", nn.nodes = []} : tensor<2x1x8x4xf32> to tensor<2x1x8x2xf32>, tensor<2x1x8x2xf32>
  %nk = nn.neg %k2 {nn.id = "nk", nn.nodes = []} : tensor<2x1x8x2xf32>
  %rk = nn.concat %nk, %k1 axis 3 {nn.id = "rk", nn.nodes = []} : tensor<2x1x8x2xf32>, tensor<2x1x8x2xf32> to tensor<2x1x8x4xf32>
  %kc = nn.mul %ck, %k {nn.id = "kc", nn.nodes = []} : tensor<2x1x8x4xf32>
  %ks = nn.mul %sk, %rk {nn.id = "ksin", nn.nodes = []} : tensor<2x1x8x4xf32>
  %kr = nn.add %ks, %kc {nn.id = "k", nn.nodes = []} : tensor<2x1x8x4xf32>
  return %qr, %kr : tensor<2x3x8x4xf32>, tensor<2x1x8x4xf32>
}

// Heads after the sequence; a scale on the tables.
// CHECK-LABEL: func.func @rows_first
// CHECK: %[[X:.*]] = nn.transpose %arg0 [0, 2, 1, 3]
// CHECK: %[[R:.*]] = nn.rope %[[X]], %{{.*}}, %{{.*}} : tensor<2x3x8x4xf32>, tensor<2x8x2xf32>, tensor<2x8x2xf32>
// CHECK: nn.transpose %[[R]] [0, 2, 1, 3]
func.func @rows_first(%x: tensor<2x8x3x4xf32>, %f: tensor<2x8x2xf32>) -> tensor<2x8x3x4xf32> {
  %ff = nn.concat %f, %f axis 2 {nn.id = "ff", nn.nodes = []} : tensor<2x8x2xf32>, tensor<2x8x2xf32> to tensor<2x8x4xf32>
  %two = nn.constant dense<2.0> : tensor<2x8x4xf32> {nn.id = "two", nn.nodes = []} : tensor<2x8x4xf32>
  %c0 = nn.cos %ff {nn.id = "c0", nn.nodes = []} : tensor<2x8x4xf32>
  %s0 = nn.sin %ff {nn.id = "s0", nn.nodes = []} : tensor<2x8x4xf32>
  %c = nn.mul %c0, %two {nn.id = "c", nn.nodes = []} : tensor<2x8x4xf32>
  %s = nn.mul %s0, %two {nn.id = "s", nn.nodes = []} : tensor<2x8x4xf32>
  %cb = nn.broadcast %c [0, 1, 3] {nn.id = "cb", nn.nodes = []} : tensor<2x8x4xf32> to tensor<2x8x3x4xf32>
  %sb = nn.broadcast %s [0, 1, 3] {nn.id = "sb", nn.nodes = []} : tensor<2x8x4xf32> to tensor<2x8x3x4xf32>
  %x1, %x2 = nn.split %x axis 3 {nn.id = "split", nn.nodes = []} : tensor<2x8x3x4xf32> to tensor<2x8x3x2xf32>, tensor<2x8x3x2xf32>
  %n = nn.neg %x2 {nn.id = "n", nn.nodes = []} : tensor<2x8x3x2xf32>
  %r = nn.concat %n, %x1 axis 3 {nn.id = "r", nn.nodes = []} : tensor<2x8x3x2xf32>, tensor<2x8x3x2xf32> to tensor<2x8x3x4xf32>
  %a = nn.mul %x, %cb {nn.id = "a", nn.nodes = []} : tensor<2x8x3x4xf32>
  %b = nn.mul %r, %sb {nn.id = "b", nn.nodes = []} : tensor<2x8x3x4xf32>
  %y = nn.add %a, %b {nn.id = "y", nn.nodes = []} : tensor<2x8x3x4xf32>
  return %y : tensor<2x8x3x4xf32>
}

// Nothing says that the halves of these tables are equal.
// CHECK-LABEL: func.func @unknown_tables
// CHECK-NOT: nn.rope
// CHECK: return
func.func @unknown_tables(%x: tensor<2x3x8x4xf32>, %c: tensor<8x4xf32>, %s: tensor<8x4xf32>) -> tensor<2x3x8x4xf32> {
  %cb = nn.broadcast %c [2, 3] {nn.id = "cb", nn.nodes = []} : tensor<8x4xf32> to tensor<2x3x8x4xf32>
  %sb = nn.broadcast %s [2, 3] {nn.id = "sb", nn.nodes = []} : tensor<8x4xf32> to tensor<2x3x8x4xf32>
  %x1, %x2 = nn.split %x axis 3 {nn.id = "split", nn.nodes = []} : tensor<2x3x8x4xf32> to tensor<2x3x8x2xf32>, tensor<2x3x8x2xf32>
  %n = nn.neg %x2 {nn.id = "n", nn.nodes = []} : tensor<2x3x8x2xf32>
  %r = nn.concat %n, %x1 axis 3 {nn.id = "r", nn.nodes = []} : tensor<2x3x8x2xf32>, tensor<2x3x8x2xf32> to tensor<2x3x8x4xf32>
  %a = nn.mul %x, %cb {nn.id = "a", nn.nodes = []} : tensor<2x3x8x4xf32>
  %b = nn.mul %r, %sb {nn.id = "b", nn.nodes = []} : tensor<2x3x8x4xf32>
  %y = nn.add %a, %b {nn.id = "y", nn.nodes = []} : tensor<2x3x8x4xf32>
  return %y : tensor<2x3x8x4xf32>
}
