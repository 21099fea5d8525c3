//===- Trigonometry.h - Circular and hyperbolic functions -------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_DIALECTS_NN_TRIGONOMETRY_H
#define PARTITA_DIALECTS_NN_TRIGONOMETRY_H

#include "dialects/nn/NN.h"

#define GET_OP_CLASSES
#include "dialects/nn/Trigonometry.h.inc"

#endif // PARTITA_DIALECTS_NN_TRIGONOMETRY_H
