// RUN: %partita-opt %s -dist-insert-reshards -dist-reshard-to-collectives \
// RUN:   -localize | FileCheck %s

// Five rows over two ranks: two classes. The vocabulary of the gather is split:
// each rank needs to know where its part begins.

module {
  dist.mesh @m {axes = ["tp"], sizes = array<i64: 2>}
  nn.parameter @table : tensor<5x4xf32> {file = -1 : i64, offset = 0 : i64, length = 0 : i64}

  // CHECK-LABEL: func.func @step_class0(%arg0: tensor<3xi64>
  // CHECK-SAME: attributes {rt.ranks = array<i64: 0>}
  // CHECK: %[[T:.*]] = nn.get_parameter @table {{.*}} : tensor<3x4xf32> sharding #dist.sharding<@m, [{5:"tp"}, {4}]>
  // CHECK: %[[G:.*]] = nn.gather %[[T]], %arg0 axis 0 {{.*}} base #dist.offset<@m, {5:"tp"}>
  // CHECK: rt.collective "all_reduce" %[[G]] axes ["tp"]
  // CHECK-LABEL: func.func @step_class1(%arg0: tensor<3xi64>
  // CHECK-SAME: attributes {rt.ranks = array<i64: 1>}
  // CHECK: nn.get_parameter @table {{.*}} : tensor<2x4xf32>
  func.func @step(%ids: tensor<3xi64> {nn.name = "ids",
                    dist.sharding = #dist.sharding<@m, [{3}]>})
      -> (tensor<3x4xf32> {nn.name = "y",
                    dist.sharding = #dist.sharding<@m, [{3}, {4}]>}) {
    %w = nn.get_parameter @table {nn.id = "w", dist.strategy = #dist.strategy<@m, {d0 = {5:"tp"}}>} : tensor<5x4xf32>
    %g = nn.gather %w, %ids axis 0 {nn.id = "g", dist.strategy = #dist.strategy<@m, {v = {5:"tp"}}>} : tensor<5x4xf32>, tensor<3xi64>
    return %g : tensor<3x4xf32>
  }
}
