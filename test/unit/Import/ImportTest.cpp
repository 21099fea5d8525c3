//===- ImportTest.cpp - What import makes of a model ----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Models.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "partita/Support/File.h"
#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>

using namespace partita;
using namespace partita::test;

static mlir::OwningOpRef<mlir::ModuleOp>
importOk(mlir::MLIRContext &context, const Model &model,
         const ImportOptions &options = {}) {
  auto module = test::importModel(context, model.bytes(), options);
  INFO((module ? std::string() : module.error().str()));
  REQUIRE(module);
  return std::move(*module);
}

static Model linear() {
  Model model;
  model.input("x", {std::string("batch"), int64_t(2)}).output("y");
  model.floats("w", {2, 3}, {1, 2, 3, 4, 5, 6}).floats("b", {3}, {7, 8, 9});
  model.node("Gemm", {"x", "w", "b"}, {"y"}, "layer");
  model.metadata("partita.dims", "batch=4");
  model.metadata("partita.input_ranges", "x=0:5");
  return model;
}

TEST_CASE("weights stay in the file") {
  TempDir dir;
  std::string path = dir.write("net.onnx", linear().bytes());
  mlir::MLIRContext context;
  auto module = importONNX(context, path);
  REQUIRE(module);
  auto w = (*module)->lookupSymbol<nn::ParameterOp>("w");
  REQUIRE(w);
  CHECK(w.getLength() == 24);
  auto file = readFile(path);
  REQUIRE(file);
  float values[6];
  std::memcpy(values, file->data() + w.getOffset(), sizeof(values));
  CHECK(values[0] == 1);
  CHECK(values[5] == 6);
  auto entry = mlir::cast<mlir::DictionaryAttr>(
      (**module)->getAttrOfType<mlir::ArrayAttr>("nn.files")[0]);
  CHECK(mlir::cast<mlir::StringAttr>(entry.get("path")).str() == path);
  CHECK(mlir::cast<mlir::IntegerAttr>(entry.get("size")).getInt() ==
        int64_t(std::filesystem::file_size(path)));
}

TEST_CASE("arguments and results keep names, dimensions and ranges") {
  mlir::MLIRContext context;
  auto module = importOk(context, linear());
  auto step = module->lookupSymbol<mlir::func::FuncOp>("step");
  auto name = [&](llvm::StringRef attribute) {
    return step.getArgAttrOfType<mlir::StringAttr>(0, attribute).str();
  };
  CHECK(name("nn.name") == "x");
  CHECK(name("nn.range") == "0:5");
  auto dims = step.getArgAttrOfType<mlir::ArrayAttr>(0, "nn.dims");
  CHECK(mlir::cast<mlir::StringAttr>(dims[0]).str() == "batch");
  CHECK(mlir::cast<mlir::StringAttr>(dims[1]).str() == "");
  CHECK(nn::shapeOf(step.getArgument(0)) == std::vector<int64_t>{4, 2});
  auto result = step.getResultAttrOfType<mlir::StringAttr>(0, "nn.name");
  CHECK(result.str() == "y");
}

TEST_CASE("sizes given by the user win over the model's") {
  mlir::MLIRContext context;
  ImportOptions options;
  options.dims["batch"] = 9;
  auto module = importOk(context, linear(), options);
  auto step = module->lookupSymbol<mlir::func::FuncOp>("step");
  CHECK(nn::shapeOf(step.getArgument(0)) == std::vector<int64_t>{9, 2});
}

TEST_CASE("a dimension without a name has the input's and a number") {
  Model model;
  model.input("x", {std::string(), int64_t(3)}).output("y");
  model.node("Relu", {"x"}, {"y"});
  Error error = importError(model.bytes());
  CHECK(error.code == "import.unbound-dimension");
  CHECK(error.hint.find("--dim x.0=") != std::string::npos);
  mlir::MLIRContext context;
  ImportOptions options;
  options.dims["x.0"] = 5;
  importOk(context, model, options);
}

TEST_CASE("ids are unique, and the main operation has the node's name") {
  Model model;
  model.input("x", {int64_t(2), int64_t(2)}).output("z");
  model.floats("w", {2, 2}, {1, 2, 3, 4}).floats("b", {2}, {1, 2});
  setInt(model.node("Gemm", {"x", "w", "b"}, {"y"}, "same"), "transB", 1);
  model.node("Gemm", {"y", "w", "b"}, {"z"}, "same");
  mlir::MLIRContext context;
  auto module = importOk(context, model);
  std::set<std::string> ids;
  module->walk([&](mlir::Operation *op) {
    if (!mlir::isa_and_nonnull<nn::NNDialect>(op->getDialect()) ||
        mlir::isa<nn::ParameterOp>(op))
      return;
    CHECK(!nn::getId(op).empty());
    CHECK(ids.insert(nn::getId(op).str()).second);
  });
  bool found = false;
  module->walk([&](nn::MatMulOp op) { found |= nn::getId(op) == "same"; });
  CHECK(found);
}

