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
/// dimensions, are for what kernels and `copy` read alone. An opaque blob
/// (packed weights, workspace) is U8 with one dimension.
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
  Send,          ///< index = transfer; operands[0] ->
  Receive,       ///< index = transfer;                       -> results[0]
};

/// "load_parameter", "kernel", ...
const char *commandKindName(CommandKind kind);
inline bool isCommunication(CommandKind kind) {
  return kind == CommandKind::Collective || kind == CommandKind::Send ||
         kind == CommandKind::Receive;
}

/// Kinds of communication. What moves follows from the two shardings; the kind
/// names the algorithm and the line in the bill.
enum class CollectiveKind : uint8_t {
  AllReduce,
  ReduceScatter,
  AllGather,
  AllToAll,
  Permute,
  HaloExchange,
};
const char *collectiveName(CollectiveKind kind);

using Attr =
    std::variant<std::vector<int64_t>, std::vector<double>, std::string>;

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

/// Ranks in a grid: place i of the mesh is rank `ranks`[i] of the program.
struct Grid {
  Mesh mesh;
  std::vector<int64_t> ranks;
  /// Of a rank; -1 if it is not here.
  int64_t placeOf(int64_t rank) const;
};

struct RankClass {
  /// What its shardings and axes are about.
  int32_t stage = 0;
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
  /// The dimension that micro-batches cut; -1: each has the whole.
  int32_t batchDim = -1;
};

/// A tensor that goes from one stage to another, once a micro-batch. The number
/// of it is the tag of its messages.
struct TransferInfo {
  std::string name;
  DType dtype = DType::F32;
  std::vector<int64_t> shape;
  int32_t fromStage = 0, toStage = 0;
  /// On the meshes of the two stages.
  Sharding from, to;
};

struct Program {
  /// Of all ranks.
  Mesh mesh;
  /// Empty: one stage, which is all ranks on `mesh`.
  std::vector<Grid> stages;
  std::vector<TransferInfo> transfers;
  /// How often a step walks the table: inputs and outputs are cut into as many
  /// equal parts along their batch.
  int64_t microBatches = 1;
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
  int64_t numRanks() const { return static_cast<int64_t>(classOfRank.size()); }
  Grid gridOf(int32_t stage) const;
  /// What a micro-batch has of an input or output.
  std::vector<int64_t> partOf(const PortInfo &port) const;
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
