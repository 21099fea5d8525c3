// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt %s -split-input-file -verify-diagnostics

func.func @f(%a: tensor<4xf32>) {
  // expected-error@+1 {{needs integers that are not booleans}}
  %r = nn.bit_and %a, %a : tensor<4xf32>
  return
}

// -----

func.func @f(%a: tensor<4xi1>) {
  // expected-error@+1 {{needs integers that are not booleans}}
  %r = nn.bit_not %a : tensor<4xi1>
  return
}

// -----

func.func @f(%a: tensor<4xf32>) {
  // expected-error@+1 {{must have the same shape and base type}}
  %r = nn.bitcast %a : tensor<4xf32> to tensor<2xf32>
  return
}

// -----

func.func @f(%a: tensor<4xf32>) {
  // expected-error@+1 {{needs element types of the same width, not booleans}}
  %r = nn.bitcast %a : tensor<4xf32> to tensor<4xf64>
  return
}
