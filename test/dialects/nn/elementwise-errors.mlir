// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt %s -split-input-file -verify-diagnostics

func.func @f(%a: tensor<?xf32>) {
  // expected-error@+1 {{must be statically shaped tensor}}
  %r = nn.neg %a : tensor<?xf32>
  return
}

// -----

func.func @f(%a: tensor<4xf32>) {
  // expected-error@+1 {{requires the same type for all operands and results}}
  %r = "nn.neg"(%a) : (tensor<4xf32>) -> tensor<4xf64>
  return
}

// -----

func.func @f(%a: tensor<4xf32>, %b: tensor<1xf32>) {
  // expected-error@+1 {{all non-scalar operands/results must have the same shape and base type}}
  %r = "nn.add"(%a, %b) : (tensor<4xf32>, tensor<1xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%a: tensor<4xf32>) {
  // expected-error@+1 {{has unknown predicate "less"}}
  %r = nn.compare "less", %a, %a : tensor<4xf32>
  return
}

// -----

func.func @f(%a: tensor<4xf32>, %b: tensor<4xf64>) {
  // expected-error@+1 {{failed to verify that all of {lhs, rhs} have same type}}
  %r = "nn.compare"(%a, %b) {predicate = "lt"} : (tensor<4xf32>, tensor<4xf64>) -> tensor<4xi1>
  return
}

// -----

func.func @f(%a: tensor<4xf32>) {
  // expected-error@+2 {{'nn.compare' op inferred type(s) 'tensor<4xi1>' are incompatible with return type(s) of operation 'tensor<4xi8>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %r = "nn.compare"(%a, %a) {predicate = "lt"} : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xi8>
  return
}

// -----

func.func @f(%c: tensor<4xi8>, %a: tensor<4xf32>) {
  // expected-error@+1 {{needs a boolean condition}}
  %r = nn.select %c, %a, %a : tensor<4xi8>, tensor<4xf32>
  return
}

// -----

func.func @f(%c: tensor<1xi1>, %a: tensor<4xf32>) {
  // expected-error@+1 {{all non-scalar operands/results must have the same shape and base type}}
  %r = nn.select %c, %a, %a : tensor<1xi1>, tensor<4xf32>
  return
}

// -----

func.func @f(%c: tensor<4xi1>, %a: tensor<4xf32>, %b: tensor<4xf64>) {
  // expected-error@+1 {{failed to verify that all of {on_true, on_false, result} have same type}}
  %r = "nn.select"(%c, %a, %b) : (tensor<4xi1>, tensor<4xf32>, tensor<4xf64>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%a: tensor<4xf32>) {
  // expected-error@+1 {{all non-scalar operands/results must have the same shape and base type}}
  %r = nn.cast %a : tensor<4xf32> to tensor<2x2xf64>
  return
}
