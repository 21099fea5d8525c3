// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt %s -split-input-file -verify-diagnostics

func.func @more_than_there_are(%x: tensor<4x2xf32>) {
  // expected-error @+1 {{cannot take more elements than there are}}
  %v, %k = nn.topk %x axis 1 : tensor<4x2xf32> to tensor<4x3xf32>, tensor<4x3xi64>
  return
}

// -----

func.func @wrong_indices(%x: tensor<4x9xf32>, %i: tensor<4x3xf32>) {
  // expected-error @+1 {{needs i32 or i64 indices}}
  %0 = nn.gather_elements %x, %i axis 1 : tensor<4x9xf32>, tensor<4x3xf32>
  return
}

// -----

func.func @unknown_kind(%x: tensor<4x9xf32>, %i: tensor<4x3xi64>, %u: tensor<4x3xf32>) {
  // expected-error @+1 {{has unknown kind "sub"}}
  %0 = nn.scatter_elements "sub", %x, %i, %u axis 1 : tensor<4x9xf32>, tensor<4x3xi64>, tensor<4x3xf32>
  return
}

// -----

func.func @deep_indices(%x: tensor<4x9xf32>, %i: tensor<3x3xi64>, %u: tensor<3xf32>) {
  // expected-error @+1 {{indices or updates that do not fit the data}}
  %0 = nn.scatter_nd "none", %x, %i, %u batch 0 : tensor<4x9xf32>, tensor<3x3xi64>, tensor<3xf32>
  return
}
