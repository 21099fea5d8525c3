// RUN: %partita-opt %s -nn-raise | FileCheck %s

// CHECK: module attributes {nn.raise_report = {left = {attention = 1 : i64, gelu = 1 : i64}, raised = {silu = 2 : i64}}}
module {
  // The softmax is over the wrong dimension, the error function has no half.
  func.func @step(%q: tensor<8x16xf32>, %k: tensor<16x8xf32>, %v: tensor<8x16xf32>)
      -> (tensor<8x16xf32>, tensor<8x16xf32>, tensor<8x16xf32>) {
    %s = nn.matmul %q, %k {nn.id = "qk", nn.nodes = []} : tensor<8x16xf32>, tensor<16x8xf32>
    %p = nn.softmax %s axis 0 {nn.id = "softmax", nn.nodes = []} : tensor<8x8xf32>
    %o = nn.matmul %p, %v {nn.id = "pv", nn.nodes = []} : tensor<8x8xf32>, tensor<8x16xf32>
    %e = nn.erf %q {nn.id = "e", nn.nodes = []} : tensor<8x16xf32>
    %f = nn.add %e, %q {nn.id = "f", nn.nodes = []} : tensor<8x16xf32>
    %g = nn.sigmoid %f {nn.id = "g", nn.nodes = []} : tensor<8x16xf32>
    %h = nn.mul %f, %g {nn.id = "h", nn.nodes = []} : tensor<8x16xf32>
    %i = nn.sigmoid %h {nn.id = "h", nn.nodes = []} : tensor<8x16xf32>
    // CHECK: nn.silu {{.*}}nn.id = "h"
    // CHECK: nn.silu {{.*}}nn.id = "h.1"
    %j = nn.mul %h, %i {nn.id = "h", nn.nodes = []} : tensor<8x16xf32>
    return %o, %h, %j : tensor<8x16xf32>, tensor<8x16xf32>, tensor<8x16xf32>
  }
}
