//===- Import.cpp - Any bytes as a model ----------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The importer reads files that nobody has looked at. It gives a program, which
// it has verified itself, or an error of the user's. Beside the model lie a
// file for external data, and what must never be opened: a link that leads
// outside, and a folder.
//
//===----------------------------------------------------------------------===//

#include "partita/Import/Import.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "test/fuzz/Fuzz.h"
#include <memory>

using namespace partita;

namespace {

class Importer {
public:
  Importer() {
    std::string data(256, '\1');
    folder.write("w.bin", data.data(), data.size());
    std::filesystem::create_symlink("/etc/passwd", folder.path + "/link");
    std::filesystem::create_directory(folder.path + "/folder");
  }

  void run(const uint8_t *data, size_t size) {
    // Making a context takes longer than importing a small model does; what it
    // has seen it keeps, however.
    if (++uses % 64 == 1) {
      context = std::make_unique<mlir::MLIRContext>(
          mlir::MLIRContext::Threading::DISABLED);
      context->printOpOnDiagnostic(false);
    }
    auto module = importONNX(*context, folder.write("model.onnx", data, size));
    if (!module)
      fuzz::expectUsersError(module.error());
  }

private:
  fuzz::ScratchFolder folder;
  std::unique_ptr<mlir::MLIRContext> context;
  unsigned uses = 0;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static Importer importer;
  importer.run(data, size);
  return 0;
}
