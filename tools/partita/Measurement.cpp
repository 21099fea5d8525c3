//===- Measurement.cpp - What rows of tables say --------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Measurement.h"
#include "Table.h"
#include "TransformerStep.h"
#include "partita/Topology/Presets.h"
#include <algorithm>
#include <cctype>
#include <set>

using namespace partita;
using namespace partita::tool;

static Prediction skip(std::string reason) {
  Prediction prediction;
  prediction.skipped = std::move(reason);
  return prediction;
}

/// The time in a cell, in seconds; zero if there is none.
static Result<double> secondsIn(const CsvTable &table, const CsvTable::Row &row,
                                const std::string &column, double unit) {
  PARTITA_TRY(auto value, table.number(row, column));
  return value.value_or(0) * unit;
}

static const char *const noTime = "no time was measured";

//===----------------------------------------------------------------------===//
// Machines
//===----------------------------------------------------------------------===//

/// "A100-SXM-80GB" in lower case and pieces.
static std::vector<std::string> wordsOf(const std::string &name) {
  std::vector<std::string> words(1);
  for (char c : name) {
    auto letter = static_cast<unsigned char>(c);
    if (std::isalnum(letter))
      words.back() += static_cast<char>(std::tolower(letter));
    else if (!words.back().empty())
      words.emplace_back();
  }
  return words;
}

/// The preset that a source means by `name`: it has the model ("a100"), and
/// most of the other words; of several the last in the order of names, which is
/// the larger. Empty if there is none.
static std::string presetOf(const std::string &name) {
  std::vector<std::string> words = wordsOf(name);
  auto has = [&](const std::string &word) {
    return std::count(words.begin(), words.end(), word) > 0;
  };
  auto isModel = [](const std::string &word) {
    return std::any_of(word.begin(), word.end(),
                       [](unsigned char c) { return std::isdigit(c); });
  };
  std::string best;
  std::ptrdiff_t most = 0;
  for (const auto &entry : devicePresets()) {
    std::vector<std::string> own = wordsOf(entry.first);
    auto model = std::find_if(own.begin(), own.end(), isModel);
    std::ptrdiff_t count = std::count_if(own.begin(), own.end(), has);
    if (model != own.end() && has(*model) && count >= most) {
      best = entry.first;
      most = count;
    }
  }
  return best;
}

/// As many machines of the device as `nodes` says, with at least `perNode`
/// devices each; null if there is no preset, or there are too many machines.
static const Topology *machineOf(const std::string &device, int64_t nodes,
                                 int64_t perNode) {
  // Tables repeat their machines.
  static std::map<std::string, Topology> known;
  for (const MachinePreset &machine : machinePresets()) {
    if (machine.device != device || machine.ranks < perNode)
      continue;
    std::string name = machine.name;
    if (nodes > 1)
      name += "x" + std::to_string(nodes);
    if (auto it = known.find(name); it != known.end())
      return &it->second;
    if (Result<Topology> topology = Topology::parse(name))
      return &(known[name] = std::move(*topology));
  }
  return nullptr;
}

static std::string unknownDevice(const std::string &name) {
  return "there is no preset of a device '" + name + "'";
}