TEST_CASE("shape arithmetic leaves no trace") {
  // The way torch exports x.view(x.size(0), -1, 2 * 2).
  Model model;
  model.input("x", {int64_t(3), int64_t(8)}).output("y");
  model.ints("zero", {}, {0}).ints("minus", {1}, {-1}).ints("two", {}, {2});
  model.node("Shape", {"x"}, {"shape"});
  setInt(model.node("Gather", {"shape", "zero"}, {"n"}), "axis", 0);
  model.node("Reshape", {"n", "minus"}, {"n1"});
  model.node("Mul", {"two", "two"}, {"four"});
  model.node("Reshape", {"four", "minus"}, {"four1"});
  setInt(model.node("Concat", {"n1", "minus", "four1"}, {"target"}), "axis", 0);
  model.node("Reshape", {"x", "target"}, {"y"});
  mlir::MLIRContext context;
  auto module = importOk(context, model);
  CHECK(count(*module, "nn.reshape") == 1);
  CHECK(count(*module, "nn.constant") == 0);
  auto step = module->lookupSymbol<mlir::func::FuncOp>("step");
  CHECK(nn::shapeOf(step.getFunctionType().getResult(0)) ==
        std::vector<int64_t>{3, 2, 4});
}

TEST_CASE("broadcasts are explicit and numbers are splats") {
  Model model;
  model.input("x", {int64_t(2), int64_t(3)}).output("y");
  model.floats("b", {3}, {1, 2, 3}).floats("half", {}, {0.5});
  model.node("Add", {"x", "b"}, {"s"});
  model.node("Mul", {"half", "s"}, {"y"});
  mlir::MLIRContext context;
  auto module = importOk(context, model);
  CHECK(count(*module, "nn.broadcast") == 1);
  CHECK(print(*module).find("dense<5.000000e-01> : tensor<2x3xf32>") !=
        std::string::npos);
  auto outputs = run(model, {tensor({2, 3}, {1, 2, 3, 4, 5, 6})});
  checkEqual(outputs[0], {2, 3}, {1, 2, 3, 2.5, 3.5, 4.5});
}

TEST_CASE("an integer table is a parameter, whatever its length") {
  // Programs must not change their structure with the size of a table.
  for (int64_t size : {4, 600}) {
    Model model;
    std::vector<int64_t> positions(size);
    for (int64_t i = 0; i < size; ++i)
      positions[i] = i;
    model.input("x", {int64_t(1), int64_t(2)}, onnx::TensorProto::INT64);
    model.output("y").ints("positions", {1, size}, positions);
    model.ints("begin", {1}, {0}).ints("end", {1}, {2}).ints("axis", {1}, {1});
    model.node("Slice", {"positions", "begin", "end", "axis"}, {"p"});
    model.node("Add", {"x", "p"}, {"y"});
    mlir::MLIRContext context;
    auto module = importOk(context, model);
    CHECK(count(*module, "nn.parameter") == 1);
    CHECK(count(*module, "nn.slice") == 1);
  }
}

TEST_CASE("external data is referred to where it lies") {
  TempDir dir;
  std::ofstream(dir.file("weights.bin"), std::ios::binary)
      << std::string(100, '\0');
  Model model;
  model.input("x", {int64_t(2), int64_t(4)}).output("y");
  model.floats("w", {4, 4}, {});
  auto *w = model.proto.mutable_graph()->mutable_initializer(0);
  w->clear_raw_data();
  w->set_data_location(onnx::TensorProto::EXTERNAL);
  for (auto [key, value] :
       {std::pair("location", "weights.bin"), std::pair("offset", "16"),
        std::pair("length", "64")}) {
    auto *entry = w->add_external_data();
    entry->set_key(key);
    entry->set_value(value);
  }
  model.node("MatMul", {"x", "w"}, {"y"});
  mlir::MLIRContext context;
  auto module = importONNX(context, dir.write("m.onnx", model.bytes()));
  INFO((module ? std::string() : module.error().str()));
  REQUIRE(module);
  auto parameter = (*module)->lookupSymbol<nn::ParameterOp>("w");
  CHECK(parameter.getOffset() == 16);
  auto files = (**module)->getAttrOfType<mlir::ArrayAttr>("nn.files");
  REQUIRE(files.size() == 1);
  auto path = mlir::cast<mlir::DictionaryAttr>(files[0]).get("path");
  CHECK(mlir::cast<mlir::StringAttr>(path).str() == dir.file("weights.bin"));
}

