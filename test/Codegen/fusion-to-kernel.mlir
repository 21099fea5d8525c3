// RUN: %partita-opt --fusion-to-kernel --split-input-file %s | FileCheck %s

// Dense elementwise operations are one flat loop.
// CHECK-LABEL: func.func @flat
// CHECK: rt.kernel "[[NAME:add_relu_4x8_[0-9a-f]+]]"(%arg0, %arg1)
// CHECK: module @kernels
// CHECK: func.func @[[NAME]](%{{.*}}: memref<32xf32> {llvm.noalias}, %{{.*}}: memref<32xf32> {llvm.noalias}, %{{.*}}: memref<32xf32> {llvm.noalias})
// CHECK-NOT: scf.for
// CHECK: linalg.generic {{.*}}iterator_types = ["parallel"]}
// CHECK: arith.addf
// CHECK: arith.select
func.func @flat(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %0 = rt.fusion(%x, %y) : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32> {
  ^bb0(%a: tensor<4x8xf32>, %b: tensor<4x8xf32>):
    %1 = nn.add %a, %b : tensor<4x8xf32>
    %2 = nn.relu %1 : tensor<4x8xf32>
    rt.yield %2 : tensor<4x8xf32>
  }
  return %0 : tensor<4x8xf32>
}

// -----

// A repeated operand is not in its memref but in the map; strides are static.
// CHECK-DAG: #[[ALL:.*]] = affine_map<(d0, d1) -> (d0, d1)>
// CHECK-DAG: #[[COL:.*]] = affine_map<(d0, d1) -> (d1)>
// CHECK: func.func @sub_4x8_{{.*}}(%{{.*}}: memref<4x8xf32, strided<[1, 4]>> {{.*}}, %{{.*}}: memref<8xf32> {{.*}}, %{{.*}}: memref<4x8xf32>
// CHECK: linalg.generic {indexing_maps = [#[[ALL]], #[[COL]], #[[ALL]]]
func.func @strided(%x: tensor<8x4xf32>, %y: tensor<8xf32>) -> tensor<4x8xf32> {
  %t = rt.view %x offset 0 strides [1, 4] : tensor<8x4xf32> to tensor<4x8xf32>
  %v = rt.view %y offset 0 strides [0, 1] : tensor<8xf32> to tensor<4x8xf32>
  %0 = rt.fusion(%t, %v) : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32> {
  ^bb0(%a: tensor<4x8xf32>, %b: tensor<4x8xf32>):
    %1 = nn.sub %a, %b : tensor<4x8xf32>
    rt.yield %1 : tensor<4x8xf32>
  }
  return %0 : tensor<4x8xf32>
}

// -----

// A softmax is three stages; what is dear to compute again is kept in a row on
// the stack.
// CHECK: func.func @mul_softmax_2x3x8_
// CHECK: %[[T:.*]] = memref.alloca() {alignment = 64 : i64} : memref<8xf32>
// CHECK: scf.for
// CHECK: linalg.generic
// CHECK: arith.maximumf
// CHECK: linalg.generic {{.*}} outs(%[[T]], %{{.*}} : memref<8xf32>, memref<f32>)
// CHECK: arith.addf {{.*}} fastmath<reassoc,contract>
// CHECK: linalg.generic {{.*}} ins(%[[T]]
func.func @stages(%x: tensor<2x3x8xf32>) -> tensor<2x3x8xf32> {
  %0 = rt.fusion(%x) : (tensor<2x3x8xf32>) -> tensor<2x3x8xf32> {
  ^bb0(%a: tensor<2x3x8xf32>):
    %c = nn.constant dense<0.125> : tensor<2x3x8xf32> : tensor<2x3x8xf32>
    %1 = nn.mul %a, %c : tensor<2x3x8xf32>
    %2 = nn.softmax %1 axis 2 : tensor<2x3x8xf32>
    rt.yield %2 : tensor<2x3x8xf32>
  }
  return %0 : tensor<2x3x8xf32>
}

// -----

// Loops run in the order in which the result is stored.
// CHECK: rt.kernel {{.*}} : (tensor<2x3x8xf32>) -> tensor<3x2x8xf32>
// CHECK: func.func @exp_3x2x8_{{.*}}(%{{.*}}: memref<3x2x8xf32, strided<[8, 24, 1]>> {{.*}}, %{{.*}}: memref<3x2x8xf32>
func.func @permuted(%x: tensor<2x3x8xf32>) -> tensor<3x2x8xf32> {
  %0 = rt.fusion(%x) {permutations = [array<i64: 1, 0, 2>]} : (tensor<2x3x8xf32>) -> tensor<3x2x8xf32> {
  ^bb0(%a: tensor<2x3x8xf32>):
    %1 = nn.exp %a : tensor<2x3x8xf32>
    rt.yield %1 : tensor<2x3x8xf32>
  }
  return %0 : tensor<3x2x8xf32>
}

// -----

// Booleans are bytes in memory, bfloat16 is converted by bits.
// CHECK: func.func @compare_and_select_8_{{.*}}(%{{.*}}: memref<8xi16> {{.*}}, %{{.*}}: memref<8xi8> {{.*}}, %{{.*}}: memref<8xi16>
func.func @storage(%x: tensor<8xbf16>, %m: tensor<8xi1>) -> tensor<8xbf16> {
  %0 = rt.fusion(%x, %m) : (tensor<8xbf16>, tensor<8xi1>) -> tensor<8xbf16> {
  ^bb0(%a: tensor<8xbf16>, %b: tensor<8xi1>):
    %z = nn.constant dense<0.0> : tensor<8xbf16> : tensor<8xbf16>
    %c = nn.compare "lt", %a, %z : tensor<8xbf16>
    %n = nn.and %b, %c : tensor<8xi1>
    %1 = nn.select %n, %a, %z : tensor<8xi1>, tensor<8xbf16>
    rt.yield %1 : tensor<8xbf16>
  }
  return %0 : tensor<8xbf16>
}

// -----

// A concatenation copies each operand to its place.
// CHECK: func.func @concat_4x6_{{.*}}(%{{.*}}: memref<4x4xf32, strided<[1, 4]>> {{.*}}, %[[B:.*]]: memref<4x2xf32, strided<[2, 1]>> {{.*}}, %[[R:.*]]: memref<4x6xf32, strided<[6, 1]>>
// CHECK: memref.reinterpret_cast %[[R]] to offset: [0], sizes: [4, 4], strides: [6, 1]
// CHECK: linalg.generic
// CHECK: memref.reinterpret_cast %[[R]] to offset: [4], sizes: [4, 2], strides: [6, 1]
// CHECK: linalg.generic
func.func @concat(%x: tensor<4x4xf32>, %y: tensor<4x2xf32>) -> tensor<4x6xf32> {
  %t = rt.view %x offset 0 strides [1, 4] : tensor<4x4xf32> to tensor<4x4xf32>
  %0 = rt.fusion(%t, %y) : (tensor<4x4xf32>, tensor<4x2xf32>) -> tensor<4x6xf32> {
  ^bb0(%a: tensor<4x4xf32>, %b: tensor<4x2xf32>):
    %1 = nn.concat %a, %b axis 1 : tensor<4x4xf32>, tensor<4x2xf32> to tensor<4x6xf32>
    rt.yield %1 : tensor<4x6xf32>
  }
  return %0 : tensor<4x6xf32>
}
