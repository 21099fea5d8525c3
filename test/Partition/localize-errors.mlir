// RUN: %partita-opt %s -split-input-file -dist-insert-reshards \
// RUN:   -verify-diagnostics

// expected-error @+1 {{nn.relu 'r': the operation has no strategy}}
module {
  dist.mesh @m {axes = ["tp"], sizes = array<i64: 2>}
  func.func @step(%x: tensor<4xf32> {dist.sharding = #dist.sharding<@m, [{4}]>})
      -> (tensor<4xf32> {dist.sharding = #dist.sharding<@m, [{4}]>}) {
    %r = nn.relu %x {nn.id = "r"} : tensor<4xf32>
    return %r : tensor<4xf32>
  }
}

// -----

// expected-error @+1 {{factor 'd0' of 4 units cannot be split over 8 ranks: a shard would be empty}}
module {
  dist.mesh @m {axes = ["tp"], sizes = array<i64: 8>}
  func.func @step(%x: tensor<4xf32> {dist.sharding = #dist.sharding<@m, [{4}]>})
      -> (tensor<4xf32> {dist.sharding = #dist.sharding<@m, [{4}]>}) {
    %r = nn.relu %x {nn.id = "r", dist.strategy = #dist.strategy<@m, {d0 = {4:"tp"}}>} : tensor<4xf32>
    return %r : tensor<4xf32>
  }
}

// -----

// expected-error @+1 {{'d7' is not a factor of}}
module {
  dist.mesh @m {axes = ["tp"], sizes = array<i64: 2>}
  func.func @step(%x: tensor<4xf32> {dist.sharding = #dist.sharding<@m, [{4}]>})
      -> (tensor<4xf32> {dist.sharding = #dist.sharding<@m, [{4}]>}) {
    %r = nn.relu %x {nn.id = "r", dist.strategy = #dist.strategy<@m, {d7 = {4:"tp"}}>} : tensor<4xf32>
    return %r : tensor<4xf32>
  }
}

// -----

// expected-error @+1 {{there is no dist.mesh}}
module {
  func.func @step(%x: tensor<4xf32>) -> tensor<4xf32> {
    return %x : tensor<4xf32>
  }
}
