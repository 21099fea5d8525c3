//===- Plan.cpp - What becomes one command --------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Phases, and the epilogues of products. Fusions.cpp has the rest.
//
//===----------------------------------------------------------------------===//

#include "Plan.h"
#include "Views.h"
#include "dialects/nn/Convolution.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace partita;
using namespace partita::rt;

Value rt::rootOf(Value value) {
  while (isViewOp(value.getDefiningOp()))
    value = value.getDefiningOp()->getOperand(0);
  return value;
}

SplatElementsAttr rt::splatOf(Value value) {
  auto constant = rootOf(value).getDefiningOp<nn::ConstantOp>();
  return constant ? dyn_cast<SplatElementsAttr>(constant.getValue())
                  : SplatElementsAttr();
}

Plan::Plan(Block &block) {
  findLoadTime(block);
  numberSegments(block);
  for (Operation &op : block)
    if (isProductOp(&op))
      growProduct(&op);
  formFusions(block);
}

const Product *Plan::productAt(Operation *anchor) const {
  auto it = products.find(anchor);
  return it == products.end() ? nullptr : &it->second;
}

const Fusion *Plan::fusionAt(Operation *anchor) const {
  auto it = memberOf.find(anchor);
  if (it == memberOf.end() || fusions[it->second].anchor() != anchor)
    return nullptr;
  return &fusions[it->second];
}

bool Plan::isCovered(Operation *op) const {
  return covered.contains(op) || memberOf.contains(op);
}

//===----------------------------------------------------------------------===//
// Phases
//===----------------------------------------------------------------------===//

bool Plan::isLoadTime(Value value) const {
  return loadTime.contains(value.getDefiningOp());
}

void Plan::findLoadTime(Block &block) {
  for (Operation &op : block)
    if (!op.hasTrait<OpTrait::IsTerminator>() &&
        llvm::all_of(op.getOperands(),
                     [&](Value value) { return isLoadTime(value); }))
      loadTime.insert(&op);
}

void Plan::numberSegments(Block &block) {
  int64_t counts[2] = {0, 0};
  for (Operation &op : block) {
    int64_t &count = counts[loadTime.contains(&op)];
    if (isa<CollectiveOp>(op))
      ++count;
    segments[&op] = count;
  }
}

bool Plan::sameSegment(Operation *first, Operation *second) const {
  return loadTime.contains(first) == loadTime.contains(second) &&
         segments.lookup(first) == segments.lookup(second);
}

//===----------------------------------------------------------------------===//
// Epilogues
//===----------------------------------------------------------------------===//

static StringRef unaryEpilogue(Operation *op) {
  return TypeSwitch<Operation *, StringRef>(op)
      .Case(
          [](nn::GeluOp op) { return op.getTanh() ? "gelu_tanh" : "gelu_erf"; })
      .Case([](nn::ReluOp) { return "relu"; })
      .Case([](nn::SiluOp) { return "silu"; })
      .Case([](nn::TanhOp) { return "tanh"; })
      .Case([](nn::SigmoidOp) { return "sigmoid"; })
      .Default([](Operation *) { return StringRef(); });
}

bool rt::isProductOp(Operation *op) {
  return isa<nn::MatMulOp, nn::ConvOp, nn::ConvTransposeOp>(op);
}

/// The vector along dimension `dim` that `value` repeats along all others, or
/// null.
static Value repeatedVector(Value value, int64_t dim) {
  auto broadcast = value.getDefiningOp<nn::BroadcastOp>();
  if (!broadcast)
    return nullptr;
  Value vector = broadcast.getInput();
  std::vector<int64_t> from = nn::shapeOf(vector);
  bool along = false;
  for (auto [size, to] : llvm::zip_equal(from, broadcast.getDims())) {
    if (to == dim && size == nn::shapeOf(value)[dim])
      along = true;
    else if (size != 1)
      return nullptr;
  }
  return along ? vector : Value();
}

/// Whether `value` is stored densely, as far as the graph tells.
static bool isDense(Value value) {
  while (auto reshape = value.getDefiningOp<nn::ReshapeOp>())
    value = reshape.getInput();
  return !isViewOp(value.getDefiningOp()) && !splatOf(value);
}

/// Takes `op`, the only user of `value`, into the product if it can.
bool Plan::addEpilogue(Product &product, Operation *op, Value value) {
  if (!sameSegment(product.op, op))
    return false;
  Product::Epilogue epilogue{unaryEpilogue(op), nullptr};
  if (epilogue.name.empty()) {
    if (!isa<nn::AddOp, nn::MulOp>(op))
      return false;
    Value other = op->getOperand(op->getOperand(0) == value ? 1 : 0);
    // Reshapes that were passed keep the last dimension the last.
    int64_t rank = nn::shapeOf(value).size();
    Value vector =
        repeatedVector(other, product.isConvolution() ? 1 : rank - 1);
    if (vector && isa<nn::AddOp>(op))
      epilogue = {"bias", vector};
    else if (isDense(other))
      epilogue = {isa<nn::AddOp>(op) ? "add" : "mul", other};
    else
      return false;
  }
  product.epilogues.push_back(epilogue);
  return true;
}

void Plan::growProduct(Operation *op) {
  Product product{op, {}, op->getResult(0), {op}};
  Value value = product.result;
  Type element = getElementTypeOrSelf(value.getType());
  // oneDNN's transposed convolutions take no epilogues.
  bool takesEpilogues =
      (element.isF32() || element.isF64()) && !isa<nn::ConvTransposeOp>(op);
  SmallVector<Operation *> passed; // reshapes that keep the columns
  while (takesEpilogues && value.hasOneUse()) {
    Operation *user = *value.user_begin();
    auto reshape = dyn_cast<nn::ReshapeOp>(user);
    if (reshape && !product.isConvolution()) {
      std::vector<int64_t> from = nn::shapeOf(value),
                           to = nn::shapeOf(reshape.getResult());
      if (to.empty() || from.back() != to.back())
        break;
      passed.push_back(reshape);
      value = reshape.getResult();
      continue;
    }
    // A product that comes later may have taken it.
    if (covered.contains(user) || !addEpilogue(product, user, value))
      break;
    product.covered.append(passed);
    product.covered.push_back(user);
    passed.clear();
    value = product.result = user->getResult(0);
  }
  covered.insert_range(product.covered);
  products[product.covered.back()] = std::move(product);
}
