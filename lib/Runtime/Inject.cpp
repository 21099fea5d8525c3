//===- Inject.cpp - Faults on purpose -------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Parsing of PARTITA_INJECT, and the faults.
//
//===----------------------------------------------------------------------===//

#include "Inject.h"
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <new>
#include <sstream>
#include <thread>

using namespace partita;
using namespace partita::runtime;

Result<Injection> Injection::fromEnvironment() {
  Injection injection;
  const char *text = std::getenv("PARTITA_INJECT");
  if (!text || !*text)
    return injection;
  Error malformed = makeError(
      ExitCode::Usage, "run.inject", "PARTITA_INJECT",
      std::string("cannot be read: ") + text,
      "write it as rank=1,command=5,kind=error (or alloc, hang, kill, stop); "
      "step=2 is the second one");
  std::istringstream fields(text);
  std::string field;
  while (std::getline(fields, field, ',')) {
    size_t equals = field.find('=');
    std::string key = field.substr(0, equals);
    std::string value =
        equals == std::string::npos ? "" : field.substr(equals + 1);
    if (key == "kind") {
      if (value == "error")
        injection.kind = Kind::Error;
      else if (value == "alloc")
        injection.kind = Kind::Alloc;
      else if (value == "hang")
        injection.kind = Kind::Hang;
      else if (value == "kill")
        injection.kind = Kind::Kill;
      else if (value == "stop")
        injection.kind = Kind::Stop;
      else
        return malformed;
      continue;
    }
    char *end = nullptr;
    int64_t number = std::strtoll(value.c_str(), &end, 10);
    if (value.empty() || *end ||
        (key != "rank" && key != "command" && key != "step"))
      return malformed;
    (key == "rank"   ? injection.rank
     : key == "step" ? injection.step
                     : injection.command) = number;
  }
  if (injection.kind == Kind::None || injection.rank < 0 ||
      injection.command < 0)
    return malformed;
  return injection;
}

bool Injection::hits(int64_t atRank, int64_t atStep, int64_t atCommand,
                     int64_t numCommands) const {
  return kind != Kind::None && rank == atRank && step == atStep &&
         std::min(command, numCommands - 1) == atCommand;
}

Status Injection::strike() const {
  switch (kind) {
  case Kind::None:
    return ok();
  case Kind::Error:
    return makeError(ExitCode::DistributedFault, "run.injected", "",
                     "injected error", "PARTITA_INJECT asked for it");
  case Kind::Alloc:
    throw std::bad_alloc();
  case Kind::Kill:
  case Kind::Stop:
    // To this thread, so that it does nothing more before.
    ::raise(kind == Kind::Kill ? SIGKILL : SIGSTOP);
    return ok();
  case Kind::Hang:
    while (true)
      std::this_thread::sleep_for(std::chrono::seconds(1));
  }
  return ok();
}
