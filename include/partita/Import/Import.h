//===- Import.h - ONNX models become nn programs ----------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Reads an ONNX file and gives a module of the nn dialect on static shapes:
//
//   nn.parameter @name    one per weight that is used; its bytes stay in the
//                         file, only (file, offset, length) is kept
//   func.func @step       the model's graph; arguments and results carry
//                         nn.name and nn.dims, arguments also nn.range
//
// The module carries nn.model, nn.files, and nn.weights_absent where the model
// says so. Every operation carries nn.id and nn.nodes. Whatever is peculiar to
// ONNX (implicit broadcasts, negative axes, optional inputs, shape arithmetic,
// versions of operators) is gone.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_IMPORT_IMPORT_H
#define PARTITA_IMPORT_IMPORT_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"
#include "partita/Support/Error.h"
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace partita {

struct ImportOptions {
  /// Sizes of named dimensions; they win over the model's own defaults (the
  /// metadata entry partita.dims). A dimension without a name is called
  /// "INPUT.INDEX".
  std::map<std::string, int64_t> dims;
  /// The size of every dimension with "batch" in its name. A model without such
  /// a dimension is refused unless this is the first size of all its inputs.
  std::optional<int64_t> batch = {};
};

/// Imports the model at `path`. The dialects it needs are loaded into
/// `context`. Errors: exit 2 for whatever is wrong with the file or leaves a
/// dimension unbound, exit 3 for what Partita does not support, naming every
/// unknown operator at once.
Result<mlir::OwningOpRef<mlir::ModuleOp>>
importONNX(mlir::MLIRContext &context, const std::string &path,
           const ImportOptions &options = {});

/// An operator of ONNX, or of a domain beside it, that the importer knows.
struct ImportedOperator {
  /// Empty for ONNX's own.
  std::string domain;
  std::string name;
  /// The version of its operator set from which on it is known.
  int since = 1;
  /// Imported as the function of other operators by which ONNX defines it; it
  /// is supported as far as these are.
  bool byBody = false;
};

/// Every operator that is not refused by its name, by domain and name.
std::vector<ImportedOperator> importedOperators();

} // namespace partita

#endif // PARTITA_IMPORT_IMPORT_H
