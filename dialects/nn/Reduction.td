//===- Reduction.td - Reductions, softmax and norms --------*- tablegen -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_NN_REDUCTION
#define PARTITA_NN_REDUCTION

include "dialects/nn/NNBase.td"

def NN_ReduceOp : NN_Op<"reduce", [InferTypeOpAdaptor]> {
  let summary = "Combines the elements of dimensions";
  let description = [{
    `kind` is "sum", "max", "min" or "prod"; reduced dimensions vanish. Their
    factors are reductions with that combiner. A mean is a sum and a scale.
    Linear if the kind is "sum". Constraint: axes ascend and are in range.

    ```mlir
    %s = nn.reduce "sum", %x [1] : tensor<4x8xf32>
    ```
  }];
  let arguments = (ins StrAttr:$kind, NN_Tensor:$input,
                       DenseI64ArrayAttr:$axes);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$kind `,` $input $axes attr-dict `:` type($input)";
  let hasVerifier = 1;
}

def NN_CumSumOp : NN_Op<"cumsum", [SameOperandsAndResultType,
    DeclareOpInterfaceMethods<LibraryOpInterface, ["takesStrides"]>]> {
  let summary = "Running sum along a dimension";
  let arguments = (ins NN_Tensor:$input, I64Attr:$axis, UnitAttr:$exclusive,
                       UnitAttr:$reverse);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = [{
    $input `axis` $axis (`exclusive` $exclusive^)? (`reverse` $reverse^)?
    attr-dict `:` type($result)
  }];
  let hasVerifier = 1;
}

def NN_SoftmaxOp : NN_Op<"softmax", [SameOperandsAndResultType]> {
  let summary = "e^x over its sum along a dimension";
  let description = [{ The dimension stays whole. }];
  let arguments = (ins NN_Tensor:$input, I64Attr:$axis);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$input `axis` $axis attr-dict `:` type($result)";
  let hasVerifier = 1;
}

class NN_Norm<string mnemonic, string what, list<Trait> traits = []>
    : NN_Op<mnemonic, !listconcat(traits, [
        AllTypesMatch<["input", "result"]>])> {
  let summary = what;
  let results = (outs NN_Tensor:$result);
  let hasVerifier = 1;
}

def NN_LayerNormOp : NN_Norm<"layer_norm",
    "Normalises the last dimension by mean and variance"> {
  let description = [{
    `(x - mean) / sqrt(var + epsilon) * scale + bias`; the last dimension stays
    whole. Constraint: scale and bias have its size.
  }];
  let arguments = (ins NN_Tensor:$input, NN_Tensor:$scale,
                       Optional<NN_Tensor>:$bias, F64Attr:$epsilon);
  let assemblyFormat = [{
    $input `,` $scale (`,` $bias^)? `epsilon` $epsilon attr-dict `:`
    type($input) `,` type($scale) (`,` type($bias)^)?
  }];
}

def NN_RMSNormOp : NN_Norm<"rms_norm",
    "Normalises the last dimension by its root mean square"> {
  let description = [{
    `x / sqrt(mean(x^2) + epsilon) * scale`; the last dimension stays whole.
    Constraint: scale has its size.
  }];
  let arguments = (ins NN_Tensor:$input, NN_Tensor:$scale, F64Attr:$epsilon);
  let assemblyFormat = [{
    $input `,` $scale `epsilon` $epsilon attr-dict `:` type($input) `,`
    type($scale)
  }];
}

#endif // PARTITA_NN_REDUCTION
