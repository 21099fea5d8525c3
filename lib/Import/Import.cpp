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
