// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt %s -split-input-file -verify-diagnostics

func.func @f(%x: tensor<1x6xf32>, %w: tensor<8x6xf32>) {
  // expected-error@+1 {{input and weight need the same rank}}
  %r = nn.conv %x, %w strides [] dilations [] pads [] [] : tensor<1x6xf32>, tensor<8x6xf32>
  return
}

// -----

func.func @f(%x: tensor<1x2x1x1x1x1xf32>, %w: tensor<2x2x1x1x1x1xf32>) {
  // expected-error@+1 {{needs one to three spatial dimensions}}
  %r = nn.conv %x, %w strides [1, 1, 1, 1] dilations [1, 1, 1, 1] pads [0, 0, 0, 0] [0, 0, 0, 0]
      : tensor<1x2x1x1x1x1xf32>, tensor<2x2x1x1x1x1xf32>
  return
}

// -----

func.func @f(%x: tensor<1x6x9xf32>, %w: tensor<8x6x3xf32>) {
  // expected-error@+1 {{needs 1 strides, dilations and pads, one for each spatial dimension}}
  %r = nn.conv %x, %w strides [1, 1] dilations [1] pads [0] [0] : tensor<1x6x9xf32>, tensor<8x6x3xf32>
  return
}

// -----

func.func @f(%x: tensor<1x6x9xf32>, %w: tensor<8x6x3xf32>) {
  // expected-error@+1 {{needs positive strides, dilations and window sizes}}
  %r = nn.conv %x, %w strides [0] dilations [1] pads [0] [0] : tensor<1x6x9xf32>, tensor<8x6x3xf32>
  return
}

// -----

func.func @f(%x: tensor<1x6x9xf32>, %w: tensor<8x6x3xf32>) {
  // expected-error@+1 {{needs positive strides, dilations and window sizes}}
  %r = nn.conv %x, %w strides [1] dilations [9223372036854775807] pads [0] [0]
      : tensor<1x6x9xf32>, tensor<8x6x3xf32>
  return
}

// -----

func.func @f(%x: tensor<1x6x2xf32>, %w: tensor<8x6x3xf32>) {
  // expected-error@+1 {{has a window of 5 over 2 elements and 2 of padding}}
  %r = nn.conv %x, %w strides [1] dilations [2] pads [1] [1] : tensor<1x6x2xf32>, tensor<8x6x3xf32>
  return
}

// -----

func.func @f(%x: tensor<1x6x9xf32>, %w: tensor<8x4x3xf32>) {
  // expected-error@+1 {{has 6 channels, which 8 filters of 4 channels do not divide into groups}}
  %r = nn.conv %x, %w strides [1] dilations [1] pads [0] [0] : tensor<1x6x9xf32>, tensor<8x4x3xf32>
  return
}

// -----

func.func @f(%x: tensor<1x6x9xf32>, %w: tensor<8x6x3xf64>) {
  // expected-error@+1 {{element types differ}}
  %r = nn.conv %x, %w strides [1] dilations [1] pads [0] [0] : tensor<1x6x9xf32>, tensor<8x6x3xf64>
  return
}

// -----

func.func @f(%x: tensor<1x6x9xf32>, %w: tensor<6x4x3xf32>) {
  // expected-error@+1 {{has 6 channels, which 4 groups of filters for 6 do not fit}}
  %r = nn.conv_transpose %x, %w groups 4 strides [1] dilations [1] pads [0] [0] output_pads [0]
      : tensor<1x6x9xf32>, tensor<6x4x3xf32>
  return
}

// -----

func.func @f(%x: tensor<1x6x2xf32>, %w: tensor<6x4x3xf32>) {
  // expected-error@+1 {{has no result along spatial dimension 0}}
  %r = nn.conv_transpose %x, %w groups 1 strides [1] dilations [1] pads [2] [2] output_pads [0]
      : tensor<1x6x2xf32>, tensor<6x4x3xf32>
  return
}

// -----

func.func @f(%x: tensor<1x6x9xf32>) {
  // expected-error@+1 {{needs kind "max" or "sum"}}
  %r = nn.pool "mean", %x kernel [3] strides [1] dilations [1] pads [0] [0] : tensor<1x6x9xf32>
  return
}

// -----

func.func @f(%x: tensor<1x6x9xf32>) {
  // expected-error@+1 {{has a window of 12 over 9 elements and 2 of padding}}
  %r = nn.pool "max", %x kernel [12] strides [1] dilations [1] pads [1] [1] : tensor<1x6x9xf32>
  return
}
