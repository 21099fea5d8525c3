//===- Serialize.cpp - The command table as bytes -------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One function per structure serves both directions, so that reader and writer
// cannot disagree: `fields(archive, value)` visits the members in order, and
// the archive either appends them or takes them from a bounded buffer.
//
//   magic "PARTITA\0", u32 version, u64 bytes of payload, u64 hash of payload,
//   payload
//
// Integers are little-endian and of fixed width. The reader checks each length
// against the bytes that remain before it allocates, and `validate` afterwards
// checks everything that the runtime relies on: an executable's data may be
// corrupted, or made by someone else.
//
//===----------------------------------------------------------------------===//

#include "partita/Runtime/Program.h"
#include "partita/Support/File.h"
#include <bit>
#include <cstring>
#include <type_traits>

using namespace partita;
using namespace partita::runtime;

static_assert(std::endian::native == std::endian::little,
              "program bytes are little-endian and copied as they are");

static constexpr char magic[8] = {'P', 'A', 'R', 'T', 'I', 'T', 'A', '\0'};
static constexpr uint32_t version = 3;
static constexpr size_t headerBytes = 8 + 4 + 8 + 8;

namespace {

template <typename T>
concept Plain = std::is_arithmetic_v<T> || std::is_enum_v<T>;

class Writer {
public:
  static constexpr bool reading = false;
  std::vector<std::byte> bytes;

  void raw(const void *from, size_t size) {
    auto *begin = static_cast<const std::byte *>(from);
    bytes.insert(bytes.end(), begin, begin + size);
  }
  template <Plain T> void plain(T &value) { raw(&value, sizeof(T)); }
  template <typename T> bool size(T &container, size_t) {
    uint64_t count = container.size();
    plain(count);
    return true;
  }
};

class Reader {
public:
  static constexpr bool reading = true;
  explicit Reader(std::span<const std::byte> bytes) : bytes(bytes) {}

  void raw(void *into, size_t size) {
    if (failed || size > bytes.size() - position) {
      failed = true;
      std::memset(into, 0, size);
      return;
    }
    std::memcpy(into, bytes.data() + position, size);
    position += size;
  }
  template <Plain T> void plain(T &value) { raw(&value, sizeof(T)); }
  /// Resizes `container`, whose elements take at least `least` bytes each.
  template <typename T> bool size(T &container, size_t least) {
    uint64_t count = 0;
    plain(count);
    if (failed || count > (bytes.size() - position) / least) {
      failed = true;
      return false;
    }
    container.resize(count);
    return true;
  }
  bool atEnd() const { return position == bytes.size(); }
  size_t offset() const { return position; }

  bool failed = false;

private:
  std::span<const std::byte> bytes;
  size_t position = 0;
};

} // namespace

// Every structure takes at least this many bytes (an empty vector takes eight).
static constexpr size_t leastBytes = 1;

template <typename A, Plain T> static void fields(A &archive, T &value) {
  if constexpr (std::is_same_v<T, bool>) {
    uint8_t byte = value;
    archive.plain(byte);
    value = byte != 0;
  } else {
    archive.plain(value);
  }
}

template <typename A> static void fields(A &archive, std::string &text) {
  if (archive.size(text, 1) && !text.empty())
    archive.raw(text.data(), text.size());
}

template <typename A, typename T>
static void fields(A &archive, std::vector<T> &values);
template <typename A> static void fields(A &archive, View &view);
template <typename A> static void fields(A &archive, Command &command);
template <typename A> static void fields(A &archive, Sharding &sharding);
template <typename A> static void fields(A &archive, DimSharding &dim);
template <typename A> static void fields(A &archive, FactorSharding &factor);
template <typename A> static void fields(A &archive, ShardOffset &offset);
template <typename A> static void fields(A &archive, RankClass &rankClass);
template <typename A> static void fields(A &archive, FileInfo &file);
template <typename A> static void fields(A &archive, ParameterInfo &parameter);
template <typename A> static void fields(A &archive, PortInfo &port);
template <typename A> static void fields(A &archive, Mesh &mesh);
template <typename A> static void fields(A &archive, Grid &grid);
template <typename A> static void fields(A &archive, TransferInfo &transfer);
template <typename A>
static void fields(A &archive, std::map<std::string, Attr> &attrs);

/// Members in turn.
template <typename A, typename... T>
static void all(A &archive, T &...members) {
  (fields(archive, members), ...);
}

template <typename A, typename T>
static void fields(A &archive, std::vector<T> &values) {
  constexpr bool flat = Plain<T> || std::is_same_v<T, std::byte>;
  if (!archive.size(values, flat ? sizeof(T) : leastBytes))
    return;
  if constexpr (flat) {
    if (!values.empty())
      archive.raw(values.data(), values.size() * sizeof(T));
  } else {
    for (T &value : values) {
      fields(archive, value);
      if constexpr (A::reading)
        if (archive.failed)
          return;
    }
  }
}

template <typename A> static void fields(A &archive, Attr &attr) {
  uint8_t kind = static_cast<uint8_t>(attr.index());
  archive.plain(kind);
  if constexpr (A::reading) {
    if (kind == 0)
      attr = std::vector<int64_t>();
    else if (kind == 1)
      attr = std::vector<double>();
    else if (kind == 2)
      attr = std::string();
    else
      archive.failed = true;
  }
  std::visit([&](auto &value) { fields(archive, value); }, attr);
}

