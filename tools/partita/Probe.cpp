//===- Probe.cpp - Timing commands of the runtime -------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Probe.h"
#include "partita/Runtime/Library.h"
#include "partita/Support/File.h"
#include "partita/Target/Target.h"
#include <algorithm>
#include <nlohmann/json.hpp>

using namespace partita;
using namespace partita::tool;
using namespace partita::runtime;

static constexpr const char *meeting = "meet";
/// Neither zero nor so small that arithmetic on it is slow.
static constexpr double content = 0.01;

/// Axes of two, three, ... ranks: any divisor of the number of ranks is the
/// product of some of them.
static Mesh meshOf(int64_t ranks) {
  Mesh mesh;
  mesh.name = "m";
  for (int64_t prime = 2; ranks > 1; ++prime)
    for (; ranks % prime == 0; ranks /= prime) {
      mesh.axisNames.push_back("a" + std::to_string(mesh.axisNames.size()));
      mesh.axisSizes.push_back(prime);
    }
  if (mesh.axisSizes.empty()) {
    mesh.axisNames = {"a0"};
    mesh.axisSizes = {1};
  }
  return mesh;
}

static int64_t aligned(int64_t bytes) { return (bytes + 63) / 64 * 64; }

static int64_t bytesOf(const std::vector<int64_t> &shape) {
  int64_t bytes = dtypeSize(DType::F32);
  for (int64_t size : shape)
    bytes *= size;
  return bytes;
}

