//===- Interpreter.cpp - Runs whole programs ------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Interp/Interpreter.h"
#include "Frame.h"
#include "Models.h"
#include "dialects/rt/RT.h"

using namespace mlir;
using namespace partita;
using namespace partita::interp;

//===----------------------------------------------------------------------===//
// Frame
//===----------------------------------------------------------------------===//

void Frame::define(Value value, HostTensor tensor) {
  // One use for each operand that is the value: `use` is called per operation.
  auto count = unsigned(std::distance(value.use_begin(), value.use_end()));
  if (count)
    live[value] = {std::move(tensor), count};
}

std::vector<HostTensor> Frame::use(Operation *op) {
  std::vector<HostTensor> tensors;
  for (Value value : op->getOperands()) {
    Live &entry = live[value];
    tensors.push_back(entry.tensor);
    if (--entry.uses == 0)
      live.erase(value);
  }
  return tensors;
}

Result<HostTensor> Frame::readParameter(nn::GetParameterOp op) {
  auto parameter = SymbolTable::lookupNearestSymbolFrom<nn::ParameterOp>(
      op, op.getParameterAttr());
  if (!parameter)
    return makeError(ExitCode::Internal, "interp.parameter", describe(op),
                     "names no parameter");
  Attribute attr = op.getShardingAttr();
  if (!attr)
    return parameters.read(parameter, nullptr);
  auto shardingAttr = dyn_cast<dist::ShardingAttr>(attr);
  if (!shardingAttr)
    return makeError(ExitCode::Internal, "interp.parameter", describe(op),
                     "has a sharding that is no #dist.sharding");
  PARTITA_TRY(Sharding sharding, shardingAttr.toData(place.mesh));
  PARTITA_CHECK(checkSharding(sharding, nn::shapeOf(parameter.getType()),
                              place.mesh, describe(op)));
  Box box = boxOf(sharding, place.mesh, place.coords);
  return parameters.read(parameter, &box);
}

/// A view is a gather of single elements from a contiguous source.
static HostTensor evaluateView(rt::ViewOp op, const HostTensor &source) {
  HostTensor result(source.dtype(), nn::shapeOf(op.getResult()));
  std::vector<int64_t> strides = rowMajorStrides(result.shape());
  size_t size = dtypeSize(source.dtype());
  for (int64_t i = 0; i < result.numElements(); ++i) {
    int64_t at = op.getOffset();
    for (size_t d = 0; d < strides.size(); ++d)
      at += i / strides[d] % result.shape()[d] * op.getStrides()[d];
    std::memcpy(result.data() + i * size, source.data() + at * size, size);
  }
  return result;
}

/// What a fusion yields, in the order of dimensions of its result buffer.
static HostTensor toBuffer(rt::FusionOp fusion, unsigned i,
                           const HostTensor &yielded) {
  Type type = fusion.getResult(i).getType();
  SmallVector<int64_t> order =
      rt::calleeStrides(type, fusion.getPermutationsAttr(), i);
  HostTensor buffer(yielded.dtype(), nn::shapeOf(type));
  std::vector<int64_t> strides = rowMajorStrides(yielded.shape());
  size_t size = dtypeSize(yielded.dtype());
  for (int64_t at = 0; at < yielded.numElements(); ++at) {
    int64_t to = 0;
    for (size_t d = 0; d < strides.size(); ++d)
      to += at / strides[d] % yielded.shape()[d] * order[d];
    std::memcpy(buffer.data() + to * size, yielded.data() + at * size, size);
  }
  return buffer;
}

Result<std::vector<HostTensor>> Frame::runFusion(Operation *op) {
  auto fusion = cast<rt::FusionOp>(op);
  Frame inner(place, parameters);
  Block &body = fusion.getBody().front();
  for (auto [argument, tensor] : llvm::zip_equal(body.getArguments(), use(op)))
    inner.define(argument, tensor);
  for (Operation &nested : body.without_terminator())
    PARTITA_CHECK(inner.execute(&nested));
  std::vector<HostTensor> results;
  for (auto [i, tensor] : llvm::enumerate(inner.use(body.getTerminator())))
    results.push_back(toBuffer(fusion, i, tensor));
  return results;
}

Result<std::vector<HostTensor>> Frame::evaluate(Operation *op) {
  if (auto get = dyn_cast<nn::GetParameterOp>(op)) {
    PARTITA_TRY(HostTensor tensor, readParameter(get));
    return single(std::move(tensor));
  }
  // On global types a value stands for the whole tensor, pending or not.
  if (dist::isMove(op) || isa<dist::ReshardOp>(op))
    return use(op);
  if (auto view = dyn_cast<rt::ViewOp>(op))
    return single(evaluateView(view, use(op).front()));
  if (isa<rt::FusionOp>(op))
    return runFusion(op);
  return evaluateReference(op, use(op), place);
}

Status Frame::execute(Operation *op) {
  PARTITA_TRY(std::vector<HostTensor> results, evaluate(op));
  for (auto [value, tensor] : llvm::zip_equal(op->getResults(), results))
    define(value, std::move(tensor));
  return ok();
}

//===----------------------------------------------------------------------===//
// Whole programs
//===----------------------------------------------------------------------===//

static std::string shapeText(const std::vector<int64_t> &shape) {
  return "[" +
         llvm::join(
             llvm::map_range(shape,
                             [](int64_t size) { return std::to_string(size); }),
             ", ") +
         "]";
}

Status interp::checkInput(size_t i, const HostTensor &input, Type type,
                          const std::vector<int64_t> &shape) {
  std::optional<DType> dtype = getDType(getElementTypeOrSelf(type));
  std::string place = "input " + std::to_string(i);
  if (!dtype)
    return makeError(ExitCode::Unsupported, "interp.element-type", place,
                     "has a type that cannot be stored");
  if (!input.defined() || input.dtype() != *dtype || input.shape() != shape)
    return makeError(ExitCode::InvalidInput, "interp.input", place,
                     "is " + std::string(dtypeName(input.dtype())) +
                         shapeText(input.shape()) + ", the program expects " +
                         std::string(dtypeName(*dtype)) + shapeText(shape));
  return ok();
}

Status interp::checkCount(size_t given, size_t expected) {
  if (given == expected)
    return ok();
  return makeError(ExitCode::InvalidInput, "interp.inputs", "",
                   std::to_string(given) +
                       " inputs are given, the program has " +
                       std::to_string(expected));
}

static Result<std::vector<HostTensor>> runBlock(func::FuncOp function,
                                                ArrayRef<HostTensor> inputs,
                                                ParameterSource &parameters) {
  if (function.isExternal() || !function.getBody().hasOneBlock())
    return makeError(ExitCode::Unsupported, "interp.function",
                     "@" + function.getSymName().str(),
                     "has no body of one block");
  PARTITA_CHECK(checkCount(inputs.size(), function.getNumArguments()));
  Frame frame(RankPlace(), parameters);
  for (auto [i, argument] : llvm::enumerate(function.getArguments())) {
    PARTITA_CHECK(
        checkInput(i, inputs[i], argument.getType(), nn::shapeOf(argument)));
    frame.define(argument, inputs[i]);
  }
  Block &body = function.getBody().front();
  for (Operation &op : body.without_terminator())
    PARTITA_CHECK(frame.execute(&op));
  return frame.use(body.getTerminator());
}

Result<std::vector<HostTensor>> Interpreter::run(func::FuncOp function,
                                                 ArrayRef<HostTensor> inputs,
                                                 ParameterSource &parameters) {
  return guarded([&] { return runBlock(function, inputs, parameters); });
}
