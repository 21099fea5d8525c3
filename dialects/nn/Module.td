//===- Module.td - Parameters and unknown operations -------*- tablegen -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The module attribute `nn.files` lists the weight files: dictionaries of
// path, size and hash.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_NN_MODULE
#define PARTITA_NN_MODULE

include "dialects/nn/NNBase.td"

def NN_ParameterOp : Op<NN_Dialect, "parameter", [Symbol]> {
  let summary = "A weight: a place in a file";
  let description = [{
    Weight bytes never enter the IR. `file` indexes the module's `nn.files`; -1
    if the weights are absent. Constraints: offset and length are not negative;
    length is the size of the type's elements.

    ```mlir
    nn.parameter @w : tensor<768x768xf32> {file = 0 : i64, offset = 64 : i64,
                                           length = 2359296 : i64}
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttr:$type, I64Attr:$file,
                       I64Attr:$offset, I64Attr:$length);
  let assemblyFormat = "$sym_name `:` $type attr-dict";
  let hasVerifier = 1;
}

def NN_GetParameterOp : NN_Op<"get_parameter",
    [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "The value of a parameter";
  let description = [{
    One parallel factor a dimension: where a weight is stored is a strategy.
    After localisation `sharding` says which box this rank reads.
  }];
  let arguments = (ins FlatSymbolRefAttr:$parameter,
                       OptionalAttr<AnyAttr>:$sharding);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = [{
    $parameter attr-dict `:` type($result) (`sharding` $sharding^)?
  }];
}

def NN_UnregisteredOp : Op<NN_Dialect, "unregistered"> {
  let summary = "An operator that the importer does not know";
  let description = [{
    Keeps import going, so that one run reports every gap. No later stage
    accepts it.
  }];
  let arguments = (ins Variadic<AnyType>:$inputs, StrAttr:$domain,
                       StrAttr:$name, I64Attr:$version);
  let results = (outs Variadic<AnyType>:$results);
  let assemblyFormat = [{
    $domain $name $version `(` $inputs `)` attr-dict `:`
    functional-type($inputs, $results)
  }];
}

#endif // PARTITA_NN_MODULE
