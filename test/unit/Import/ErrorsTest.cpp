//===- ErrorsTest.cpp - Files that cannot be imported ---------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Each gives one error that says what, where and what to do, with the right
// exit code, in bounded time.
//
//===----------------------------------------------------------------------===//

#include "Models.h"
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <random>

using namespace partita;
using namespace partita::test;

static Model small() {
  Model model;
  model.input("x", {int64_t(2), int64_t(2)}).output("y");
  model.floats("w", {2, 2}, {1, 2, 3, 4});
  model.node("MatMul", {"x", "w"}, {"y"}, "product");
  return model;
}

static void checkInvalid(const Error &error, const std::string &code) {
  INFO(error.str());
  CHECK(error.exit == ExitCode::InvalidInput);
  CHECK(error.code == code);
}

static void checkUnsupported(const Error &error, const std::string &code) {
  INFO(error.str());
  CHECK(error.exit == ExitCode::Unsupported);
  CHECK(error.code == code);
}

static bool contains(const std::string &text, const std::string &part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("a missing file") {
  mlir::MLIRContext context;
  auto module = importONNX(context, "/nowhere/model.onnx");
  REQUIRE(!module);
  CHECK(module.error().exit == ExitCode::InvalidInput);
}

TEST_CASE("a directory in place of a file") {
  TempDir dir;
  mlir::MLIRContext context;
  auto module = importONNX(context, dir.path);
  REQUIRE(!module);
  CHECK(module.error().exit == ExitCode::InvalidInput);
}

TEST_CASE("every truncation") {
  std::string bytes = small().bytes();
  for (size_t size = 0; size < bytes.size(); ++size) {
    mlir::MLIRContext context;
    auto module = test::importModel(context, bytes.substr(0, size));
    // What comes last may be optional to a protobuf message.
    if (module)
      continue;
    INFO(size << ": " << module.error().str());
    CHECK((module.error().exit == ExitCode::InvalidInput ||
           module.error().exit == ExitCode::Unsupported));
  }
}

TEST_CASE("flipped bytes") {
  std::string bytes = small().bytes();
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string damaged = bytes;
    for (int flips = 1 + int(random() % 3); flips > 0; --flips)
      damaged[random() % damaged.size()] = char(random());
    mlir::MLIRContext context;
    auto module = test::importModel(context, damaged);
    if (!module)
      CHECK(module.error().exit != ExitCode::Internal);
  }
}

TEST_CASE("random bytes") {
  std::mt19937 random(11);
  for (int round = 0; round < 200; ++round) {
    std::string bytes(1 + random() % 4096, '\0');
    for (char &byte : bytes)
      byte = char(random());
    Error error = importError(bytes);
    CHECK(error.exit == ExitCode::InvalidInput);
  }
}

TEST_CASE("a length that leads outside") {
  // graph (field 7) of 2^63 bytes.
  std::string bytes = "\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f";
  checkInvalid(importError(bytes), "import.malformed");
}

TEST_CASE("subgraphs nested ten thousand deep") {
  std::string graph;
  auto wrap = [](uint32_t field, const std::string &bytes) {
    std::string out;
    out.push_back(char(field << 3 | 2));
    uint64_t size = bytes.size();
    for (; size >= 0x80; size >>= 7)
      out.push_back(char(size | 0x80));
    out.push_back(char(size));
    return out + bytes;
  };
  for (int depth = 0; depth < 10000; ++depth)
    graph = wrap(1, wrap(5, wrap(6, graph)));
  checkInvalid(importError(wrap(7, graph)), "import.nesting");
}

TEST_CASE("a cycle") {
  Model model;
  model.input("x", {int64_t(2)}).output("a");
  model.node("Add", {"x", "b"}, {"a"}, "first");
  model.node("Relu", {"a"}, {"b"}, "second");
  Error error = importError(model.bytes());
  checkInvalid(error, "import.cycle");
  CHECK(contains(error.place, "first"));
  CHECK(contains(error.place, "second"));
}

