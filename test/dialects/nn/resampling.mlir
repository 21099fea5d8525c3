// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt %s | %partita-opt | FileCheck %s
// RUN: %partita-opt %s -mlir-print-op-generic | %partita-opt | FileCheck %s

// CHECK-LABEL: func.func @resampling
func.func @resampling(%x: tensor<2x3x4x5xf32>, %g: tensor<2x7x2xf32>, %b: tensor<6x4xf32>, %n: tensor<6xi64>) {
  // CHECK: nn.resample "linear" %{{.*}} axis 2 {coordinates = array<f64: 5.000000e-01, 1.000000e+00, 2.000000e+00, -5.000000e-01>, cubic = -7.500000e-01 : f64, filter_scale = 1.000000e+00 : f64} : tensor<2x3x4x5xf32> to tensor<2x3x8x5xf32>
  %0 = nn.resample "linear" %x axis 2 {coordinates = array<f64: 0.5, 1.0, 2.0, -0.5>, filter_scale = 1.0 : f64, cubic = -0.75 : f64} : tensor<2x3x4x5xf32> to tensor<2x3x8x5xf32>
  // CHECK: nn.grid_sample "cubic" "border" %{{.*}}, %{{.*}} {align_corners} : tensor<2x3x4x5xf32>, tensor<2x7x2xf32> to tensor<2x3x7xf32>
  %1 = nn.grid_sample "cubic" "border" %x, %g {align_corners} : tensor<2x3x4x5xf32>, tensor<2x7x2xf32> to tensor<2x3x7xf32>
  // CHECK: nn.roi_align %{{.*}}, %{{.*}}, %{{.*}} {max, offset = 0.000000e+00 : f64, sampling = 0 : i64, scale = 1.000000e+00 : f64}
  %2 = nn.roi_align %x, %b, %n {scale = 1.0 : f64, offset = 0.0 : f64, sampling = 0 : i64, max} : tensor<2x3x4x5xf32>, tensor<6x4xf32>, tensor<6xi64> to tensor<6x3x2x2xf32>
  return
}
