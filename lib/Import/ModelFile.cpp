//===- ModelFile.cpp - An ONNX model and the files of its weights ---------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ModelFile.h"
#include "Failure.h"
#include "google/protobuf/io/coded_stream.h"
#include <charconv>
#include <cstring>
#include <filesystem>

using namespace partita;
using namespace partita::importer;
using onnx::TensorProto;

const char importer::supportedTypes[] =
    "supported are floats of 16 to 64 bits, integers of 8 to 64 bits and "
    "booleans, and as weights, inputs and quantised values floats of 4 and 8 "
    "and integers of 2 and 4 bits";

/// As many as views of the runtime have.
static constexpr size_t maxRank = 16;
/// What a process can address: sums of many such sizes do not overflow.
static constexpr int64_t maxTensorBytes = int64_t(1) << 47;

std::optional<DType> importer::dtypeOf(int onnxType) {
  switch (onnxType) {
  case TensorProto::FLOAT:
    return DType::F32;
  case TensorProto::DOUBLE:
    return DType::F64;
  case TensorProto::FLOAT16:
    return DType::F16;
  case TensorProto::BFLOAT16:
    return DType::BF16;
  case TensorProto::INT8:
    return DType::I8;
  case TensorProto::INT16:
    return DType::I16;
  case TensorProto::INT32:
    return DType::I32;
  case TensorProto::INT64:
    return DType::I64;
  case TensorProto::UINT8:
    return DType::U8;
  case TensorProto::UINT16:
    return DType::U16;
  case TensorProto::UINT32:
    return DType::U32;
  case TensorProto::UINT64:
    return DType::U64;
  case TensorProto::BOOL:
    return DType::Bool;
  default:
    return std::nullopt;
  }
}

std::string importer::onnxTypeName(int onnxType) {
  if (onnx::TensorProto_DataType_IsValid(onnxType))
    return onnx::TensorProto_DataType_Name(
        static_cast<onnx::TensorProto_DataType>(onnxType));
  return "number " + std::to_string(onnxType);
}

int64_t importer::checkedBytes(DType dtype, const std::vector<int64_t> &shape,
                               const std::string &place) {
  if (shape.size() > maxRank)
    unsupported("rank", place,
                "has " + std::to_string(shape.size()) + " dimensions",
                "at most " + std::to_string(maxRank) + " are supported");
  std::optional<int64_t> count = checkedNumElements(shape);
  int64_t bytes = 0;
  // No elements at all do not make a size that can be computed with.
  bool huge = std::any_of(shape.begin(), shape.end(), [](int64_t size) {
    return size > maxTensorBytes;
  });
  if (!count || huge ||
      __builtin_mul_overflow(*count, int64_t(dtypeSize(dtype)), &bytes) ||
      bytes > maxTensorBytes) {
    std::string text;
    for (int64_t size : shape)
      text += (text.empty() ? "" : ", ") + std::to_string(size);
    invalid("shape", place, "has the impossible shape [" + text + "]",
            "dimensions must not be negative, and no tensor can have more than "
            "2^47 bytes");
  }
  return bytes;
}

static std::string tensorPlace(const TensorProto &tensor) {
  return "tensor \"" + tensor.name() + "\"";
}

//===----------------------------------------------------------------------===//
// Opening
//===----------------------------------------------------------------------===//

ModelFile::ModelFile(const std::string &path) {
  std::string absolute =
      std::filesystem::absolute(path).lexically_normal().string();
  directory = std::filesystem::path(absolute).parent_path().string();
  files.push_back(take(InputFile::open(absolute)));
  MappedFile mapped = take(MappedFile::map(files[0]));
  StrippedModel stripped = stripWeights(mapped.span(), path);
  regions = std::move(stripped.regions);
  google::protobuf::io::CodedInputStream stream(
      reinterpret_cast<const uint8_t *>(stripped.bytes.data()),
      int(stripped.bytes.size()));
  stream.SetRecursionLimit(200);
  if (!model.ParseFromCodedStream(&stream) || !stream.ConsumedEntireMessage())
    invalid("malformed", path, "is not a valid ONNX file",
            "the file is truncated or damaged, or is not an ONNX model");
  if (!model.has_graph())
    invalid("malformed", path, "has no graph",
            "the file is truncated or empty, or is not an ONNX model");
  for (const auto &entry : model.metadata_props())
    metadata[entry.key()] = entry.value();
}