TEST_CASE("a dangling input") {
  Model model = small();
  model.proto.mutable_graph()->mutable_node(0)->set_input(0, "ghost");
  Error error = importError(model.bytes());
  checkInvalid(error, "import.dangling-input");
  CHECK(contains(error.message, "ghost"));
  CHECK(contains(error.place, "product"));
}

TEST_CASE("a dangling output") {
  Model model = small();
  model.output("ghost");
  checkInvalid(importError(model.bytes()), "import.dangling-output");
}

TEST_CASE("names that are defined twice") {
  Model twice = small();
  twice.node("Relu", {"x"}, {"y"});
  checkInvalid(importError(twice.bytes()), "import.duplicate-name");
  Model initializer = small();
  initializer.floats("w", {1}, {1});
  checkInvalid(importError(initializer.bytes()), "import.duplicate-name");
  Model input = small();
  input.node("Relu", {"y"}, {"x"});
  checkInvalid(importError(input.bytes()), "import.duplicate-name");
}

TEST_CASE("wrong element types") {
  Model mixed;
  mixed.input("x", {int64_t(2)}).output("y").ints("i", {2}, {1, 2});
  mixed.node("Add", {"x", "i"}, {"y"}, "sum");
  Error error = importError(mixed.bytes());
  checkInvalid(error, "import.node");
  CHECK(contains(error.place, "sum"));
  Model refused;
  refused.input("x", {int64_t(2)}, onnx::TensorProto::INT64).output("y");
  refused.node("Erf", {"x"}, {"y"}, "f");
  refused.node("Softmax", {"y"}, {"z"}, "g");
  checkInvalid(importError(refused.bytes()), "import.node");
}

TEST_CASE("an element type that does not exist here") {
  Model model;
  model.input("x", {int64_t(2)}, onnx::TensorProto::COMPLEX64).output("y");
  model.node("Identity", {"x"}, {"y"});
  checkUnsupported(importError(model.bytes()), "import.dtype");
}

TEST_CASE("shapes that do not fit") {
  Model broadcast;
  broadcast.input("x", {int64_t(2)}).input("z", {int64_t(3)}).output("y");
  broadcast.node("Add", {"x", "z"}, {"y"}, "sum");
  checkInvalid(importError(broadcast.bytes()), "import.node");
  Model product = small();
  product.proto.mutable_graph()
      ->mutable_input(0)
      ->mutable_type()
      ->mutable_tensor_type()
      ->mutable_shape()
      ->mutable_dim(1)
      ->set_dim_value(3);
  checkInvalid(importError(product.bytes()), "import.node");
}

TEST_CASE("sizes beyond 63 bits") {
  Model input;
  input.input("x", {int64_t(1) << 40, int64_t(1) << 40}).output("y");
  input.node("Relu", {"x"}, {"y"});
  checkInvalid(importError(input.bytes()), "import.shape");
  Model initializer = small();
  auto *w = initializer.proto.mutable_graph()->mutable_initializer(0);
  w->set_dims(0, int64_t(1) << 62);
  checkInvalid(importError(initializer.bytes()), "import.shape");
  Model expand;
  expand.input("x", {int64_t(1)}).output("y");
  expand.ints("shape", {2}, {int64_t(1) << 40, int64_t(1) << 40});
  expand.node("Expand", {"x", "shape"}, {"y"});
  checkInvalid(importError(expand.bytes()), "import.shape");
  Model negative = small();
  negative.proto.mutable_graph()->mutable_initializer(0)->set_dims(0, -2);
  checkInvalid(importError(negative.bytes()), "import.shape");
}

TEST_CASE("data of another size than the shape") {
  Model model = small();
  model.proto.mutable_graph()->mutable_initializer(0)->set_dims(0, 3);
  Error error = importError(model.bytes());
  checkInvalid(error, "import.tensor-data");
  CHECK(contains(error.place, "w"));
}

