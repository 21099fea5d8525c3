//===- Fold.cpp - Evaluates what is known at import -----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Exporters compute shapes by nodes: Shape, Gather, Concat, Mul, ... Such nodes
// are imported like all others, so that ONNX's rules are written once; if all
// inputs are known and few, the operations that came of it are evaluated and
// erased. Results of more than `maxElements` elements, and operations that are
// not here (an iota), stay as they are.
//
//===----------------------------------------------------------------------===//

#include "NodeImport.h"
#include <cmath>

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

static constexpr int64_t maxElements = 64;

namespace {

/// Known values of a node's operations.
class Evaluator {
public:
  /// The results of `op`; false if it cannot be evaluated.
  bool evaluate(Operation *op);
  const HostTensor *find(Value value) const {
    auto it = known.find(value);
    return it == known.end() ? nullptr : &it->second;
  }

private:
  const HostTensor &operand(Operation *op, unsigned i) {
    return known[op->getOperand(i)];
  }
  HostTensor make(Value result) {
    auto type = cast<RankedTensorType>(result.getType());
    return HostTensor(*getDType(type.getElementType()), shapeOf(result));
  }
  /// Gives each element of the result, by its indices, an element of operand 0.
  template <typename From> void move(Operation *op, From from);

  bool constant(ConstantOp op);
  bool cast_(CastOp op);
  bool unary(Operation *op);
  bool binary(Operation *op);
  bool compare(CompareOp op);
  bool select(SelectOp op);
  bool concat(ConcatOp op);
  bool split(SplitOp op);
  bool reduce(ReduceOp op);

