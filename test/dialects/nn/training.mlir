// RUN: %partita-opt %s | %partita-opt | FileCheck %s
// RUN: %partita-opt --mlir-print-op-generic %s | %partita-opt | FileCheck %s

// CHECK-LABEL: @attention
func.func @attention(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x5x8xf32>, %v: tensor<1x2x5x6xf32>,
                     %l: tensor<1x4x3xf32>, %g: tensor<1x4x3x6xf32>, %m: tensor<1x1x3x5xf32>) {
  // CHECK: nn.attention_gradient %{{.*}} scale 5.000000e-01 causal :
  %a:3 = nn.attention_gradient %q, %k, %v, %l, %l, %g scale 0.5 causal
       : tensor<1x4x3x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x5x6xf32>, tensor<1x4x3xf32>, tensor<1x4x3xf32>, tensor<1x4x3x6xf32>
       to tensor<1x4x3x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x5x6xf32>
  // CHECK: nn.attention_gradient %{{.*}} scale 5.000000e-01 softcap 2.000000e+00 :
  %b:4 = nn.attention_gradient %q, %k, %v, %l, %l, %g, %m scale 0.5 softcap 2.0
       : tensor<1x4x3x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x5x6xf32>, tensor<1x4x3xf32>, tensor<1x4x3xf32>, tensor<1x4x3x6xf32>, tensor<1x1x3x5xf32>
       to tensor<1x4x3x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x5x6xf32>, tensor<1x1x3x5xf32>
  return
}

// CHECK-LABEL: @gather
func.func @gather(%i: tensor<2x3xi64>, %g: tensor<2x3x4xf32>) -> tensor<9x4xf32> {
  // CHECK: nn.gather_gradient %{{.*}}, %{{.*}} axis 0 : tensor<2x3xi64>, tensor<2x3x4xf32> to tensor<9x4xf32>
  %r = nn.gather_gradient %i, %g axis 0 : tensor<2x3xi64>, tensor<2x3x4xf32> to tensor<9x4xf32>
  return %r : tensor<9x4xf32>
}

// CHECK-LABEL: @adamw
func.func @adamw(%w: tensor<4xf32>, %s: tensor<f32>) {
  // CHECK: nn.adamw %{{.*}} {beta1 = 9.000000e-01 : f64
  %n:3 = nn.adamw %w, %w, %w, %w, %s, %s, %s {beta1 = 0.9 : f64, beta2 = 0.999 : f64, epsilon = 1.0e-8 : f64}
       : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<f32>, tensor<f32>, tensor<f32>
       to tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
  return
}