bool ModelFile::weightsAbsent() const {
  auto it = metadata.find("partita.weights");
  return it != metadata.end() && it->second == "absent";
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

TensorInfo ModelFile::info(const TensorProto &tensor) const {
  const NarrowType *narrow = narrowType(tensor.data_type());
  std::optional<DType> dtype =
      narrow ? narrow->stored : dtypeOf(tensor.data_type());
  if (!dtype)
    unsupported("dtype", tensorPlace(tensor),
                "has the element type " + onnxTypeName(tensor.data_type()),
                supportedTypes);
  TensorInfo info{
      *dtype, {tensor.dims().begin(), tensor.dims().end()}, 0, 0, narrow};
  info.numBytes = checkedBytes(info.dtype, info.shape, tensorPlace(tensor));
  info.numElements = info.numBytes / int64_t(dtypeSize(*dtype));
  if (narrow)
    info.numBytes = narrow->packedBytes(info.numElements);
  return info;
}

Place ModelFile::locate(const TensorProto &tensor) {
  TensorInfo type = info(tensor);
  if (tensor.has_segment())
    unsupported("segment", tensorPlace(tensor), "is stored in segments",
                "save the model again with a current version of onnx");
  if (tensor.data_location() == TensorProto::EXTERNAL)
    return locateExternal(tensor, type);
  for (const auto &entry : tensor.external_data())
    if (entry.key() == regionKey)
      return locateRegion(tensor, type);
  bool hasData = tensor.int32_data_size() || tensor.int64_data_size() ||
                 tensor.uint64_data_size() || tensor.float_data_size() ||
                 tensor.double_data_size();
  if (hasData || type.numElements == 0)
    return {};
  if (!weightsAbsent())
    invalid("no-data", tensorPlace(tensor), "has no data",
            "a model exported without weights must say so by the metadata "
            "entry partita.weights=absent");
  Place place;
  place.kind = Place::Absent;
  place.length = type.numBytes;
  return place;
}

Place ModelFile::locateRegion(const TensorProto &tensor,
                              const TensorInfo &info) {
  const Region *found = nullptr;
  for (const auto &entry : tensor.external_data()) {
    size_t index = 0;
    const std::string &text = entry.value();
    auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), index);
    if (entry.key() != regionKey || error != std::errc() ||
        end != text.data() + text.size() || index >= regions.size())
      invalid("tensor-data", tensorPlace(tensor),
              "has both its own data and external data",
              "save the model again with a current version of onnx");
    if (regions[index].length == 0 && info.numElements != 0)
      continue;
    if (found)
      unsupported("tensor-data", tensorPlace(tensor),
                  "has its data in several pieces",
                  "save the model again with its tensors as raw_data");
    found = &regions[index];
  }
  bool fits =
      found && (found->kind == Region::Raw ||
                (found->kind == Region::Float && info.dtype == DType::F32) ||
                (found->kind == Region::Double && info.dtype == DType::F64));
  if (found && !fits)
    invalid("tensor-data", tensorPlace(tensor),
            "has data of another type than its own, " +
                onnxTypeName(tensor.data_type()));
  int64_t length = found ? found->length : 0;
  if (length != info.numBytes)
    invalid("tensor-data", tensorPlace(tensor),
            "has " + std::to_string(length) +
                " bytes of data, its shape needs " +
                std::to_string(info.numBytes));
  return {Place::InFile, 0, found ? found->offset : 0, length};
}

static int64_t parseOffset(const std::string &text, const TensorProto &tensor,
                           const char *what) {
  int64_t value = 0;
  auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0)
    invalid("external-data", tensorPlace(tensor),
            std::string("has the impossible ") + what + " \"" + text + "\"");
  return value;
}

/// The number of a file that is not there, in a model without weights.
static constexpr int absentFile = -1;

