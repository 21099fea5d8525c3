//===- Calls.cpp - Library calls ------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One function for each operation that the runtime's library implements;
// callees and attributes are those of Runtime/Library.h. Half precision
// products go through f32 copies: the library computes in f32 and f64.
//
//===----------------------------------------------------------------------===//

#include "Emitter.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace partita;
using namespace partita::rt;

/// Whether the library computes on these elements only after conversion.
static bool isHalf(Value value) {
  Type element = getElementTypeOrSelf(value.getType());
  return element.isF16() || element.isBF16();
}

static Status checkFloat(Operation *op, Value value) {
  Type element = getElementTypeOrSelf(value.getType());
  if (element.isF32() || element.isF64() || isHalf(value))
    return ok();
  std::string text;
  llvm::raw_string_ostream(text) << element;
  return makeError(ExitCode::Unsupported, "rt.element-type", describe(op),
                   "has no implementation for elements of type " + text,
                   "insert a Cast to a floating point type in the model");
}

/// `value` as an operand, half precision as f32; repeated to `shape` if given.
Result<Value> Emitter::floatOperand(Value value, ArrayRef<int64_t> shape) {
  if (!isHalf(value))
    return shape.empty() ? operandOf(value) : operandOf(value, shape);
  PARTITA_TRY(Place place, placeOf(value));
  PARTITA_TRY(Place wide, copied(place, builder.getF32Type()));
  if (shape.empty())
    return viewOf(wide);
  SmallVector<int64_t> dims;
  for (size_t d = shape.size() - wide.shape.size(); d < shape.size(); ++d)
    dims.push_back(d);
  return viewOf(broadcast(wide, dims, shape));
}

//===----------------------------------------------------------------------===//
// Matrix products
//===----------------------------------------------------------------------===//

/// The weight in the library's own layout, made once for each row count.
Result<Value> Emitter::packed(const Product &product, Value weight,
                              ArrayRef<int64_t> shape) {
  PARTITA_TRY(Place place, placeOf(weight));
  Value &blob = packs[{keyOf(place), shape.vec()}];
  if (blob)
    return blob;
  PARTITA_TRY(int64_t bytes, sizes.packedWeight(shape));
  auto type = RankedTensorType::get(
      {bytes}, builder.getIntegerType(8, /*isSigned=*/false));
  Call call{
      product.op, "pack_weight", {viewOf(place)}, {ints("packed", shape)}, {},
      0,          "/pack"};
  PARTITA_TRY(CallOp op, build(call, TypeRange(type)));
  blob = op.getResult(0);
  return blob;
}

/// Rows, inner size and columns of a product, leading dimensions being rows.
static std::array<int64_t, 3> productShape(nn::MatMulOp op) {
  std::vector<int64_t> lhs = nn::shapeOf(op.getLhs());
  int64_t rows = 1;
  for (size_t d = 0; d + 1 < lhs.size(); ++d)
    rows *= lhs[d];
  return {rows, lhs.back(), nn::shapeOf(op.getRhs()).back()};
}

Status Emitter::emitProduct(const Product &product) {
  nn::MatMulOp op = product.op;
  PARTITA_CHECK(checkFloat(op, op.getLhs()));
  Call call{product.covered.back(), "matmul", {}, {}, {}, op.getFlops()};
  PARTITA_TRY(Value lhs, floatOperand(op.getLhs()));
  call.operands.push_back(lhs);
  std::array<int64_t, 3> shape = productShape(op);
  Value rhs = op.getRhs();
  bool packs = nn::shapeOf(rhs).size() == 2 && plan.isLoadTime(rhs) &&
               !plan.isLoadTime(op.getResult()) &&
               getElementTypeOrSelf(rhs.getType()).isF32() &&
               !llvm::is_contained(shape, 0);
  if (packs) {
    PARTITA_TRY(Value blob, packed(product, rhs, shape));
    call.operands.push_back(blob);
    call.config.push_back(ints("packed", shape));
  } else {
    PARTITA_TRY(Value operand, floatOperand(rhs));
    call.operands.push_back(operand);
  }
  // Epilogues see the product's own shape, whatever reshapes stand between.
  std::vector<int64_t> own = nn::shapeOf(op.getResult());
  SmallVector<StringRef> names;
  for (const Product::Epilogue &epilogue : product.epilogues) {
    names.push_back(epilogue.name);
    if (!epilogue.operand)
      continue;
    PARTITA_TRY(Place place, placeOf(epilogue.operand));
    ArrayRef<int64_t> wanted = own;
    if (epilogue.name == "bias")
      wanted = wanted.take_back();
    std::optional<Place> fitted = reshape(place, wanted);
    if (!fitted) {
      Type element = getElementTypeOrSelf(epilogue.operand.getType());
      PARTITA_TRY(Place dense, copied(place, element));
      fitted = reshape(dense, wanted);
    }
    if (!fitted)
      return makeError(ExitCode::Internal, "rt.epilogue", describe(op),
                       "an operand has another number of elements");
    call.operands.push_back(viewOf(*fitted));
  }
  if (!names.empty())
    call.config.push_back(text("epilogue", llvm::join(names, ",")));
  return emitProductCall(call, product, own);
}

