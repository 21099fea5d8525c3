// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt %s -split-input-file -verify-diagnostics

// expected-error@+1 {{needs a tensor type of static shape}}
nn.parameter @w : tensor<?xf32> {file = 0 : i64, offset = 0 : i64, length = 0 : i64}

// -----

// expected-error@+1 {{needs a tensor type of static shape}}
nn.parameter @w : f32 {file = 0 : i64, offset = 0 : i64, length = 4 : i64}

// -----

// expected-error@+1 {{has an element type that cannot be stored}}
nn.parameter @w : tensor<2xi7> {file = 0 : i64, offset = 0 : i64, length = 2 : i64}

// -----

// expected-error@+1 {{has a negative offset or length}}
nn.parameter @w : tensor<2xf32> {file = 0 : i64, offset = -1 : i64, length = 8 : i64}

// -----

// expected-error@+1 {{has a negative offset or length}}
nn.parameter @w : tensor<2xf32> {file = -1 : i64, offset = 0 : i64, length = -8 : i64}

// -----

// expected-error@+1 {{has length 7, its type needs 8}}
nn.parameter @w : tensor<2xf32> {file = 0 : i64, offset = 0 : i64, length = 7 : i64}

// -----

func.func @f() {
  // expected-error@+1 {{names no parameter: @w}}
  %w = nn.get_parameter @w : tensor<2xf32>
  return
}

// -----

nn.parameter @w : tensor<2xf32> {file = 0 : i64, offset = 0 : i64, length = 8 : i64}
func.func @f() {
  // expected-error@+1 {{has type 'tensor<3xf32>', the parameter 'tensor<2xf32>'}}
  %w = nn.get_parameter @w : tensor<3xf32>
  return
}
