//===- Promote.cpp - The same program in double precision -----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/IR/AttrTypeSubElements.h"
#include "partita/Interp/Interpreter.h"

using namespace mlir;
using namespace partita;

static bool isNarrow(Type type) {
  return type.isF32() || type.isF16() || type.isBF16();
}

OwningOpRef<ModuleOp> partita::promoteFloats(ModuleOp module) {
  MLIRContext *context = module.getContext();
  Type f64 = Float64Type::get(context);
  AttrTypeReplacer replacer;
  replacer.addReplacement([&](FloatType type) -> std::optional<Type> {
    return isNarrow(type) ? std::optional<Type>(f64) : std::nullopt;
  });
  replacer.addReplacement([&](FloatAttr attr) -> std::optional<Attribute> {
    if (!isNarrow(attr.getType()))
      return std::nullopt;
    return FloatAttr::get(f64, attr.getValueAsDouble());
  });
  replacer.addReplacement(
      [&](DenseElementsAttr attr) -> std::optional<Attribute> {
        if (!isNarrow(attr.getElementType()))
          return std::nullopt;
        auto widen = [](const APFloat &value) {
          return APFloat(value.convertToDouble()).bitcastToAPInt();
        };
        return attr.mapValues(f64, widen);
      });
  OwningOpRef<ModuleOp> clone = module.clone();
  replacer.recursivelyReplaceElementsIn(*clone, /*replaceAttrs=*/true,
                                        /*replaceLocs=*/false,
                                        /*replaceTypes=*/true);
  for (auto parameter : clone->getOps<nn::ParameterOp>()) {
    auto type = cast<RankedTensorType>(parameter.getType());
    std::optional<DType> dtype = getDType(type.getElementType());
    if (!type.getElementType().isF64() || !dtype)
      continue;
    parameter.setFile(-1);
    parameter.setOffset(0);
    parameter.setLength(type.getNumElements() * dtypeSize(*dtype));
  }
  return clone;
}