template <typename A>
static void fields(A &archive, std::map<std::string, Attr> &attrs) {
  std::vector<std::string> names;
  for (auto &entry : attrs)
    names.push_back(entry.first);
  fields(archive, names);
  for (const std::string &name : names)
    fields(archive, attrs[name]);
}

template <typename A> static void fields(A &archive, View &view) {
  all(archive, view.space, view.offset, view.dtype, view.shape, view.strides);
}
template <typename A> static void fields(A &archive, FactorSharding &factor) {
  all(archive, factor.size, factor.axes);
  bool hasHalo = factor.halo.has_value();
  fields(archive, hasHalo);
  if (!hasHalo)
    return;
  if constexpr (A::reading)
    factor.halo.emplace();
  Halo &halo = *factor.halo;
  all(archive, halo.positions, halo.stride, halo.before, halo.extent);
}
template <typename A> static void fields(A &archive, DimSharding &dim) {
  fields(archive, dim.factors);
}
template <typename A> static void fields(A &archive, Sharding &sharding) {
  all(archive, sharding.dims, sharding.partialAxes, sharding.combiner);
}
template <typename A> static void fields(A &archive, ShardOffset &offset) {
  all(archive, offset.size, offset.axes);
}
template <typename A> static void fields(A &archive, Command &c) {
  all(archive, c.kind, c.index, c.callee, c.collective, c.operands, c.results,
      c.workspace, c.attrs, c.offsets, c.from, c.to, c.axes, c.id, c.nodes,
      c.matmulFlops, c.predictedSeconds);
}
template <typename A> static void fields(A &archive, RankClass &rankClass) {
  all(archive, rankClass.stage, rankClass.init, rankClass.step,
      rankClass.arenaBytes, rankClass.persistentBytes);
}
template <typename A> static void fields(A &archive, FileInfo &file) {
  all(archive, file.path, file.size, file.hash);
}
template <typename A> static void fields(A &archive, ParameterInfo &p) {
  all(archive, p.name, p.dtype, p.shape, p.file, p.offset, p.length);
}
template <typename A> static void fields(A &archive, PortInfo &port) {
  all(archive, port.name, port.dtype, port.shape, port.range, port.batchDim);
}
template <typename A> static void fields(A &archive, Mesh &mesh) {
  all(archive, mesh.name, mesh.axisNames, mesh.axisSizes, mesh.stageAxes);
}
template <typename A> static void fields(A &archive, Grid &grid) {
  all(archive, grid.mesh, grid.ranks);
}
template <typename A> static void fields(A &archive, TransferInfo &t) {
  all(archive, t.name, t.dtype, t.shape, t.fromStage, t.toStage, t.from, t.to);
}
template <typename A> static void programFields(A &archive, Program &p) {
  all(archive, p.mesh, p.stages, p.transfers, p.microBatches, p.threadsPerRank,
      p.weightsAbsent, p.modelName, p.planJson, p.files, p.parameters, p.inputs,
      p.outputs, p.classes, p.classOfRank, p.constants, p.kernelNames);
}

std::vector<std::byte> partita::runtime::serialize(const Program &program) {
  Writer payload;
  // The writer changes nothing, but shares its functions with the reader.
  programFields(payload, const_cast<Program &>(program));
  Writer out;
  uint64_t size = payload.bytes.size();
  uint64_t hash = hashBytes(payload.bytes.data(), size);
  uint32_t written = version;
  out.raw(magic, sizeof(magic));
  out.plain(written);
  out.plain(size);
  out.plain(hash);
  out.raw(payload.bytes.data(), size);
  return std::move(out.bytes);
}

static Error malformed(std::string message) {
  return makeError(ExitCode::InvalidInput, "program.malformed", "program",
                   std::move(message), "compile the model again");
}

Result<Program>
partita::runtime::deserialize(std::span<const std::byte> bytes) {
  if (bytes.size() < headerBytes ||
      std::memcmp(bytes.data(), magic, sizeof(magic)) != 0)
    return malformed("not a compiled program");
  Reader header(bytes.subspan(sizeof(magic)));
  uint32_t found = 0;
  uint64_t size = 0, hash = 0;
  header.plain(found);
  header.plain(size);
  header.plain(hash);
  if (found != version)
    return malformed("has version " + std::to_string(found) +
                     ", this runtime reads version " + std::to_string(version));
  if (size != bytes.size() - headerBytes)
    return malformed(
        "is truncated: " + std::to_string(bytes.size() - headerBytes) + " of " +
        std::to_string(size) + " bytes");
  std::span<const std::byte> payload = bytes.subspan(headerBytes);
  if (hashBytes(payload.data(), payload.size()) != hash)
    return malformed("is corrupted: its hash differs");
  Reader reader(payload);
  Program program;
  programFields(reader, program);
  if (reader.failed || !reader.atEnd())
    return malformed("cannot be read at byte " +
                     std::to_string(headerBytes + reader.offset()));
  PARTITA_CHECK(validate(program));
  return program;
}
