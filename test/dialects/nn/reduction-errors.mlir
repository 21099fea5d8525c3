// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt %s -split-input-file -verify-diagnostics

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{has unknown kind "mean"}}
  %r = nn.reduce "mean", %x [0] : tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{axes must ascend and be in range}}
  %r = nn.reduce "sum", %x [1, 0] : tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{axes must ascend and be in range}}
  %r = nn.reduce "sum", %x [0, 0] : tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{axes must ascend and be in range}}
  %r = nn.reduce "sum", %x [2] : tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{axes must ascend and be in range}}
  %r = nn.reduce "sum", %x [-1] : tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{has axis 2 out of range}}
  %r = nn.cumsum %x axis 2 : tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{has axis -1 out of range}}
  %r = nn.softmax %x axis -1 : tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<f32>, %s: tensor<1xf32>) {
  // expected-error@+1 {{needs a last dimension}}
  %r = nn.rms_norm %x, %s epsilon 0.0 : tensor<f32>, tensor<1xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %s: tensor<4xf32>) {
  // expected-error@+1 {{needs scale and bias of size 8}}
  %r = nn.rms_norm %x, %s epsilon 0.0 : tensor<4x8xf32>, tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %s: tensor<8xf32>, %b: tensor<1x8xf32>) {
  // expected-error@+1 {{needs scale and bias of size 8}}
  %r = nn.layer_norm %x, %s, %b epsilon 0.0 : tensor<4x8xf32>, tensor<8xf32>, tensor<1x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %s: tensor<8xf32>) {
  // expected-error@+1 {{failed to verify that all of {input, result} have same type}}
  %r = "nn.rms_norm"(%x, %s) {epsilon = 0.0 : f64} : (tensor<4x8xf32>, tensor<8xf32>) -> tensor<8x4xf32>
  return
}
