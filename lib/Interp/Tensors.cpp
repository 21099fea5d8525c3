//===- Tensors.cpp - Between constants and tensors ------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Interp/ReferenceModels.h"

using namespace mlir;
using namespace partita;

RankedTensorType partita::typeOfTensor(MLIRContext *context,
                                       const HostTensor &tensor) {
  return RankedTensorType::get(tensor.shape(),
                               getElementType(context, tensor.dtype()));
}

/// The bits of an element as it is stored.
static uint64_t bitsOf(Attribute element) {
  if (auto number = dyn_cast<FloatAttr>(element))
    return number.getValue().bitcastToAPInt().getZExtValue();
  return cast<IntegerAttr>(element).getValue().getZExtValue();
}

static void setBits(HostTensor &tensor, int64_t i, uint64_t bits) {
  size_t size = dtypeSize(tensor.dtype());
  std::memcpy(tensor.data() + i * size, &bits, size);
}

Result<HostTensor> partita::tensorFromAttr(ElementsAttr attr) {
  ShapedType type = attr.getShapedType();
  std::optional<DType> dtype = getDType(type.getElementType());
  if (!dtype || !type.hasStaticShape())
    return makeError(ExitCode::Unsupported, "interp.element-type", "",
                     "a constant has a type that cannot be stored");
  HostTensor tensor(*dtype, type.getShape().vec());
  if (attr.empty())
    return tensor;
  if (attr.isSplat()) {
    uint64_t bits = bitsOf(attr.getSplatValue<Attribute>());
    for (int64_t i = 0; i < tensor.numElements(); ++i)
      setBits(tensor, i, bits);
    return tensor;
  }
  auto elements = attr.tryGetValues<Attribute>();
  if (!elements)
    return makeError(ExitCode::Unsupported, "interp.constant", "",
                     "a constant's elements cannot be read");
  for (auto [i, element] : llvm::enumerate(*elements))
    setBits(tensor, i, bitsOf(element));
  return tensor;
}

DenseElementsAttr partita::attrFromTensor(MLIRContext *context,
                                          const HostTensor &tensor) {
  RankedTensorType type = typeOfTensor(context, tensor);
  if (tensor.dtype() != DType::Bool)
    return DenseElementsAttr::getFromRawBuffer(
        type, ArrayRef(reinterpret_cast<const char *>(tensor.data()),
                       tensor.numBytes()));
  SmallVector<bool> values;
  for (int64_t i = 0; i < tensor.numElements(); ++i)
    values.push_back(tensor.as<uint8_t>()[i]);
  return DenseElementsAttr::get(type, values);
}
