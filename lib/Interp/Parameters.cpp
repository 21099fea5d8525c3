//===- Parameters.cpp - Where the interpreter finds weights ---------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Interp/Parameters.h"

using namespace mlir;
using namespace partita;

HostTensor partita::extractBox(const std::byte *data, DType dtype,
                               const Box &box) {
  HostTensor part(dtype, box.localShape());
  size_t size = dtypeSize(dtype);
  forEachRun(box, [&](Run run) {
    std::memcpy(part.data() + run.local * size, data + run.global * size,
                run.count * size);
  });
  return part;
}

HostTensor partita::extractBox(const HostTensor &tensor, const Box &box) {
  return box.isFull() ? tensor : extractBox(tensor.data(), tensor.dtype(), box);
}

static Error parameterError(nn::ParameterOp parameter, std::string code,
                            std::string message, std::string hint = "") {
  return makeError(ExitCode::InvalidInput, std::move(code),
                   "@" + parameter.getSymName().str(), std::move(message),
                   std::move(hint));
}

static std::vector<int64_t> shapeOfParameter(nn::ParameterOp parameter) {
  return nn::shapeOf(parameter.getType());
}

static Result<DType> dtypeOfParameter(nn::ParameterOp parameter) {
  auto type = cast<RankedTensorType>(parameter.getType());
  std::optional<DType> dtype = getDType(type.getElementType());
  if (!dtype)
    return parameterError(parameter, "interp.element-type",
                          "has elements that cannot be stored");
  return *dtype;
}

//===----------------------------------------------------------------------===//
// Files
//===----------------------------------------------------------------------===//

FileParameters::FileParameters(ModuleOp module, std::string directory)
    : module(module), directory(std::move(directory)) {}

Result<const MappedFile *> FileParameters::file(nn::ParameterOp parameter) {
  int64_t index = parameter.getFile();
  if (auto it = files.find(index); it != files.end())
    return &it->second;
  auto list = module->getAttrOfType<ArrayAttr>(nn::filesAttrName);
  if (index < 0)
    return parameterError(parameter, "interp.weights-absent",
                          "the model has no weights",
                          "use a model that was exported with its weights");
  if (!list || index >= int64_t(list.size()))
    return parameterError(parameter, "interp.files",
                          "names file " + std::to_string(index) +
                              ", which the module does not list");
  auto entry = dyn_cast<DictionaryAttr>(list[index]);
  auto path = entry ? entry.getAs<StringAttr>("path") : StringAttr();
  auto size = entry ? entry.getAs<IntegerAttr>("size") : IntegerAttr();
  if (!path || !size)
    return parameterError(parameter, "interp.files",
                          "names a file without path or size");
  std::string full = path.str();
  if (!directory.empty() && !path.getValue().starts_with("/"))
    full = directory + "/" + full;
  PARTITA_TRY(MappedFile mapped, MappedFile::open(full));
  if (mapped.size() != size.getInt())
    return parameterError(parameter, "interp.file-size",
                          full + " has " + std::to_string(mapped.size()) +
                              " bytes, it had " + std::to_string(size.getInt()),
                          "the weights changed since the model was imported");
  return &(files[index] = std::move(mapped));
}

Result<HostTensor> FileParameters::read(nn::ParameterOp parameter,
                                        const Box *box) {
  PARTITA_TRY(DType dtype, dtypeOfParameter(parameter));
  PARTITA_TRY(const MappedFile *mapped, file(parameter));
  std::vector<int64_t> shape = shapeOfParameter(parameter);
  int64_t offset = parameter.getOffset(), length = parameter.getLength();
  std::optional<int64_t> count = checkedNumElements(shape);
  if (!count || length != *count * int64_t(dtypeSize(dtype)) || offset < 0 ||
      offset > mapped->size() || length > mapped->size() - offset)
    return parameterError(parameter, "interp.file-range",
                          "does not lie within " + mapped->path());
  const std::byte *data = mapped->data() + offset;
  if (box)
    return extractBox(data, dtype, *box);
  HostTensor tensor(dtype, shape);
  std::memcpy(tensor.data(), data, tensor.numBytes());
  return tensor;
}

//===----------------------------------------------------------------------===//
// Memory and promotion
//===----------------------------------------------------------------------===//

Result<HostTensor> MemoryParameters::read(nn::ParameterOp parameter,
                                          const Box *box) {
  PARTITA_TRY(DType dtype, dtypeOfParameter(parameter));
  auto it = tensors.find(parameter.getSymName().str());
  if (it == tensors.end())
    return parameterError(parameter, "interp.parameter", "has no value");
  if (it->second.shape() != shapeOfParameter(parameter))
    return parameterError(parameter, "interp.parameter",
                          "has a value of another shape");
  HostTensor tensor = it->second;
  if (tensor.dtype() != dtype)
    tensor = tensor.cast(dtype);
  return box ? extractBox(tensor, *box) : tensor;
}

Result<HostTensor> PromotedParameters::read(nn::ParameterOp parameter,
                                            const Box *box) {
  auto source = original.lookupSymbol<nn::ParameterOp>(parameter.getSymName());
  if (!source)
    return parameterError(parameter, "interp.parameter",
                          "is not in the original module");
  PARTITA_TRY(DType dtype, dtypeOfParameter(parameter));
  PARTITA_TRY(HostTensor tensor, this->source.read(source, box));
  return tensor.dtype() == dtype ? tensor : tensor.cast(dtype);
}
