//===- partita-solve.cpp - The solver by itself ---------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Reads an instance of the IOPDDL contest, reports cost and lower bound on
// stderr as they get better, and prints one line of JSON last. Ctrl-C keeps the
// best so far. What is printed as valid was judged by evaluate(), which knows
// nothing of the search.
//
//===----------------------------------------------------------------------===//

#include "partita/Certificate/Certificate.h"
#include "partita/Solve/Solve.h"
#include "partita/Support/File.h"
#include <CLI/CLI.hpp>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <new>
#include <nlohmann/json.hpp>

using namespace partita;

static std::atomic<bool> interrupted = false;

static int fail(const Error &error) {
  std::fprintf(stderr, "%s\n", error.str().c_str());
  return static_cast<int>(error.exit);
}

/// In whichever thread it happens.
[[noreturn]] static void dieOutOfMemory() {
  std::fputs("error[memory]: partita-solve: there is not enough memory\n"
             "  hint: raise the memory limit, or use a larger machine\n",
             stderr);
  std::_Exit(static_cast<int>(ExitCode::Unsupported));
}

static void report(const solve::Progress &progress) {
  std::string cost = progress.cost ? std::to_string(*progress.cost) : "none";
  std::fprintf(stderr, "%8.2f s  cost %s  lower bound %lld\n", progress.seconds,
               cost.c_str(), static_cast<long long>(progress.bound));
}

/// Several infinite prices together do not fit 64 bits.
static std::string text(__int128 value) {
  std::string digits;
  do
    digits.insert(digits.begin(), static_cast<char>('0' + int(value % 10)));
  while (value /= 10);
  return digits;
}

static Status run(const std::string &path, const std::string &certificate,
                  solve::Options options) {
  PARTITA_TRY(solve::Instance instance, solve::readInstance(path));
  AtomicFile proof;
  if (!certificate.empty()) {
    PARTITA_TRY(proof, AtomicFile::create(certificate));
    options.certificate = [&](const std::string &line) {
      return proof.write(line);
    };
  }
  PARTITA_TRY(solve::Answer answer, solve::solve(instance, options));
  if (!certificate.empty())
    PARTITA_CHECK(proof.commit());
  solve::Verdict verdict = solve::evaluate(instance, answer.assignment);
  if (answer.assignment.empty())
    return makeError(ExitCode::Infeasible, "solve.none-found", path,
                     "no choice that fits into memory was found",
                     "allow more time, or raise the usage limit");
  bool isFinite = answer.cost < solve::infinity;
  if (!verdict.valid || (isFinite && verdict.cost != answer.cost))
    return makeError(ExitCode::Internal, "solve.verify", path,
                     "the answer is not what it claims to be");
  nlohmann::ordered_json line = {{"lower_bound", answer.bound}};
  if (!certificate.empty()) {
    PARTITA_TRY(certificate::Checked checked,
                certificate::check(path, certificate));
    if (!checked.holds())
      return makeError(ExitCode::Internal, "solve.certificate", certificate,
                       "does not prove what it claims");
    line["certified_bound"] = checked.bound;
  }
  line.update({{"valid", verdict.valid},
               {"seconds", answer.seconds},
               {"stopped_by", solve::stoppedByName(answer.stoppedBy)},
               {"rounds", answer.rounds},
               {"assignment", answer.assignment}});
  std::printf("{\"cost\":%s,%s\n", text(verdict.cost).c_str(),
              line.dump().c_str() + 1);
  if (std::fflush(stdout) != 0)
    return makeError(ExitCode::InvalidInput, "output.write", "stdout",
                     std::string("cannot be written: ") + std::strerror(errno),
                     "make room, or write to another place");
  return ok();
}

int main(int argc, char **argv) {
  CLI::App app(
      "Chooses a value for every node of an IOPDDL instance so that the "
      "cost is least\nand memory suffices, and bounds how much better a "
      "choice can be.",
      "partita-solve");
  std::string path, certificate;
  solve::Options options;
  bool quiet = false;
  options.seconds = 60;
  app.add_option("instance", path, "The instance, as JSON")
      ->required()
      ->type_name("INSTANCE.json");
  CLI::Option *limit =
      app.add_option("--time-limit", options.seconds,
                     "Seconds; the round under way is finished (default 60)")
          ->check(CLI::NonNegativeNumber)
          ->type_name("S");
  app.add_option("--effort", options.rounds,
                 "Rounds of work instead of a time: the same bytes anywhere")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  app.add_option("--seed", options.seed, "Of the search (default 0)")
      ->type_name("N");
  app.add_option("--threads", options.threads, "1 or 2 (default 2)")
      ->check(CLI::Range(1, 2))
      ->type_name("N");
  app.add_option("--gap", options.gap,
                 "Stop at this (cost - bound) / cost (default 0)")
      ->check(CLI::Range(0.0, 1.0))
      ->type_name("G");
  app.add_option(
         "--certificate", certificate,
         "Write a proof of the lower bound, which takes at most as long "
         "again;\n`partita verify-bound` checks it")
      ->type_name("F");
  app.add_flag("--quiet", quiet, "No progress");
  app.footer(
      "\nExit codes: 0 ok, 1 usage, 2 invalid input, 3 not enough memory,\n"
      "4 infeasible, 70 internal.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(ExitCode::Usage);
  }
  if (options.rounds != std::numeric_limits<int64_t>::max() &&
      limit->count() == 0)
    options.seconds = std::numeric_limits<double>::infinity();
  if (!quiet)
    options.progress = report;
  std::set_new_handler(dieOutOfMemory);
  std::signal(SIGINT, [](int) { interrupted = true; });
  options.interrupted = [] { return interrupted.load(); };
  if (Status status = run(path, certificate, options); !status)
    return fail(status.error());
  return 0;
}
