//===- Text.h - Sequences of tokens -----------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The operations of Text.td: what is counted in sequences of tokens.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_DIALECTS_NN_TEXT_H
#define PARTITA_DIALECTS_NN_TEXT_H

#include "dialects/nn/NN.h"

#define GET_OP_CLASSES
#include "dialects/nn/Text.h.inc"

#endif // PARTITA_DIALECTS_NN_TEXT_H
