// RUN: %partita-opt %s --split-input-file --verify-diagnostics

func.func @keys(%q: tensor<1x4x3x8xf32>, %k: tensor<1x3x5x8xf32>, %l: tensor<1x4x3xf32>) {
  // expected-error @+1 {{has query, key and value that do not fit together}}
  %a:3 = nn.attention_gradient %q, %k, %k, %l, %l, %q scale 0.5
       : tensor<1x4x3x8xf32>, tensor<1x3x5x8xf32>, tensor<1x3x5x8xf32>, tensor<1x4x3xf32>, tensor<1x4x3xf32>, tensor<1x4x3x8xf32>
       to tensor<1x4x3x8xf32>, tensor<1x3x5x8xf32>, tensor<1x3x5x8xf32>
  return
}

// -----

func.func @rows(%q: tensor<1x4x3x8xf32>, %l: tensor<1x4x2xf32>) {
  // expected-error @+1 {{has lse, delta or gradient that do not fit the query}}
  %a:3 = nn.attention_gradient %q, %q, %q, %l, %l, %q scale 0.5
       : tensor<1x4x3x8xf32>, tensor<1x4x3x8xf32>, tensor<1x4x3x8xf32>, tensor<1x4x2xf32>, tensor<1x4x2xf32>, tensor<1x4x3x8xf32>
       to tensor<1x4x3x8xf32>, tensor<1x4x3x8xf32>, tensor<1x4x3x8xf32>
  return
}

// -----

func.func @mask(%q: tensor<1x4x3x8xf32>, %l: tensor<1x4x3xf32>, %m: tensor<1x1x3x3xi1>) {
  // expected-error @+1 {{has a gradient that does not fit the mask}}
  %a:4 = nn.attention_gradient %q, %q, %q, %l, %l, %q, %m scale 0.5
       : tensor<1x4x3x8xf32>, tensor<1x4x3x8xf32>, tensor<1x4x3x8xf32>, tensor<1x4x3xf32>, tensor<1x4x3xf32>, tensor<1x4x3x8xf32>, tensor<1x1x3x3xi1>
       to tensor<1x4x3x8xf32>, tensor<1x4x3x8xf32>, tensor<1x4x3x8xf32>, tensor<1x1x3x3xi1>
  return
}

// -----

func.func @no_mask(%q: tensor<1x4x3x8xf32>, %l: tensor<1x4x3xf32>) {
  // expected-error @+1 {{has no mask}}
  %a:4 = nn.attention_gradient %q, %q, %q, %l, %l, %q scale 0.5
       : tensor<1x4x3x8xf32>, tensor<1x4x3x8xf32>, tensor<1x4x3x8xf32>, tensor<1x4x3xf32>, tensor<1x4x3xf32>, tensor<1x4x3x8xf32>
       to tensor<1x4x3x8xf32>, tensor<1x4x3x8xf32>, tensor<1x4x3x8xf32>, tensor<1x1x3x3xf32>
  return
}

// -----

func.func @axis(%i: tensor<2xi64>, %g: tensor<2x4xf32>) {
  // expected-error @+1 {{has axis 2 out of range}}
  %r = nn.gather_gradient %i, %g axis 2 : tensor<2xi64>, tensor<2x4xf32> to tensor<9x4xf32>
  return
}

// -----

func.func @shape(%i: tensor<2xi64>, %g: tensor<3x4xf32>) {
  // expected-error @+1 {{has a gradient that does not fit indices and result}}
  %r = nn.gather_gradient %i, %g axis 0 : tensor<2xi64>, tensor<3x4xf32> to tensor<9x4xf32>
  return
}

// -----

func.func @indices(%i: tensor<2xf32>, %g: tensor<2x4xf32>) {
  // expected-error @+1 {{needs i32 or i64 indices}}
  %r = nn.gather_gradient %i, %g axis 0 : tensor<2xf32>, tensor<2x4xf32> to tensor<9x4xf32>
  return
}

// -----

func.func @adamw(%w: tensor<4xf32>, %v: tensor<5xf32>, %s: tensor<f32>) {
  // expected-error @+1 {{has an operand 1 of another type}}
  %n:3 = nn.adamw %w, %v, %w, %w, %s, %s, %s {beta1 = 0.9 : f64, beta2 = 0.999 : f64, epsilon = 1.0e-8 : f64}
       : tensor<4xf32>, tensor<5xf32>, tensor<4xf32>, tensor<4xf32>, tensor<f32>, tensor<f32>, tensor<f32>
       to tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
  return
}