static std::string unknownMachine(const std::string &device, int64_t nodes,
                                  int64_t perNode) {
  return "there is no preset of " + std::to_string(nodes) + " x " +
         std::to_string(perNode) + " " + device;
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

static std::optional<Precision> precisionNamed(const std::string &name) {
  static const std::pair<const char *, Precision> others[] = {
      {"fp64", Precision::F64}, {"fp32", Precision::F32},
      {"fp16", Precision::F16}, {"half", Precision::F16},
      {"fp8", Precision::F8},   {"int8", Precision::I8},
      {"fp4", Precision::F4}};
  for (const auto &[other, precision] : others)
    if (name == other)
      return precision;
  return parsePrecision(name);
}

static double bytesOf(Precision precision) {
  switch (precision) {
  case Precision::F64:
    return 8;
  case Precision::F32:
  case Precision::TF32:
    return 4;
  case Precision::F16:
  case Precision::BF16:
    return 2;
  case Precision::F8:
  case Precision::I8:
    return 1;
  case Precision::F4:
    return 0.5;
  }
  return 4;
}

/// Tensors of [m, n] that an elementwise kernel reads and writes; 0 for others.
static double tensorsOf(const std::string &op) {
  if (op == "residual_add" || op == "silu*mul")
    return 3;
  return op == "rmsnorm" || op == "layernorm" || op == "rope" || op == "gelu"
             ? 2
             : 0;
}

/// A product of [m, k] and [k, n], or an elementwise kernel over [m, n].
static Result<Prediction> predictKernel(const CsvTable &table,
                                        const CsvTable::Row &row) {
  PARTITA_TRY(auto batch, table.number(row, "batch"));
  PARTITA_TRY(auto m, table.number(row, "m"));
  PARTITA_TRY(auto n, table.number(row, "n"));
  PARTITA_TRY(auto k, table.number(row, "k"));
  Prediction out;
  PARTITA_TRY(out.time.measured, secondsIn(table, row, "time_us", 1e-6));
  std::string op = table.text(row, "op"), gpu = table.text(row, "gpu_type");
  out.device = presetOf(gpu);
  if (out.device.empty())
    return skip(unknownDevice(gpu));
  auto precision = precisionNamed(table.text(row, "precision"));
  if (!precision)
    return skip("there is no precision '" + table.text(row, "precision") + "'");
  if (!m || !n)
    return skip("the shape is not given");
  KernelWork work;
  work.precision = *precision;
  work.batch = batch.value_or(1);
  work.m = *m;
  work.n = *n;
  double element = bytesOf(*precision);
  if (k) {
    work.kernelClass = KernelClass::Gemm;
    work.k = *k;
    work.flops = 2 * work.batch * *m * *n * *k;
    work.bytes = element * work.batch * (*m * *k + *k * *n + *m * *n);
    out.kind = "gemm";
  } else if (double tensors = tensorsOf(op); tensors > 0) {
    work.bytes = element * tensors * work.batch * *m * *n;
    out.kind = op;
  } else {
    return skip("how many tensors '" + op + "' reads and writes is not known");
  }
  out.what = op + " " + number(work.batch, 9) + " x [" + number(*m, 9) + ", " +
             number(*n, 9) + (k ? ", " + number(*k, 9) : "") + "] " +
             precisionName(*precision);
  KernelCost cost(devicePresets().at(out.device));
  out.time.predicted = toSeconds(cost.picoseconds(work));
  return out.time.isGiven() ? out : skip(noTime);
}

//===----------------------------------------------------------------------===//
// Collectives
//===----------------------------------------------------------------------===//

/// By the names of the libraries' own tests.
static std::optional<MoveKind> moveNamed(const std::string &name) {
  for (MoveKind kind :
       {MoveKind::AllGather, MoveKind::ReduceScatter, MoveKind::AllReduce,
        MoveKind::AllToAll, MoveKind::Permute})
    if (name == moveKindName(kind))
      return kind;
  return name == "send_recv" ? std::optional(MoveKind::Permute) : std::nullopt;
}

/// What the size of a message means to nccl-tests: the whole of what is
/// gathered or to be scattered, else the buffer of a rank.
static MoveBytes bytesOf(MoveKind kind, double size, double ranks) {
  auto whole = static_cast<int64_t>(size),
       part = static_cast<int64_t>(size / ranks);
  MoveBytes bytes{whole, whole, whole, 0};
  if (kind == MoveKind::AllGather)
    bytes.from = part;
  if (kind == MoveKind::ReduceScatter)
    bytes.to = part;
  if (kind == MoveKind::AllToAll)
    bytes.fetched -= part;
  return bytes;
}

static Result<Prediction> predictCollective(const CsvTable &table,
                                            const CsvTable::Row &row) {
  PARTITA_TRY(auto ranks, table.number(row, "n_gpus"));
  PARTITA_TRY(auto nodes, table.number(row, "n_nodes"));
  PARTITA_TRY(auto size, table.number(row, "size_bytes"));
  Prediction out;
  PARTITA_TRY(out.time.measured, secondsIn(table, row, "time_us", 1e-6));
  std::string name = table.text(row, "collective"),
              gpu = table.text(row, "gpu_type");
  auto kind = moveNamed(name);
  if (!kind)
    return skip("there is no collective '" + name + "'");
  out.kind = name;
  out.device = presetOf(gpu);
  if (out.device.empty())
    return skip(unknownDevice(gpu));
  constexpr double mostRanks = 1 << 20, mostBytes = 1e15;
  double count = ranks.value_or(0), machines = nodes.value_or(1);
  if (count < 1 || count > mostRanks || machines < 1 || machines > count ||
      !size || *size > mostBytes)
    return skip("the number of ranks, of nodes or of bytes is not given");
  auto p = static_cast<int64_t>(count), n = static_cast<int64_t>(machines);
  if (p % n != 0)
    return skip("nodes have different numbers of ranks");
  const Topology *machine = machineOf(out.device, n, p / n);
  if (!machine)
    return skip(unknownMachine(out.device, n, p / n));
  // The ranks of a node first; the rest of a machine does the same.
  int64_t others = machine->numRanks() / p;
  Mesh mesh;
  mesh.axisNames = {"node", "other", "rank"};
  mesh.axisSizes = {n, others, p / n};
  if (mesh.numRanks() != machine->numRanks())
    mesh.axisSizes[1] = 1;
  CollectiveCost cost(*machine, mesh);
  out.time.predicted =
      toSeconds(cost.picoseconds(*kind, 0b101, bytesOf(*kind, *size, count)));
  out.what = name + " of " + bytesText(static_cast<int64_t>(*size)) + ", " +
             std::to_string(p) + " ranks on " + machine->text;
  return out.time.isGiven() ? out : skip(noTime);
}

//===----------------------------------------------------------------------===//
// Training steps
//===----------------------------------------------------------------------===//

/// The count in a cell, `otherwise` if it is empty.
static Result<int64_t> countOf(const CsvTable &table, const CsvTable::Row &row,
                               const std::string &column, int64_t otherwise) {
  PARTITA_TRY(auto value, table.number(row, column));
  constexpr double most = 1e9; // TransformerStep::isValid() refuses it.
  return value ? static_cast<int64_t>(std::min(*value, most)) : otherwise;
}

/// Whether the MLP is gated: what the number of parameters, in billions, fits
/// better.
static bool isGated(const TransformerStep &s, double billions) {
  auto hidden = static_cast<double>(s.hidden), ffn = static_cast<double>(s.ffn);
  double keys = static_cast<double>(s.kvHeads) / static_cast<double>(s.heads);
  double attention = (2 + 2 * keys) * hidden * hidden;
  double table = static_cast<double>(s.vocabulary) * hidden;
  auto parameters = [&](double matrices, double tables) {
    return static_cast<double>(s.layers) *
               (attention + matrices * hidden * ffn) +
           tables * table;
  };
  double given = billions * 1e9;
  return given > 0 && std::abs(parameters(3, 2) - given) <
                          std::abs(parameters(2, 1) - given);
}

/// SQuAD v1.1 in tokens, a paragraph with a question: what NVIDIA's tables of
/// finetuning say that they pack into sequences.
static constexpr int64_t tokensOfSample = 200;

/// In small letters.
static std::string lowerText(const CsvTable &table, const CsvTable::Row &row,
                             const std::string &column) {
  std::string text = table.text(row, column);
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return text;
}

static bool contains(const std::string &text, const char *part) {
  return text.find(part) != std::string::npos;
}

static std::string provenanceOf(const CsvTable &table,
                                const CsvTable::Row &row) {
  return table.text(row, "source") + " " + table.text(row, "notes");
}

static Result<TransformerStep> stepOf(const CsvTable &table,
                                      const CsvTable::Row &row) {
  TransformerStep s;
  PARTITA_TRY(s.layers, countOf(table, row, "layers", 0));
  PARTITA_TRY(s.hidden, countOf(table, row, "hidden", 0));
  PARTITA_TRY(s.heads, countOf(table, row, "heads", 0));
  PARTITA_TRY(s.ffn, countOf(table, row, "ffn_hidden", 4 * s.hidden));
  PARTITA_TRY(s.kvHeads, countOf(table, row, "kv_heads", s.heads));
  PARTITA_TRY(s.sequence, countOf(table, row, "seq", 0));
  constexpr int64_t ofGPT2 = 51200; // Rounded up for tensor parallelism.
  PARTITA_TRY(s.vocabulary, countOf(table, row, "vocab", ofGPT2));
  PARTITA_TRY(s.ranks, countOf(table, row, "gpus", 0));
  PARTITA_TRY(s.tensor, countOf(table, row, "tp", 1));
  PARTITA_TRY(s.pipeline, countOf(table, row, "pp", 1));
  PARTITA_TRY(s.context, countOf(table, row, "cp", 1));
  PARTITA_TRY(s.zero, countOf(table, row, "zero", 0));
  PARTITA_TRY(s.globalBatch, countOf(table, row, "global_batch", 0));
  PARTITA_TRY(auto billions, table.number(row, "params_b"));
  if (s.heads > 0)
    s.gated = isGated(s, billions.value_or(0));
  std::string provenance = provenanceOf(table, row);
  s.sample = contains(provenance, "SFT") ? tokensOfSample : s.sequence;
  std::string recompute = lowerText(table, row, "recompute");
  if (recompute.starts_with("full"))
    s.recompute = Recompute::Full;
  if (recompute.starts_with("selective"))
    s.recompute = Recompute::Selective;
  s.sequenceParallel = contains(recompute, "sequence");
  s.lastStageKeeps = contains(recompute, "except last");
  std::string precision = lowerText(table, row, "precision");
  if (contains(precision, "fp8"))
    s.precision = Precision::F8;
  else if (contains(precision, "fp16"))
    s.precision = Precision::F16;
  return s;
}

/// What keeps a step from being predicted at all; empty if nothing does.
static std::string refusalOf(const CsvTable &table, const CsvTable::Row &row,
                             const TransformerStep &s, int64_t experts) {
  if (experts > 1)
    return "experts are not modelled";
  if (contains(provenanceOf(table, row), "LoRA"))
    return "training of adapters alone is not modelled";
  std::string missing;
  const std::pair<const char *, int64_t> needed[] = {
      {"layers", s.layers}, {"hidden", s.hidden},
      {"heads", s.heads},   {"seq", s.sequence},
      {"gpus", s.ranks},    {"global_batch", s.globalBatch}};
  for (const auto &[name, value] : needed)
    if (value == 0)
      missing += (missing.empty() ? "" : ", ") + std::string(name);
  if (!missing.empty())
    return "sizes of '" + table.text(row, "model") +
           "' are not given: " + missing;
  TransformerStep least = s;
  least.microBatch = least.chunks = 1;
  return least.isValid() ? ""
                         : "the ranks, the heads or the batch do not divide";
}

/// The numbers to try where a row does not say which it was.
static std::vector<int64_t> choicesOf(int64_t given,
                                      std::vector<int64_t> others) {
  return given > 0 ? std::vector<int64_t>{given} : others;
}

/// The numbers of chunks: those of the row, those that the software is said to
/// take, or any.
static std::vector<int64_t> chunksOf(const TransformerStep &step, int64_t given,
                                     const SoftwareProfile &profile) {
  if (step.pipeline == 1)
    return {1};
  if (profile.chunks == 0)
    return choicesOf(given, {1, 2, 3, 4, 5, 6, 8, 12});
  bool divides = step.layers % (step.pipeline * profile.chunks) == 0;
  return choicesOf(given, {divides ? profile.chunks : 1});
}

namespace {
struct PricedStep {
  TransformerStep step;
  StepPrice price;
};
} // namespace

/// The fastest step with a micro-batch and chunks that the row leaves open,
/// among those that fit into memory; if none does, the smallest.
static std::optional<PricedStep> bestOf(TransformerStep step,
                                        int64_t microBatch, int64_t chunks,
                                        const SoftwareProfile &profile,
                                        const Topology &topology) {
  constexpr double usable = 0.95;
  double memory =
      usable * static_cast<double>(topology.commonDevice().memoryBytes);
  std::optional<PricedStep> best;
  for (int64_t size : choicesOf(microBatch, {1, 2, 4, 8, 16}))
    for (int64_t count : chunksOf(step, chunks, profile)) {
      step.microBatch = size;
      step.chunks = count;
      bool open = microBatch == 0 || chunks == 0;
      if (!step.isValid() ||
          (open && (step.layers % (step.pipeline * count) != 0 ||
                    step.globalBatch % (step.data() * size) != 0)))
        continue;
      StepPrice price = priceStep(step, profile, topology);
      if (!best) {
        best = {step, price};
        continue;
      }
      const StepPrice &known = best->price;
      bool fits = price.memory.sum() <= memory,
           fitted = known.memory.sum() <= memory;
      if (fits == fitted ? (fits ? price.seconds < known.seconds
                                 : price.memory.sum() < known.memory.sum())
                         : fits)
        best = {step, price};
    }
  return best;
}

/// Where the number of chunks comes from, unless it is the row's.
static const char *chunksRemark(int64_t given, const SoftwareProfile &profile) {
  return given > 0 ? "" : profile.chunks > 0 ? "(usual) " : "(best) ";
}

/// A step in words; what the row left open is marked.
static std::string stepText(const std::string &model, const TransformerStep &s,
                            const char *batchRemark, const char *chunksRemark) {
  auto axis = [](const char *name, int64_t size) {
    return std::string(" ") + name + "=" + std::to_string(size);
  };
  std::string text =
      model + " on " + std::to_string(s.ranks) + "," + axis("tp", s.tensor) +
      axis("pp", s.pipeline) + axis("dp", s.data()) +
      (s.context > 1 ? axis("cp", s.context) : "") + ", micro-batch " +
      batchRemark + std::to_string(s.microBatch);
  if (s.chunks > 1)
    text += ", chunks " + (chunksRemark + std::to_string(s.chunks));
  return text;
}

static Result<Prediction> predictStep(const CsvTable &table,
                                      const CsvTable::Row &row) {
  PARTITA_TRY(TransformerStep step, stepOf(table, row));
  PARTITA_TRY(int64_t microBatch, countOf(table, row, "micro_batch", 0));
  PARTITA_TRY(int64_t chunks, countOf(table, row, "vpp", 0));
  PARTITA_TRY(int64_t experts, countOf(table, row, "ep", 1));
  PARTITA_TRY(int64_t perNode, countOf(table, row, "gpus_per_node", 8));
  Prediction out;
  PARTITA_TRY(out.time.measured, secondsIn(table, row, "step_time_s", 1));
  PARTITA_TRY(auto gigabytes, table.number(row, "mem_gb"));
  out.memory.measured = 1e9 * gigabytes.value_or(0);
  std::string gpu = table.text(row, "gpu_type"),
              model = table.text(row, "model");
  out.device = presetOf(gpu);
  if (out.device.empty())
    return skip(unknownDevice(gpu));
  if (std::string reason = refusalOf(table, row, step, experts);
      !reason.empty())
    return skip(reason);
  if (perNode < 1)
    return skip("no node has a GPU");
  int64_t nodes = (step.ranks + perNode - 1) / perNode,
          each = std::min(step.ranks, perNode);
  const Topology *machine = machineOf(out.device, nodes, each);
  if (!machine)
    return skip(unknownMachine(out.device, nodes, each));
  const SoftwareProfile &profile =
      profileOf(provenanceOf(table, row), step, machine->commonDevice());
  auto best = bestOf(step, microBatch, chunks, profile, *machine);
  if (!best)
    return skip("no micro-batch and number of chunks divide what is given");
  out.kind = std::string("step of ") + profile.name;
  out.what = stepText(model, best->step, microBatch > 0 ? "" : "(best) ",
                      chunksRemark(chunks, profile));
  out.workload = model + " in " + precisionName(step.precision) + " on " +
                 std::to_string(step.ranks) + " " + out.device + ", batch " +
                 std::to_string(step.globalBatch) + " x " +
                 std::to_string(step.sequence);
  out.time.predicted = best->price.seconds;
  out.memory.predicted = best->price.memory.sum();
  return out.time.isGiven() || out.memory.isGiven()
             ? out
             : skip("neither time nor memory was measured");
}

/// Memory alone, in parts, on no machine: of parameters and optimizer, of
/// activations, or these against those of tensor parallelism without more.
static Result<Prediction> predictMemory(const CsvTable &table,
                                        const CsvTable::Row &row) {
  PARTITA_TRY(TransformerStep step, stepOf(table, row));
  PARTITA_TRY(step.microBatch, countOf(table, row, "micro_batch", 1));
  PARTITA_TRY(int64_t chunks, countOf(table, row, "vpp", 0));
  PARTITA_TRY(auto states, table.number(row, "params_opt_gib"));
  PARTITA_TRY(auto kept, table.number(row, "activations_gib"));
  PARTITA_TRY(auto share, table.number(row, "activations_pct_of_tp_baseline"));
  std::string gpu = table.text(row, "gpu_type"),
              model = table.text(row, "model");
  Prediction out;
  out.device = presetOf(gpu);
  if (!gpu.empty() && out.device.empty())
    return skip(unknownDevice(gpu));
  // What is in flight does not grow beyond this.
  if (step.globalBatch == 0 && step.tensor * step.pipeline > 0)
    step.globalBatch =
        std::max<int64_t>(1, 2 * step.microBatch * step.ranks / step.tensor);
  if (std::string reason = refusalOf(table, row, step, 1); !reason.empty())
    return skip(reason);
  const SoftwareProfile &profile =
      profileOf(provenanceOf(table, row), step,
                gpu.empty() ? DeviceType() : devicePresets().at(out.device));
  step.chunks = chunksOf(step, chunks, profile).front();
  if (!step.isValid())
    return skip("the micro-batch or the chunks do not divide what is given");
  StepMemory memory = memoryOf(step, profile);
  constexpr double gibibyte = 1 << 30;
  if (states) {
    out.memory.predicted += memory.states;
    out.memory.measured += *states * gibibyte;
  }
  if (kept) {
    out.memory.predicted += memory.activations;
    out.memory.measured += *kept * gibibyte;
  }
  if (!states && !kept && share) {
    TransformerStep plain = step;
    plain.recompute = Recompute::None;
    plain.sequenceParallel = false;
    out.memory.predicted = memory.activations;
    out.memory.measured = *share / 100 * memoryOf(plain, profile).activations;
  }
  if (!out.memory.isGiven())
    return skip("no memory was measured");
  out.kind = std::string("memory of ") + profile.name;
  out.what = stepText(model, step, "", chunksRemark(chunks, profile)) + ", " +
             table.text(row, "recompute") +
             (states ? kept ? "" : ", states" : ", activations");
  return out;
}

//===----------------------------------------------------------------------===//
// Tables
//===----------------------------------------------------------------------===//

static const Measurement measurements[] = {
    {"kernels",
     {"gpu_type", "precision", "op", "batch", "m", "n", "k", "time_us"},
     predictKernel},
    {"collectives",
     {"gpu_type", "collective", "n_gpus", "n_nodes", "size_bytes", "time_us"},
     predictCollective},
    {"training steps",
     {"model", "layers", "hidden", "heads", "seq", "gpus", "gpu_type", "tp",
      "pp", "global_batch", "step_time_s"},
     predictStep},
    {"memory of training steps",
     {"model", "layers", "hidden", "heads", "seq", "gpus", "tp", "pp",
      "micro_batch", "recompute", "activations_gib"},
     predictMemory},
};

Result<const Measurement *> tool::measurementOf(const CsvTable &table) {
  std::string known;
  for (const Measurement &measurement : measurements) {
    bool all = true;
    std::string list;
    for (const std::string &column : measurement.columns) {
      all &= table.has(column);
      list += (list.empty() ? "" : ",") + column;
    }
    if (all)
      return &measurement;
    known += (known.empty() ? "" : "; ") + measurement.name + ": " + list;
  }
  return makeError(ExitCode::Unsupported, "bench.columns", table.path(),
                   "the columns are of no table that can be predicted",
                   "give a table with the columns of " + known);
}