  DenseMap<Value, HostTensor> known;
};

void copyElement(const HostTensor &from, int64_t i, HostTensor &to, int64_t j) {
  if (isFloat(from.dtype()))
    to.setDouble(j, from.getDouble(i));
  else
    to.setInt(j, from.getInt(i));
}

/// The indices of element `i` of a row-major tensor.
Shape indicesOf(int64_t i, const Shape &shape) {
  Shape indices(shape.size());
  for (size_t d = shape.size(); d-- > 0;) {
    indices[d] = i % shape[d];
    i /= shape[d];
  }
  return indices;
}

int64_t flatIndex(const Shape &indices, const Shape &shape) {
  int64_t flat = 0;
  for (size_t d = 0; d < shape.size(); ++d)
    flat = flat * shape[d] + indices[d];
  return flat;
}

template <typename From> void Evaluator::move(Operation *op, From from) {
  const HostTensor &input = operand(op, 0);
  HostTensor result = make(op->getResult(0));
  for (int64_t i = 0; i < result.numElements(); ++i)
    copyElement(input,
                flatIndex(from(indicesOf(i, result.shape())), input.shape()),
                result, i);
  known[op->getResult(0)] = std::move(result);
}

bool Evaluator::constant(ConstantOp op) {
  HostTensor result = make(op);
  int64_t i = 0;
  for (Attribute element : op.getValue().getValues<Attribute>()) {
    if (auto value = dyn_cast<FloatAttr>(element))
      result.setDouble(i++, value.getValueAsDouble());
    else if (result.dtype() == DType::Bool)
      result.setInt(i++, !cast<IntegerAttr>(element).getValue().isZero());
    else
      result.setInt(i++, cast<IntegerAttr>(element).getValue().getSExtValue());
  }
  known[op] = std::move(result);
  return true;
}

bool Evaluator::cast_(CastOp op) {
  HostTensor result = make(op);
  known[op] = operand(op, 0).cast(result.dtype());
  return true;
}

bool Evaluator::unary(Operation *op) {
  const HostTensor &x = operand(op, 0);
  HostTensor result = make(op->getResult(0));
  for (int64_t i = 0; i < x.numElements(); ++i) {
    if (!isFloat(x.dtype())) {
      int64_t value = x.getInt(i);
      int64_t negated = int64_t(0 - uint64_t(value));
      if (isa<NegOp>(op))
        result.setInt(i, negated);
      else if (isa<AbsOp>(op))
        result.setInt(i, value < 0 ? negated : value);
      else if (isa<NotOp>(op))
        result.setInt(i, !value);
      else
        return false;
      continue;
    }
    double value = x.getDouble(i);
    std::optional<double> y =
        TypeSwitch<Operation *, std::optional<double>>(op)
            .Case<NegOp>([&](auto) { return -value; })
            .Case<AbsOp>([&](auto) { return std::abs(value); })
            .Case<SqrtOp>([&](auto) { return std::sqrt(value); })
            .Case<RsqrtOp>([&](auto) { return 1 / std::sqrt(value); })
            .Case<ReciprocalOp>([&](auto) { return 1 / value; })
            .Case<FloorOp>([&](auto) { return std::floor(value); })
            .Case<CeilOp>([&](auto) { return std::ceil(value); })
            .Case<RoundOp>([&](auto) { return std::nearbyint(value); })
            .Case<ExpOp>([&](auto) { return std::exp(value); })
            .Case<LogOp>([&](auto) { return std::log(value); })
            .Default([](Operation *) { return std::nullopt; });
    if (!y)
      return false;
    result.setDouble(i, *y);
  }
  known[op->getResult(0)] = std::move(result);
  return true;
}

std::optional<double> floatBinary(Operation *op, double a, double b) {
  return TypeSwitch<Operation *, std::optional<double>>(op)
      .Case<AddOp>([&](auto) { return a + b; })
      .Case<SubOp>([&](auto) { return a - b; })
      .Case<MulOp>([&](auto) { return a * b; })
      .Case<DivOp>([&](auto) { return a / b; })
      .Case<PowOp>([&](auto) { return std::pow(a, b); })
      .Case<MaxOp>([&](auto) { return std::max(a, b); })
      .Case<MinOp>([&](auto) { return std::min(a, b); })
      .Default([](Operation *) { return std::nullopt; });
}

/// Wraps as the operations do; nothing for what has no value.
std::optional<int64_t> integerBinary(Operation *op, int64_t a, int64_t b) {
  uint64_t ua = uint64_t(a), ub = uint64_t(b);
  bool divides = b != 0 && !(a == INT64_MIN && b == -1);
  using R = std::optional<int64_t>;
  return TypeSwitch<Operation *, R>(op)
      .Case<AddOp>([&](auto) { return R(int64_t(ua + ub)); })
      .Case<SubOp>([&](auto) { return R(int64_t(ua - ub)); })
      .Case<MulOp>([&](auto) { return R(int64_t(ua * ub)); })
      .Case<DivOp>([&](auto) { return divides ? R(a / b) : R(); })
      .Case<ModOp>([&](auto) {
        if (!divides)
          return R();
        int64_t rest = a % b;
        return R(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);
      })
      .Case<MaxOp>([&](auto) { return R(std::max(a, b)); })
      .Case<MinOp>([&](auto) { return R(std::min(a, b)); })
      .Case<AndOp>([&](auto) { return R(a && b); })
      .Case<OrOp>([&](auto) { return R(a || b); })
      .Case<XorOp>([&](auto) { return R(bool(a) != bool(b)); })
      .Default([](Operation *) { return R(); });
}

bool Evaluator::binary(Operation *op) {
  const HostTensor &a = operand(op, 0), &b = operand(op, 1);
  HostTensor result = make(op->getResult(0));
  for (int64_t i = 0; i < a.numElements(); ++i) {
    if (isFloat(a.dtype())) {
      auto value = floatBinary(op, a.getDouble(i), b.getDouble(i));
      if (!value)
        return false;
      result.setDouble(i, *value);
    } else {
      auto value = integerBinary(op, a.getInt(i), b.getInt(i));
      if (!value)
        return false;
      result.setInt(i, *value);
    }
  }
  known[op->getResult(0)] = std::move(result);
  return true;
}

template <typename T> std::optional<bool> holds(StringRef predicate, T a, T b) {
  return llvm::StringSwitch<std::optional<bool>>(predicate)
      .Case("eq", a == b)
      .Case("ne", a != b)
      .Case("lt", a < b)
      .Case("le", a <= b)
      .Case("gt", a > b)
      .Case("ge", a >= b)
      .Default(std::nullopt);
}

bool Evaluator::compare(CompareOp op) {
  const HostTensor &a = operand(op, 0), &b = operand(op, 1);
  HostTensor result = make(op);
  for (int64_t i = 0; i < a.numElements(); ++i) {
    auto value = isFloat(a.dtype())
                     ? holds(op.getPredicate(), a.getDouble(i), b.getDouble(i))
                     : holds(op.getPredicate(), a.getInt(i), b.getInt(i));
    if (!value)
      return false;
    result.setInt(i, *value);
  }
  known[op] = std::move(result);
  return true;
}

bool Evaluator::select(SelectOp op) {
  HostTensor result = make(op);
  for (int64_t i = 0; i < result.numElements(); ++i)
    copyElement(operand(op, operand(op, 0).getInt(i) ? 1 : 2), i, result, i);
  known[op] = std::move(result);
  return true;
}

bool Evaluator::concat(ConcatOp op) {
  HostTensor result = make(op);
  int64_t begin = 0;
  for (unsigned part = 0; part < op->getNumOperands(); ++part) {
    const HostTensor &input = operand(op, part);
    for (int64_t i = 0; i < input.numElements(); ++i) {
      Shape indices = indicesOf(i, input.shape());
      indices[op.getAxis()] += begin;
      copyElement(input, i, result, flatIndex(indices, result.shape()));
    }
    begin += input.shape()[op.getAxis()];
  }
  known[op] = std::move(result);
  return true;
}

bool Evaluator::split(SplitOp op) {
  int64_t begin = 0;
  for (Value part : op.getResults()) {
    HostTensor result = make(part);
    for (int64_t i = 0; i < result.numElements(); ++i) {
      Shape indices = indicesOf(i, result.shape());
      indices[op.getAxis()] += begin;
      copyElement(operand(op, 0), flatIndex(indices, operand(op, 0).shape()),
                  result, i);
    }
    begin += result.shape()[op.getAxis()];
    known[part] = std::move(result);
  }
  return true;
}

bool Evaluator::reduce(ReduceOp op) {
  const HostTensor &input = operand(op, 0);
  HostTensor result = make(op);
  if (isFloat(input.dtype()))
    return false;
  std::vector<bool> seen(result.numElements(), false);
  for (int64_t i = 0; i < input.numElements(); ++i) {
    Shape indices = indicesOf(i, input.shape()), kept;
    for (size_t d = 0; d < indices.size(); ++d)
      if (!llvm::is_contained(op.getAxes(), int64_t(d)))
        kept.push_back(indices[d]);
    int64_t j = flatIndex(kept, result.shape());
    int64_t x = input.getInt(i), y = result.getInt(j);
    int64_t value = x;
    if (seen[j])
      value = op.getKind() == "sum"    ? int64_t(uint64_t(x) + uint64_t(y))
              : op.getKind() == "prod" ? int64_t(uint64_t(x) * uint64_t(y))
              : op.getKind() == "max"  ? std::max(x, y)
                                       : std::min(x, y);
    result.setInt(j, value);
    seen[j] = true;
  }
  if (llvm::is_contained(seen, false))
    return false;
  known[op] = std::move(result);
  return true;
}

bool Evaluator::evaluate(Operation *op) {
  for (Type type : op->getResultTypes())
    if (cast<RankedTensorType>(type).getNumElements() > maxElements)
      return false;
  for (Value operand : op->getOperands())
    if (!known.count(operand))
      return false;
  return TypeSwitch<Operation *, bool>(op)
      .Case<ConstantOp>([&](auto op) { return constant(op); })
      .Case<CastOp>([&](auto op) { return cast_(op); })
      .Case<ReshapeOp>([&](auto op) {
        known[op] = operand(op, 0).reshaped(shapeOf(op.getResult()));
        return true;
      })
      .Case<TransposeOp>([&](auto op) {
        move(op, [&](Shape to) {
          Shape from(to.size());
          for (auto [d, dim] : llvm::enumerate(op.getPermutation()))
            from[dim] = to[d];
          return from;
        });
        return true;
      })
      .Case<BroadcastOp>([&](auto op) {
        Shape shape = shapeOf(op.getInput());
        move(op, [&](Shape to) {
          Shape from(shape.size());
          for (auto [d, dim] : llvm::enumerate(op.getDims()))
            from[d] = shape[d] == 1 ? 0 : to[dim];
          return from;
        });
        return true;
      })
      .Case<SliceOp>([&](auto op) {
        move(op, [&](Shape index) {
          for (size_t d = 0; d < index.size(); ++d)
            index[d] = op.getStarts()[d] + index[d] * op.getSteps()[d];
          return index;
        });
        return true;
      })
      .Case<CompareOp>([&](auto op) { return compare(op); })
      .Case<SelectOp>([&](auto op) { return select(op); })
      .Case<ConcatOp>([&](auto op) { return concat(op); })
      .Case<SplitOp>([&](auto op) { return split(op); })
      .Case<ReduceOp>([&](auto op) { return reduce(op); })
      .Case<NegOp, AbsOp, NotOp, SqrtOp, RsqrtOp, ReciprocalOp, FloorOp, CeilOp,
            RoundOp, ExpOp, LogOp>([&](auto op) { return unary(op); })
      .Case<AddOp, SubOp, MulOp, DivOp, ModOp, PowOp, MaxOp, MinOp, AndOp, OrOp,
            XorOp>([&](auto op) { return binary(op); })
      .Default([](Operation *) { return false; });
}

} // namespace

void NodeImport::fold() {
  if (created.empty() || inputs.empty())
    return;
  for (const Imported &input : inputs)
    if (input.type && !input.folds)
      return;
  Evaluator evaluator;
  for (Operation *op : created)
    if (!evaluator.evaluate(op))
      return;
  for (const auto &output : outputs)
    if (output && output->value && !evaluator.find(output->value))
      return;
  for (size_t i = 0; i < outputs.size(); ++i)
    if (outputs[i] && outputs[i]->value) {
      Imported folded = known(*evaluator.find(outputs[i]->value));
      folded.narrow = outputs[i]->narrow;
      set(i, std::move(folded));
    }
  for (Operation *op : llvm::reverse(created))
    op->erase();
  created.clear();
}
