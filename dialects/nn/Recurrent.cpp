//===- Recurrent.cpp - Recurrent layers -----------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The layers differ in the number of their gates and in their optional
// operands: rules and constraints are written once for all.
//
//===----------------------------------------------------------------------===//

#include "dialects/nn/Recurrent.h"

using namespace mlir;
using namespace partita;
using namespace partita::nn;

#define GET_OP_CLASSES
#include "dialects/nn/Recurrent.cpp.inc"

/// A dimension of an operand or a result.
namespace {
enum class Role { Step, Sequence, Gates, Hidden, Peephole };
} // namespace

/// What the dimensions of the operands are; absent ones are left out.
static std::vector<std::vector<Role>> operandRoles(Operation *op) {
  using enum Role;
  std::vector<std::vector<Role>> roles = {
      {Step, Sequence, Gates}, {Hidden, Gates}, {Sequence, Hidden}};
  auto add = [&](Value value, std::vector<Role> role) {
    if (value)
      roles.push_back(std::move(role));
  };
  if (auto lstm = dyn_cast<LSTMOp>(op)) {
    add(lstm.getCell(), {Sequence, Hidden});
    add(lstm.getPeepholes(), {Peephole, Hidden});
    add(lstm.getLengths(), {Sequence});
  } else if (auto gru = dyn_cast<GRUOp>(op)) {
    add(gru.getBias(), {Hidden});
    add(gru.getLengths(), {Sequence});
  } else {
    add(cast<RNNOp>(op).getLengths(), {Sequence});
  }
  return roles;
}

static std::vector<std::vector<Role>> resultRoles(Operation *op) {
  using enum Role;
  std::vector<std::vector<Role>> roles(op->getNumResults(), {Sequence, Hidden});
  roles[0] = {Step, Sequence, Hidden};
  return roles;
}

static int64_t numGates(Operation *op) {
  return isa<LSTMOp>(op) ? 4 : isa<GRUOp>(op) ? 3 : 1;
}
static int64_t numActivations(Operation *op) {
  return isa<LSTMOp>(op) ? 3 : isa<GRUOp>(op) ? 2 : 1;
}

/// The size of everything that plays a role.
static int64_t sizeOf(Operation *op, Role role) {
  std::vector<int64_t> gates = shapeOf(op->getOperand(0));
  switch (role) {
  case Role::Step:
    return gates[0];
  case Role::Sequence:
    return gates[1];
  case Role::Gates:
    return gates[2];
  case Role::Hidden:
    return gates[2] / numGates(op);
  case Role::Peephole:
    break;
  }
  return 3;
}

/// Sequences are parallel, everything else stays whole.
static ShardingRule recurrentRule(Operation *op) {
  std::vector<std::vector<Role>> operands = operandRoles(op),
                                 results = resultRoles(op);
  auto ranks = [](const std::vector<std::vector<Role>> &tensors) {
    std::vector<size_t> ranks;
    for (const std::vector<Role> &tensor : tensors)
      ranks.push_back(tensor.size());
    return ranks;
  };
  auto places = [](const std::vector<std::vector<Role>> &tensors, Role role) {
    RuleBuilder::Places places;
    for (unsigned i = 0; i < tensors.size(); ++i)
      for (unsigned d = 0; d < tensors[i].size(); ++d)
        if (tensors[i][d] == role)
          places.push_back({i, d});
    return places;
  };
  RuleBuilder builder(ranks(operands), ranks(results));
  builder.parallel("b", sizeOf(op, Role::Sequence),
                   places(operands, Role::Sequence),
                   places(results, Role::Sequence));
  const std::pair<const char *, Role> whole[] = {{"t", Role::Step},
                                                 {"g", Role::Gates},
                                                 {"h", Role::Hidden},
                                                 {"p", Role::Peephole}};
  for (auto [name, role] : whole) {
    RuleBuilder::Places in = places(operands, role),
                        out = places(results, role);
    if (!in.empty() || !out.empty())
      builder.replicate(name, sizeOf(op, role), in, out);
  }
  return builder.build();
}

static LogicalResult verifyRecurrent(Operation *op, StringRef activations,
                                     size_t alphas, size_t betas) {
  std::vector<int64_t> gates = shapeOf(op->getOperand(0));
  if (gates.size() != 3 || gates[2] % numGates(op) != 0)
    return op->emitOpError("needs gates [t, b, g h]");
  auto check = [&](ValueRange values,
                   const std::vector<std::vector<Role>> &roles) {
    for (auto [value, dims] : llvm::zip_equal(values, roles)) {
      std::vector<int64_t> expected;
      for (Role role : dims)
        expected.push_back(sizeOf(op, role));
      if (shapeOf(value) != expected)
        return false;
      bool isLengths = dims == std::vector<Role>{Role::Sequence};
      Type type = getElementTypeOrSelf(value);
      if (isLengths ? !type.isSignlessInteger(32)
                    : type != getElementTypeOrSelf(op->getOperand(0)))
        return false;
    }
    return true;
  };
  if (!check(op->getOperands(), operandRoles(op)) ||
      !check(op->getResults(), resultRoles(op)))
    return op->emitOpError("has operands or results that do not fit the gates");
  Type element = getElementTypeOrSelf(op->getOperand(0));
  if (!element.isF32() && !element.isF64())
    return op->emitOpError("needs f32 or f64");
  SmallVector<StringRef> names;
  activations.split(names, ',');
  size_t count = size_t(numActivations(op));
  if (names.size() != count || alphas != count || betas != count)
    return op->emitOpError("needs ") << count << " activations";
  return success();
}

/// The product of each step with the weights.
static int64_t recurrentFlops(Operation *op) {
  return 2 * sizeOf(op, Role::Step) * sizeOf(op, Role::Sequence) *
         sizeOf(op, Role::Gates) * sizeOf(op, Role::Hidden);
}

#define PARTITA_RECURRENT(Op)                                                  \
  ShardingRule Op::getShardingRule() { return recurrentRule(*this); }          \
  LogicalResult Op::verify() {                                                 \
    return verifyRecurrent(*this, getActivations(), getAlpha().size(),         \
                           getBeta().size());                                  \
  }                                                                            \
  int64_t Op::getFlops() { return recurrentFlops(*this); }                     \
  KernelClass Op::getKernelClass() { return KernelClass::Gemm; }

PARTITA_RECURRENT(RNNOp)
PARTITA_RECURRENT(GRUOp)
PARTITA_RECURRENT(LSTMOp)
#undef PARTITA_RECURRENT

//===----------------------------------------------------------------------===//
// Running product
//===----------------------------------------------------------------------===//

ShardingRule CumProdOp::getShardingRule() {
  std::vector<int64_t> shape = shapeOf(getInput());
  unsigned rank = shape.size(), axis = getAxis();
  RuleBuilder builder({rank}, {rank});
  for (unsigned d = 0; d < rank; ++d) {
    std::string name = "d" + std::to_string(d);
    if (d == axis)
      builder.replicate(name, shape[d], {{0, d}}, {{0, d}});
    else
      builder.parallel(name, shape[d], {{0, d}}, {{0, d}});
  }
  return builder.build();
}

LogicalResult CumProdOp::verify() {
  int64_t axis = getAxis();
  if (axis < 0 || axis >= int64_t(shapeOf(getInput()).size()))
    return emitOpError("has axis ") << axis << " out of range";
  return success();
}
int64_t CumProdOp::getFlops() {
  return cast<RankedTensorType>(getType()).getNumElements();
}
KernelClass CumProdOp::getKernelClass() { return KernelClass::Memory; }
bool CumProdOp::takesStrides() { return true; }
