//===- Steps.h - Loss and optimizer ----------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_DIFFERENTIATE_STEPS_H
#define PARTITA_LIB_DIFFERENTIATE_STEPS_H

#include "Emit.h"
#include "partita/Differentiate/Differentiate.h"

namespace partita::training {

/// The mean over all positions of -log softmax(logits)[target], computed in f32
/// at least; `gradient` becomes that of the logits. Logits [p.., classes],
/// targets [p..] of integers in 0..classes.
Value crossEntropy(Emit &emit, Value logits, Value targets, Value &gradient);

/// What AdamW keeps of a weight: itself and the running means of its gradient
/// and of the gradient's square.
struct State {
  Value value, mean, square;
};

/// What all updates of one step share, as f32 scalars.
struct AdamWScalars {
  /// The rate over 1 - beta1^t, 1 over sqrt(1 - beta2^t), and 1 - the rate
  /// times the weight decay.
  Value rate, correction, decay;
};

/// From the rate (f32) and the number t of this step (i64, the first is 1).
AdamWScalars adamWScalars(Emit &emit, Value rate, Value step,
                          const TrainingOptions &options);

/// The next state of one weight, given its gradient, of the weight's type.
State adamW(Emit &emit, const State &state, Value gradient,
            const AdamWScalars &scalars, const TrainingOptions &options);

} // namespace partita::training

#endif // PARTITA_LIB_DIFFERENTIATE_STEPS_H
