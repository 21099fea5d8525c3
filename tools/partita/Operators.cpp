//===- Operators.cpp - partita operators ----------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Lists the operators that are imported. docs/operators.md is made of it.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Options.h"
#include "Table.h"
#include "partita/Import/Import.h"
#include <nlohmann/json.hpp>

using namespace partita;
using namespace partita::tool;
using nlohmann::ordered_json;

namespace {
struct OperatorsOptions {
  std::string format = "text";
};
} // namespace

static std::string asText(const std::vector<ImportedOperator> &operators) {
  Table table({"operator", "domain", "since", ""});
  for (const ImportedOperator &entry : operators)
    table.row({entry.name, entry.domain.empty() ? "ai.onnx" : entry.domain,
               std::to_string(entry.since), entry.byBody ? "by its body" : ""});
  return table.str();
}

static std::string asJson(const std::vector<ImportedOperator> &operators) {
  ordered_json json = ordered_json::array();
  for (const ImportedOperator &entry : operators)
    json.push_back({{"domain", entry.domain.empty() ? "ai.onnx" : entry.domain},
                    {"name", entry.name},
                    {"since", entry.since},
                    {"by_body", entry.byBody}});
  return json.dump(2) + "\n";
}

static Result<ExitCode> runOperators(const OperatorsOptions &options) {
  std::vector<ImportedOperator> operators = importedOperators();
  PARTITA_CHECK(printResult(options.format == "json" ? asJson(operators)
                                                     : asText(operators)));
  return ExitCode::Ok;
}

void tool::addOperators(CLI::App &app, Action &chosen) {
  auto [command, options] = addCommand<OperatorsOptions>(
      app, chosen, "operators", "List the operators that are imported",
      runOperators);
  addFormat(*command, options->format);
}
