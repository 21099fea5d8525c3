//===- Recurrent.td - Recurrent layers ---------------------*- tablegen -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Operations of which each step needs the one before.
//
// A recurrent layer is one direction over a whole sequence. What the steps
// contribute independently of each other, x W + bias, is a matrix product
// outside: operand `gates` [t, b, g h] for g gates of h elements. The recurrence
// itself needs the whole state in every step, so that only the sequences of a
// batch are parallel.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_NN_RECURRENT
#define PARTITA_NN_RECURRENT

include "dialects/nn/NNBase.td"

class NN_RecurrentOp<string mnemonic, string what, list<Trait> traits = []>
    : NN_LibraryOp<mnemonic, traits> {
  let summary = what;
  string common = [{

    `weights` are [h, g h], `initial` states [b, h]; results are the states after
    each step [t, b, h], and the last one [b, h]. With `reverse` steps go from
    the end. With `lengths` [b] (i32), sequence b has so many steps, behind which
    results are zero. `activations` are names with commas between, `alpha` and
    `beta` the parameters of each; what they are applied to is first limited to
    -clip and clip, if `clip` is not zero. Constraint: elements are f32 or f64.
  }];
  let hasVerifier = 1;
  dag attributes = (ins StrAttr:$activations, DenseF64ArrayAttr:$alpha,
                        DenseF64ArrayAttr:$beta, F64Attr:$clip,
                        UnitAttr:$reverse);
}

def NN_RNNOp : NN_RecurrentOp<"rnn", "A layer of simple recurrent units"> {
  let description = [{ `h' = f(gates + h weights)`.}] # common;
  let arguments = !con((ins NN_Tensor:$gates, NN_Tensor:$weights,
                            NN_Tensor:$initial, Optional<NN_Tensor>:$lengths),
                       attributes);
  let results = (outs NN_Tensor:$states, NN_Tensor:$last);
  let assemblyFormat = [{
    $gates `,` $weights `,` $initial (`lengths` $lengths^)? attr-dict `:`
    functional-type(operands, results)
  }];
}

def NN_GRUOp : NN_RecurrentOp<"gru", "A layer of gated recurrent units",
    [AttrSizedOperandSegments]> {
  let description = [{
    With gates z, r, n in this order: `z = f(gz + h Wz)`, `r = f(gr + h Wr)`,
    `n = g(gn + (r h) Wn)` or, given the bias [h] of the recurrence,
    `n = g(gn + r (h Wn + bias))`; `h' = (1 - z) n + z h`.}] # common;
  let arguments = !con((ins NN_Tensor:$gates, NN_Tensor:$weights,
                            NN_Tensor:$initial, Optional<NN_Tensor>:$bias,
                            Optional<NN_Tensor>:$lengths), attributes);
  let results = (outs NN_Tensor:$states, NN_Tensor:$last);
  let assemblyFormat = [{
    $gates `,` $weights `,` $initial (`bias` $bias^)? (`lengths` $lengths^)?
    attr-dict `:` functional-type(operands, results)
  }];
}

def NN_LSTMOp : NN_RecurrentOp<"lstm", "A layer of long short-term memory",
    [AttrSizedOperandSegments]> {
  let description = [{
    With gates i, o, f, n in this order and peepholes p [3, h] for i, o and f
    (zero if they are not given): `i = f(gi + h Wi + pi c)`, `f = f(gf + h Wf +
    pf c)` (or 1 - i with `coupled`), `c' = f c + i g(gn + h Wn)`,
    `o = f(go + h Wo + po c')`, `h' = o h(c')`. The third result is the last cell
    state.}] # common;
  let arguments = !con((ins NN_Tensor:$gates, NN_Tensor:$weights,
                            NN_Tensor:$initial, NN_Tensor:$cell,
                            Optional<NN_Tensor>:$peepholes,
                            Optional<NN_Tensor>:$lengths), attributes,
                       (ins UnitAttr:$coupled));
  let results = (outs NN_Tensor:$states, NN_Tensor:$last,
                      NN_Tensor:$last_cell);
  let assemblyFormat = [{
    $gates `,` $weights `,` $initial `,` $cell (`peepholes` $peepholes^)?
    (`lengths` $lengths^)? attr-dict `:` functional-type(operands, results)
  }];
}

def NN_CumProdOp : NN_Op<"cumprod", [SameOperandsAndResultType,
    DeclareOpInterfaceMethods<LibraryOpInterface, ["takesStrides"]>]> {
  let summary = "Running product along a dimension";
  let description = [{
    Element i is the product of elements 0 to i, with `exclusive` without the
    last; with `reverse` the dimension runs backwards. It stays whole.
  }];
  let arguments = (ins NN_Tensor:$input, I64Attr:$axis, UnitAttr:$exclusive,
                       UnitAttr:$reverse);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = [{
    $input `axis` $axis (`exclusive` $exclusive^)? (`reverse` $reverse^)?
    attr-dict `:` type($result)
  }];
  let hasVerifier = 1;
}

#endif // PARTITA_NN_RECURRENT
