// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt %s -split-input-file -verify-diagnostics -dist-split-stages

// expected-error@+1 {{stage 0 reads nn.relu 'relu', which stage 1 makes}}
module {
  dist.mesh @m {axes = ["pp"], sizes = array<i64: 2>}
  func.func @step(%x: tensor<4xf32> {dist.sharding = #dist.sharding<@m, [{4}]>})
      -> (tensor<4xf32> {dist.sharding = #dist.sharding<@m, [{4}]>}) {
    %r = nn.relu %x {nn.id = "relu", dist.in_stage = 1 : i64, dist.strategy = #dist.strategy<@m, {}>} : tensor<4xf32>
    %n = nn.neg %r {nn.id = "neg", dist.in_stage = 0 : i64, dist.strategy = #dist.strategy<@m, {}>} : tensor<4xf32>
    return %n : tensor<4xf32>
  }
}

// -----

// expected-error@+1 {{the operation has no stage}}
module {
  dist.mesh @m {axes = ["pp"], sizes = array<i64: 2>}
  func.func @step(%x: tensor<4xf32> {dist.sharding = #dist.sharding<@m, [{4}]>})
      -> (tensor<4xf32> {dist.sharding = #dist.sharding<@m, [{4}]>}) {
    %r = nn.relu %x {nn.id = "relu", dist.in_stage = 2 : i64, dist.strategy = #dist.strategy<@m, {}>} : tensor<4xf32>
    return %r : tensor<4xf32>
  }
}

// -----

// expected-error@+1 {{there is no axis pp, which numbers the stages}}
module {
  dist.mesh @m {axes = ["tp"], sizes = array<i64: 2>}
  func.func @step(%x: tensor<4xf32> {dist.sharding = #dist.sharding<@m, [{4}]>})
      -> (tensor<4xf32> {dist.sharding = #dist.sharding<@m, [{4}]>}) {
    return %x : tensor<4xf32>
  }
}