TEST_CASE("absent weights are marked") {
  Model model = linear();
  for (auto &tensor : *model.proto.mutable_graph()->mutable_initializer())
    tensor.clear_raw_data();
  CHECK(importError(model.bytes()).code == "import.no-data");
  model.metadata("partita.weights", "absent");
  mlir::MLIRContext context;
  auto module = importOk(context, model);
  CHECK((*module)->hasAttr("nn.weights_absent"));
  CHECK(module->lookupSymbol<nn::ParameterOp>("w").getFile() == uint64_t(-1));
}

TEST_CASE("packed float_data is a place in the file too") {
  Model model = linear();
  auto *w = model.proto.mutable_graph()->mutable_initializer(0);
  w->clear_raw_data();
  for (int i = 1; i <= 6; ++i)
    w->add_float_data(float(i));
  auto outputs = run(model, {tensor({4, 2}, {1, 0, 0, 1, 0, 0, 1, 1})});
  checkEqual(outputs[0], {4, 3}, {8, 10, 12, 11, 13, 15, 7, 8, 9, 12, 15, 18});
}

TEST_CASE("nodes in any order, weights among the inputs") {
  Model model;
  model.input("x", {int64_t(2)}).input("b", {int64_t(2)}).output("z");
  model.floats("b", {2}, {1, 2});
  model.node("Relu", {"y"}, {"z"}, "second");
  model.node("Add", {"x", "b"}, {"y"}, "first");
  mlir::MLIRContext context;
  auto module = importOk(context, model);
  auto step = module->lookupSymbol<mlir::func::FuncOp>("step");
  CHECK(step.getNumArguments() == 1);
  auto outputs = run(model, {tensor({2}, {-5, 5})});
  checkEqual(outputs[0], {2}, {0, 7});
}

TEST_CASE("the model's own functions are inlined") {
  Model model;
  auto *opset = model.proto.add_opset_import();
  opset->set_domain("my");
  opset->set_version(1);
  auto *function = model.proto.add_functions();
  function->set_name("Twice");
  function->set_domain("my");
  function->add_input("a");
  function->add_output("b");
  auto *import = function->add_opset_import();
  import->set_domain("");
  import->set_version(21);
  auto *add = function->add_node();
  add->set_op_type("Add");
  add->add_input("a");
  add->add_input("a");
  add->add_output("b");
  model.input("x", {int64_t(1)}).output("z");
  model.node("Twice", {"x"}, {"y"}, "one").set_domain("my");
  model.node("Twice", {"y"}, {"z"}, "two").set_domain("my");
  auto outputs = run(model, {tensor({1}, {3})});
  checkEqual(outputs[0], {1}, {12});
}

TEST_CASE("the branch that a constant takes replaces an If") {
  Model model;
  model.input("x", {int64_t(2)}).output("y");
  model.ints("one", {}, {1});
  model.node("Equal", {"one", "one"}, {"condition"});
  auto &branch = model.node("If", {"condition"}, {"y"}, "choose");
  for (const char *name : {"then_branch", "else_branch"}) {
    auto *attribute = branch.add_attribute();
    attribute->set_name(name);
    attribute->set_type(onnx::AttributeProto::GRAPH);
    auto *graph = attribute->mutable_g();
    graph->set_name(name);
    auto *node = graph->add_node();
    node->set_op_type(name[0] == 't' ? "Neg" : "Abs");
    node->add_input("x");
    node->add_output("inner");
    graph->add_output()->set_name("inner");
  }
  auto outputs = run(model, {tensor({2}, {1, -2})});
  checkEqual(outputs[0], {2}, {-1, 2});
}

TEST_CASE("twenty gigabytes of external data cost nothing") {
  TempDir dir;
  std::string weights = dir.write("w.bin", "");
  const int64_t columns = int64_t(5) << 30;
  std::filesystem::resize_file(weights, size_t(columns) * 4);
  Model model;
  model.input("x", {int64_t(1), int64_t(1)}).output("y");
  auto *w = model.proto.mutable_graph()->add_initializer();
  w->set_name("w");
  w->set_data_type(onnx::TensorProto::FLOAT);
  w->add_dims(1);
  w->add_dims(columns);
  w->set_data_location(onnx::TensorProto::EXTERNAL);
  auto *location = w->add_external_data();
  location->set_key("location");
  location->set_value("w.bin");
  model.node("MatMul", {"x", "w"}, {"y"});
  mlir::MLIRContext context;
  auto module = importONNX(context, dir.write("m.onnx", model.bytes()));
  INFO((module ? std::string() : module.error().str()));
  REQUIRE(module);
  CHECK((*module)->lookupSymbol<nn::ParameterOp>("w").getLength() ==
        uint64_t(columns) * 4);
}
