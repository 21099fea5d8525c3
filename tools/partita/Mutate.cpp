//===- Mutate.cpp - Programs that are wrong on purpose --------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A rank reads another box of a weight if the weight seems to begin elsewhere
// in its file: boxes of equal shape differ by a distance. The rank gets a rank
// class of its own, whose loads name parameters that are moved by that
// distance.
//
//===----------------------------------------------------------------------===//

#include "Mutate.h"
#include "partita/Support/HostTensor.h"
#include <charconv>

using namespace partita;
using namespace partita::tool;
using namespace partita::runtime;

static Error badMutation(const std::string &text, const std::string &message) {
  return makeError(ExitCode::Usage, "verify.mutate", "--mutate " + text,
                   message,
                   "drop-collective:I, shift-shard:I or swap-ranks:A,B");
}

static Error noSuchNumber(const std::string &text, const char *what,
                          int64_t count) {
  return badMutation(text,
                     "the program has " + std::to_string(count) + " " + what);
}

static std::optional<int64_t> parseNumber(std::string_view text) {
  int64_t value = 0;
  auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0)
    return std::nullopt;
  return value;
}

template <typename Fn> static void forEachCommand(RankClass &rankClass, Fn fn) {
  for (Command &command : rankClass.init)
    fn(command);
  for (Command &command : rankClass.step)
    fn(command);
}

//===----------------------------------------------------------------------===//
// Collectives
//===----------------------------------------------------------------------===//

/// A collective that moves nothing.
static Command localCommand(const Command &collective) {
  Command command;
  command.kind = CommandKind::Call;
  command.results = collective.results;
  command.id = collective.id;
  command.nodes = collective.nodes;
  if (collective.operands[0].shape == collective.results[0].shape) {
    command.callee = "copy";
    command.operands = collective.operands;
  } else {
    command.callee = "fill";
    command.attrs["value"] = std::vector<double>{0};
  }
  return command;
}

static Result<std::string> dropCollective(Program &program, int64_t number,
                                          const std::string &text) {
  int64_t count = 0;
  std::string dropped;
  for (RankClass &rankClass : program.classes) {
    int64_t seen = 0;
    forEachCommand(rankClass, [&](Command &command) {
      if (command.kind != CommandKind::Collective || seen++ != number)
        return;
      dropped = std::string(collectiveName(command.collective)) + " " +
                command.id + " moves nothing";
      command = localCommand(command);
    });
    count = std::max(count, seen);
  }
  if (dropped.empty())
    return noSuchNumber(text, "collectives", count);
  return dropped;
}

//===----------------------------------------------------------------------===//
// Shards
//===----------------------------------------------------------------------===//

/// The row-major place of a box's first element in the whole tensor.
static int64_t firstElement(const Box &box) {
  std::vector<int64_t> strides = rowMajorStrides(box.globalShape());
  int64_t first = 0;
  for (size_t d = 0; d < box.dims.size(); ++d) {
    int64_t inner = strides[d];
    for (size_t f = box.dims[d].sizes.size(); f-- > 0;) {
      first += box.dims[d].intervals[f].begin * inner;
      inner *= box.dims[d].sizes[f];
    }
  }
  return first;
}

/// How many elements one unit of the innermost split factor spans; 0 if the box
/// is the whole tensor.
static int64_t unitElements(const Box &box) {
  std::vector<int64_t> strides = rowMajorStrides(box.globalShape());
  for (size_t d = box.dims.size(); d-- > 0;) {
    int64_t inner = strides[d];
    for (size_t f = box.dims[d].sizes.size(); f-- > 0;) {
      if (box.dims[d].intervals[f].size() < box.dims[d].sizes[f])
        return inner;
      inner *= box.dims[d].sizes[f];
    }
  }
  return 0;
}