TEST_CASE("unknown operators are named all at once") {
  Model model = small();
  model.node("Frobnicate", {"y"}, {"a"}, "f1");
  model.node("Frobnicate", {"a"}, {"b"}, "f2");
  model.node("NonZero", {"y"}, {"c"}, "n1");
  model.node("Relu", {"c"}, {"d"}, "r1");
  auto *opset = model.proto.add_opset_import();
  opset->set_domain("my.domain");
  opset->set_version(3);
  model.node("Op", {"y"}, {"e"}, "o1").set_domain("my.domain");
  Error error = importError(model.bytes());
  checkUnsupported(error, "import.unknown-operator");
  CHECK(contains(error.message, "ai.onnx::Frobnicate"));
  CHECK(contains(error.message, "x2, first at node \"f1\""));
  CHECK(contains(error.message, "ai.onnx::NonZero (since opset 13) x1"));
  CHECK(contains(error.message, "my.domain::Op"));
  CHECK(!contains(error.message, "Relu"));
}

TEST_CASE("an attribute that is not known is not ignored") {
  Model model;
  model.input("x", {int64_t(2), int64_t(2), int64_t(2), int64_t(2)});
  model.output("y");
  auto &node = model.node("SkipLayerNormalization", {"x", "x", "w"}, {"y"});
  node.set_domain("com.microsoft");
  auto *opset = model.proto.add_opset_import();
  opset->set_domain("com.microsoft");
  opset->set_version(1);
  model.floats("w", {2}, {1, 1});
  setInt(node, "mystery", 3);
  Error error = importError(model.bytes());
  checkUnsupported(error, "import.unknown-operator");
  CHECK(contains(error.message, "mystery"));
}

TEST_CASE("unknown operator sets") {
  Model newer(999);
  newer.input("x", {int64_t(1)}).output("y").node("Relu", {"x"}, {"y"});
  checkUnsupported(importError(newer.bytes()), "import.unknown-opset");
  Model older(1);
  older.input("x", {int64_t(1)}).output("y").node("Relu", {"x"}, {"y"});
  checkUnsupported(importError(older.bytes()), "import.unknown-opset");
  Model none;
  none.input("x", {int64_t(1)}).output("y").node("Relu", {"x"}, {"y"});
  none.proto.clear_opset_import();
  checkInvalid(importError(none.bytes()), "import.opset");
}

TEST_CASE("dimensions that are not bound, or not there") {
  Model model;
  model.input("ids", {std::string("batch"), int64_t(2)}).output("y");
  model.node("Relu", {"ids"}, {"y"});
  Error error = importError(model.bytes());
  checkInvalid(error, "import.unbound-dimension");
  CHECK(contains(error.place, "ids"));
  CHECK(contains(error.message, "batch"));
  CHECK(contains(error.hint, "--dim batch="));
  ImportOptions options;
  options.dims = {{"batch", 2}, {"sequense", 3}};
  error = importError(model.bytes(), options);
  checkInvalid(error, "import.unknown-dimension");
  CHECK(contains(error.hint, "batch"));
  options.dims = {{"batch", 0}};
  checkInvalid(importError(model.bytes(), options), "import.dimension");
  model.metadata("partita.dims", "batch=many");
  checkInvalid(importError(model.bytes()), "import.metadata");
}

TEST_CASE("a shape that depends on data") {
  Model model;
  model.input("x", {int64_t(4)})
      .input("n", {int64_t(1)}, onnx::TensorProto::INT64);
  model.output("y").node("Reshape", {"x", "n"}, {"y"}, "view");
  Error error = importError(model.bytes());
  checkUnsupported(error, "import.unknown-operator");
  CHECK(contains(error.message, "depends on data"));
}

//===----------------------------------------------------------------------===//
// External data
//===----------------------------------------------------------------------===//

static Model external(const std::string &location, const std::string &offset,
                      const std::string &length) {
  Model model = small();
  auto *w = model.proto.mutable_graph()->mutable_initializer(0);
  w->clear_raw_data();
  w->set_data_location(onnx::TensorProto::EXTERNAL);
  for (auto [key, value] :
       {std::pair("location", location), std::pair("offset", offset),
        std::pair("length", length)}) {
    if (value.empty())
      continue;
    auto *entry = w->add_external_data();
    entry->set_key(key);
    entry->set_value(value);
  }
  return model;
}

