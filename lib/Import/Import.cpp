//===- Import.cpp - ONNX models become nn programs ------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Import/Import.h"
#include "GraphImport.h"

using namespace partita;
using namespace partita::importer;

Result<mlir::OwningOpRef<mlir::ModuleOp>>
partita::importONNX(mlir::MLIRContext &context, const std::string &path,
                    const ImportOptions &options) {
  context.loadDialect<nn::NNDialect, mlir::func::FuncDialect>();
  try {
    ModelFile file(path);
    prepareModel(file.model, path);
    return GraphImport(file, options, context).run();
  } catch (Failure &failure) {
    // Where nothing better was said: what finds most defects of models.
    if (failure.error.hint.empty())
      failure.error.hint =
          failure.error.exit == ExitCode::InvalidInput
              ? "onnx.checker.check_model may say more; export the model again"
              : "export the model in another way that avoids this";
    return std::move(failure.error);
  } catch (const std::exception &error) {
    return makeError(ExitCode::InvalidInput, "import.onnx", path,
                     std::string("ONNX's library refuses it: ") + error.what(),
                     "check the model with onnx.checker");
  }
}

std::vector<ImportedOperator> partita::importedOperators() {
  std::map<std::pair<std::string, std::string>, ImportedOperator> operators;
  for (const onnx::OpSchema &schema :
       onnx::OpSchemaRegistry::get_all_schemas_with_history()) {
    if (!schema.HasFunction() && !schema.HasContextDependentFunction())
      continue;
    ImportedOperator entry{schema.domain(), schema.Name(),
                           schema.SinceVersion(), true};
    auto [it, added] = operators.try_emplace({entry.domain, entry.name}, entry);
    it->second.since = std::min(it->second.since, entry.since);
  }
  ImportTable::get().forEach(
      [&](const std::string &domain, const std::string &name, int since) {
        operators[{domain, name}] = {domain, name, since, false};
      });
  std::vector<ImportedOperator> result;
  for (auto &[name, entry] : operators)
    result.push_back(std::move(entry));
  return result;
}