/// Builds the call and binds the value of its last epilogue.
Status Emitter::emitProductCall(const Call &call, const Product &product,
                                ArrayRef<int64_t> own) {
  Value result = product.result;
  bool sameShape = ArrayRef(nn::shapeOf(result)) == own;
  Permutation order;
  if (sameShape && !isHalf(result))
    order = permutationFor(result);
  Type element = isHalf(result) ? builder.getF32Type()
                                : getElementTypeOrSelf(result.getType());
  auto type = bufferType(RankedTensorType::get(own, element), order);
  ArrayAttr permutations = permutationsAttr({order});
  PARTITA_TRY(CallOp op, build(call, TypeRange(type), permutations));
  mergeIdentity(product.covered, op);
  if (sameShape && !isHalf(result)) {
    setResult(result, op.getResult(0), permutations, 0);
    return ok();
  }
  Place place = wholeBuffer(op.getResult(0));
  if (isHalf(result)) {
    PARTITA_TRY(place, copied(place, getElementTypeOrSelf(result.getType())));
  }
  places[result] = *reshape(place, nn::shapeOf(result));
  return ok();
}

//===----------------------------------------------------------------------===//
// Attention, rotary embedding
//===----------------------------------------------------------------------===//

Status Emitter::emitAttention(nn::AttentionOp op) {
  PARTITA_CHECK(checkFloat(op, op.getQuery()));
  Call call{op, "attention", {}, {}, {}, op.getFlops()};
  for (Value value : {op.getQuery(), op.getKey(), op.getValue()}) {
    PARTITA_TRY(Value operand, floatOperand(value));
    call.operands.push_back(operand);
  }
  call.config.push_back(number("scale", op.getScale().convertToDouble()));
  if (std::optional<APFloat> cap = op.getSoftcap())
    call.config.push_back(number("softcap", cap->convertToDouble()));
  call.config.push_back(ints("causal", {op.getCausal() ? 1 : 0}));
  if (Value mask = op.getMask()) {
    std::vector<int64_t> q = nn::shapeOf(op.getQuery()),
                         k = nn::shapeOf(op.getKey());
    PARTITA_TRY(Value operand, floatOperand(mask, {q[0], q[1], q[2], k[2]}));
    call.operands.push_back(operand);
    call.config.push_back(ints("has_mask", {1}));
  }
  if (op.getQueryBase() || op.getKeyBase()) {
    if (!op.getQueryBase() || !op.getKeyBase())
      return makeError(ExitCode::Internal, "rt.attention", describe(op),
                       "has one of two shard offsets");
    call.bases = {*op.getQueryBase(), *op.getKeyBase()};
  }
  SmallVector<Value> results = {op.getOut()};
  if (!op.getLse().use_empty())
    results.push_back(op.getLse());
  if (!isHalf(op.getOut()))
    return buildFor(call, results);
  SmallVector<Type> types;
  for (Value result : results)
    types.push_back(
        RankedTensorType::get(nn::shapeOf(result), builder.getF32Type()));
  PARTITA_TRY(CallOp wide, build(call, types));
  for (auto [result, buffer] : llvm::zip_equal(results, wide.getResults())) {
    PARTITA_TRY(places[result], copied(wholeBuffer(buffer),
                                       getElementTypeOrSelf(result.getType())));
  }
  return ok();
}

Status Emitter::emitRope(nn::RopeOp op) {
  std::vector<int64_t> shape = nn::shapeOf(op.getInput()),
                       table = nn::shapeOf(op.getCos());
  Call call{op, "rope", {}, {}, {}, 0};
  PARTITA_TRY(Value input, floatOperand(op.getInput()));
  call.operands.push_back(input);
  for (Value value : {op.getCos(), op.getSin()}) {
    // [b|1, s, d/2] repeats along heads, and along a batch of one.
    if (isHalf(value)) {
      PARTITA_TRY(Place place, placeOf(value));
      PARTITA_TRY(places[value], copied(place, builder.getF32Type()));
    }
    PARTITA_TRY(Place place, placeOf(value));
    call.operands.push_back(viewOf(
        broadcast(place, {0, 2, 3}, {shape[0], shape[1], shape[2], table[2]})));
  }
  call.config.push_back(ints("interleaved", {op.getInterleaved() ? 1 : 0}));
  if (!isHalf(op.getResult()))
    return buildFor(call, op.getResult());
  auto type = RankedTensorType::get(shape, builder.getF32Type());
  PARTITA_TRY(CallOp wide, build(call, TypeRange(type)));
  PARTITA_TRY(places[op.getResult()],
              copied(wholeBuffer(wide.getResult(0)),
                     getElementTypeOrSelf(op.getType())));
  return ok();
}

//===----------------------------------------------------------------------===//
// The rest
//===----------------------------------------------------------------------===//

/// The call that the operation says it is.
Status Emitter::emitLibraryCall(LibraryOpInterface op) {
  PARTITA_TRY(LibraryCall description, libraryCallOf(op));
  Call call{op, op.getLibraryCallee(), {}, {}, {}, 0};
  call.config.assign(description.config.begin(), description.config.end());
  call.bases.assign(description.offsets.begin(), description.offsets.end());
  for (Value value : op->getOperands()) {
    PARTITA_TRY(Value operand,
                op.takesStrides() ? operandOf(value) : contiguous(value));
    call.operands.push_back(operand);
  }
  if (op.takesStrides())
    return buildFor(call, op->getResults());
  PARTITA_TRY(CallOp built, build(call, op->getResultTypes()));
  for (auto [i, result] : llvm::enumerate(op->getResults()))
    setResult(result, built.getResult(i), nullptr, i);
  return ok();
}

/// A call of the library, or nothing if it has none.
Status Emitter::emitCall(Operation *op) {
  return TypeSwitch<Operation *, Status>(op)
      .Case([&](nn::AttentionOp op) { return emitAttention(op); })
      .Case([&](nn::RopeOp op) { return emitRope(op); })
      .Case([&](LibraryOpInterface op) { return emitLibraryCall(op); })
      .Default([&](Operation *op) -> Status {
        return makeError(ExitCode::Unsupported, "rt.operation", describe(op),
                         "'" + op->getName().getStringRef().str() +
                             "' has no implementation on this target");
      });
}
