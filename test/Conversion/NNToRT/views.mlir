// RUN: %partita-opt --nn-to-rt %s | FileCheck %s

// Chains of views are one view of the buffer, never a view of a view.
// CHECK-LABEL: func.func @chain
// CHECK: %[[V:.*]] = rt.view %arg0 offset 7 strides [0, 0, -2] : tensor<4x8xf32> to tensor<1x3x2xf32>
// CHECK-NEXT: %[[C:.*]] = rt.call "copy"(%[[V]])
// CHECK-NEXT: return %[[C]]
func.func @chain(%x: tensor<4x8xf32>) -> tensor<1x3x2xf32> {
  %0 = nn.slice %x [0, 1] step [1, 2] : tensor<4x8xf32> to tensor<1x4xf32>
  %1 = nn.slice %0 [0, 2] step [1, 1] : tensor<1x4xf32> to tensor<1x2xf32>
  %2 = nn.slice %1 [0, 1] step [-1, -1] : tensor<1x2xf32> to tensor<1x2xf32>
  %3 = nn.broadcast %2 [0, 2] : tensor<1x2xf32> to tensor<1x3x2xf32>
  return %3 : tensor<1x3x2xf32>
}

// A reshape of a whole buffer is the same bytes: nothing is copied.
// CHECK-LABEL: func.func @same_bytes
// CHECK-NEXT: %[[V:.*]] = rt.view %arg0 offset 0 strides [12, 4, 1] : tensor<6x4xf32> to tensor<2x3x4xf32>
// CHECK-NEXT: return %[[V]]
func.func @same_bytes(%x: tensor<6x4xf32>) -> tensor<2x3x4xf32> {
  %0 = nn.reshape %x : tensor<6x4xf32> to tensor<2x3x4xf32>
  return %0 : tensor<2x3x4xf32>
}

// Dimensions of a strided view that lie apart cannot be merged.
// CHECK-LABEL: func.func @needs_copy
// CHECK: %[[T:.*]] = rt.view %arg0 offset 0 strides [1, 4]
// CHECK: %[[C:.*]] = rt.call "copy"(%[[T]]) : (tensor<4x6xf32>) -> tensor<4x6xf32>
// CHECK: %[[V:.*]] = rt.view %[[C]] offset 0 strides [1] : tensor<4x6xf32> to tensor<24xf32>
// CHECK: return %[[V]]
func.func @needs_copy(%x: tensor<6x4xf32>) -> tensor<24xf32> {
  %0 = nn.transpose %x [1, 0] : tensor<6x4xf32>
  %1 = nn.reshape %0 : tensor<4x6xf32> to tensor<24xf32>
  return %1 : tensor<24xf32>
}

// Two readers of one such reshape share the copy.
// CHECK-LABEL: func.func @one_copy
// CHECK-COUNT-1: rt.call "copy"
// CHECK-NOT: rt.call "copy"
// CHECK: return
func.func @one_copy(%x: tensor<6x4xf32>) -> (tensor<24xf32>, tensor<2x12xf32>) {
  %0 = nn.transpose %x [1, 0] : tensor<6x4xf32>
  %1 = nn.reshape %0 : tensor<4x6xf32> to tensor<24xf32>
  %2 = nn.reshape %0 : tensor<4x6xf32> to tensor<2x12xf32>
  return %1, %2 : tensor<24xf32>, tensor<2x12xf32>
}

// Heads of a fused projection: split, reshape and transpose at once.
// CHECK-LABEL: func.func @heads
// CHECK-DAG: rt.view %arg0 offset 0 strides [2880, 16, 288, 1] : tensor<2x10x288xf32> to tensor<2x6x10x16xf32>
// CHECK-DAG: rt.view %arg0 offset 96 strides [2880, 16, 288, 1] : tensor<2x10x288xf32> to tensor<2x6x10x16xf32>
// CHECK-DAG: rt.view %arg0 offset 192 strides [2880, 16, 288, 1] : tensor<2x10x288xf32> to tensor<2x6x10x16xf32>
// CHECK: rt.call "attention"
// The result is stored as the transpose wants it.
// CHECK-SAME: permutations = [array<i64: 0, 2, 1, 3>]
// CHECK-SAME: -> tensor<2x10x6x16xf32>
// CHECK-NEXT: rt.view %{{.*}} offset 0 strides [960, 96, 1] : tensor<2x10x6x16xf32> to tensor<2x10x96xf32>
// CHECK-NEXT: return
func.func @heads(%x: tensor<2x10x288xf32>) -> tensor<2x10x96xf32> {
  %p:3 = nn.split %x axis 2 : tensor<2x10x288xf32> to tensor<2x10x96xf32>, tensor<2x10x96xf32>, tensor<2x10x96xf32>
  %q0 = nn.reshape %p#0 : tensor<2x10x96xf32> to tensor<2x10x6x16xf32>
  %k0 = nn.reshape %p#1 : tensor<2x10x96xf32> to tensor<2x10x6x16xf32>
  %v0 = nn.reshape %p#2 : tensor<2x10x96xf32> to tensor<2x10x6x16xf32>
  %q = nn.transpose %q0 [0, 2, 1, 3] : tensor<2x10x6x16xf32>
  %k = nn.transpose %k0 [0, 2, 1, 3] : tensor<2x10x6x16xf32>
  %v = nn.transpose %v0 [0, 2, 1, 3] : tensor<2x10x6x16xf32>
  %o, %l = nn.attention %q, %k, %v scale 0.25 : tensor<2x6x10x16xf32>, tensor<2x6x10x16xf32>, tensor<2x6x10x16xf32>
  %t = nn.transpose %o [0, 2, 1, 3] : tensor<2x6x10x16xf32>
  %r = nn.reshape %t : tensor<2x10x6x16xf32> to tensor<2x10x96xf32>
  return %r : tensor<2x10x96xf32>
}

// A constant of one element is one element, whatever its shape.
// CHECK-LABEL: func.func @splat
// CHECK: %[[C:.*]] = nn.constant dense<5> : tensor<1xi64>
// CHECK: %[[V:.*]] = rt.view %[[C]] offset 0 strides [0, 0] : tensor<1xi64> to tensor<4x8xi64>
// CHECK: rt.call "gather"(%arg0, %[[V]])
func.func @splat(%x: tensor<9x3xf32>) -> tensor<4x8x3xf32> {
  %c = nn.constant dense<5> : tensor<4x8xi64> : tensor<4x8xi64>
  %0 = nn.gather %x, %c axis 0 : tensor<9x3xf32>, tensor<4x8xi64>
  return %0 : tensor<4x8x3xf32>
}
