//===- Training.cpp - Import of steps of optimisers -----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The operators of ai.onnx.preview.training. A step takes a rate, the number of
// updates so far, tensors, their gradients and what is remembered of earlier
// gradients: all elementwise, so that a step splits as its tensors do. Only the
// rate is worked out from the number of updates, as a scalar.
//
//===----------------------------------------------------------------------===//

#include "NodeImport.h"

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

namespace {

/// A step, whose inputs are R, T and then a list for each kind of tensor: all
/// X, all G, ..; so are its outputs.
class Step {
public:
  Step(NodeImport &n, size_t kinds) : n(n) {
    if (n.numInputs() < 2 + kinds || (n.numInputs() - 2) % kinds != 0)
      n.invalid("does not have a list of tensors of each kind");
    count = (n.numInputs() - 2) / kinds;
    if (n.type(0).getNumElements() != 1 || n.type(1).getNumElements() != 1)
      n.invalid("its rate and its number of updates are not scalars");
    rate = n.reshape(n.input(0), {});
    updates = n.cast(n.reshape(n.input(1), {}), getElementTypeOrSelf(rate));
  }

  Value tensor(size_t kind, size_t i) {
    if (n.type(2 + kind * count + i) != n.type(2 + i))
      n.invalid("its tensors and what belongs to them have different types");
    return n.input(2 + kind * count + i);
  }
  void set(size_t kind, size_t i, Value value) {
    if (kind * count + i < n.numOutputs())
      n.set(kind * count + i, value);
  }

  Value times(Value value, double factor) {
    return n.binary<MulOp>(value, n.splatLike(value, factor));
  }
  Value plus(Value value, double addend) {
    return n.binary<AddOp>(value, n.splatLike(value, addend));
  }
  /// A scalar as it is of a tensor's type.
  Value like(Value scalar, Value tensor) {
    return n.broadcast(n.cast(scalar, getElementTypeOrSelf(tensor)),
                       nn::shapeOf(tensor));
  }
  Value squared(Value value) { return n.binary<MulOp>(value, value); }
  /// a decay + b (1 - decay)
  Value blend(Value a, Value b, double decay) {
    return n.binary<AddOp>(times(a, decay), times(b, 1 - decay));
  }
  /// The gradient with that of half the square of the tensor, `norm` times.
  Value regularised(Value tensor, Value gradient) {
    double norm = n.real("norm_coefficient", 0);
    return n.binary<AddOp>(times(tensor, norm), gradient);
  }
  /// `first` at the first update, `later` at all others.
  Value unlessFirst(double first, Value later) {
    Value isLater = n.compare("gt", updates, n.splatLike(updates, 0));
    return n.create<SelectOp>(later.getType(), isLater, later,
                              n.splatLike(later, first));
  }
  /// 1 - decay^T
  Value oneLessPower(double decay) {
    Value power = n.binary<PowOp>(n.splatLike(updates, decay), updates);
    return n.binary<SubOp>(n.splatLike(power, 1), power);
  }

  NodeImport &n;
  size_t count = 0;
  Value rate, updates;
};

} // namespace

static void importAdagrad(NodeImport &n) {
  Step s(n, 3);
  Value slowed = s.plus(s.times(s.updates, n.real("decay_factor", 0)), 1);
  Value rate = n.binary<DivOp>(s.rate, slowed);
  double epsilon = n.real("epsilon", 0);
  for (size_t i = 0; i < s.count; ++i) {
    Value x = s.tensor(0, i);
    Value gradient = s.regularised(x, s.tensor(1, i));
    Value squares = n.binary<AddOp>(s.tensor(2, i), s.squared(gradient));
    Value size = s.plus(n.unary<SqrtOp>(squares), epsilon);
    Value step = n.binary<MulOp>(s.like(rate, x), gradient);
    s.set(0, i, n.binary<SubOp>(x, n.binary<DivOp>(step, size)));
    s.set(1, i, squares);
  }
}

static void importAdam(NodeImport &n) {
  Step s(n, 4);
  double alpha = n.real("alpha", 0.9f), beta = n.real("beta", 0.999f),
         epsilon = n.real("epsilon", 0),
         decay = n.real("norm_coefficient_post", 0);
  // The averages begin at zero, for which the rate makes up.
  Value correction = n.binary<DivOp>(n.unary<SqrtOp>(s.oneLessPower(beta)),
                                     s.oneLessPower(alpha));
  Value rate = n.binary<MulOp>(s.rate, s.unlessFirst(1, correction));
  for (size_t i = 0; i < s.count; ++i) {
    Value x = s.tensor(0, i);
    Value gradient = s.regularised(x, s.tensor(1, i));
    Value mean = s.blend(s.tensor(2, i), gradient, alpha);
    Value squares = s.blend(s.tensor(3, i), s.squared(gradient), beta);
    Value size = s.plus(n.unary<SqrtOp>(squares), epsilon);
    Value step = n.binary<MulOp>(s.like(rate, x), n.binary<DivOp>(mean, size));
    s.set(0, i, s.times(n.binary<SubOp>(x, step), 1 - decay));
    s.set(1, i, mean);
    s.set(2, i, squares);
  }
}

static void importMomentum(NodeImport &n) {
  Step s(n, 3);
  double alpha = n.real("alpha", 0), beta = n.real("beta", 0);
  std::string mode = n.string("mode", "standard");
  if (mode != "standard" && mode != "nesterov")
    n.invalid("its mode is \"" + mode + "\"");
  Value weight = s.unlessFirst(1, n.splatLike(s.rate, beta));
  for (size_t i = 0; i < s.count; ++i) {
    Value x = s.tensor(0, i);
    Value gradient = s.regularised(x, s.tensor(1, i));
    Value momentum =
        n.binary<AddOp>(s.times(s.tensor(2, i), alpha),
                        n.binary<MulOp>(s.like(weight, x), gradient));
    Value step = momentum;
    if (mode == "nesterov")
      step = n.binary<AddOp>(gradient, s.times(momentum, alpha));
    s.set(0, i, n.binary<SubOp>(x, n.binary<MulOp>(s.like(s.rate, x), step)));
    s.set(1, i, momentum);
  }
}

void importer::addTraining(ImportTable &table) {
  const char *domain = "ai.onnx.preview.training";
  table.add("Adagrad", 1, importAdagrad, domain);
  table.add("Adam", 1, importAdam, domain);
  table.add("Momentum", 1, importMomentum, domain);
}
