// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt %s -split-input-file -verify-diagnostics

func.func @f(%a: tensor<4xf32>, %b: tensor<4x5xf32>) {
  // expected-error@+1 {{rhs needs rank 2 or the rank of lhs}}
  %r = nn.matmul %a, %b : tensor<4xf32>, tensor<4x5xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3x4xf32>, %b: tensor<1x2x4x5xf32>) {
  // expected-error@+1 {{rhs needs rank 2 or the rank of lhs}}
  %r = nn.matmul %a, %b : tensor<2x3x4xf32>, tensor<1x2x4x5xf32>
  return
}

// -----

func.func @f(%a: tensor<3x4xf32>, %b: tensor<5x6xf32>) {
  // expected-error@+1 {{lhs has 4 columns, rhs 5 rows}}
  %r = nn.matmul %a, %b : tensor<3x4xf32>, tensor<5x6xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3x4xf32>, %b: tensor<3x4x5xf32>) {
  // expected-error@+1 {{batch dimension 0 differs: 2 and 3}}
  %r = nn.matmul %a, %b : tensor<2x3x4xf32>, tensor<3x4x5xf32>
  return
}

// -----

func.func @f(%a: tensor<3x4xf32>, %b: tensor<4x5xf64>) {
  // expected-error@+1 {{element types differ}}
  %r = nn.matmul %a, %b : tensor<3x4xf32>, tensor<4x5xf64>
  return
}

// -----

func.func @f(%q: tensor<2x4x5xf32>, %k: tensor<2x4x6x8xf32>, %v: tensor<2x4x6x8xf32>) {
  // expected-error@+1 {{query, key and value need rank 4}}
  %r:2 = nn.attention %q, %k, %v scale 1.0 : tensor<2x4x5xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>
  return
}

// -----

// Batches differ.
func.func @f(%q: tensor<2x4x5x8xf32>, %k: tensor<1x4x6x8xf32>, %v: tensor<1x4x6x8xf32>) {
  // expected-error@+1 {{query, key and value do not fit together}}
  %r:2 = nn.attention %q, %k, %v scale 1.0 : tensor<2x4x5x8xf32>, tensor<1x4x6x8xf32>, tensor<1x4x6x8xf32>
  return
}

// -----

// Heads are no multiple of groups.
func.func @f(%q: tensor<2x4x5x8xf32>, %k: tensor<2x3x6x8xf32>, %v: tensor<2x3x6x8xf32>) {
  // expected-error@+1 {{query, key and value do not fit together}}
  %r:2 = nn.attention %q, %k, %v scale 1.0 : tensor<2x4x5x8xf32>, tensor<2x3x6x8xf32>, tensor<2x3x6x8xf32>
  return
}

// -----

// Key and value have different heads.
func.func @f(%q: tensor<2x4x5x8xf32>, %k: tensor<2x4x6x8xf32>, %v: tensor<2x2x6x8xf32>) {
  // expected-error@+1 {{query, key and value do not fit together}}
  %r:2 = nn.attention %q, %k, %v scale 1.0 : tensor<2x4x5x8xf32>, tensor<2x4x6x8xf32>, tensor<2x2x6x8xf32>
  return
}

// -----

// Key and value have different lengths.
func.func @f(%q: tensor<2x4x5x8xf32>, %k: tensor<2x4x6x8xf32>, %v: tensor<2x4x7x8xf32>) {
  // expected-error@+1 {{query, key and value do not fit together}}
  %r:2 = nn.attention %q, %k, %v scale 1.0 : tensor<2x4x5x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x7x8xf32>
  return
}

// -----

// Query and key have different depths.
func.func @f(%q: tensor<2x4x5x8xf32>, %k: tensor<2x4x6x4xf32>, %v: tensor<2x4x6x8xf32>) {
  // expected-error@+1 {{query, key and value do not fit together}}
  %r:2 = nn.attention %q, %k, %v scale 1.0 : tensor<2x4x5x8xf32>, tensor<2x4x6x4xf32>, tensor<2x4x6x8xf32>
  return
}

// -----

func.func @f(%q: tensor<2x4x5x8xf32>, %k: tensor<2x4x6x8xf32>, %v: tensor<2x4x6x8xf32>, %m: tensor<5x6xf32>) {
  // expected-error@+1 {{the mask does not fit the scores}}
  %r:2 = nn.attention %q, %k, %v mask %m scale 1.0 : tensor<2x4x5x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<5x6xf32>
  return
}

// -----

func.func @f(%q: tensor<2x4x5x8xf32>, %k: tensor<2x4x6x8xf32>, %v: tensor<2x4x6x8xf32>, %m: tensor<2x2x5x6xf32>) {
  // expected-error@+1 {{the mask does not fit the scores}}
  %r:2 = nn.attention %q, %k, %v mask %m scale 1.0 : tensor<2x4x5x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x2x5x6xf32>
  return
}

// -----

// The keys of a mask are not broadcast.
func.func @f(%q: tensor<2x4x5x8xf32>, %k: tensor<2x4x6x8xf32>, %v: tensor<2x4x6x8xf32>, %m: tensor<1x1x5x1xf32>) {
  // expected-error@+1 {{the mask does not fit the scores}}
  %r:2 = nn.attention %q, %k, %v mask %m scale 1.0 : tensor<2x4x5x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<1x1x5x1xf32>
  return
}

// -----

func.func @f(%x: tensor<4x5x8xf32>, %c: tensor<1x5x4xf32>, %s: tensor<1x5x4xf32>) {
  // expected-error@+1 {{needs x of rank 4, cos and sin of rank 3}}
  %r = nn.rope %x, %c, %s : tensor<4x5x8xf32>, tensor<1x5x4xf32>, tensor<1x5x4xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x5x8xf32>, %c: tensor<1x5x4xf32>, %s: tensor<2x5x4xf32>) {
  // expected-error@+1 {{needs x of rank 4, cos and sin of rank 3}}
  %r = nn.rope %x, %c, %s : tensor<2x4x5x8xf32>, tensor<1x5x4xf32>, tensor<2x5x4xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x5x8xf32>, %c: tensor<3x5x4xf32>, %s: tensor<3x5x4xf32>) {
  // expected-error@+1 {{cos and sin do not fit x}}
  %r = nn.rope %x, %c, %s : tensor<2x4x5x8xf32>, tensor<3x5x4xf32>, tensor<3x5x4xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x5x8xf32>, %c: tensor<1x4x4xf32>, %s: tensor<1x4x4xf32>) {
  // expected-error@+1 {{cos and sin do not fit x}}
  %r = nn.rope %x, %c, %s : tensor<2x4x5x8xf32>, tensor<1x4x4xf32>, tensor<1x4x4xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x5x8xf32>, %c: tensor<1x5x8xf32>, %s: tensor<1x5x8xf32>) {
  // expected-error@+1 {{cos and sin do not fit x}}
  %r = nn.rope %x, %c, %s : tensor<2x4x5x8xf32>, tensor<1x5x8xf32>, tensor<1x5x8xf32>
  return
}
