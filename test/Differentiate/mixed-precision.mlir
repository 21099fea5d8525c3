// RUN: %partita-opt --nn-differentiate="loss=cross-entropy" %s | FileCheck %s
// RUN: sed -e 's/bf16/f32/g' -e 's/= 24/= 48/' %s > %t.mlir
// RUN: %partita-opt --nn-differentiate="bf16" %t.mlir | FileCheck %s --check-prefix=BF16

// Weights of half precision have a master copy in f32, which the step rounds. The
// loss is computed in f32.

// CHECK-LABEL: func.func @step
// CHECK-SAME: %[[W:[a-z0-9]+]]: tensor<4x3xf32> {nn.name = "w", nn.state = @w}
// CHECK-SAME: tensor<4x3xf32> {nn.name = "w.m", nn.state}
// CHECK-SAME: tensor<5xi64> {nn.name = "train.targets", nn.range = "0:3"}
// CHECK: %[[R:.*]] = nn.cast %[[W]] {nn.id = "w/round"} : tensor<4x3xf32> to tensor<4x3xbf16>
// CHECK: %[[Y:.*]] = nn.matmul %{{.*}}, %[[R]]
// CHECK: nn.cast %[[Y]] {nn.id = "train.loss"{{.*}} : tensor<5x3xbf16> to tensor<5x3xf32>
// CHECK: %[[D:.*]] = nn.matmul {{.*}}nn.id = "y/grad
// CHECK: %[[G:.*]] = nn.cast %[[D]] {nn.id = "w/round/grad"} : tensor<4x3xbf16> to tensor<4x3xf32>
// CHECK: nn.adamw %[[W]], %{{.*}}, %{{.*}}, %[[G]], {{.*}}nn.id = "w/adamw"

// So are those of a model of f32, if it is to compute in bf16: inputs are rounded
// where they meet a weight.

// BF16-LABEL: func.func @step
// BF16-SAME: %[[X:[a-z0-9]+]]: tensor<5x4xf32>
// BF16-SAME: %[[W:[a-z0-9]+]]: tensor<4x3xf32> {nn.name = "w", nn.state = @w}
// BF16-DAG: %[[RX:.*]] = nn.cast %[[X]] {{.*}} : tensor<5x4xf32> to tensor<5x4xbf16>
// BF16-DAG: %[[RW:.*]] = nn.cast %[[W]] {nn.id = "w/round"} : tensor<4x3xf32> to tensor<4x3xbf16>
// BF16: nn.matmul %[[RX]], %[[RW]] {nn.id = "y"}
// BF16: nn.cast {{.*}} {nn.id = "w/round/grad"} : tensor<4x3xbf16> to tensor<4x3xf32>
nn.parameter @w : tensor<4x3xbf16> {file = -1 : i64, offset = 0 : i64, length = 24 : i64}
func.func @step(%x: tensor<5x4xbf16>) -> (tensor<5x3xbf16> {nn.name = "y"}) {
  %w = nn.get_parameter @w {nn.id = "w"} : tensor<4x3xbf16>
  %y = nn.matmul %x, %w {nn.id = "y"} : tensor<5x4xbf16>, tensor<4x3xbf16>
  return %y : tensor<5x3xbf16>
}
