// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt %s -split-input-file -verify-diagnostics

// expected-error@+1 {{has 2 axis names and 1 sizes}}
dist.mesh @m {axes = ["a", "b"], sizes = array<i64: 2>}

// -----

// expected-error@+1 {{has more than 16 axes}}
dist.mesh @m {axes = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q"],
  sizes = array<i64: 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1>}

// -----

// expected-error@+1 {{names axis "a" twice}}
dist.mesh @m {axes = ["a", "a"], sizes = array<i64: 2, 2>}

// -----

// expected-error@+1 {{has an axis of size 0}}
dist.mesh @m {axes = ["a"], sizes = array<i64: 0>}

// -----

// expected-error@+1 {{expected one factor}}
func.func private @f() attributes {a = #dist.factor<{3, 4}>}

// -----

// expected-error@+1 {{expected one factor}}
func.func private @f() attributes {a = #dist.offset<@m, {3, 4:"tp"}>}

// -----

// expected-error@+1 {{expected string}}
func.func private @f() attributes {a = #dist.dim<{3:tp}>}

// -----

// One entry for each dimension.
dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{the sharding has 1 dimensions, the tensor 2}}
  %r = dist.reshard %x : tensor<6x8xf32>
    from #dist.sharding<@m, [{6}]> to #dist.sharding<@m, [{6}, {8}]>
  return
}

// -----

// Factors multiply to the size.
dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{do not multiply to}}
  %r = dist.reshard %x : tensor<6x8xf32>
    from #dist.sharding<@m, [{6}, {3, 2}]> to #dist.sharding<@m, [{6}, {8}]>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{axis "pp" is not in the mesh}}
  %r = dist.reshard %x : tensor<6x8xf32>
    from #dist.sharding<@m, [{6:"pp"}, {8}]> to #dist.sharding<@m, [{6}, {8}]>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{twice}}
  %r = dist.reshard %x : tensor<6x8xf32>
    from #dist.sharding<@m, [{6:"tp"}, {8:"tp"}]> to #dist.sharding<@m, [{6}, {8}]>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{twice}}
  %r = dist.reshard %x : tensor<6x8xf32>
    from #dist.sharding<@m, [{6:"tp"}, {8}], partial={"tp"} sum> to #dist.sharding<@m, [{6}, {8}]>
  return
}

// -----

// A shard would be empty.
dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{empty}}
  %r = dist.reshard %x : tensor<6x8xf32>
    from #dist.sharding<@m, [{6}, {4, 2:"tp"}]> to #dist.sharding<@m, [{6}, {8}]>
  return
}

// -----

// Partial axes need a combiner.
dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{combiner}}
  %r = dist.reshard %x : tensor<6x8xf32>
    from #dist.sharding<@m, [{6}, {8}], partial={"tp"} none> to #dist.sharding<@m, [{6}, {8}]>
  return
}

// -----

// A combiner needs partial axes.
dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{combiner}}
  %r = dist.reshard %x : tensor<6x8xf32>
    from #dist.sharding<@m, [{6}, {8}], partial={} sum> to #dist.sharding<@m, [{6}, {8}]>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{'mean' is not a combiner}}
  %r = dist.reshard %x : tensor<6x8xf32>
    from #dist.sharding<@m, [{6}, {8}], partial={"tp"} mean> to #dist.sharding<@m, [{6}, {8}]>
  return
}

// -----

func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{needs a dist.mesh in its module}}
  %r = dist.reshard %x : tensor<6x8xf32>
    from #dist.sharding<@m, [{6}, {8}]> to #dist.sharding<@m, [{6}, {8}]>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<?xf32>) {
  // expected-error@+1 {{needs a static shape}}
  %r = dist.reshard %x : tensor<?xf32>
    from #dist.sharding<@m, [{6}]> to #dist.sharding<@m, [{6}]>
  return
}

// -----

