// RUN: %partita-opt --fusion-to-kernel --kernel-to-llvm %s | FileCheck %s
// RUN: %partita-opt --fusion-to-kernel --kernel-to-llvm --kernel-assembly='cpu=x86-64-v4 output=%t.s' %s | FileCheck %s --check-prefix=LEFT
// RUN: FileCheck %s --check-prefix=WIDE --input-file %t.s

// The runtime calls a kernel with an array of addresses.
// CHECK: llvm.func @[[NAME:layer_norm_4x256_[0-9a-f]+]](%[[A:.*]]: !llvm.ptr, %{{.*}}: !llvm.ptr)
// CHECK: %[[X:.*]] = llvm.load
// CHECK: %[[S:.*]] = llvm.getelementptr %[[A]][1]
// CHECK: llvm.call @[[NAME]].body(
// CHECK: llvm.func internal @[[NAME]].body(%{{.*}}: !llvm.ptr {llvm.noalias}, %{{.*}}: !llvm.ptr {llvm.noalias}

// LEFT-NOT: module @kernels

// It is vectorised with the widest registers, and calls nothing.
// WIDE: layer_norm_4x256_
// WIDE: vaddps {{.*}}%zmm
// WIDE-NOT: call
func.func @f(%x: tensor<4x256xf32>, %g: tensor<256xf32>, %b: tensor<256xf32>) -> tensor<4x256xf32> {
  %0 = rt.fusion(%x, %g, %b) : (tensor<4x256xf32>, tensor<256xf32>, tensor<256xf32>) -> tensor<4x256xf32> {
  ^bb0(%a: tensor<4x256xf32>, %s: tensor<256xf32>, %t: tensor<256xf32>):
    %1 = nn.layer_norm %a, %s, %t epsilon 1.0e-5 : tensor<4x256xf32>, tensor<256xf32>, tensor<256xf32>
    rt.yield %1 : tensor<4x256xf32>
  }
  return %0 : tensor<4x256xf32>
}
