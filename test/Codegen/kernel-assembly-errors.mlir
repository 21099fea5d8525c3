// RUN: not %partita-opt --fusion-to-kernel --kernel-to-llvm --kernel-assembly=cpu=nonsense %s 2>&1 | FileCheck %s --check-prefix=CPU
// RUN: not %partita-opt --fusion-to-kernel --kernel-to-llvm --kernel-assembly=output=/dev/full %s 2>&1 | FileCheck %s --check-prefix=FULL

// CPU: error[codegen.cpu]: nonsense: is no processor of x86_64
// CPU: hint: use host, or a name such as x86-64-v3
// FULL: cannot write /dev/full
func.func @f(%x: tensor<8xf32>) -> tensor<8xf32> {
  %0 = rt.fusion(%x) : (tensor<8xf32>) -> tensor<8xf32> {
  ^bb0(%a: tensor<8xf32>):
    %1 = nn.exp %a : tensor<8xf32>
    rt.yield %1 : tensor<8xf32>
  }
  return %0 : tensor<8xf32>
}
