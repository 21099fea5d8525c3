//===- Selection.h - Elements by index and by order ------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The operations of Selection.td: top-k, gathers and scatters.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_DIALECTS_NN_SELECTION_H
#define PARTITA_DIALECTS_NN_SELECTION_H

#include "dialects/nn/NN.h"

#define GET_OP_CLASSES
#include "dialects/nn/Selection.h.inc"

#endif // PARTITA_DIALECTS_NN_SELECTION_H
