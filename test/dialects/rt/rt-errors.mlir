// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt %s -split-input-file -verify-diagnostics

dist.mesh @m {axes = ["tp"], sizes = array<i64: 2>}
func.func @f(%x: tensor<4x5xf32>) attributes {rt.ranks = array<i64: 0>} {
  // expected-error@+1 {{has unknown kind "broadcast"}}
  %r = rt.collective "broadcast" %x axes ["tp"] : tensor<4x5xf32> to tensor<4x5xf32>
    from #dist.sharding<@m, [{4}, {5}]> to #dist.sharding<@m, [{4}, {5}]>
  return
}

// -----

dist.mesh @m {axes = ["tp"], sizes = array<i64: 2>}
func.func @f(%x: tensor<4x5xf32>) attributes {rt.ranks = array<i64: 0>} {
  // expected-error@+1 {{has unknown kind "split"}}
  %r = rt.shard "split" %x axes ["tp"] : tensor<4x5xf32> to tensor<4x5xf32>
    from #dist.sharding<@m, [{4}, {5}]> to #dist.sharding<@m, [{4}, {5}]>
  return
}

// -----

dist.mesh @m {axes = ["tp"], sizes = array<i64: 2>}
func.func @f(%x: tensor<4x5xf32>) attributes {rt.ranks = array<i64: 0>} {
  // expected-error@+1 {{needs a #dist.sharding from}}
  %r = rt.collective "all_gather" %x axes ["tp"] : tensor<4x5xf32> to tensor<4x5xf32>
    from "tp" to #dist.sharding<@m, [{4}, {5}]>
  return
}

// -----

func.func @f(%x: tensor<4x5xf32>) attributes {rt.ranks = array<i64: 0>} {
  // expected-error@+1 {{needs a dist.mesh in its module}}
  %r = rt.collective "all_gather" %x axes ["tp"] : tensor<4x5xf32> to tensor<4x5xf32>
    from #dist.sharding<@m, [{4:"tp"}, {5}]> to #dist.sharding<@m, [{4}, {5}]>
  return
}

// -----

dist.mesh @m {axes = ["tp"], sizes = array<i64: 2>}
func.func @f(%x: tensor<4x5xf32>) attributes {rt.ranks = array<i64: 0>} {
  // expected-error@+1 {{axis "pp" is not in the mesh}}
  %r = rt.collective "all_gather" %x axes ["tp"] : tensor<4x5xf32> to tensor<4x5xf32>
    from #dist.sharding<@m, [{4:"pp"}, {5}]> to #dist.sharding<@m, [{4}, {5}]>
  return
}

// -----

dist.mesh @m {axes = ["tp"], sizes = array<i64: 2>}
func.func @f(%x: tensor<4x5xf32>) attributes {rt.ranks = array<i64: 0>} {
  // expected-error@+1 {{empty}}
  %r = rt.collective "all_gather" %x axes ["tp"] : tensor<4x5xf32> to tensor<4x5xf32>
    from #dist.sharding<@m, [{4}, {5, 1:"tp"}]> to #dist.sharding<@m, [{4}, {5}]>
  return
}

// -----

// Rank 1 has two columns.
dist.mesh @m {axes = ["tp"], sizes = array<i64: 2>}
func.func @f(%x: tensor<4x3xf32>) attributes {rt.ranks = array<i64: 0, 1>} {
  // expected-error@+1 {{has a type that is not the shard of rank 1 from}}
  %r = rt.collective "all_gather" %x axes ["tp"] : tensor<4x3xf32> to tensor<4x5xf32>
    from #dist.sharding<@m, [{4}, {5:"tp"}]> to #dist.sharding<@m, [{4}, {5}]>
  return
}

// -----

dist.mesh @m {axes = ["tp"], sizes = array<i64: 2>}
func.func @f(%x: tensor<4x5xf32>) attributes {rt.ranks = array<i64: 0>} {
  // expected-error@+1 {{has a type that is not the shard of rank 0 to}}
  %r = rt.shard "slice" %x axes ["tp"] : tensor<4x5xf32> to tensor<4x5xf32>
    from #dist.sharding<@m, [{4}, {5}]> to #dist.sharding<@m, [{4:"tp"}, {5}]>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  %v = rt.view %x offset 0 strides [1] : tensor<4x8xf32> to tensor<8xf32>
  // expected-error@+1 {{has a view as its source}}
  %s = rt.view %v offset 0 strides [1] : tensor<8xf32> to tensor<2xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{must keep the element type}}
  %r = rt.view %x offset 0 strides [1] : tensor<4x8xf32> to tensor<8xf64>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{needs one stride a dimension}}
  %r = rt.view %x offset 0 strides [1, 1] : tensor<4x8xf32> to tensor<8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{leaves its source}}
  %r = rt.view %x offset 25 strides [1] : tensor<4x8xf32> to tensor<8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{leaves its source}}
  %r = rt.view %x offset 6 strides [-1] : tensor<4x8xf32> to tensor<8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{leaves its source}}
  %r = rt.view %x offset -1 strides [1] : tensor<4x8xf32> to tensor<8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{needs one permutation a result}}
  %r = rt.call "copy"(%x) {permutations = [array<i64: 1, 0>, array<i64: 1, 0>]} : (tensor<4x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{needs permutations that are i64 arrays}}
  %r = rt.call "copy"(%x) {permutations = [[1, 0]]} : (tensor<4x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{has a permutation of the wrong rank}}
  %r = rt.call "copy"(%x) {permutations = [array<i64: 0>]} : (tensor<4x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{has a permutation that is none}}
  %r = rt.call "copy"(%x) {permutations = [array<i64: 1, 1>]} : (tensor<4x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{has a permutation that is none}}
  %r = rt.call "copy"(%x) {permutations = [array<i64: 0, 2>]} : (tensor<4x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{needs one region argument an operand}}
  %r = rt.fusion(%x) : (tensor<4x8xf32>) -> tensor<4x8xf32> {
  ^bb0(%a: tensor<8x4xf32>):
    %y = nn.constant dense<0.0> : tensor<4x8xf32> : tensor<4x8xf32>
    rt.yield %y : tensor<4x8xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{must yield its results}}
  %r = rt.fusion(%x) : (tensor<4x8xf32>) -> tensor<4x8xf32> {
  ^bb0(%a: tensor<4x8xf32>):
    rt.yield
  }
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{must yield its results}}
  %r = rt.fusion(%x) {permutations = [array<i64: 1, 0>]} : (tensor<4x8xf32>) -> tensor<4x8xf32> {
  ^bb0(%a: tensor<4x8xf32>):
    rt.yield %a : tensor<4x8xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{has a permutation that is none}}
  %r = rt.fusion(%x) {permutations = [array<i64: 0, 0>]} : (tensor<4x8xf32>) -> tensor<4x8xf32> {
  ^bb0(%a: tensor<4x8xf32>):
    rt.yield %a : tensor<4x8xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{expects parent op 'rt.fusion'}}
  rt.yield %x : tensor<4x8xf32>
}
