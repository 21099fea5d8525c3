//===- Interface.td - What makes an operation differentiable *- tablegen -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_DIFFERENTIATE_INTERFACE
#define PARTITA_DIFFERENTIATE_INTERFACE

include "mlir/IR/OpBase.td"

def DifferentiableOpInterface : OpInterface<"DifferentiableOpInterface"> {
  let cppNamespace = "::partita";
  let description = [{
    Builds the backward pass of one operation out of operations. What an
    operation is not differentiable in, and where, its rule says by failing with
    exit code 3.
  }];
  let methods = [
    InterfaceMethod<[{Given the gradients of the results, builds those of the
      operands that are wanted. A gradient has the type of its value.}],
      "::partita::Status", "differentiate",
      (ins "::partita::Adjoint &":$adjoint)>,
  ];
}

#endif // PARTITA_DIFFERENTIATE_INTERFACE
