//===- Models.h - Small ONNX models for tests -------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TEST_UNIT_IMPORT_MODELS_H
#define PARTITA_TEST_UNIT_IMPORT_MODELS_H

#include "dialects/nn/NN.h"
#include "mlir/IR/BuiltinOps.h"
#include "onnx/onnx_pb.h"
#include "partita/Import/Import.h"
#include "partita/Support/HostTensor.h"
#include <string>
#include <variant>
#include <vector>

namespace partita::test {

/// A directory that goes away with the object.
class TempDir {
public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir &) = delete;
  std::string file(const std::string &name) const { return path + "/" + name; }
  std::string write(const std::string &name, const std::string &bytes) const;
  std::string path;
};

using Dim = std::variant<int64_t, std::string>;

/// Builds a model node by node. Names of inputs, initializers and outputs are
/// given; an empty name of an input is an optional one left out.
class Model {
public:
  explicit Model(int opset = 21);

  Model &input(const std::string &name, std::vector<Dim> shape,
               int type = onnx::TensorProto::FLOAT);
  Model &output(const std::string &name);
  Model &floats(const std::string &name, std::vector<int64_t> shape,
                std::vector<float> values);
  Model &ints(const std::string &name, std::vector<int64_t> shape,
              std::vector<int64_t> values);
  /// Adds a node; further attributes go to the returned message.
  onnx::NodeProto &node(const std::string &op, std::vector<std::string> inputs,
                        std::vector<std::string> outputs,
                        const std::string &name = "");
  Model &metadata(const std::string &key, const std::string &value);
  std::string bytes() const { return proto.SerializeAsString(); }

  onnx::ModelProto proto;
};

void setInt(onnx::NodeProto &node, const std::string &name, int64_t value);
void setFloat(onnx::NodeProto &node, const std::string &name, float value);
void setString(onnx::NodeProto &node, const std::string &name,
               const std::string &value);
void setInts(onnx::NodeProto &node, const std::string &name,
             std::vector<int64_t> values);

/// Imports from a temporary file.
Result<mlir::OwningOpRef<mlir::ModuleOp>>
importModel(mlir::MLIRContext &context, const std::string &bytes,
            const ImportOptions &options = {});
/// The error of an import that must fail.
Error importError(const std::string &bytes, const ImportOptions &options = {});

/// The program as text.
std::string print(mlir::ModuleOp module);
/// How many operations of a name it has.
int count(mlir::ModuleOp module, const std::string &name);

HostTensor tensor(std::vector<int64_t> shape, std::vector<double> values,
                  DType type = DType::F32);
/// Imports a model, raises it if `raised`, and runs it in the interpreter.
std::vector<HostTensor> run(const Model &model, std::vector<HostTensor> inputs,
                            bool raised = false);
/// Checks shape and elements, these to 1e-5.
void checkEqual(const HostTensor &actual, std::vector<int64_t> shape,
                std::vector<double> values);

} // namespace partita::test

#endif // PARTITA_TEST_UNIT_IMPORT_MODELS_H
