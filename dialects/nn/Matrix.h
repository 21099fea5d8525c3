//===- Matrix.h - Whole matrices --------------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The operations of Matrix.td: what is computed of whole matrices.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_DIALECTS_NN_MATRIX_H
#define PARTITA_DIALECTS_NN_MATRIX_H

#include "dialects/nn/NN.h"

#define GET_OP_CLASSES
#include "dialects/nn/Matrix.h.inc"

#endif // PARTITA_DIALECTS_NN_MATRIX_H
