// RUN: %partita-opt %s -nn-simplify -nn-raise-norms -nn-deduplicate | FileCheck %s

// The way torch exports LlamaRMSNorm.
// CHECK-LABEL: func.func @rms_norm
// CHECK-NEXT: nn.rms_norm %arg0, %arg1 epsilon 9.9999999747524271E-7
// CHECK-SAME: nn.id = "scaled"
// CHECK-SAME: nn.nodes = ["square", "mean", "eps", "root", "inverse", "normed", "scaled"]
// CHECK-NEXT: return
func.func @rms_norm(%x: tensor<2x3x4xf32>, %w: tensor<4xf32>) -> tensor<2x3x4xf32> {
  %sq = nn.mul %x, %x {nn.id = "square", nn.nodes = ["square"]} : tensor<2x3x4xf32>
  %sum = nn.reduce "sum", %sq [2] {nn.id = "mean.1", nn.nodes = ["mean"]} : tensor<2x3x4xf32>
  %keep = nn.reshape %sum {nn.id = "mean.2", nn.nodes = ["mean"]} : tensor<2x3xf32> to tensor<2x3x1xf32>
  %n = nn.constant dense<0.25> : tensor<2x3x1xf32> {nn.id = "mean.3", nn.nodes = ["mean"]} : tensor<2x3x1xf32>
  %mean = nn.mul %keep, %n {nn.id = "mean", nn.nodes = ["mean"]} : tensor<2x3x1xf32>
  %e = nn.constant dense<1.0e-6> : tensor<2x3x1xf32> {nn.id = "e", nn.nodes = ["eps"]} : tensor<2x3x1xf32>
  %eps = nn.add %mean, %e {nn.id = "eps", nn.nodes = ["eps"]} : tensor<2x3x1xf32>
  %root = nn.sqrt %eps {nn.id = "root", nn.nodes = ["root"]} : tensor<2x3x1xf32>
  %inv = nn.reciprocal %root {nn.id = "inverse", nn.nodes = ["inverse"]} : tensor<2x3x1xf32>
  %b = nn.broadcast %inv [0, 1, 2] {nn.id = "normed.1", nn.nodes = ["normed"]} : tensor<2x3x1xf32> to tensor<2x3x4xf32>
  %normed = nn.mul %x, %b {nn.id = "normed", nn.nodes = ["normed"]} : tensor<2x3x4xf32>
  %wb = nn.broadcast %w [2] {nn.id = "scaled.1", nn.nodes = ["scaled"]} : tensor<4xf32> to tensor<2x3x4xf32>
  %y = nn.mul %wb, %normed {nn.id = "scaled", nn.nodes = ["scaled"]} : tensor<2x3x4xf32>
  return %y : tensor<2x3x4xf32>
}

// In half precision, with the statistic in f32, and a division by the root.
// CHECK-LABEL: func.func @rms_norm_f16
// CHECK-NEXT: nn.rms_norm %arg0, %arg1 epsilon 9.9999997473787516E-6
// CHECK-NEXT: return
func.func @rms_norm_f16(%x: tensor<3x4xf16>, %w: tensor<4xf16>) -> tensor<3x4xf16> {
  %x32 = nn.cast %x {nn.id = "up", nn.nodes = []} : tensor<3x4xf16> to tensor<3x4xf32>
  %sq = nn.mul %x32, %x32 {nn.id = "square", nn.nodes = []} : tensor<3x4xf32>
  %sum = nn.reduce "sum", %sq [1] {nn.id = "sum", nn.nodes = []} : tensor<3x4xf32>
  %n = nn.constant dense<4.0> : tensor<3xf32> {nn.id = "n", nn.nodes = []} : tensor<3xf32>
  %mean = nn.div %sum, %n {nn.id = "mean", nn.nodes = []} : tensor<3xf32>
  %e = nn.constant dense<1.0e-5> : tensor<3xf32> {nn.id = "e", nn.nodes = []} : tensor<3xf32>
  %eps = nn.add %e, %mean {nn.id = "eps", nn.nodes = []} : tensor<3xf32>
  %root = nn.sqrt %eps {nn.id = "root", nn.nodes = []} : tensor<3xf32>
  %b = nn.broadcast %root [0] {nn.id = "b", nn.nodes = []} : tensor<3xf32> to tensor<3x4xf32>
  %normed = nn.div %x32, %b {nn.id = "normed", nn.nodes = []} : tensor<3x4xf32>
  %x16 = nn.cast %normed {nn.id = "down", nn.nodes = []} : tensor<3x4xf32> to tensor<3x4xf16>
  %wb = nn.broadcast %w [1] {nn.id = "wb", nn.nodes = []} : tensor<4xf16> to tensor<3x4xf16>
  %y = nn.mul %x16, %wb {nn.id = "scaled", nn.nodes = []} : tensor<3x4xf16>
  return %y : tensor<3x4xf16>
}

