// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt %s -split-input-file -verify-diagnostics

func.func @uneven_gates(%x: tensor<3x5x8xf32>, %w: tensor<2x8xf32>, %h: tensor<5x2xf32>) {
  // expected-error @+1 {{needs gates [t, b, g h]}}
  %s:2 = nn.gru %x, %w, %h {activations = "Sigmoid,Tanh", alpha = array<f64: 0.0, 0.0>, beta = array<f64: 0.0, 0.0>, clip = 0.0 : f64} : (tensor<3x5x8xf32>, tensor<2x8xf32>, tensor<5x2xf32>) -> (tensor<3x5x2xf32>, tensor<5x2xf32>)
  return
}

// -----

func.func @one_activation(%x: tensor<3x5x8xf32>, %w: tensor<2x8xf32>, %h: tensor<5x2xf32>) {
  // expected-error @+1 {{needs 3 activations}}
  %s:3 = nn.lstm %x, %w, %h, %h {activations = "Tanh", alpha = array<f64: 0.0, 0.0, 0.0>, beta = array<f64: 0.0, 0.0, 0.0>, clip = 0.0 : f64} : (tensor<3x5x8xf32>, tensor<2x8xf32>, tensor<5x2xf32>, tensor<5x2xf32>) -> (tensor<3x5x2xf32>, tensor<5x2xf32>, tensor<5x2xf32>)
  return
}

// -----

func.func @half_states(%x: tensor<3x5x4xf32>, %w: tensor<4x4xf32>, %h: tensor<5x2xf32>) {
  // expected-error @+1 {{has operands or results that do not fit the gates}}
  %s:2 = nn.rnn %x, %w, %h {activations = "Tanh", alpha = array<f64: 0.0>, beta = array<f64: 0.0>, clip = 0.0 : f64} : (tensor<3x5x4xf32>, tensor<4x4xf32>, tensor<5x2xf32>) -> (tensor<3x5x4xf32>, tensor<5x4xf32>)
  return
}