Place ModelFile::locateExternal(const TensorProto &tensor,
                                const TensorInfo &info) {
  std::string location;
  int64_t offset = 0, length = info.numBytes;
  for (const auto &entry : tensor.external_data()) {
    if (entry.key() == "location")
      location = entry.value();
    else if (entry.key() == "offset")
      offset = parseOffset(entry.value(), tensor, "offset");
    else if (entry.key() == "length")
      length = parseOffset(entry.value(), tensor, "length");
  }
  if (length != info.numBytes)
    invalid("external-data", tensorPlace(tensor),
            "has " + std::to_string(length) +
                " bytes of external data, its shape needs " +
                std::to_string(info.numBytes));
  auto [it, isNew] = fileOfLocation.try_emplace(location, absentFile);
  if (isNew) {
    Result<InputFile> file = InputFile::openBeneath(directory, location);
    if (!file) {
      if (weightsAbsent()) // Looked for once, not for every tensor in it.
        return {Place::Absent, absentFile, 0, info.numBytes};
      Error error = file.takeError();
      error.place =
          tensorPlace(tensor) + ", external data \"" + location + "\"";
      if (error.hint.empty())
        error.hint = "external data must lie beside the model, in " + directory;
      throw Failure{error};
    }
    it->second = int(files.size());
    files.push_back(std::move(*file));
  }
  if (it->second == absentFile)
    return {Place::Absent, absentFile, 0, info.numBytes};
  int64_t size = files[it->second].size();
  if (offset > size || length > size - offset)
    invalid("external-data", tensorPlace(tensor),
            "ends at byte " + std::to_string(uint64_t(offset) + length) +
                " of \"" + location + "\", which has " + std::to_string(size),
            "the file of external data is truncated or belongs to another "
            "model");
  return {Place::InFile, it->second, offset, length};
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

template <typename T, typename Field>
static void copyElements(const Field &field, HostTensor &result) {
  for (int i = 0; i < field.size(); ++i)
    result.as<T>()[i] = static_cast<T>(field.Get(i));
}

/// Element types narrower than 32 bits are stored in int32_data; half floats as
/// their bits.
static void copyInline(const TensorProto &tensor, HostTensor &result) {
  switch (result.dtype()) {
  case DType::F32:
    return copyElements<float>(tensor.float_data(), result);
  case DType::F64:
    return copyElements<double>(tensor.double_data(), result);
  case DType::I64:
    return copyElements<int64_t>(tensor.int64_data(), result);
  case DType::U64:
    return copyElements<uint64_t>(tensor.uint64_data(), result);
  case DType::U32:
    return copyElements<uint32_t>(tensor.uint64_data(), result);
  case DType::I32:
    return copyElements<int32_t>(tensor.int32_data(), result);
  case DType::F16:
  case DType::BF16:
  case DType::U16:
  case DType::I16:
    return copyElements<uint16_t>(tensor.int32_data(), result);
  case DType::I8:
  case DType::U8:
    return copyElements<uint8_t>(tensor.int32_data(), result);
  case DType::Bool:
    for (int i = 0; i < tensor.int32_data_size(); ++i)
      result.as<uint8_t>()[i] = tensor.int32_data(i) != 0;
  }
}

/// How many entries the field has that holds the elements.
static int64_t inlineCount(const TensorProto &tensor, const TensorInfo &info) {
  switch (info.narrow ? DType::U8 : info.dtype) {
  case DType::F32:
    return tensor.float_data_size();
  case DType::F64:
    return tensor.double_data_size();
  case DType::I64:
    return tensor.int64_data_size();
  case DType::U64:
  case DType::U32:
    return tensor.uint64_data_size();
  default:
    return tensor.int32_data_size();
  }
}

HostTensor ModelFile::readNarrow(const TensorProto &tensor,
                                 const TensorInfo &info, const Place &place) {
  std::vector<uint8_t> bytes(size_t(info.numBytes));
  if (place.kind == Place::Inline)
    for (size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = uint8_t(tensor.int32_data(int(i)));
  else if (place.length != 0)
    take(files[place.file].read(place.offset, bytes.data(), place.length));
  HostTensor result(info.dtype, info.shape);
  int bits = info.narrow->bits, mask = (1 << bits) - 1;
  for (int64_t i = 0; i < info.numElements; ++i) {
    int64_t bit = i * bits;
    unsigned pattern = unsigned(bytes[size_t(bit / 8)] >> (bit % 8) & mask);
    result.setDouble(i, info.narrow->value(pattern));
  }
  return result;
}

HostTensor ModelFile::read(const TensorProto &tensor) {
  TensorInfo type = info(tensor);
  Place place = locate(tensor);
  if (type.numBytes > (1 << 20) || place.kind == Place::Absent)
    unsupported("constant", tensorPlace(tensor),
                "is too large for a constant, and its data is not stored as "
                "consecutive bytes",
                "save the model again with its tensors as raw_data");
  int64_t entries = type.narrow ? type.numBytes : type.numElements;
  if (place.kind == Place::Inline && inlineCount(tensor, type) != entries)
    invalid("tensor-data", tensorPlace(tensor),
            "has " + std::to_string(inlineCount(tensor, type)) +
                " elements of data, its shape needs " +
                std::to_string(entries));
  if (type.narrow)
    return readNarrow(tensor, type, place);
  HostTensor result(type.dtype, type.shape);
  if (place.kind == Place::Inline)
    copyInline(tensor, result);
  else if (place.length != 0)
    take(files[place.file].read(place.offset, result.data(), place.length));
  if (type.dtype == DType::Bool)
    for (int64_t i = 0; i < type.numElements; ++i)
      result.as<uint8_t>()[i] = result.as<uint8_t>()[i] != 0;
  return result;
}
