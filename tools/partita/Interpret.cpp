//===- Interpret.cpp - partita interpret ----------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Runs a model in the interpreter: nothing is planned or compiled, so what it
// computes is what the importer understood. With --raised it runs the program
// after composites were raised, which must compute the same.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Compare.h"
#include "Inputs.h"
#include "Pipeline.h"
#include "Reference.h"
#include "dialects/interfaces/Interfaces.h"
#include "partita/Interp/Interpreter.h"
#include "partita/Target/Target.h"
#include <nlohmann/json.hpp>

using namespace partita;
using namespace partita::tool;
using nlohmann::ordered_json;

namespace {
struct InterpretOptions {
  RequestOptions request;
  std::vector<std::string> inputs;
  std::string outputDirectory, format = "text";
  uint64_t seed = 1;
  bool raised = false;
};
} // namespace

static std::string outputPath(const InterpretOptions &options,
                              const runtime::PortInfo &port) {
  return options.outputDirectory + "/" + tensorFileName(port.name);
}

static std::string asText(const InterpretOptions &options,
                          const std::vector<runtime::PortInfo> &ports) {
  std::string text;
  for (const runtime::PortInfo &port : ports)
    text += "output " + port.name + ": " + std::string(dtypeName(port.dtype)) +
            shapeText(port.shape) + " -> " + outputPath(options, port) + "\n";
  return text;
}

/// Also which operations ran, each kind with the sharding rule of its first.
static std::string asJson(const InterpretOptions &options,
                          mlir::func::FuncOp entry,
                          const std::vector<runtime::PortInfo> &ports) {
  ordered_json json = {{"outputs", ordered_json::array()},
                       {"operations", ordered_json::object()}};
  for (const runtime::PortInfo &port : ports)
    json["outputs"].push_back({{"name", port.name},
                               {"type", std::string(dtypeName(port.dtype))},
                               {"shape", port.shape},
                               {"file", outputPath(options, port)}});
  entry.walk([&](ShardingRuleOpInterface op) {
    std::string name = op->getName().getStringRef().str();
    if (!json["operations"].contains(name))
      json["operations"][name] = op.getShardingRule().str();
  });
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) +
         "\n";
}

static std::vector<runtime::PortInfo> inputPorts(mlir::func::FuncOp entry) {
  std::vector<runtime::PortInfo> ports;
  for (unsigned i = 0; i < entry.getNumArguments(); ++i)
    ports.push_back(
        portInfo(entry.getArgumentTypes()[i], entry.getArgAttrDict(i), Mesh()));
  return ports;
}

static std::vector<runtime::PortInfo> outputPorts(mlir::func::FuncOp entry) {
  std::vector<runtime::PortInfo> ports;
  for (unsigned i = 0; i < entry.getNumResults(); ++i)
    ports.push_back(portInfo(entry.getResultTypes()[i],
                             entry.getResultAttrDict(i), Mesh()));
  return ports;
}

/// States that are not given are what a first step begins with.
static Status readStates(mlir::ModuleOp module, mlir::func::FuncOp entry,
                         const std::map<std::string, std::string> &given,
                         std::vector<HostTensor> &inputs) {
  FileParameters parameters(module);
  for (auto [i, input] : llvm::enumerate(inputs)) {
    mlir::Attribute state = entry.getArgAttr(i, stateAttrName);
    auto name = entry.getArgAttrOfType<mlir::StringAttr>(i, nn::nameAttrName);
    if (!state || given.count(name.str()))
      continue;
    input = HostTensor(input.dtype(), input.shape());
    auto symbol = mlir::dyn_cast<mlir::FlatSymbolRefAttr>(state);
    if (!symbol)
      continue;
    auto parameter = module.lookupSymbol<nn::ParameterOp>(symbol.getAttr());
    PARTITA_TRY(HostTensor stored, parameters.read(parameter, nullptr));
    for (int64_t k = 0; k < input.numElements(); ++k)
      input.setDouble(k, stored.getDouble(k));
  }
  return ok();
}

static Result<ExitCode> runInterpret(const InterpretOptions &options) {
  PARTITA_TRY(Request request, options.request.resolve());
  bool raised = options.raised || request.training;
  request.keepImported = !raised;
  Progress progress(3);
  Pipeline &pipeline = startPipeline(std::move(request), progress);
  PARTITA_CHECK(pipeline.load());
  mlir::ModuleOp module = raised ? pipeline.module() : pipeline.imported();
  PARTITA_TRY(mlir::func::FuncOp entry, entryOf(module));
  PARTITA_TRY(auto given, parseGivenInputs(options.inputs));
  PARTITA_TRY(auto inputs, makeInputs(inputPorts(entry), given, options.seed));
  PARTITA_CHECK(readStates(module, entry, given, inputs));
  progress.step("interpret");
  PARTITA_TRY(auto outputs, interpret(module, inputs));
  auto ports = outputPorts(entry);
  PARTITA_CHECK(writeTensors(options.outputDirectory, ports, outputs));
  progress.clear();
  PARTITA_CHECK(printResult(options.format == "json"
                                ? asJson(options, entry, ports)
                                : asText(options, ports)));
  return ExitCode::Ok;
}

void tool::addInterpret(CLI::App &app, Action &chosen) {
  auto [command, options] = addCommand<InterpretOptions>(
      app, chosen, "interpret", "Run a model without compiling it",
      runInterpret);
  options->request.declareModel(*command);
  options->request.declareTraining(*command, /*withGradients=*/true);
  addRepeated(*command, "--input", options->inputs, "An input from a file")
      ->type_name("NAME=F.npy");
  command
      ->add_option("--random-inputs", options->seed,
                   "Seed of the inputs that are not given (default 1)")
      ->type_name("SEED");
  command
      ->add_option("--output-dir", options->outputDirectory,
                   "Write each output here, as NAME.npy")
      ->required()
      ->type_name("DIR");
  command->add_flag("--raised", options->raised,
                    "Run the program after composites were raised");
  addFormat(*command, options->format);
}
