//===- Recurrent.h - Recurrent layers --------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The operations of Recurrent.td: simple and gated units, LSTM.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_DIALECTS_NN_RECURRENT_H
#define PARTITA_DIALECTS_NN_RECURRENT_H

#include "dialects/nn/NN.h"

#define GET_OP_CLASSES
#include "dialects/nn/Recurrent.h.inc"

#endif // PARTITA_DIALECTS_NN_RECURRENT_H