static Error externalError(const TempDir &dir, const Model &model) {
  std::filesystem::create_directories(dir.file("models"));
  mlir::MLIRContext context;
  auto module = importONNX(context, dir.write("models/m.onnx", model.bytes()));
  REQUIRE(!module);
  INFO(module.error().str());
  CHECK(module.error().exit == ExitCode::InvalidInput);
  CHECK(contains(module.error().place, "\"w\""));
  return module.error();
}

TEST_CASE("external data outside of the model's directory") {
  TempDir dir;
  std::filesystem::create_directories(dir.file("models"));
  dir.write("secret.bin", std::string(64, 'x'));
  externalError(dir, external("../secret.bin", "", ""));
  externalError(dir, external("sub/../../secret.bin", "", ""));
  externalError(dir, external(dir.file("secret.bin"), "", ""));
  externalError(dir, external("", "", ""));
  std::filesystem::create_symlink(dir.file("secret.bin"),
                                  dir.file("models/link.bin"));
  externalError(dir, external("link.bin", "", ""));
}

TEST_CASE("external data that is not there") {
  TempDir dir;
  Error error = externalError(dir, external("gone.bin", "", ""));
  CHECK(contains(error.str(), "gone.bin"));
}

TEST_CASE("external data past the end, or with impossible numbers") {
  TempDir dir;
  std::filesystem::create_directories(dir.file("models"));
  dir.write("models/w.bin", std::string(40, 'x'));
  externalError(dir, external("w.bin", "32", ""));
  externalError(dir, external("w.bin", "32", "16"));
  externalError(dir, external("w.bin", "0", "17"));
  externalError(dir, external("w.bin", "-8", "16"));
  externalError(dir, external("w.bin", "9223372036854775807", "16"));
  externalError(dir, external("w.bin", "99999999999999999999", "16"));
  externalError(dir, external("w.bin", "0x10", "16"));
}

//===----------------------------------------------------------------------===//
// Functions
//===----------------------------------------------------------------------===//

static onnx::FunctionProto &addFunction(Model &model, const std::string &name,
                                        const std::vector<std::string> &calls) {
  auto *function = model.proto.add_functions();
  function->set_name(name);
  function->set_domain("my");
  function->add_input("a0");
  for (size_t i = 0; i < calls.size(); ++i) {
    auto *node = function->add_node();
    node->set_op_type(calls[i]);
    node->set_domain(calls[i][0] == 'f' ? "my" : "");
    node->add_input("a" + std::to_string(i));
    node->add_output("a" + std::to_string(i + 1));
  }
  function->add_output("a" + std::to_string(calls.size()));
  auto *opset = function->add_opset_import();
  opset->set_domain("");
  opset->set_version(21);
  opset = function->add_opset_import();
  opset->set_domain("my");
  opset->set_version(1);
  return *function;
}

static Model calling(const std::string &function) {
  Model model;
  auto *opset = model.proto.add_opset_import();
  opset->set_domain("my");
  opset->set_version(1);
  model.input("x", {int64_t(2)}).output("y");
  model.node(function, {"x"}, {"y"}).set_domain("my");
  return model;
}

TEST_CASE("functions that call themselves") {
  Model model = calling("f");
  addFunction(model, "f", {"Relu", "g"}).mutable_node(1)->set_domain("my");
  addFunction(model, "g", {"f"});
  checkInvalid(importError(model.bytes()), "import.function");
}

TEST_CASE("functions that explode") {
  Model model = calling("f0");
  for (int i = 0; i < 60; ++i) {
    std::string next = i == 59 ? "Relu" : "f" + std::to_string(i + 1);
    addFunction(model, "f" + std::to_string(i), {next, next});
  }
  checkInvalid(importError(model.bytes()), "import.function");
}
