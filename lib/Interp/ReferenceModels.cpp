//===- ReferenceModels.cpp - What each operation means --------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Registration, evaluation of one operation, and what the families' kernels
// share: messages and offsets.
//
//===----------------------------------------------------------------------===//

#include "partita/Interp/ReferenceModels.h"
#include "LibraryCalls.h"
#include "Models.h"

using namespace mlir;
using namespace partita;
using namespace partita::interp;

void partita::registerReferenceModels(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, nn::NNDialect *) {
    attachElementwiseModels(*context);
    attachLinearModels(*context);
    attachReductionModels(*context);
    attachShapeModels(*context);
  });
}

std::string interp::describe(Operation *op) {
  std::string text = op->getName().getStringRef().str();
  if (StringRef id = nn::getId(op); !id.empty())
    text += " \"" + id.str() + "\"";
  return text;
}

Error interp::valueError(Operation *op, std::string message) {
  return makeError(ExitCode::InvalidInput, "interp.value", describe(op),
                   std::move(message), "check the values of the inputs");
}

Error interp::typeError(Operation *op, DType type) {
  return makeError(ExitCode::Unsupported, "interp.element-type", describe(op),
                   "is not defined for elements of type " +
                       std::string(dtypeName(type)));
}

Result<Offset> interp::offsetOf(Operation *op, Attribute attr,
                                int64_t localSize, const RankPlace &place) {
  if (!attr)
    return Offset{0, localSize};
  auto offset = dyn_cast<dist::OffsetAttr>(attr);
  if (!offset)
    return makeError(ExitCode::InvalidInput, "interp.offset", describe(op),
                     "has a base that is no #dist.offset");
  PARTITA_TRY(ShardOffset data, offset.toData(place.mesh));
  return Offset{data.evaluate(place.mesh, place.coords), data.size};
}

/// Types that a kernel may rely on; a mismatch is an error in a pass.
static Status checkTypes(Operation *op, ValueRange values,
                         ArrayRef<HostTensor> tensors, StringRef what) {
  auto mismatch = [&](size_t i, const std::string &why) {
    return makeError(ExitCode::Internal, "interp.types", describe(op),
                     what.str() + " " + std::to_string(i) + " " + why);
  };
  if (values.size() != tensors.size())
    return mismatch(tensors.size(), "is missing or one too many");
  for (auto [i, value] : llvm::enumerate(values)) {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    std::optional<DType> dtype;
    if (type)
      dtype = getDType(type.getElementType());
    if (!dtype)
      return mismatch(i, "has a type that cannot be stored");
    if (!tensors[i].defined() || tensors[i].dtype() != *dtype ||
        ArrayRef<int64_t>(tensors[i].shape()) != type.getShape())
      return mismatch(i, "does not have the type of the program");
  }
  return ok();
}

static Result<Tensors> runReference(Operation *op, Operands operands,
                                    const RankPlace &place) {
  if (auto reference = dyn_cast<ReferenceOpInterface>(op))
    return reference.evaluate(operands, place);
  if (auto call = dyn_cast<LibraryOpInterface>(op))
    return evaluateLibraryCall(call, operands, place);
  return makeError(ExitCode::Unsupported, "interp.unsupported", describe(op),
                   "has no reference implementation");
}

Result<Tensors> partita::evaluateReference(Operation *op,
                                           ArrayRef<HostTensor> operands,
                                           const RankPlace &place) {
  PARTITA_CHECK(checkTypes(op, op->getOperands(), operands, "operand"));
  PARTITA_TRY(Tensors results, runReference(op, operands, place));
  PARTITA_CHECK(checkTypes(op, op->getResults(), results, "result"));
  return results;
}
