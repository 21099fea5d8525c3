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
#include "dialects/nn/Convolution.h"
#include "partita/Conversion/Commands.h"
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

/// `value` as an operand, half precision as f32.
Result<Value> Emitter::floatOperand(Value value) {
  if (!isHalf(value))
    return operandOf(value);
  PARTITA_TRY(Place place, placeOf(value));
  PARTITA_TRY(Place wide, copied(place, builder.getF32Type()));
  return viewOf(wide);
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// Whether the weight is there before a step begins, so that its own layout
/// pays.
bool Emitter::canPack(const Product &product) const {
  auto type = cast<RankedTensorType>(product.weight().getType());
  return plan.isLoadTime(product.weight()) && !plan.isLoadTime(product.own()) &&
         type.getElementType().isF32() && type.getNumElements() != 0 &&
         cast<RankedTensorType>(product.input().getType()).getNumElements() !=
             0 &&
         (product.isConvolution() || type.getRank() == 2);
}

/// The blob that `pack` makes, once for all products that want the same; null
/// if the library takes the weight as it is.
Result<Value> Emitter::packed(const Product &product, const Call &pack) {
  PARTITA_TRY(Place place, placeOf(product.weight()));
  DictionaryAttr config = builder.getDictionaryAttr(pack.config);
  auto [entry, isNew] =
      packs.try_emplace({keyOf(place), config.getAsOpaquePointer()});
  if (!isNew)
    return entry->second;
  auto blobOf = [&](int64_t bytes) {
    return RankedTensorType::get({bytes},
                                 builder.getIntegerType(8, /*isSigned=*/false));
  };
  // The size is asked of a call that has none yet.
  auto draft = CallOp::create(builder, pack.from->getLoc(), blobOf(0),
                              pack.callee, pack.operands, nullptr, nullptr,
                              config, /*workspace=*/0, /*matmul_flops=*/0);
  auto command = toCommand(draft);
  draft.erase();
  if (!command)
    return command.takeError();
  PARTITA_TRY(int64_t bytes, sizes.packed(*command));
  if (bytes == 0)
    return Value();
  PARTITA_TRY(CallOp op, build(pack, TypeRange(blobOf(bytes))));
  return entry->second = op.getResult(0);
}

/// Adds the weight, packed if it can be. `call` has its attributes already.
Status Emitter::addWeight(Call &call, const Product &product) {
  Value weight = product.weight(), blob;
  SmallVector<int64_t> shape = llvm::to_vector(nn::shapeOf(weight));
  if (canPack(product)) {
    Call pack{product.op, "pack_weight", {}, {}, {}, 0, "/pack"};
    if (product.isConvolution()) {
      pack.callee = "pack_conv";
      pack.config = call.config;
      pack.config.push_back(ints("input", nn::shapeOf(product.input())));
      pack.config.push_back(
          ints("transposed", {isa<nn::ConvTransposeOp>(product.op) ? 1 : 0}));
      PARTITA_TRY(Value operand, contiguous(weight));
      pack.operands.push_back(operand);
    } else {
      pack.config.push_back(ints("packed", shape));
      PARTITA_TRY(Value operand, operandOf(weight));
      pack.operands.push_back(operand);
    }
    PARTITA_TRY(blob, packed(product, pack));
  }
  if (blob) {
    call.config.push_back(ints("packed", shape));
  } else {
    PARTITA_TRY(blob, floatOperand(weight));
  }
  call.operands.push_back(blob);
  return ok();
}

/// Adds the epilogues' operands. They see the product's own shape, whatever
/// reshapes stand between.
Status Emitter::addEpilogues(Call &call, const Product &product) {
  std::vector<int64_t> own = nn::shapeOf(product.own());
  SmallVector<int64_t> bias = {own.back()};
  if (product.isConvolution()) {
    bias.assign(own.size() - 1, 1);
    bias.front() = own[1];
  }
  for (const Product::Epilogue &epilogue : product.epilogues) {
    if (!epilogue.operand)
      continue;
    PARTITA_TRY(Place place, placeOf(epilogue.operand));
    ArrayRef<int64_t> wanted =
        epilogue.name == "bias" ? ArrayRef<int64_t>(bias) : ArrayRef(own);
    std::optional<Place> fitted = reshape(place, wanted);
    if (!fitted) {
      Type element = getElementTypeOrSelf(epilogue.operand.getType());
      PARTITA_TRY(Place dense, copied(place, element));
      fitted = reshape(dense, wanted);
    }
    if (!fitted)
      return makeError(ExitCode::Internal, "rt.epilogue", describe(product.op),
                       "an operand has another number of elements");
    call.operands.push_back(viewOf(*fitted));
  }
  return ok();
}

Status Emitter::emitProduct(const Product &product) {
  Operation *op = product.op;
  bool integers = product.isConvolution() &&
                  getElementTypeOrSelf(product.own()).isSignlessInteger(32);
  if (!integers)
    PARTITA_CHECK(checkFloat(op, product.input()));
  Call call{product.covered.back(),
            op->getName().stripDialect(),
            {},
            {},
            {},
            cast<CostOpInterface>(op).getFlops()};
  PARTITA_TRY(LibraryCall description, libraryCallOf(op));
  call.config.assign(description.config.begin(), description.config.end());
  PARTITA_TRY(Value input, floatOperand(product.input()));
  call.operands.push_back(input);
  SmallVector<StringRef> names;
  for (const Product::Epilogue &epilogue : product.epilogues)
    names.push_back(epilogue.name);
  if (!names.empty())
    call.config.push_back(text("epilogue", llvm::join(names, ",")));
  PARTITA_CHECK(addWeight(call, product));
  PARTITA_CHECK(addEpilogues(call, product));
  return emitProductCall(call, product);
}

/// Builds the call and binds the value of its last epilogue.
Status Emitter::emitProductCall(const Call &call, const Product &product) {
  Value result = product.result;
  std::vector<int64_t> own = nn::shapeOf(product.own());
  bool sameShape = nn::shapeOf(result) == own;
  Permutation order;
  if (product.isConvolution() && getElementTypeOrSelf(result).isF32())
    order = channelsLast(own.size());
  else if (sameShape && !isHalf(result))
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

/// A mask as a view of `shape`. The kernel adds it in vectors where its keys
/// lie side by side; one copy serves all layers.
Result<Value> Emitter::maskOperand(Value mask, ArrayRef<int64_t> shape) {
  PARTITA_TRY(Place place, placeOf(mask));
  bool strided = place.shape.back() > 1 && place.strides.back() > 1;
  if (isHalf(mask) || strided) {
    Type element = isHalf(mask) ? builder.getF32Type()
                                : getElementTypeOrSelf(mask.getType());
    PARTITA_TRY(place, copied(place, element));
  }
  SmallVector<int64_t> dims;
  for (size_t d = shape.size() - place.shape.size(); d < shape.size(); ++d)
    dims.push_back(d);
  return viewOf(broadcast(place, dims, shape));
}

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
    PARTITA_TRY(Value operand, maskOperand(mask, {q[0], q[1], q[2], k[2]}));
    call.operands.push_back(operand);
    call.config.push_back(ints("has_mask", {1}));
  }
  if (op.getQueryBase() || op.getKeyBase()) {
    // The kernel places queries among keys by both; of what is whole it needs
    // the size.
    Attribute query = op.getQueryBaseAttr(), key = op.getKeyBaseAttr();
    auto known = dyn_cast<dist::OffsetAttr>(query ? query : key);
    if (!known)
      return makeError(ExitCode::Internal, "rt.attention", describe(op),
                       "has a base that is no #dist.offset");
    auto whole = [&](Value tensor) {
      return dist::OffsetAttr::get(builder.getContext(), known.getMesh(),
                                   dist::FactorAttr::get(builder.getContext(),
                                                         nn::shapeOf(tensor)[2],
                                                         {}, {}));
    };
    call.bases = {query ? query : whole(op.getQuery()),
                  key ? key : whole(op.getKey())};
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
    PARTITA_TRY(Place place, placeOf(value));
    if (isHalf(value)) {
      PARTITA_TRY(place, copied(place, builder.getF32Type()));
    }
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
