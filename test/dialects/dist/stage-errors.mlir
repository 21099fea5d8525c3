// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt %s -split-input-file -verify-diagnostics

// expected-error@+1 {{has 2 places and 1 ranks}}
dist.mesh @a {axes = ["tp"], sizes = array<i64: 2>, ranks = array<i64: 0>}

// -----

// expected-error@+1 {{has rank 3 twice}}
dist.mesh @a {axes = ["tp"], sizes = array<i64: 2>, ranks = array<i64: 3, 3>}

// -----

dist.mesh @a {axes = ["tp"], sizes = array<i64: 2>, ranks = array<i64: 0, 1>}
dist.mesh @b {axes = ["tp"], sizes = array<i64: 2>, ranks = array<i64: 1, 2>}
func.func @step(%x: tensor<4xf32>) {
  dist.stage 0 "s0" on @a(%x) : (tensor<4xf32>) -> ()
  // expected-error@+1 {{has a rank of stage 0}}
  dist.stage 1 "s1" on @b(%x) : (tensor<4xf32>) -> ()
  return
}

// -----

// A backward edge: what comes first has the lower number.
dist.mesh @a {axes = ["tp"], sizes = array<i64: 2>, ranks = array<i64: 0, 1>}
dist.mesh @b {axes = ["tp"], sizes = array<i64: 1>, ranks = array<i64: 2>}
func.func @step(%x: tensor<4xf32>) {
  %h = dist.stage 1 "s1" on @a(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %t = dist.transfer %h : tensor<4xf32>
    from #dist.sharding<@a, [{4}]> to #dist.sharding<@b, [{4}]>
  // expected-error@+1 {{is number 0 after number 1}}
  dist.stage 0 "s0" on @b(%t) : (tensor<4xf32>) -> ()
  return
}

// -----

dist.mesh @a {axes = ["tp"], sizes = array<i64: 2>, ranks = array<i64: 0, 1>}
dist.mesh @b {axes = ["tp"], sizes = array<i64: 1>, ranks = array<i64: 2>}
func.func @step(%x: tensor<4xf32>) {
  %h = dist.stage 0 "s0" on @a(%x) : (tensor<4xf32>) -> tensor<4xf32>
  // expected-error@+1 {{reads what was not transferred to it}}
  dist.stage 1 "s1" on @b(%h) : (tensor<4xf32>) -> ()
  return
}

// -----

dist.mesh @a {axes = ["tp"], sizes = array<i64: 2>, ranks = array<i64: 0, 1>}
dist.mesh @b {axes = ["tp"], sizes = array<i64: 1>, ranks = array<i64: 2>}
func.func @step(%x: tensor<4xf32>) {
  // expected-error@+1 {{must read a result of a stage on mesh @a}}
  %t = dist.transfer %x : tensor<4xf32>
    from #dist.sharding<@a, [{4}]> to #dist.sharding<@b, [{4}]>
  return
}

// -----

dist.mesh @a {axes = ["tp"], sizes = array<i64: 2>, ranks = array<i64: 0, 1>}
dist.mesh @b {axes = ["tp"], sizes = array<i64: 1>, ranks = array<i64: 2>}
func.func @step(%x: tensor<4xf32>) {
  %h = dist.stage 0 "s0" on @a(%x) : (tensor<4xf32>) -> tensor<4xf32>
  // expected-error@+1 {{cannot transfer pending values}}
  %t = dist.transfer %h : tensor<4xf32>
    from #dist.sharding<@a, [{4}], partial={"tp"} sum>
    to #dist.sharding<@b, [{4}]>
  return
}

// -----

dist.mesh @a {axes = ["tp"], sizes = array<i64: 2>, ranks = array<i64: 0, 1>}
func.func @step(%x: tensor<4xf32>) {
  %h = dist.stage 0 "s0" on @a(%x) : (tensor<4xf32>) -> tensor<4xf32>
  // expected-error@+1 {{needs two meshes without a common rank}}
  %t = dist.transfer %h : tensor<4xf32>
    from #dist.sharding<@a, [{4}]> to #dist.sharding<@a, [{4:"tp"}]>
  return
}

// -----

// expected-error@+1 {{has 1 stages, and axis pp has 2}}
dist.mesh @m {axes = ["pp", "tp"], sizes = array<i64: 2, 2>, stages = [["tp"]]}

// -----

// expected-error@+1 {{has a stage with an axis "dp"}}
dist.mesh @m {axes = ["pp", "tp"], sizes = array<i64: 2, 2>, stages = [["tp"], ["dp"]]}

// -----

// expected-error@+1 {{has a stage that is no list of axes}}
dist.mesh @m {axes = ["pp", "tp"], sizes = array<i64: 2, 2>, stages = [["tp"], "tp"]}
