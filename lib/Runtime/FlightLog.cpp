//===- FlightLog.cpp - Records of ranks as files --------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "FlightLog.h"
#include "partita/Support/File.h"
#include <random>
#include <sys/stat.h>
#include <sys/utsname.h>

using namespace partita;
using namespace partita::runtime;

std::string partita::runtime::randomName() {
  std::random_device random;
  char text[17];
  std::snprintf(text, sizeof(text), "%08x%08x", random(), random());
  return text;
}

std::string FlightLog::note() const {
  return directory.empty() ? ""
                           : "\n  what each rank did last is in " + directory +
                                 ": partita doctor reads it";
}

void FlightLog::write(const RankState &state, const FlightRecord &record,
                      const Describe &describe) const {
  if (directory.empty())
    return;
  ::mkdir(directory.c_str(), 0777);
  utsname names{};
  ::uname(&names);
  Json json = state.toJson();
  json["job"] = job;
  json["ranks"] = ranks;
  json["timeout"] = timeoutSeconds;
  json["machine"] = names.nodename;
  json["events"] = Json::array();
  uint64_t done = record.done.load();
  for (uint64_t i = done - std::min(done, FlightRecord::capacity); i < done;
       ++i) {
    const FlightEvent &event = record.events[i % FlightRecord::capacity];
    json["events"].push_back(
        {{"step", event.step.load()},
         {"what", describe(state.rank, event.command.load())},
         {"begin_ns", event.begin.load()},
         {"end_ns", event.end.load()}});
  }
  (void)writeFileAtomically(
      directory + "/rank-" + std::to_string(state.rank) + ".json",
      json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
}