ProbeProgram::ProbeProgram(const ProbeLoad &load) : load(load) {
  program.mesh = meshOf(load.ranks);
  program.threadsPerRank = static_cast<int32_t>(load.threads);
  program.modelName = "calibration";
  program.planJson = "{}";
  program.classOfRank.assign(static_cast<size_t>(load.ranks), 0);
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

/// What is read and stays as it is. All of them begin at the same place.
View ProbeProgram::constant(const std::vector<int64_t> &shape) {
  activationBytes = std::max(activationBytes, aligned(bytesOf(shape)));
  return contiguousView(Space::Persistent, 0, DType::F32, shape);
}

View ProbeProgram::result(const std::vector<int64_t> &shape) {
  rankClass.arenaBytes =
      std::max(rankClass.arenaBytes, aligned(bytesOf(shape)));
  return contiguousView(Space::Arena, 0, DType::F32, shape);
}

/// The next so many bytes of the pool, which begins at 0 until run() moves it
/// behind the activations.
View ProbeProgram::weight(int64_t bytes) {
  if (nextWeight + bytes > load.poolBytes)
    nextWeight = 0;
  View view = contiguousView(Space::Persistent, nextWeight, DType::U8, {bytes});
  nextWeight += aligned(bytes);
  return view;
}

//===----------------------------------------------------------------------===//
// Commands
//===----------------------------------------------------------------------===//

std::vector<int> ProbeProgram::axesOf(int64_t ranks) const {
  std::vector<int> axes;
  for (int axis = program.mesh.numAxes(); axis-- > 0 && ranks > 1;)
    if (ranks % program.mesh.axisSizes[axis] == 0) {
      axes.insert(axes.begin(), axis);
      ranks /= program.mesh.axisSizes[axis];
    }
  return axes;
}

/// A collective of one number over all ranks.
void ProbeProgram::meet() {
  if (load.ranks == 1)
    return;
  Command command;
  command.kind = CommandKind::Collective;
  command.collective = CollectiveKind::AllReduce;
  command.id = meeting;
  command.axes = axesOf(load.ranks);
  command.to = Sharding::replicated({1});
  command.from = command.to;
  command.from.partialAxes = command.axes;
  command.from.combiner = Combiner::Sum;
  command.operands = {constant({1})};
  command.results = {result({1})};
  rankClass.step.push_back(std::move(command));
}

void ProbeProgram::begin(int64_t calls) {
  meet();
  probes.push_back({calls, 0});
}

Status ProbeProgram::addCall(Command command) {
  command.id = std::to_string(probes.size() - 1);
  if (command.kind == CommandKind::Call) {
    PARTITA_TRY(int64_t workspace,
                workspaceBytes(command, static_cast<int>(load.threads)));
    int64_t begin = 0;
    for (const View &view : command.results)
      begin = std::max(begin, aligned(view.byteRange().second));
    if (workspace > 0)
      command.workspace = {
          contiguousView(Space::Arena, begin, DType::U8, {workspace})};
    rankClass.arenaBytes =
        std::max(rankClass.arenaBytes, begin + aligned(workspace));
  }
  ++probes.back().made;
  rankClass.step.push_back(std::move(command));
  return ok();
}

Status ProbeProgram::product(int64_t m, int64_t n, int64_t k,
                             const std::string &epilogue) {
  Command pack;
  pack.callee = "pack_weight";
  pack.attrs["packed"] = std::vector<int64_t>{k, n};
  pack.operands = {contiguousView(Space::Arena, 0, DType::F32, {k, n})};
  PARTITA_TRY(int64_t packed,
              packedBytes(pack, static_cast<int>(load.threads)));
  Command call;
  call.callee = "matmul";
  for (int64_t i = 0; i < probes.back().calls; ++i) {
    View w = weight(packed ? packed : bytesOf({k, n}));
    if (packed)
      call.attrs["packed"] = std::vector<int64_t>{k, n};
    else
      w = contiguousView(Space::Persistent, w.offset, DType::F32, {k, n});
    call.operands = {constant({m, k}), w};
    if (epilogue == "add")
      call.operands.push_back(constant({m, n}));
    if (!epilogue.empty())
      call.attrs["epilogue"] = epilogue;
    call.results = {result({m, n})};
    PARTITA_CHECK(addCall(call));
  }
  return ok();
}

Status ProbeProgram::attention(const AttentionShape &shape) {
  auto [heads, queries, keys, depth] = shape;
  // [1, heads, positions, depth] of what a product writes as [1, positions,
  // heads x depth].
  auto split = [&](View view, int64_t positions) {
    view.shape = {1, heads, positions, depth};
    view.strides = {positions * heads * depth, depth, heads * depth, 1};
    return view;
  };
  View mask = constant({keys});
  mask.shape = {1, heads, queries, keys};
  mask.strides = {0, 0, 0, 1};
  Command call;
  call.callee = "attention";
  call.attrs = {{"scale", std::vector<double>{0.125}},
                {"causal", std::vector<int64_t>{0}},
                {"has_mask", std::vector<int64_t>{1}}};
  View many = constant({keys, heads * depth});
  call.operands = {split(constant({queries, heads * depth}), queries),
                   split(many, keys), split(many, keys), mask};
  call.results = {split(result({queries, heads * depth}), queries)};
  for (int64_t i = 0; i < probes.back().calls; ++i)
    PARTITA_CHECK(addCall(call));
  return ok();
}

Status ProbeProgram::convolution(int64_t edge, int64_t channels,
                                 int64_t results, int64_t window) {
  auto last = [&](View view, int64_t count) {
    view.shape = {1, count, edge, edge};
    view.strides = {count * edge * edge, 1, edge * count, count};
    return view;
  };
  std::vector<int64_t> ones = {1, 1}, pads(2, window / 2),
                       shape = {results, channels, window, window};
  Command pack;
  pack.callee = "pack_conv";
  pack.attrs = {{"strides", ones},
                {"dilations", ones},
                {"pads_begin", pads},
                {"pads_end", pads},
                {"epilogue", "relu"},
                {"transposed", std::vector<int64_t>{0}},
                {"input", std::vector<int64_t>{1, channels, edge, edge}}};
  pack.operands = {contiguousView(Space::Arena, 0, DType::F32, shape)};
  PARTITA_TRY(int64_t packed,
              packedBytes(pack, static_cast<int>(load.threads)));
  Command call;
  call.callee = "conv";
  call.attrs = pack.attrs;
  call.attrs.erase("input");
  call.attrs.erase("transposed");
  if (packed)
    call.attrs["packed"] = shape;
  for (int64_t i = 0; i < probes.back().calls; ++i) {
    View w = weight(packed ? packed : bytesOf(shape));
    if (!packed)
      w = contiguousView(Space::Persistent, w.offset, DType::F32, shape);
    call.operands = {last(constant({channels, edge, edge}), channels), w};
    call.results = {last(result({results, edge, edge}), results)};
    PARTITA_CHECK(addCall(call));
  }
  return ok();
}

Status ProbeProgram::collective(MoveKind kind, int64_t ranks, int64_t rows,
                                int64_t columns) {
  static const std::map<MoveKind, CollectiveKind> kinds = {
      {MoveKind::AllGather, CollectiveKind::AllGather},
      {MoveKind::ReduceScatter, CollectiveKind::ReduceScatter},
      {MoveKind::AllReduce, CollectiveKind::AllReduce},
      {MoveKind::AllToAll, CollectiveKind::AllToAll}};
  Command command;
  command.kind = CommandKind::Collective;
  command.collective = kinds.at(kind);
  command.axes = axesOf(ranks);
  Sharding whole = Sharding::replicated({rows, ranks * columns});
  Sharding split = whole, partial = whole, other = whole;
  split.dims[1].factors = {{ranks * columns, command.axes}};
  other.dims[0].factors = {{rows, command.axes}};
  partial.partialAxes = command.axes;
  partial.combiner = Combiner::Sum;
  bool sums = kind == MoveKind::ReduceScatter || kind == MoveKind::AllReduce;
  command.from = sums ? partial : kind == MoveKind::AllToAll ? other : split;
  command.to = kind == MoveKind::AllGather || kind == MoveKind::AllReduce
                   ? whole
                   : split;
  auto local = [&](const Sharding &sharding) -> std::vector<int64_t> {
    std::vector<int64_t> shape = {rows, ranks * columns};
    if (sharding == split)
      shape[1] = columns;
    if (sharding == other)
      shape[0] = rows / ranks;
    return shape;
  };
  command.operands = {constant(local(command.from))};
  command.results = {result(local(command.to))};
  return addCall(std::move(command));
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

/// The time of each probe in each pass: from when the first rank begins its
/// calls until the last has ended them.
static std::vector<PassSeconds> readTrace(const nlohmann::json &trace,
                                          const std::vector<int64_t> &made,
                                          int passes, int64_t ranks) {
  struct Span {
    double begin = HUGE_VAL, end = 0;
  };
  std::vector<std::vector<Span>> spans(
      made.size(), std::vector<Span>(static_cast<size_t>(passes)));
  // How many commands of a probe each rank has done.
  std::vector<std::vector<int64_t>> done(
      made.size(), std::vector<int64_t>(static_cast<size_t>(ranks)));
  for (const auto &event : trace.at("traceEvents")) {
    if (event.value("cat", "").rfind("step", 0) != 0 ||
        event.at("args").at("id") == meeting)
      continue;
    auto probe = std::stoul(event.at("args").at("id").get<std::string>());
    int64_t &count = done.at(probe).at(event.at("tid").get<size_t>());
    Span &span = spans[probe].at(static_cast<size_t>(count++ / made[probe]));
    double begin = event.at("ts"), duration = event.at("dur");
    span.begin = std::min(span.begin, begin);
    span.end = std::max(span.end, begin + duration);
  }
  std::vector<PassSeconds> seconds;
  for (const std::vector<Span> &probe : spans) {
    seconds.emplace_back();
    for (const Span &span : probe)
      seconds.back().push_back((span.end - span.begin) * 1e-6);
  }
  return seconds;
}

Status ProbeProgram::link(const TemporaryFolder &folder) {
  meet();
  int64_t pool = aligned(load.poolBytes);
  rankClass.persistentBytes = activationBytes + pool;
  Command fill;
  fill.callee = "fill";
  fill.id = "fill";
  fill.attrs["value"] = std::vector<double>{content};
  fill.results = {contiguousView(
      Space::Persistent, 0, DType::F32,
      {rankClass.persistentBytes / int64_t(dtypeSize(DType::F32))})};
  rankClass.init = {fill};
  for (Command &command : rankClass.step)
    if (command.kind == CommandKind::Call &&
        (command.callee == "matmul" || command.callee == "conv"))
      command.operands[1].offset += activationBytes;
  program.classes = {rankClass};
  PARTITA_CHECK(validate(program));
  return writeExecutable(program, {}, folder / "probe");
}

Result<std::vector<PassSeconds>>
ProbeProgram::run(const TemporaryFolder &folder) const {
  std::string out = folder / "probe", traceFile = folder / "trace.json";
  // The first pass fills caches.
  PARTITA_TRY(Finished finished,
              runProcess({{out, "--repeat", std::to_string(load.passes + 1),
                           "--trace", traceFile},
                          {}}));
  if (finished.code != 0)
    return executableError("the calibration", finished.code, finished.errors);
  PARTITA_TRY(std::string text, readFile(traceFile, int64_t(1) << 32));
  std::vector<int64_t> made;
  for (const Probe &probe : probes)
    made.push_back(probe.made);
  try {
    auto seconds = readTrace(nlohmann::json::parse(text), made, load.passes + 1,
                             load.ranks);
    for (PassSeconds &probe : seconds)
      probe.erase(probe.begin());
    return seconds;
  } catch (const std::exception &exception) {
    return makeError(ExitCode::Internal, "calibrate.trace", traceFile,
                     exception.what());
  }
}
