//===- Interfaces.cpp - What makes an operation plannable -----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/interfaces/Interfaces.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace partita;

#include "dialects/interfaces/Interfaces.cpp.inc"

std::optional<DType> partita::getDType(Type type) {
  if (type.isF32())
    return DType::F32;
  if (type.isF64())
    return DType::F64;
  if (type.isF16())
    return DType::F16;
  if (type.isBF16())
    return DType::BF16;
  auto integer = dyn_cast<IntegerType>(type);
  if (!integer)
    return std::nullopt;
  bool isUnsigned = integer.isUnsigned();
  switch (integer.getWidth()) {
  case 1:
    return DType::Bool;
  case 8:
    return isUnsigned ? DType::U8 : DType::I8;
  case 16:
    return isUnsigned ? DType::U16 : DType::I16;
  case 32:
    return isUnsigned ? DType::U32 : DType::I32;
  case 64:
    return isUnsigned ? DType::U64 : DType::I64;
  default:
    return std::nullopt;
  }
}

Type partita::getElementType(MLIRContext *context, DType dtype) {
  Builder b(context);
  switch (dtype) {
  case DType::F32:
    return b.getF32Type();
  case DType::F64:
    return b.getF64Type();
  case DType::F16:
    return b.getF16Type();
  case DType::BF16:
    return b.getBF16Type();
  case DType::Bool:
    return b.getI1Type();
  case DType::I8:
  case DType::I16:
  case DType::I32:
  case DType::I64:
    return b.getIntegerType(8 * dtypeSize(dtype));
  default:
    return b.getIntegerType(8 * dtypeSize(dtype), /*isSigned=*/false);
  }
}

/// An attribute as the library takes it, or null.
static Attribute toLibraryAttr(Attribute attr) {
  MLIRContext *context = attr.getContext();
  auto ints = [&](ArrayRef<int64_t> values) -> Attribute {
    return DenseI64ArrayAttr::get(context, values);
  };
  return llvm::TypeSwitch<Attribute, Attribute>(attr)
      .Case<DenseI64ArrayAttr, DenseF64ArrayAttr, StringAttr>(
          [](auto same) { return same; })
      .Case([&](BoolAttr value) { return ints(value.getValue() ? 1 : 0); })
      .Case([&](IntegerAttr value) { return ints(value.getInt()); })
      .Case([&](FloatAttr value) -> Attribute {
        return DenseF64ArrayAttr::get(context, value.getValueAsDouble());
      })
      .Case([&](DenseI32ArrayAttr value) {
        return ints(llvm::to_vector_of<int64_t>(value.asArrayRef()));
      })
      .Case([&](UnitAttr) { return ints(1); })
      .Default(Attribute());
}

Result<LibraryCall> partita::libraryCallOf(Operation *op) {
  LibraryCall call;
  for (NamedAttribute named : op->getAttrs()) {
    StringRef name = named.getName();
    if (name.contains('.')) // of a dialect, and not the operation's own
      continue;
    if (name == "operandSegmentSizes")
      name = "operands";
    Attribute value = toLibraryAttr(named.getValue());
    if (!value) {
      if (named.getValue().getDialect().getNamespace() != "dist")
        return makeError(ExitCode::Internal, "library.attribute",
                         op->getName().getStringRef().str(),
                         "the library takes no attribute like '" + name.str() +
                             "'");
      value = DenseI64ArrayAttr::get(op->getContext(),
                                     int64_t(call.offsets.size()));
      call.offsets.push_back(named.getValue());
    }
    call.config.emplace_back(StringAttr::get(op->getContext(), name), value);
  }
  return call;
}
