// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt %s -split-input-file -verify-diagnostics

func.func @unknown_filter(%x: tensor<4x5xf32>) {
  // expected-error @+1 {{has unknown filter "area"}}
  %0 = nn.resample "area" %x axis 1 {coordinates = array<f64: 0.5, 1.0, 2.0, -0.5>, filter_scale = 1.0 : f64, cubic = -0.75 : f64} : tensor<4x5xf32> to tensor<4x10xf32>
  return
}

// -----

func.func @no_divisor(%x: tensor<4x5xf32>) {
  // expected-error @+1 {{needs four coordinates, the third not zero}}
  %0 = nn.resample "linear" %x axis 1 {coordinates = array<f64: 0.5, 1.0, 0.0, -0.5>, filter_scale = 1.0 : f64, cubic = -0.75 : f64} : tensor<4x5xf32> to tensor<4x10xf32>
  return
}

// -----

func.func @other_grid(%x: tensor<2x3x4x5xf32>, %g: tensor<2x7x3xf32>) {
  // expected-error @+1 {{has a grid that does not fit the images}}
  %0 = nn.grid_sample "linear" "zeros" %x, %g : tensor<2x3x4x5xf32>, tensor<2x7x3xf32> to tensor<2x3x7xf32>
  return
}

// -----

func.func @fewer_numbers(%x: tensor<2x3x4x5xf32>, %b: tensor<6x4xf32>, %n: tensor<5xi64>) {
  // expected-error @+1 {{has boxes that do not fit the images}}
  %0 = nn.roi_align %x, %b, %n {scale = 1.0 : f64, offset = 0.0 : f64, sampling = 0 : i64} : tensor<2x3x4x5xf32>, tensor<6x4xf32>, tensor<5xi64> to tensor<6x3x2x2xf32>
  return
}
