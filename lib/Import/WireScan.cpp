//===- WireScan.cpp - Takes the weights out of an ONNX file ---------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The walk knows of each message only the fields that lead to a tensor and
// those that are dropped; everything else is copied as it is and checked by
// protobuf's own parser afterwards.
//
//===----------------------------------------------------------------------===//

#include "WireScan.h"
#include "Failure.h"

using namespace partita;
using namespace partita::importer;

namespace {

enum Message { Model, Graph, Node, Attribute, Tensor, Sparse, Function, Other };

constexpr int maxDepth = 64;
constexpr size_t maxStructure = size_t(512) << 20;

/// The message type of a field that leads to a tensor.
Message childOf(Message message, uint32_t field) {
  switch (message) {
  case Model:
    return field == 7 ? Graph : field == 25 ? Function : Other;
  case Graph:
    return field == 1    ? Node
           : field == 5  ? Tensor
           : field == 15 ? Sparse
                         : Other;
  case Node:
    return field == 5 ? Attribute : Other;
  case Attribute:
    if (field == 5 || field == 10)
      return Tensor;
    if (field == 6 || field == 11)
      return Graph;
    return field == 22 || field == 23 ? Sparse : Other;
  case Sparse:
    return field == 1 || field == 2 ? Tensor : Other;
  case Function:
    return field == 7 ? Node : field == 11 ? Attribute : Other;
  default:
    return Other;
  }
}

/// Fields that nothing reads: training graphs; documentation, value infos and
/// annotations of a graph; documentation and metadata of a node and a tensor.
bool isDropped(Message message, uint32_t field) {
  switch (message) {
  case Model:
    return field == 6 || field == 20;
  case Graph:
    return field == 10 || field == 13 || field == 14 || field == 16;
  case Node:
    return field == 6 || field == 9;
  case Attribute:
    return field == 13;
  case Tensor:
    return field == 12 || field == 16;
  case Function:
    return field == 8 || field == 12 || field == 14;
  default:
    return false;
  }
}

void putVarint(std::string &out, uint64_t value) {
  for (; value >= 0x80; value >>= 7)
    out.push_back(char(value | 0x80));
  out.push_back(char(value));
}

void putBytes(std::string &out, uint32_t field, std::string_view bytes) {
  putVarint(out, field << 3 | 2);
  putVarint(out, bytes.size());
  out.append(bytes);
}

class Scanner {
public:
  Scanner(std::span<const std::byte> file, const std::string &place,
          StrippedModel &result)
      : file(file), place(place), regions(result.regions) {}

  /// Copies the message in [begin, end) to `out` without its tensors' data.
  void scan(Message message, size_t begin, size_t end, int depth,
            std::string &out) {
    if (depth > maxDepth)
      invalid("nesting", at(begin),
              "messages nest more than " + std::to_string(maxDepth) + " deep",
              "subgraphs inside subgraphs to this depth are not supported");
    for (size_t position = begin; position < end;) {
      size_t start = position;
      uint64_t tag = varint(position, end);
      uint32_t field = uint32_t(tag >> 3);
      if (tag >> 3 == 0 || tag >> 3 > (uint64_t(1) << 29) - 1)
        malformed(start, "an impossible field number");
      size_t payload = position;
      skip(tag & 7, start, payload, position, end);
      if (!isDropped(message, field))
        copy(message, field, tag & 7, start, payload, position, depth, out);
      if (out.size() > maxStructure)
        unsupported("structure-too-large", place,
                    "the graph without its weights is larger than 512 MiB",
                    "store large tensors as raw_data or external data");
    }
  }

private:
  std::string at(size_t offset) const {
    return place + ", offset " + std::to_string(offset);
  }
  [[noreturn]] void malformed(size_t offset, const std::string &what) const {
    invalid("malformed", at(offset), "is not a valid ONNX file: " + what,
            "the file is truncated or damaged, or is not an ONNX model");
  }

  uint64_t varint(size_t &position, size_t end) const {
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      if (position >= end)
        malformed(position, "it ends inside a number");
      uint8_t byte = uint8_t(file[position++]);
      value |= uint64_t(byte & 0x7f) << (shift < 64 ? shift : 63);
      if (byte < 0x80)
        return value;
    }
    malformed(position, "a number of more than 10 bytes");
  }

  /// Moves `position` past a field's content and `payload` to where the content
  /// begins.
  void skip(int wire, size_t start, size_t &payload, size_t &position,
            size_t end) const {
    uint64_t length = 0;
    if (wire == 0) {
      varint(position, end);
    } else if (wire == 1 || wire == 5) {
      length = wire == 1 ? 8 : 4;
    } else if (wire == 2) {
      length = varint(position, end);
      payload = position;
    } else {
      malformed(start, "an impossible wire type");
    }
    if (length > end - position)
      malformed(start, "a field of " + std::to_string(length) +
                           " bytes, of which " +
                           std::to_string(end - position) + " are there");
    position += length;
  }

  void copy(Message message, uint32_t field, int wire, size_t start,
            size_t payload, size_t position, int depth, std::string &out) {
    if (wire == 2 && message == Tensor &&
        (field == 9 || field == 4 || field == 10)) {
      mark(field, payload, position - payload, out);
      return;
    }
    Message child = childOf(message, field);
    if (wire == 2 && child != Other) {
      std::string inner;
      scan(child, payload, position, depth + 1, inner);
      putBytes(out, field, inner);
      return;
    }
    out.append(reinterpret_cast<const char *>(file.data()) + start,
               position - start);
  }

  /// Puts external_data {key: regionKey, value: index} in place of the data.
  void mark(uint32_t field, size_t offset, size_t length, std::string &out) {
    Region::Kind kind = field == 9   ? Region::Raw
                        : field == 4 ? Region::Float
                                     : Region::Double;
    std::string entry;
    putBytes(entry, 1, regionKey);
    putBytes(entry, 2, std::to_string(regions.size()));
    putBytes(out, 13, entry);
    regions.push_back({kind, int64_t(offset), int64_t(length)});
  }

  std::span<const std::byte> file;
  const std::string &place;
  std::vector<Region> &regions;
};

} // namespace

StrippedModel importer::stripWeights(std::span<const std::byte> file,
                                     const std::string &place) {
  StrippedModel result;
  Scanner(file, place, result).scan(Model, 0, file.size(), 0, result.bytes);
  return result;
}