// CHECK-LABEL: func.func @layer_norm
// CHECK-NEXT: nn.layer_norm %arg0, %arg1, %arg2 epsilon 9.9999997473787516E-6
// CHECK-SAME: nn.id = "out"
// CHECK-NEXT: return
func.func @layer_norm(%x: tensor<3x4xf32>, %w: tensor<4xf32>, %v: tensor<4xf32>) -> tensor<3x4xf32> {
  %n = nn.constant dense<0.25> : tensor<3x1xf32> {nn.id = "n", nn.nodes = []} : tensor<3x1xf32>
  %s0 = nn.reduce "sum", %x [1] {nn.id = "s0", nn.nodes = []} : tensor<3x4xf32>
  %k0 = nn.reshape %s0 {nn.id = "k0", nn.nodes = []} : tensor<3xf32> to tensor<3x1xf32>
  %m0 = nn.mul %n, %k0 {nn.id = "m0", nn.nodes = []} : tensor<3x1xf32>
  %b0 = nn.broadcast %m0 [0, 1] {nn.id = "b0", nn.nodes = []} : tensor<3x1xf32> to tensor<3x4xf32>
  %c = nn.sub %x, %b0 {nn.id = "c", nn.nodes = []} : tensor<3x4xf32>
  %sq = nn.mul %c, %c {nn.id = "sq", nn.nodes = []} : tensor<3x4xf32>
  %s1 = nn.reduce "sum", %sq [1] {nn.id = "s1", nn.nodes = []} : tensor<3x4xf32>
  %k1 = nn.reshape %s1 {nn.id = "k1", nn.nodes = []} : tensor<3xf32> to tensor<3x1xf32>
  %m1 = nn.mul %k1, %n {nn.id = "m1", nn.nodes = []} : tensor<3x1xf32>
  %e = nn.constant dense<1.0e-5> : tensor<3x1xf32> {nn.id = "e", nn.nodes = []} : tensor<3x1xf32>
  %eps = nn.add %m1, %e {nn.id = "eps", nn.nodes = []} : tensor<3x1xf32>
  %root = nn.sqrt %eps {nn.id = "root", nn.nodes = []} : tensor<3x1xf32>
  %b1 = nn.broadcast %root [0, 1] {nn.id = "b1", nn.nodes = []} : tensor<3x1xf32> to tensor<3x4xf32>
  %d = nn.div %c, %b1 {nn.id = "d", nn.nodes = []} : tensor<3x4xf32>
  %wb = nn.broadcast %w [1] {nn.id = "wb", nn.nodes = []} : tensor<4xf32> to tensor<3x4xf32>
  %y = nn.mul %d, %wb {nn.id = "y", nn.nodes = []} : tensor<3x4xf32>
  %vb = nn.broadcast %v [1] {nn.id = "vb", nn.nodes = []} : tensor<4xf32> to tensor<3x4xf32>
  %z = nn.add %vb, %y {nn.id = "out", nn.nodes = []} : tensor<3x4xf32>
  return %z : tensor<3x4xf32>
}

// On a square, a statistic of the rows spread over the columns looks alike.
// CHECK-LABEL: func.func @wrong_dimension
// CHECK-NOT: nn.rms_norm
// CHECK: return
func.func @wrong_dimension(%x: tensor<4x4xf32>, %w: tensor<4xf32>) -> tensor<4x4xf32> {
  %sq = nn.mul %x, %x {nn.id = "square", nn.nodes = []} : tensor<4x4xf32>
  %sum = nn.reduce "sum", %sq [1] {nn.id = "sum", nn.nodes = []} : tensor<4x4xf32>
  %n = nn.constant dense<0.25> : tensor<4xf32> {nn.id = "n", nn.nodes = []} : tensor<4xf32>
  %mean = nn.mul %sum, %n {nn.id = "mean", nn.nodes = []} : tensor<4xf32>
  %e = nn.constant dense<1.0e-6> : tensor<4xf32> {nn.id = "e", nn.nodes = []} : tensor<4xf32>
  %eps = nn.add %mean, %e {nn.id = "eps", nn.nodes = []} : tensor<4xf32>
  %inv = nn.rsqrt %eps {nn.id = "inv", nn.nodes = []} : tensor<4xf32>
  %b = nn.broadcast %inv [1] {nn.id = "b", nn.nodes = []} : tensor<4xf32> to tensor<4x4xf32>
  %normed = nn.mul %x, %b {nn.id = "normed", nn.nodes = []} : tensor<4x4xf32>
  %wb = nn.broadcast %w [1] {nn.id = "wb", nn.nodes = []} : tensor<4xf32> to tensor<4x4xf32>
  %y = nn.mul %normed, %wb {nn.id = "scaled", nn.nodes = []} : tensor<4x4xf32>
  return %y : tensor<4x4xf32>
}

// A mean over the wrong number of elements is no mean.
// CHECK-LABEL: func.func @wrong_count
// CHECK-NOT: nn.rms_norm
// CHECK: return
func.func @wrong_count(%x: tensor<3x4xf32>, %w: tensor<4xf32>) -> tensor<3x4xf32> {
  %sq = nn.mul %x, %x {nn.id = "square", nn.nodes = []} : tensor<3x4xf32>
  %sum = nn.reduce "sum", %sq [1] {nn.id = "sum", nn.nodes = []} : tensor<3x4xf32>
  %n = nn.constant dense<0.5> : tensor<3xf32> {nn.id = "n", nn.nodes = []} : tensor<3xf32>
  %mean = nn.mul %sum, %n {nn.id = "mean", nn.nodes = []} : tensor<3xf32>
  %e = nn.constant dense<1.0e-6> : tensor<3xf32> {nn.id = "e", nn.nodes = []} : tensor<3xf32>
  %eps = nn.add %mean, %e {nn.id = "eps", nn.nodes = []} : tensor<3xf32>
  %inv = nn.rsqrt %eps {nn.id = "inv", nn.nodes = []} : tensor<3xf32>
  %b = nn.broadcast %inv [0] {nn.id = "b", nn.nodes = []} : tensor<3xf32> to tensor<3x4xf32>
  %normed = nn.mul %x, %b {nn.id = "normed", nn.nodes = []} : tensor<3x4xf32>
  %wb = nn.broadcast %w [1] {nn.id = "wb", nn.nodes = []} : tensor<4xf32> to tensor<3x4xf32>
  %y = nn.mul %normed, %wb {nn.id = "scaled", nn.nodes = []} : tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}
