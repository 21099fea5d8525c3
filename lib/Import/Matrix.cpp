//===- Matrix.cpp - Import of what needs whole matrices -------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/nn/Matrix.h"
#include "NodeImport.h"

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

static void importDet(NodeImport &n) {
  Shape shape = n.shape(0);
  if (shape.size() < 2 || shape.back() != shape[shape.size() - 2])
    n.invalid("its input is not square matrices");
  n.set(0, n.create<DetOp>(n.input(0)));
}

void importer::addMatrix(ImportTable &table) {
  table.add("Det", 11, importDet);
}