/// Lets `load` read its box `elements` further in the file; false if that is
/// not all inside the file.
static bool moveLoad(Program &program, Command &load, int64_t elements) {
  ParameterInfo moved = program.parameters[load.index];
  if (moved.file < 0)
    return false;
  moved.offset += elements * static_cast<int64_t>(dtypeSize(moved.dtype));
  moved.name += " (moved)";
  if (moved.offset < 0 ||
      moved.offset + moved.length > program.files[moved.file].size)
    return false;
  load.index = static_cast<int32_t>(program.parameters.size());
  program.parameters.push_back(std::move(moved));
  return true;
}

/// Gives `rank` a rank class of its own and returns it.
static RankClass &isolateRank(Program &program, int64_t rank) {
  RankClass copy = program.classes[program.classOfRank[rank]];
  program.classOfRank[rank] = static_cast<int32_t>(program.classes.size());
  program.classes.push_back(std::move(copy));
  return program.classes.back();
}

static Box loadedBox(const Program &program, const Command &load,
                     int64_t rank) {
  runtime::Grid grid =
      program.gridOf(program.classes[program.classOfRank[rank]].stage);
  return boxOf(load.to, grid.mesh, grid.mesh.coordinates(grid.placeOf(rank)));
}

static Result<std::string> shiftShard(Program &program, int64_t number,
                                      const std::string &text) {
  int64_t count = 0;
  for (int64_t rank = 0; rank < program.numRanks(); ++rank) {
    RankClass &own = isolateRank(program, rank);
    std::string shifted;
    forEachCommand(own, [&](Command &command) {
      if (command.kind != CommandKind::LoadParameter)
        return;
      int64_t unit = unitElements(loadedBox(program, command, rank));
      if (unit == 0 || count++ != number)
        return;
      std::string name = program.parameters[command.index].name;
      if (moveLoad(program, command, unit) || moveLoad(program, command, -unit))
        shifted = "rank " + std::to_string(rank) +
                  " reads a shifted shard of " + name;
    });
    if (!shifted.empty())
      return shifted;
  }
  return noSuchNumber(text, "split shards of weights", count);
}

static Result<std::string> swapRanks(Program &program, int64_t a, int64_t b,
                                     const std::string &text) {
  if (a == b || std::max(a, b) >= program.numRanks())
    return noSuchNumber(text, "ranks", program.numRanks());
  int64_t moved = 0;
  for (auto [rank, other] : {std::pair(a, b), std::pair(b, a)})
    forEachCommand(isolateRank(program, rank), [&](Command &command) {
      if (command.kind != CommandKind::LoadParameter)
        return;
      Box own = loadedBox(program, command, rank);
      Box theirs = loadedBox(program, command, other);
      if (own == theirs || own.localShape() != theirs.localShape())
        return;
      moved +=
          moveLoad(program, command, firstElement(theirs) - firstElement(own));
    });
  if (moved)
    return "ranks " + std::to_string(a) + " and " + std::to_string(b) +
           " read each other's shards of weights, " + std::to_string(moved) +
           " in all";
  return badMutation(text, "these ranks hold the same weights");
}

Result<std::string> tool::mutate(Program &program, const std::string &text) {
  size_t colon = text.find(':');
  std::string kind = text.substr(0, colon);
  std::string_view rest(text);
  rest.remove_prefix(colon == std::string::npos ? text.size() : colon + 1);
  size_t comma = rest.find(',');
  auto first = parseNumber(rest.substr(0, comma));
  auto second = comma == std::string_view::npos
                    ? std::nullopt
                    : parseNumber(rest.substr(comma + 1));
  if (kind == "swap-ranks" && first && second)
    return swapRanks(program, *first, *second, text);
  if (kind == "drop-collective" && first && comma == std::string_view::npos)
    return dropCollective(program, *first, text);
  if (kind == "shift-shard" && first && comma == std::string_view::npos)
    return shiftShard(program, *first, text);
  return badMutation(text, "is no mutation");
}
