//===- NNBase.td - The nn dialect and its base classes -----*- tablegen -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_NN_BASE
#define PARTITA_NN_BASE

include "dialects/interfaces/Interfaces.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def NN_Dialect : Dialect {
  let name = "nn";
  let cppNamespace = "::partita::nn";
  let summary = "Tensor operations of neural networks on static shapes";
  let description = [{
    What a model computes, one operation per concept, composites (attention,
    norms, rotary embedding) kept whole. All shapes are static, broadcasts are
    explicit, dimensions are counted from zero: the quirks of file formats end
    in the importer. Matrix products carry no bias and no epilogue, so that
    partial sums can flow; fusion happens after localisation.

    Every operation carries `nn.id`, unique in the module, and `nn.nodes`, the
    names of the model's nodes that it covers.
  }];
}

def NN_Tensor : StaticShapeTensorOf<[AnyType]>;

class NN_Op<string mnemonic, list<Trait> traits = []>
    : Op<NN_Dialect, mnemonic,
         !listconcat(traits, [Pure,
           DeclareOpInterfaceMethods<ShardingRuleOpInterface>,
           DeclareOpInterfaceMethods<CostOpInterface,
                                     ["getFlops", "getKernelClass"]>])>;

/// An operation that the runtime's library computes in one call.
class NN_LibraryOp<string mnemonic, list<Trait> traits = []>
    : NN_Op<mnemonic, !listconcat(traits, [
           DeclareOpInterfaceMethods<LibraryOpInterface>])>;

#endif // PARTITA_NN_BASE
