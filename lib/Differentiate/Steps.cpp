//===- Steps.cpp - Loss and optimizer -------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Steps.h"
#include "dialects/nn/Training.h"

using namespace mlir;
using namespace partita;
using namespace partita::training;

/// With m the row's maximum, loss = log(sum e^(x - m)) - (x[target] - m), whose
/// gradient is (softmax(x) - one at the target) / positions. The element at the
/// target is a sum with all others zero: so the classes can be split.
Value training::crossEntropy(Emit &emit, Value logits, Value targets,
                             Value &gradient) {
  Type element = getElementTypeOrSelf(logits);
  Type wide = Float32Type::get(element.getContext());
  if (element.isF64())
    wide = element;
  Value x = emit.cast(logits, wide);
  Shape shape = nn::shapeOf(x), rows(shape.begin(), shape.end() - 1);
  Shape last = {int64_t(rows.size())};
  double positions = 1;
  for (int64_t size : rows)
    positions *= double(size);

  Value shifted =
      emit.sub(x, emit.spread(emit.reduce("max", x, last), shape, last));
  Value exps = emit.unary<nn::ExpOp>(shifted);
  Value sums = emit.sum(exps, last);
  auto classes =
      cast<RankedTensorType>(nn::withShape(targets.getType(), {shape.back()}));
  Value numbers = emit.create<nn::IotaOp>(classes, uint64_t(0), APFloat(0.0),
                                          APFloat(1.0), Attribute());
  Value isTarget = emit.compare("eq", emit.broadcast(numbers, shape, last),
                                emit.spread(targets, shape, last));
  Value picked = emit.sum(emit.keep(isTarget, shifted), last);
  Value losses = emit.sub(emit.unary<nn::LogOp>(sums), picked);
  Value loss =
      emit.times(emit.sum(losses, dimensions(rows.size())), 1 / positions);

  Value scale = emit.div(emit.splat(sums.getType(), 1 / positions), sums);
  Value softmax = emit.mul(exps, emit.spread(scale, shape, last));
  Value one = emit.keep(isTarget, emit.splat(x.getType(), 1 / positions));
  gradient = emit.cast(emit.sub(softmax, one), element);
  return loss;
}

AdamWScalars training::adamWScalars(Emit &emit, Value rate, Value step,
                                    const TrainingOptions &options) {
  // 1 - beta2^t is a thousandth at first: f32 would leave four digits of it.
  Type wide = Float64Type::get(rate.getContext());
  Type narrow = getElementTypeOrSelf(rate);
  Value t = emit.cast(step, wide), r = emit.cast(rate, wide);
  auto oneLessPower = [&](double beta) {
    return emit.from(1,
                     emit.binary<nn::PowOp>(emit.splat(t.getType(), beta), t));
  };
  AdamWScalars scalars;
  scalars.rate = emit.cast(emit.div(r, oneLessPower(options.beta1)), narrow);
  scalars.correction =
      emit.cast(emit.unary<nn::RsqrtOp>(oneLessPower(options.beta2)), narrow);
  scalars.decay =
      emit.cast(emit.from(1, emit.times(r, options.weightDecay)), narrow);
  return scalars;
}

State training::adamW(Emit &emit, const State &state, Value gradient,
                      const AdamWScalars &scalars,
                      const TrainingOptions &options) {
  Type type = state.value.getType(), element = getElementTypeOrSelf(type);
  auto update = emit.create<nn::AdamWOp>(
      type, type, type, state.value, state.mean, state.square,
      emit.cast(gradient, element), emit.cast(scalars.rate, element),
      emit.cast(scalars.correction, element), emit.cast(scalars.decay, element),
      APFloat(options.beta1), APFloat(options.beta2), APFloat(options.epsilon));
  return {update.getNextValue(), update.getNextMean(), update.getNextSquare()};
}
