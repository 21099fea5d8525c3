//===- Program.h - The command table of an executable ----------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A compiled model is data: for each rank class a list of commands over slices
// of a static arena, which the runtime walks. Only kernel bodies are code. The
// compiler fills a Program, serialises it and embeds the bytes in the
// executable; the runtime reads them back. The same table is the schedule, the
// flight recorder's vocabulary and the trace's.
//
// Memory of one rank:
//   Arena       step temporaries, inputs, library workspaces; also used while
//               `init` runs (its own layout)
//   Persistent  what init leaves behind: parameters, packed weights, tensors
//               that depend on parameters alone
//   Constant    bytes inside the program, shared by all ranks, read-only
//
// A command's operands and results are strided views of these. Quantities that
// differ between the ranks of a class (where a shard begins) are ShardOffsets,
// evaluated once at load from the rank's mesh coordinates.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_RUNTIME_PROGRAM_H
#define PARTITA_RUNTIME_PROGRAM_H

#include "partita/Support/DType.h"
#include "partita/Support/Sharding.h"
#include <map>
#include <span>
#include <variant>

namespace partita::runtime {

enum class Space : uint8_t { Arena, Persistent, Constant };

/// Views have at most this many dimensions.
constexpr int maxRank = 16;

/// A strided view of a memory space. `offset` in bytes; `strides` in elements
/// (zero where a dimension is broadcast). Negative strides, of reversed
/// dimensions, are for what kernels and `copy` read alone. An opaque blob (packed weights,
/// workspace) is U8 with one dimension.
struct View {
  Space space = Space::Arena;
  int64_t offset = 0;
  DType dtype = DType::F32;
  std::vector<int64_t> shape, strides;

  bool isContiguous() const;
  int64_t numElements() const;
  /// The bytes touched, [begin, end) in the memory space.
  std::pair<int64_t, int64_t> byteRange() const;
  /// Bytes from the first to the last element touched.
  int64_t extentBytes() const;
};

/// A row-major view.
View contiguousView(Space space, int64_t offset, DType dtype,
                    std::vector<int64_t> shape);
/// "arena", "persistent", "constant".
const char *spaceName(Space space);

enum class CommandKind : uint8_t {
  LoadParameter, ///< index = parameter, sharding = to;       -> results[0]
  LoadInput,     ///< index = input, sharding = to;           -> results[0]
  StoreOutput,   ///< index = output, sharding = from; operands[0] ->
  Kernel,        ///< index = generated kernel; operands, then results
  Call,          ///< `callee` of the runtime's library; see Library.h
  Collective,    ///< operands[0] in sharding `from` -> results[0] in `to`
};

/// "load_parameter", "kernel", ...
const char *commandKindName(CommandKind kind);

/// Kinds of communication. What moves follows from the two shardings; the kind
/// names the algorithm and the line in the bill.
enum class CollectiveKind : uint8_t {
  AllReduce, ReduceScatter, AllGather, AllToAll, Permute, HaloExchange,
};
const char *collectiveName(CollectiveKind kind);

using Attr = std::variant<std::vector<int64_t>, std::vector<double>,
                          std::string>;

struct Command {
  CommandKind kind = CommandKind::Call;
  int32_t index = -1;
  std::string callee;
  CollectiveKind collective = CollectiveKind::AllReduce;
  std::vector<View> operands, results;
  /// Scratch memory of library calls and wire buffers; not read before
  /// written.
  std::vector<View> workspace;
  std::map<std::string, Attr> attrs;
  std::vector<ShardOffset> offsets;
  Sharding from, to;
  /// Mesh axes over which a collective communicates.
  std::vector<int> axes;
  /// Unique id of the operation, and the ONNX nodes that it covers.
  std::string id, nodes;
  int64_t matmulFlops = 0;
  double predictedSeconds = 0;
};

struct RankClass {
  std::vector<Command> init, step;
  /// Bytes of each space (64-byte aligned). Arena is the maximum over init and
  /// step.
  int64_t arenaBytes = 0, persistentBytes = 0;
};

struct FileInfo {
  std::string path; ///< absolute when compiled
  int64_t size = 0;
  uint64_t hash = 0; ///< see hashFile in Support/File.h
};

struct ParameterInfo {
  std::string name;
  DType dtype = DType::F32;
  std::vector<int64_t> shape;
  int32_t file = -1;
  int64_t offset = 0, length = 0;
};

/// How `--random-inputs` fills an integer input, from the model's metadata.
struct PortInfo {
  std::string name;
  DType dtype = DType::F32;
  std::vector<int64_t> shape;
  /// "lo:hi" for integers, "mask" for ones with trailing zeros, else empty.
  std::string range;
};

struct Program {
  Mesh mesh;
  int32_t threadsPerRank = 1;
  bool weightsAbsent = false;
  std::string modelName, planJson;
  std::vector<FileInfo> files;
  std::vector<ParameterInfo> parameters;
  std::vector<PortInfo> inputs, outputs;
  std::vector<RankClass> classes;
  std::vector<int32_t> classOfRank;
  std::vector<std::byte> constants;
  std::vector<std::string> kernelNames;

  /// Promised bytes of `rank`: arena plus persistent.
  int64_t peakBytes(int64_t rank) const;
};

/// Little-endian, versioned; the reader checks every length and index, since an
/// executable's data may be corrupted.
std::vector<std::byte> serialize(const Program &program);
Result<Program> deserialize(std::span<const std::byte> bytes);

/// Checks that no command reaches outside its memory, names what does not
/// exist, or has the wrong number of views. The views of loads, stores and
/// collectives must be contiguous. deserialize() has done it.
Status validate(const Program &program);

/// The whole program for people, a command a line; lossy.
std::string printProgram(const Program &program);

} // namespace partita::runtime

#endif // PARTITA_RUNTIME_PROGRAM_H
