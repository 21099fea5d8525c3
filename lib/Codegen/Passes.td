//===- Passes.td - From fusions to machine code ------------*- tablegen -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

include "mlir/Pass/PassBase.td"

def FusionToKernel : Pass<"fusion-to-kernel", "::mlir::ModuleOp"> {
  let summary = "Outlines fusions as kernels over memrefs";
  let description = [{
    Every rt.fusion becomes rt.kernel; a nested module @kernels holds one
    function for each distinct one. Equal bodies with equal addressing share it.

    ```mlir
    // before
    %r = rt.fusion(%x) : (tensor<4x8xf32>) -> tensor<4x8xf32> {
    ^bb0(%a: tensor<4x8xf32>):
      %0 = nn.relu %a : tensor<4x8xf32>
      rt.yield %0 : tensor<4x8xf32>
    }
    // after
    %r = rt.kernel "relu_4x8_ab12cd34"(%x) : (tensor<4x8xf32>) -> tensor<4x8xf32>
    module @kernels {
      func.func @relu_4x8_ab12cd34(%x: memref<32xf32> {llvm.noalias},
                                   %r: memref<32xf32> {llvm.noalias}) {
        linalg.generic .. ins(%x : memref<32xf32>) outs(%r : memref<32xf32>) ..
        return
      }
    }
    ```
  }];
  let dependentDialects = ["::partita::rt::RTDialect", "::partita::nn::NNDialect",
      "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
      "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
      "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
      "::mlir::LLVM::LLVMDialect"];
}

def KernelToLLVM : Pass<"kernel-to-llvm", "::mlir::ModuleOp"> {
  let summary = "Lowers the module @kernels to the LLVM dialect";
  let description = [{
    Precondition: fusion-to-kernel. Each kernel gets the signature by which the
    runtime calls it: addresses of operands and results, and shard offsets.

    ```mlir
    func.func @k(%x: memref<32xf32>, %r: memref<32xf32>)               // before
    llvm.func internal @k.body(%x: !llvm.ptr, %r: !llvm.ptr)            // after
    llvm.func @k(%buffers: !llvm.ptr, %offsets: !llvm.ptr)
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect",
      "::mlir::cf::ControlFlowDialect", "::mlir::affine::AffineDialect"];
}

def KernelAssembly : Pass<"kernel-assembly", "::mlir::ModuleOp"> {
  let summary = "Replaces the module @kernels by its assembly text";
  let description = [{
    Precondition: kernel-to-llvm. For looking at what the vectoriser made of a
    kernel: the text becomes the attribute `rt.assembly` of the module, or is
    written to `output`.

    ```mlir
    module { module @kernels { llvm.func @k(..) } }                    // before
    module attributes {rt.assembly = "..."} { }                        // after
    ```
  }];
  let options = [
    Option<"cpu", "cpu", "std::string", "\"host\"", "LLVM's name of the processor">,
    Option<"output", "output", "std::string", "\"\"", "File for the text">];
}
