//===- Models.cpp - Small ONNX models for tests ---------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Models.h"
#include "partita/Interp/Interpreter.h"
#include "partita/Raise/Raise.h"
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace partita;
using namespace partita::test;

TempDir::TempDir() {
  std::string pattern =
      (std::filesystem::temp_directory_path() / "partita-import-XXXXXX")
          .string();
  REQUIRE(mkdtemp(pattern.data()) != nullptr);
  path = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

std::string TempDir::write(const std::string &name,
                           const std::string &bytes) const {
  std::ofstream(file(name), std::ios::binary) << bytes;
  return file(name);
}

Model::Model(int opset) {
  proto.set_ir_version(10);
  auto *entry = proto.add_opset_import();
  entry->set_domain("");
  entry->set_version(opset);
  proto.mutable_graph()->set_name("graph");
}

static void setType(onnx::ValueInfoProto &info, const std::vector<Dim> &shape,
                    int type) {
  auto *tensor = info.mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(type);
  tensor->mutable_shape();
  for (const Dim &dim : shape) {
    auto *entry = tensor->mutable_shape()->add_dim();
    if (auto *size = std::get_if<int64_t>(&dim))
      entry->set_dim_value(*size);
    else if (!std::get<std::string>(dim).empty())
      entry->set_dim_param(std::get<std::string>(dim));
  }
}

Model &Model::input(const std::string &name, std::vector<Dim> shape, int type) {
  auto *info = proto.mutable_graph()->add_input();
  info->set_name(name);
  setType(*info, shape, type);
  return *this;
}

Model &Model::output(const std::string &name) {
  auto *info = proto.mutable_graph()->add_output();
  info->set_name(name);
  info->mutable_type()->mutable_tensor_type()->set_elem_type(
      onnx::TensorProto::FLOAT);
  return *this;
}

Model &Model::floats(const std::string &name, std::vector<int64_t> shape,
                     std::vector<float> values) {
  auto *tensor = proto.mutable_graph()->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(onnx::TensorProto::FLOAT);
  for (int64_t size : shape)
    tensor->add_dims(size);
  tensor->set_raw_data(values.data(), values.size() * sizeof(float));
  return *this;
}

Model &Model::ints(const std::string &name, std::vector<int64_t> shape,
                   std::vector<int64_t> values) {
  auto *tensor = proto.mutable_graph()->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(onnx::TensorProto::INT64);
  for (int64_t size : shape)
    tensor->add_dims(size);
  tensor->set_raw_data(values.data(), values.size() * sizeof(int64_t));
  return *this;
}

onnx::NodeProto &Model::node(const std::string &op,
                             std::vector<std::string> inputs,
                             std::vector<std::string> outputs,
                             const std::string &name) {
  auto *node = proto.mutable_graph()->add_node();
  node->set_op_type(op);
  node->set_name(name);
  for (const std::string &input : inputs)
    node->add_input(input);
  for (const std::string &output : outputs)
    node->add_output(output);
  return *node;
}

Model &Model::metadata(const std::string &key, const std::string &value) {
  auto *entry = proto.add_metadata_props();
  entry->set_key(key);
  entry->set_value(value);
  return *this;
}

static onnx::AttributeProto &
addAttribute(onnx::NodeProto &node, const std::string &name,
             onnx::AttributeProto::AttributeType type) {
  auto *attribute = node.add_attribute();
  attribute->set_name(name);
  attribute->set_type(type);
  return *attribute;
}

void test::setInt(onnx::NodeProto &node, const std::string &name,
                  int64_t value) {
  addAttribute(node, name, onnx::AttributeProto::INT).set_i(value);
}
void test::setFloat(onnx::NodeProto &node, const std::string &name,
                    float value) {
  addAttribute(node, name, onnx::AttributeProto::FLOAT).set_f(value);
}
void test::setString(onnx::NodeProto &node, const std::string &name,
                     const std::string &value) {
  addAttribute(node, name, onnx::AttributeProto::STRING).set_s(value);
}
void test::setInts(onnx::NodeProto &node, const std::string &name,
                   std::vector<int64_t> values) {
  auto &attribute = addAttribute(node, name, onnx::AttributeProto::INTS);
  for (int64_t value : values)
    attribute.add_ints(value);
}

Result<mlir::OwningOpRef<mlir::ModuleOp>>
test::importModel(mlir::MLIRContext &context, const std::string &bytes,
                  const ImportOptions &options) {
  TempDir dir;
  return importONNX(context, dir.write("model.onnx", bytes), options);
}

Error test::importError(const std::string &bytes,
                        const ImportOptions &options) {
  mlir::MLIRContext context;
  auto module = test::importModel(context, bytes, options);
  REQUIRE(!module);
  Error error = module.takeError();
  INFO(error.str());
  // Each says what, where and what to do.
  CHECK(!error.code.empty());
  CHECK(!error.place.empty());
  CHECK(!error.message.empty());
  return error;
}

std::string test::print(mlir::ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream);
  return text;
}

int test::count(mlir::ModuleOp module, const std::string &name) {
  int result = 0;
  module.walk([&](mlir::Operation *op) {
    result += op->getName().getStringRef() == name;
  });
  return result;
}

HostTensor test::tensor(std::vector<int64_t> shape, std::vector<double> values,
                        DType type) {
  HostTensor result(type, shape);
  REQUIRE(result.numElements() == int64_t(values.size()));
  for (size_t i = 0; i < values.size(); ++i)
    result.setDouble(int64_t(i), values[i]);
  return result;
}

std::vector<HostTensor> test::run(const Model &model,
                                  std::vector<HostTensor> inputs, bool raised) {
  mlir::DialectRegistry registry;
  registerReferenceModels(registry);
  mlir::MLIRContext context(registry);
  TempDir dir;
  auto module = importONNX(context, dir.write("model.onnx", model.bytes()), {});
  INFO((module ? std::string() : module.error().str()));
  REQUIRE(module);
  if (raised) {
    Status status = raise(**module);
    INFO((status ? std::string() : status.error().str()));
    REQUIRE(status);
  }
  FileParameters parameters(**module);
  auto step = (*module)->lookupSymbol<mlir::func::FuncOp>("step");
  auto outputs = Interpreter().run(step, inputs, parameters);
  INFO((outputs ? std::string() : outputs.error().str()));
  REQUIRE(outputs);
  return *outputs;
}

void test::checkEqual(const HostTensor &actual, std::vector<int64_t> shape,
                      std::vector<double> values) {
  CHECK(actual.shape() == shape);
  REQUIRE(actual.numElements() == int64_t(values.size()));
  for (size_t i = 0; i < values.size(); ++i) {
    INFO("element " << i);
    CHECK(actual.getDouble(int64_t(i)) ==
          Approx(values[i]).margin(1e-5).epsilon(1e-5));
  }
}
