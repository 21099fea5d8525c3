//===- Training.h - Backward passes and updates -----------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The operations of Training.td: what only training steps compute.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_DIALECTS_NN_TRAINING_H
#define PARTITA_DIALECTS_NN_TRAINING_H

#include "dialects/nn/NN.h"

#define GET_OP_CLASSES
#include "dialects/nn/Training.h.inc"

#endif // PARTITA_DIALECTS_NN_TRAINING_H
