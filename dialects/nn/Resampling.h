//===- Resampling.h - Values between the elements --------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The operations of Resampling.td: resampling, sampling at points and in boxes.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_DIALECTS_NN_RESAMPLING_H
#define PARTITA_DIALECTS_NN_RESAMPLING_H

#include "dialects/nn/NN.h"

#define GET_OP_CLASSES
#include "dialects/nn/Resampling.h.inc"

#endif // PARTITA_DIALECTS_NN_RESAMPLING_H
