//===- VerifyBound.cpp - partita verify-bound -----------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Says which lower bound a certificate of partita-solve proves. All of it is in
// lib/Certificate, which shares no code with the solver.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Options.h"
#include "partita/Certificate/Certificate.h"
#include <nlohmann/json.hpp>

using namespace partita;
using namespace partita::tool;

namespace {
struct VerifyBoundOptions {
  std::string instance, certificate, format = "text";
};
} // namespace

static Result<ExitCode> runVerifyBound(const VerifyBoundOptions &options) {
  PARTITA_TRY(certificate::Checked checked,
              certificate::check(options.instance, options.certificate));
  nlohmann::ordered_json json = {
      {"instance", checked.instance},     {"certified_bound", checked.bound},
      {"claimed_bound", checked.claimed}, {"holds", checked.holds()},
      {"branches", checked.branches},     {"steps", checked.steps}};
  std::string text = "nothing that fits costs less than " +
                     std::to_string(checked.bound) + "\n  " +
                     std::to_string(checked.branches) + " branches, " +
                     std::to_string(checked.steps) + " steps\n";
  PARTITA_CHECK(printResult(
      options.format == "json"
          ? json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) +
                "\n"
          : text));
  if (checked.holds())
    return ExitCode::Ok;
  return makeError(ExitCode::Mismatch, "certificate.claim", options.certificate,
                   "claims " + std::to_string(checked.claimed) +
                       ", and proves no more than " +
                       std::to_string(checked.bound),
                   "the bound above holds all the same");
}

void tool::addVerifyBound(CLI::App &app, Action &chosen) {
  auto [command, options] = addCommand<VerifyBoundOptions>(
      app, chosen, "verify-bound",
      "Check a certificate that partita-solve has written", runVerifyBound);
  command->add_option("instance", options->instance, "The instance, as JSON")
      ->required()
      ->type_name("INSTANCE.json");
  command->add_option("certificate", options->certificate, "The certificate")
      ->required()
      ->type_name("F");
  addFormat(*command, options->format);
}
