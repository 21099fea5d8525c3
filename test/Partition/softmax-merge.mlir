// RUN: %partita-opt %s -dist-insert-reshards -dist-reshard-to-collectives \
// RUN:   | FileCheck %s
// RUN: %partita-opt %s -dist-insert-reshards -dist-reshard-to-collectives \
// RUN:   -localize | FileCheck %s --check-prefix=LOCAL

// Keys and values split over cp: each rank attends to its own keys, and the
// parts are merged by their denominators.

module {
  dist.mesh @m {axes = ["cp"], sizes = array<i64: 2>}
  // CHECK: %[[OUT:.*]], %[[LSE:.*]] = nn.attention
  // CHECK-NEXT: %[[M:.*]], %{{.*}} = dist.softmax_merge %[[OUT]], %[[LSE]] axes ["cp"]
  // CHECK: return %[[M]]
  // LOCAL: %[[OUT:.*]], %[[LSE:.*]] = nn.attention %{{.*}} scale {{.*}} : tensor<1x2x4x8xf32>, tensor<1x2x3x8xf32>, tensor<1x2x3x8xf32>
  // LOCAL: rt.collective "all_reduce" %[[LSE]] {{.*}} partial={"cp"} max>
  // LOCAL: rt.collective "all_reduce" {{.*}} partial={"cp"} sum>
  // LOCAL: nn.div
  func.func @step(
      %q: tensor<1x2x4x8xf32> {dist.sharding = #dist.sharding<@m, [{1}, {2}, {4}, {8}]>},
      %k: tensor<1x2x6x8xf32> {dist.sharding = #dist.sharding<@m, [{1}, {2}, {6:"cp"}, {8}]>})
      -> (tensor<1x2x4x8xf32> {dist.sharding = #dist.sharding<@m, [{1}, {2}, {4}, {8}]>}) {
    %out, %lse = nn.attention %q, %k, %k scale 0.5 {nn.id = "a", dist.strategy = #dist.strategy<@m, {t = {6:"cp"}}>}
        : tensor<1x2x4x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x8xf32>
    return %out : tensor<1x2x4x8xf32>
  }
}
