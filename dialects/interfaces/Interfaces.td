//===- Interfaces.td - What makes an operation plannable ---*- tablegen -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// An operation of any dialect that implements ShardingRuleOpInterface and
// CostOpInterface can be planned and partitioned; LocalizeOpInterface is needed
// only where cloning with local types is not enough; ReferenceOpInterface lets
// the interpreter run it. An operation that the runtime's library computes has
// LibraryOpInterface, by which it is interpreted and compiled.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_INTERFACES
#define PARTITA_INTERFACES

include "mlir/IR/OpBase.td"

def ShardingRuleOpInterface : OpInterface<"ShardingRuleOpInterface"> {
  let cppNamespace = "::partita";
  let description = [{
    Publishes the loops of an operation and which loop each dimension of each
    tensor operand and result walks. The rule depends on types and attributes
    alone.
  }];
  let methods = [
    InterfaceMethod<"The operation's sharding rule.",
                    "::partita::ShardingRule", "getShardingRule">,
  ];
}

def CostOpInterface : OpInterface<"CostOpInterface"> {
  let cppNamespace = "::partita";
  let description = [{
    Publishes what an operation costs as a whole; the cost model divides by the
    strategy's shares and prices bytes from the types.
  }];
  let methods = [
    InterfaceMethod<"Floating point operations; zero for data movement.",
                    "int64_t", "getFlops", (ins), [{}], [{ return 0; }]>,
    InterfaceMethod<"What bounds its kernel.", "::partita::KernelClass",
                    "getKernelClass", (ins), [{}],
                    [{ return ::partita::KernelClass::Memory; }]>,
  ];
}

def LocalizeOpInterface : OpInterface<"LocalizeOpInterface"> {
  let cppNamespace = "::partita";
  let description = [{
    Builds the operation of one rank class from local operands. The default,
    for operations without this interface, clones with local result types.
  }];
  let methods = [
    InterfaceMethod<"Builds the local operation.", "::mlir::Operation *",
      "localize",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::ValueRange":$operands,
           "::mlir::TypeRange":$results,
           "const ::partita::LocalPlace &":$place)>,
  ];
}

def ReferenceOpInterface : OpInterface<"ReferenceOpInterface"> {
  let cppNamespace = "::partita";
  let description = [{
    Evaluates the operation on dense tensors: the oracle of every lowering.
    Floating point results are computed in double and rounded once to the
    result's type.
  }];
  let methods = [
    InterfaceMethod<"Computes the results.",
      "::partita::Result<std::vector<::partita::HostTensor>>", "evaluate",
      (ins "::llvm::ArrayRef<::partita::HostTensor>":$operands,
           "const ::partita::RankPlace &":$place)>,
  ];
}

def LibraryOpInterface : OpInterface<"LibraryOpInterface"> {
  let cppNamespace = "::partita";
  let description = [{
    Says that one call of the runtime's library computes the operation: nothing
    else is needed to run it, compiled or interpreted. Operands and results are
    those of the operation; attributes go by name (see LibraryCall).
  }];
  let methods = [
    InterfaceMethod<"The callee; by default the operation's mnemonic.",
      "::llvm::StringRef", "getLibraryCallee", (ins), [{}],
      [{ return $_op->getName().stripDialect(); }]>,
    InterfaceMethod<[{Whether the callee reads and writes views with any
      strides. If not, it sees row-major tensors only.}],
      "bool", "takesStrides", (ins), [{}], [{ return false; }]>,
  ];
}

#endif // PARTITA_INTERFACES
