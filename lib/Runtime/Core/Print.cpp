//===- Print.cpp - The command table for people ---------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A line per command: what, from which slices, to which slices.
//
//   12 call matmul @encoder/0/query (arena+0 f32[128x768], persistent+64
//      u8[2359296]) -> (arena+393216 f32[128x768]) {packed = [128,768,768]}
//
//===----------------------------------------------------------------------===//

#include "partita/Runtime/Program.h"
#include <sstream>

using namespace partita;
using namespace partita::runtime;

template <typename T>
static void printList(std::ostream &os, const std::vector<T> &values,
                      const char *separator) {
  for (size_t i = 0; i < values.size(); ++i)
    os << (i ? separator : "") << values[i];
}

static void printView(std::ostream &os, const View &view) {
  os << spaceName(view.space) << '+' << view.offset << ' '
     << dtypeName(view.dtype) << '[';
  printList(os, view.shape, "x");
  os << ']';
  if (!view.isContiguous()) {
    os << '(';
    printList(os, view.strides, ",");
    os << ')';
  }
}

static void printViews(std::ostream &os, const std::vector<View> &views) {
  os << '(';
  for (size_t i = 0; i < views.size(); ++i) {
    os << (i ? ", " : "");
    printView(os, views[i]);
  }
  os << ')';
}

static void printAttrs(std::ostream &os, const Command &command) {
  if (command.attrs.empty())
    return;
  os << " {";
  bool first = true;
  for (const auto &[name, value] : command.attrs) {
    os << (first ? "" : ", ") << name << " = ";
    first = false;
    if (auto *text = std::get_if<std::string>(&value)) {
      os << '"' << *text << '"';
      continue;
    }
    os << '[';
    if (auto *ints = std::get_if<std::vector<int64_t>>(&value))
      printList(os, *ints, ",");
    if (auto *doubles = std::get_if<std::vector<double>>(&value))
      printList(os, *doubles, ",");
    os << ']';
  }
  os << '}';
}

static void printCommand(std::ostream &os, const Program &program,
                         const Mesh &mesh, const Command &command,
                         size_t number) {
  os << "    " << number << ' ' << commandKindName(command.kind);
  switch (command.kind) {
  case CommandKind::LoadParameter:
    os << " \"" << program.parameters[command.index].name << '"';
    break;
  case CommandKind::LoadInput:
    os << " \"" << program.inputs[command.index].name << '"';
    break;
  case CommandKind::StoreOutput:
    os << " \"" << program.outputs[command.index].name << '"';
    break;
  case CommandKind::Kernel:
    os << ' ' << program.kernelNames[command.index];
    break;
  case CommandKind::Call:
    os << ' ' << command.callee;
    break;
  case CommandKind::Collective:
    os << ' ' << collectiveName(command.collective);
    break;
  case CommandKind::Send:
  case CommandKind::Receive:
    os << " \"" << program.transfers[command.index].name << '"';
    break;
  }
  os << " @" << command.id << ' ';
  printViews(os, command.operands);
  os << " -> ";
  printViews(os, command.results);
  if (!command.workspace.empty()) {
    os << " workspace ";
    printViews(os, command.workspace);
  }
  printAttrs(os, command);
  if (command.kind == CommandKind::Collective ||
      command.kind == CommandKind::StoreOutput)
    os << " from " << command.from.str(mesh);
  if (command.kind == CommandKind::Collective ||
      command.kind == CommandKind::LoadParameter ||
      command.kind == CommandKind::LoadInput)
    os << " to " << command.to.str(mesh);
  if (!command.axes.empty()) {
    os << " over ";
    for (size_t i = 0; i < command.axes.size(); ++i)
      os << (i ? "," : "") << mesh.axisNames[command.axes[i]];
  }
  if (!command.nodes.empty())
    os << " nodes(" << command.nodes << ')';
  os << '\n';
}

std::string partita::runtime::printProgram(const Program &program) {
  std::ostringstream os;
  os << "program \"" << program.modelName << "\" mesh <" << program.mesh.str()
     << "> threads " << program.threadsPerRank
     << (program.weightsAbsent ? " without weights" : "") << '\n';
  for (const FileInfo &file : program.files)
    os << "  file \"" << file.path << "\" " << file.size << " bytes, hash "
       << std::hex << file.hash << std::dec << '\n';
  auto tensor = [&](const char *what, const std::string &name, DType type,
                    const std::vector<int64_t> &shape) -> std::ostream & {
    os << "  " << what << " \"" << name << "\" " << dtypeName(type) << '[';
    printList(os, shape, "x");
    return os << ']';
  };
  for (const ParameterInfo &p : program.parameters)
    tensor("parameter", p.name, p.dtype, p.shape)
        << " file " << p.file << '+' << p.offset << '\n';
  for (const PortInfo &port : program.inputs)
    tensor("input", port.name, port.dtype, port.shape) << '\n';
  for (const PortInfo &port : program.outputs)
    tensor("output", port.name, port.dtype, port.shape) << '\n';
  if (program.microBatches > 1)
    os << "  micro-batches " << program.microBatches << '\n';
  for (size_t stage = 0; stage < program.stages.size(); ++stage) {
    const Grid &grid = program.stages[stage];
    os << "  stage " << stage << " mesh <" << grid.mesh.str() << "> ranks ";
    printList(os, grid.ranks, " ");
    os << '\n';
  }
  for (const TransferInfo &t : program.transfers)
    tensor("transfer", t.name, t.dtype, t.shape)
        << " from stage " << t.fromStage << ' '
        << t.from.str(program.stages[t.fromStage].mesh) << " to stage "
        << t.toStage << ' ' << t.to.str(program.stages[t.toStage].mesh) << '\n';
  os << "  constants " << program.constants.size() << " bytes\n";
  for (size_t i = 0; i < program.classes.size(); ++i) {
    const RankClass &rankClass = program.classes[i];
    const Mesh mesh = program.gridOf(rankClass.stage).mesh;
    os << "  class " << i << " ranks";
    for (size_t rank = 0; rank < program.classOfRank.size(); ++rank)
      if (program.classOfRank[rank] == static_cast<int32_t>(i))
        os << ' ' << rank;
    os << " arena " << rankClass.arenaBytes << " persistent "
       << rankClass.persistentBytes << '\n';
    os << "   init\n";
    for (size_t c = 0; c < rankClass.init.size(); ++c)
      printCommand(os, program, mesh, rankClass.init[c], c);
    os << "   step\n";
    for (size_t c = 0; c < rankClass.step.size(); ++c)
      printCommand(os, program, mesh, rankClass.step[c], c);
  }
  return os.str();
}
