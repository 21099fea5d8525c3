// RUN: %partita-opt %s -dist-insert-reshards | FileCheck %s
// RUN: %partita-opt %s -dist-insert-reshards -dist-reshard-to-collectives \
// RUN:   | FileCheck %s --check-prefix=LOWER

// Two products in Megatron's way: columns, then rows; the sum is pending until
// the addition of the bias wants it whole. One reshard serves both its uses.

module {
  dist.mesh @m {axes = ["tp"], sizes = array<i64: 2>}
  nn.parameter @w1 : tensor<8x16xf32> {file = -1 : i64, offset = 0 : i64, length = 0 : i64}
  nn.parameter @w2 : tensor<16x8xf32> {file = -1 : i64, offset = 0 : i64, length = 0 : i64}

  // CHECK-LABEL: func.func @step
  // CHECK: %[[Y:.*]] = nn.matmul %{{.*}} {dist.strategy = #dist.strategy<@m, {k = {16:"tp"}}>
  // CHECK-NEXT: %[[R:.*]] = dist.reshard %[[Y]] {nn.id = "fc2"}
  // CHECK-SAME: from #dist.sharding<@m, [{4}, {8}], partial={"tp"} sum>
  // CHECK-SAME: to #dist.sharding<@m, [{4}, {8}]>
  // CHECK: nn.add %[[R]], %[[R]]
  // LOWER: %[[Y:.*]] = nn.matmul {{.*}} nn.id = "fc2"
  // LOWER-NEXT: dist.all_reduce %[[Y]] axes ["tp"] {nn.id = "fc2/all_reduce"}
  func.func @step(%x: tensor<4x8xf32> {nn.name = "x",
                    dist.sharding = #dist.sharding<@m, [{4}, {8}]>})
      -> (tensor<4x8xf32> {nn.name = "y",
                    dist.sharding = #dist.sharding<@m, [{4}, {8}]>}) {
    %w1 = nn.get_parameter @w1 {nn.id = "w1", dist.strategy = #dist.strategy<@m, {d1 = {16:"tp"}}>} : tensor<8x16xf32>
    %w2 = nn.get_parameter @w2 {nn.id = "w2", dist.strategy = #dist.strategy<@m, {d0 = {16:"tp"}}>} : tensor<16x8xf32>
    %h = nn.matmul %x, %w1 {nn.id = "fc1", dist.strategy = #dist.strategy<@m, {n = {16:"tp"}}>} : tensor<4x8xf32>, tensor<8x16xf32>
    %r = nn.relu %h {nn.id = "relu", dist.strategy = #dist.strategy<@m, {d1 = {16:"tp"}}>} : tensor<4x16xf32>
    %y = nn.matmul %r, %w2 {nn.id = "fc2", dist.strategy = #dist.strategy<@m, {k = {16:"tp"}}>} : tensor<4x16xf32>, tensor<16x8xf32>
    %z = nn.add %y, %y {nn.id = "add", dist.strategy = #dist.strategy<@m, {}>} : tensor<4x8xf32>
    return %z : tensor<4x8xf32>
  }
}