dist.mesh @other {axes = ["tp"], sizes = array<i64: 2>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{names mesh @m}}
  %r = dist.reshard %x : tensor<6x8xf32>
    from #dist.sharding<@m, [{6}, {8}]> to #dist.sharding<@m, [{6}, {8}]>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{must remove axes from dimensions and nothing else}}
  %r = dist.all_gather %x axes ["tp"] : tensor<6x8xf32>
    from #dist.sharding<@m, [{6}, {8}]> to #dist.sharding<@m, [{6}, {8}]>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{must remove axes from dimensions and nothing else}}
  %r = dist.all_gather %x axes ["tp"] : tensor<6x8xf32>
    from #dist.sharding<@m, [{6:"tp"}, {8}]> to #dist.sharding<@m, [{6}, {8:"tp"}]>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{must remove axes from dimensions and nothing else}}
  %r = dist.all_gather %x axes ["tp"] : tensor<6x8xf32>
    from #dist.sharding<@m, [{6:"tp"}, {8}], partial={"dp"} sum> to #dist.sharding<@m, [{6}, {8}]>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{must add axes to dimensions and nothing else}}
  %r = dist.slice %x axes ["tp"] : tensor<6x8xf32>
    from #dist.sharding<@m, [{6:"tp"}, {8}]> to #dist.sharding<@m, [{6}, {8}]>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{must add axes to dimensions and nothing else}}
  %r = dist.slice %x axes ["tp"] : tensor<6x8xf32>
    from #dist.sharding<@m, [{6}, {8}], partial={"dp"} sum> to #dist.sharding<@m, [{6:"tp"}, {8}]>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{must remove partial axes and nothing else}}
  %r = dist.all_reduce %x axes ["tp"] : tensor<6x8xf32>
    from #dist.sharding<@m, [{6}, {8}]> to #dist.sharding<@m, [{6}, {8}]>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{must remove partial axes and nothing else}}
  %r = dist.all_reduce %x axes ["tp"] : tensor<6x8xf32>
    from #dist.sharding<@m, [{6}, {8}], partial={"tp"} sum> to #dist.sharding<@m, [{6:"tp"}, {8}]>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{must remove partial axes and nothing else}}
  %r = dist.all_reduce %x axes ["tp"] : tensor<6x8xf32>
    from #dist.sharding<@m, [{6}, {8}], partial={"tp"} sum> to #dist.sharding<@m, [{6}, {8}], partial={"dp"} sum>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{must add partial axes of a sum and nothing else}}
  %r = dist.to_partial %x axes ["tp"] : tensor<6x8xf32>
    from #dist.sharding<@m, [{6}, {8}]> to #dist.sharding<@m, [{6}, {8}], partial={"tp"} max>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{must add partial axes of a sum and nothing else}}
  %r = dist.to_partial %x axes ["tp"] : tensor<6x8xf32>
    from #dist.sharding<@m, [{6:"tp"}, {8}]> to #dist.sharding<@m, [{6}, {8}], partial={"tp"} sum>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{must add partial axes of a sum and nothing else}}
  %r = dist.to_partial %x axes ["tp"] : tensor<6x8xf32>
    from #dist.sharding<@m, [{6}, {8}], partial={"dp"} sum> to #dist.sharding<@m, [{6}, {8}], partial={"tp"} sum>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{must move axes from partial to dimensions}}
  %r = dist.reduce_scatter %x axes ["tp"] : tensor<6x8xf32>
    from #dist.sharding<@m, [{6}, {8}]> to #dist.sharding<@m, [{6:"tp"}, {8}]>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{must move axes from partial to dimensions}}
  %r = dist.reduce_scatter %x axes ["tp"] : tensor<6x8xf32>
    from #dist.sharding<@m, [{6}, {8}], partial={"tp"} sum> to #dist.sharding<@m, [{6}, {8}]>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{must move axes from partial to dimensions}}
  %r = dist.reduce_scatter %x axes ["tp"] : tensor<6x8xf32>
    from #dist.sharding<@m, [{6}, {8}], partial={"tp"} sum> to #dist.sharding<@m, [{6:"dp"}, {8}]>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{must move axes between factors and nothing else}}
  %r = dist.all_to_all %x axes ["tp"] : tensor<6x8xf32>
    from #dist.sharding<@m, [{6:"tp"}, {8}]> to #dist.sharding<@m, [{6:"dp"}, {8}]>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{must move axes between factors and nothing else}}
  %r = dist.all_to_all %x axes ["tp"] : tensor<6x8xf32>
    from #dist.sharding<@m, [{6:"tp"}, {8}], partial={"dp"} sum> to #dist.sharding<@m, [{6}, {8:"tp"}]>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{must not change partial axes}}
  %r = dist.permute %x axes ["tp"] : tensor<6x8xf32>
    from #dist.sharding<@m, [{6}, {8}]> to #dist.sharding<@m, [{6}, {8}], partial={"tp"} sum>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{gives rank 0 a shard that no rank has}}
  %r = dist.permute %x axes ["tp"] : tensor<6x8xf32>
    from #dist.sharding<@m, [{6:"tp"}, {8}]> to #dist.sharding<@m, [{6}, {8:"tp"}]>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%o: tensor<2x3x4x5xf32>, %l: tensor<2x3x4xf32>) {
  // expected-error@+1 {{must resolve softmax_merge and nothing else}}
  %r:2 = dist.softmax_merge %o, %l axes ["tp"] : tensor<2x3x4x5xf32>, tensor<2x3x4xf32>
    from #dist.sharding<@m, [{2}, {3}, {4}, {5}], partial={"tp"} sum> to #dist.sharding<@m, [{2}, {3}, {4}, {5}]>
    from_lse #dist.sharding<@m, [{2}, {3}, {4}], partial={"tp"} softmax_merge> to_lse #dist.sharding<@m, [{2}, {3}, {4}]>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%o: tensor<2x3x4x5xf32>, %l: tensor<2x3x4xf32>) {
  // expected-error@+1 {{must resolve softmax_merge and nothing else}}
  %r:2 = dist.softmax_merge %o, %l axes ["tp"] : tensor<2x3x4x5xf32>, tensor<2x3x4xf32>
    from #dist.sharding<@m, [{2}, {3}, {4}, {5}], partial={"tp"} softmax_merge> to #dist.sharding<@m, [{2}, {3}, {4}, {5}]>
    from_lse #dist.sharding<@m, [{2}, {3}, {4}], partial={"tp"} softmax_merge> to_lse #dist.sharding<@m, [{2}, {3}, {4}], partial={"tp"} softmax_merge>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%o: tensor<2x3x4x5xf32>, %l: tensor<2x3x4xf32>) {
  // expected-error@+1 {{must resolve softmax_merge and nothing else}}
  %r:2 = dist.softmax_merge %o, %l axes ["tp"] : tensor<2x3x4x5xf32>, tensor<2x3x4xf32>
    from #dist.sharding<@m, [{2}, {3}, {4}, {5}], partial={"tp"} softmax_merge> to #dist.sharding<@m, [{2:"dp"}, {3}, {4}, {5}]>
    from_lse #dist.sharding<@m, [{2}, {3}, {4}], partial={"tp"} softmax_merge> to_lse #dist.sharding<@m, [{2}, {3}, {4}]>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%o: tensor<2x3x4x5xf32>, %l: tensor<2x3x5xf32>) {
  // expected-error@+1 {{needs an lse of out's shape without the last dimension}}
  %r:2 = dist.softmax_merge %o, %l axes ["tp"] : tensor<2x3x4x5xf32>, tensor<2x3x5xf32>
    from #dist.sharding<@m, [{2}, {3}, {4}, {5}], partial={"tp"} softmax_merge> to #dist.sharding<@m, [{2}, {3}, {4}, {5}]>
    from_lse #dist.sharding<@m, [{2}, {3}, {5}], partial={"tp"} softmax_merge> to_lse #dist.sharding<@m, [{2}, {3}, {5}]>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%o: tensor<2x3xf32>, %l: tensor<2xf32>) {
  // expected-error@+1 {{failed to verify that all of {out, result} have same type}}
  %r:2 = "dist.softmax_merge"(%o, %l) {axes = ["tp"], from = #dist.sharding<@m, []>, to = #dist.sharding<@m, []>,
    from_lse = #dist.sharding<@m, []>, to_lse = #dist.sharding<@m, []>}
    : (tensor<2x3xf32>, tensor<2xf32>) -> (tensor<3x2xf32>, tensor<2xf32>)
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{failed to verify that all of {input, result} have same type}}
  %r = "dist.reshard"(%x) {from = #dist.sharding<@m, [{6}, {8}]>, to = #dist.sharding<@m, [{6}, {8}]>}
    : (tensor<6x8xf32>) -> tensor<8x6xf32>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{must add halos and nothing else}}
  %0 = dist.halo_exchange %x axes ["dp"] : tensor<6x8xf32>
    from #dist.sharding<@m, [{6:"dp"}, {8}]> to #dist.sharding<@m, [{6:"dp"}, {8}]>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{must add halos and nothing else}}
  %0 = dist.halo_exchange %x axes ["dp"] : tensor<6x8xf32>
    from #dist.sharding<@m, [{6}, {8}]> to #dist.sharding<@m, [{6:"dp" halo(6, 1, 1, 3)}, {8}]>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{starts from blocks that overlap}}
  %0 = dist.halo_exchange %x axes ["dp"] : tensor<6x8xf32>
    from #dist.sharding<@m, [{6:"dp" halo(6, 1, 1, 3)}, {8}]> to #dist.sharding<@m, [{6:"dp" halo(6, 1, 1, 3)}, {8}]>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{has a rank whose windows lie beyond its ends}}
  %0 = dist.halo_exchange %x axes ["dp"] : tensor<6x8xf32>
    from #dist.sharding<@m, [{6:"dp"}, {8}]> to #dist.sharding<@m, [{6:"dp" halo(6, 1, 9, 3)}, {8}]>
  return
}

// -----

dist.mesh @m {axes = ["dp", "tp"], sizes = array<i64: 2, 3>}
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{has a halo beside other factors}}
  %0 = dist.halo_exchange %x axes ["dp"] : tensor<6x8xf32>
    from #dist.sharding<@m, [{6:"dp"}, {8}]> to #dist.sharding<@m, [{6:"dp"}, {2, 4:"tp" halo(4, 1, 0, 1)}]>
  return
}

// -----

// expected-error@+1 {{expected positions, stride, before and extent}}
func.func @f(%x: tensor<6xf32> {dist.sharding = #dist.sharding<@m, [{6:"dp" halo(6, 1, 1)}]>})
