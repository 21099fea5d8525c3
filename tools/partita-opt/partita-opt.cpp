//===- partita-opt.cpp - Runs passes on a module --------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The pass driver for tests and for looking at single stages: every dialect and
// pass of ours and of upstream, by MLIR's own command line. It is the only
// place that registers everything.
//
//===----------------------------------------------------------------------===//

#include "dialects/dist/Dist.h"
#include "dialects/nn/NN.h"
#include "dialects/rt/RT.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "partita/Codegen/Passes.h"
#include "partita/Differentiate/Interface.h"
#include "partita/Differentiate/Passes.h"
#include "partita/Interp/ReferenceModels.h"
#include "partita/Partition/Passes.h"
#include "partita/Raise/Passes.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  registry.insert<partita::nn::NNDialect, partita::dist::DistDialect,
                  partita::rt::RTDialect>();
  partita::registerReferenceModels(registry);
  partita::registerDifferentiationRules(registry);
  mlir::registerAllPasses();
  partita::registerDifferentiatePasses();
  partita::registerRaisePasses();
  partita::registerPartitionPasses();
  partita::registerCodegenPasses();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "Partita's pass driver\n", registry));
}
