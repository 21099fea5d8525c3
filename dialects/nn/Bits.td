//===- Bits.td - Operations on the bits of integers --------*- tablegen -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Constraint of all: elements are integers, not booleans (which have nn.and,
// nn.or, nn.xor and nn.not).
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_NN_BITS
#define PARTITA_NN_BITS

include "dialects/nn/ElementwiseBase.td"

class NN_BitBinary<string mnemonic, string what> : NN_Binary<mnemonic, what> {
  let hasVerifier = 1;
}

def NN_BitAndOp : NN_BitBinary<"bit_and", "And of bits">;
def NN_BitOrOp : NN_BitBinary<"bit_or", "Or of bits">;
def NN_BitXorOp : NN_BitBinary<"bit_xor", "Exclusive or of bits">;
def NN_BitNotOp : NN_Unary<"bit_not", "All bits inverted"> {
  let hasVerifier = 1;
}

def NN_ShiftLeftOp : NN_BitBinary<"shift_left", "x * 2^y, wrapping"> {
  let description = [{
    Amounts outside of 0 to the width of the type less one give zero.
  }];
}
def NN_ShiftRightOp : NN_BitBinary<"shift_right", "floor(x / 2^y)"> {
  let description = [{
    Signed integers keep their sign. Amounts outside of 0 to the width of the
    type less one give what the largest amount and one more give: zero, or -1
    for a negative x.
  }];
}

def NN_BitcastOp : NN_Op<"bitcast", [Elementwise]> {
  let summary = "The same bits as another element type";
  let description = [{
    Constraint: both element types have the same width and none is boolean.
    Floats are allowed.
  }];
  let arguments = (ins NN_Tensor:$input);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `to` type($result)";
  let hasVerifier = 1;
}

#endif // PARTITA_NN_BITS
