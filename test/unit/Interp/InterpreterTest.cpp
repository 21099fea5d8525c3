//===- InterpreterTest.cpp ------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Whole programs: parameters, inputs, promotion, and hand-written local
// programs with every kind of exchange.
//
//===----------------------------------------------------------------------===//

#include "Harness.h"
#include <filesystem>
#include <fstream>

using namespace partita;
using namespace partita::test;

//===----------------------------------------------------------------------===//
// Inputs and parameters
//===----------------------------------------------------------------------===//

TEST_CASE("wrong inputs are named") {
  std::string text =
      "func.func @f(%a: tensor<2xf64>) -> tensor<2xf64> { return "
      "%a : tensor<2xf64> }";
  CHECK(tryRun(text, {f64({2}, {1, 2})}));
  for (auto &inputs : std::vector<std::vector<HostTensor>>{
           {}, {f64({3}, {1, 2, 3})}, {i64({2}, {1, 2})}, {HostTensor()}}) {
    auto result = tryRun(text, inputs);
    REQUIRE(!result);
    CHECK(result.error().exit == ExitCode::InvalidInput);
  }
}

static const char *parameterText = R"(
module attributes {nn.files = [{path = "w.bin", size = 40 : i64, hash = 0 : i64}]} {
  nn.parameter @w : tensor<2x4xf32> {file = 0 : i64, offset = 8 : i64, length = 32 : i64}
  func.func @f() -> tensor<2x4xf32> {
    %w = nn.get_parameter @w : tensor<2x4xf32>
    return %w : tensor<2x4xf32>
  }
})";

namespace {
/// A folder that vanishes with the test.
struct Folder {
  std::filesystem::path path;
  Folder() {
    path = std::filesystem::temp_directory_path() /
           ("partita-interp-" + std::to_string(::getpid()));
    std::filesystem::create_directories(path);
  }
  ~Folder() { std::filesystem::remove_all(path); }
};
} // namespace

TEST_CASE("parameters are read from files, whole and by boxes") {
  Folder folder;
  std::vector<float> data(10);
  for (int i = 0; i < 10; ++i)
    data[i] = float(i);
  std::ofstream(folder.path / "w.bin", std::ios::binary)
      .write(reinterpret_cast<char *>(data.data()), 40);
  auto module = parse(parameterText);
  FileParameters files(*module, folder.path.string());
  auto function = module->lookupSymbol<mlir::func::FuncOp>("f");
  auto whole = Interpreter().run(function, {}, files);
  REQUIRE(whole);
  checkValues((*whole)[0], {2, 3, 4, 5, 6, 7, 8, 9});

  auto parameter = module->lookupSymbol<nn::ParameterOp>("w");
  Mesh mesh = *Mesh::parse("tp=2");
  Sharding columns{{{{{2, {}}}}, {{{4, {0}}}}}, {}, Combiner::None};
  Box box = boxOf(columns, mesh, {1});
  auto part = files.read(parameter, &box);
  REQUIRE(part);
  checkValues(*part, {4, 5, 8, 9});

  std::filesystem::resize_file(folder.path / "w.bin", 36);
  FileParameters again(*module, folder.path.string());
  auto truncated = Interpreter().run(function, {}, again);
  REQUIRE(!truncated);
  CHECK(truncated.error().code == "interp.file-size");
  FileParameters nowhere(*module, folder.path.string() + "/missing");
  CHECK(!Interpreter().run(function, {}, nowhere));
}

TEST_CASE("promotion to double keeps values and parameters") {
  auto module = parse(R"(
module {
  nn.parameter @w : tensor<2xf32> {file = -1 : i64, offset = 0 : i64, length = 8 : i64}
  func.func @f(%a: tensor<2xf32>, %i: tensor<2xi64>) -> tensor<2xf32> {
    %w = nn.get_parameter @w : tensor<2xf32>
    %c = nn.constant dense<[1.0, 0.5]> : tensor<2xf32> : tensor<2xf32>
    %s = nn.add %a, %w : tensor<2xf32>
    %r = nn.mul %s, %c : tensor<2xf32>
    return %r : tensor<2xf32>
  }
})");
  MemoryParameters parameters;
  parameters.set("w", tensor(DType::F32, {2}, std::vector<double>{10, 20}));
  auto promoted = promoteFloats(*module);
  REQUIRE(mlir::succeeded(mlir::verify(*promoted)));
  PromotedParameters source(*module, parameters);
  auto result =
      Interpreter().run(promoted->lookupSymbol<mlir::func::FuncOp>("f"),
                        {f64({2}, {1e-10, 0}), i64({2}, {0, 0})}, source);
  REQUIRE(result);
  CHECK((*result)[0].dtype() == DType::F64);
  CHECK((*result)[0].getDouble(0) == 10 + 1e-10);
  CHECK((*result)[0].getDouble(1) == 10);
}

//===----------------------------------------------------------------------===//
// Ranks
//===----------------------------------------------------------------------===//

static Result<std::vector<HostTensor>>
runRanks(const std::string &text, const std::vector<HostTensor> &inputs,
         const RankOptions &options = {}) {
  auto module = parse(text);
  MemoryParameters parameters;
  parameters.set("w", f64({3, 2}, {1, 2, 3, 4, 5, 6}));
  return Interpreter().runRanks(*module, "step", inputs, parameters, options);
}

static const char *twoRanks =
    "dist.mesh @m {axes = [\"tp\"], sizes = array<i64: 2>}\n";

TEST_CASE("uneven rank classes run in lockstep") {
  // x [1, 3] times w [3, 2], split over k as 2 + 1.
  auto classText = [](int index, int rows) {
    std::string k = std::to_string(rows);
    return "func.func @step_class" + std::to_string(index) + "(%x: tensor<1x" +
           k +
           "xf64> {dist.sharding = #dist.sharding<@m, [{1}, {3:\"tp\"}]>}) -> "
           "tensor<1x2xf64> attributes {rt.ranks = array<i64: " +
           std::to_string(index) +
           ">} {\n  %w = nn.get_parameter @w : tensor<" + k +
           "x2xf64> sharding #dist.sharding<@m, [{3:\"tp\"}, {2}]>\n  %p = "
           "nn.matmul %x, %w : tensor<1x" +
           k + "xf64>, tensor<" + k +
           "x2xf64>\n  %r = rt.collective \"all_reduce\" %p axes [\"tp\"] : "
           "tensor<1x2xf64> to tensor<1x2xf64> from #dist.sharding<@m, [{1}, "
           "{2}], partial={\"tp\"} sum> to #dist.sharding<@m, [{1}, {2}]>\n  "
           "return %r : tensor<1x2xf64>\n}\n";
  };
  std::string text =
      std::string(twoRanks) +
      "nn.parameter @w : tensor<3x2xf64> {file = -1 : i64, offset = 0 : i64, "
      "length = 48 : i64}\n" +
      classText(0, 2) + classText(1, 1);
  auto result = runRanks(text, {f64({1, 3}, {1, 10, 100})});
  INFO((result ? "" : result.error().str()));
  REQUIRE(result);
  checkValues((*result)[0], {531, 642});
}

/// One class of two ranks that applies `op` to its argument %x.
static std::string oneClass(const std::string &from, const std::string &local,
                            const std::string &to, const std::string &result,
                            const std::string &op) {
  return std::string(twoRanks) + "func.func @step_class0(%x: tensor<" + local +
         "> {dist.sharding = #dist.sharding<@m, " + from + ">}) -> (tensor<" +
         result + "> {dist.sharding = #dist.sharding<@m, " + to +
         ">}) attributes {rt.ranks = array<i64: 0, 1>} {\n" + op +
         "\n  return %r : tensor<" + result + ">\n}\n";
}
static std::string moveText(const std::string &what, const std::string &axes,
                            const std::string &from, const std::string &local,
                            const std::string &to, const std::string &result) {
  return "  %r = " + what + " %x axes [" + axes + "] : tensor<" + local +
         "> to tensor<" + result + "> from #dist.sharding<@m, " + from +
         "> to #dist.sharding<@m, " + to + ">";
}

TEST_CASE("exchanges that move boxes are the identity on the whole") {
  struct Case {
    const char *what, *axes, *from, *local, *to, *result;
  };
  for (Case c : {
           Case{"rt.collective \"all_gather\"", "\"tp\"", "[{2}, {4:\"tp\"}]",
                "2x2xf64", "[{2}, {4}]", "2x4xf64"},
           {"rt.collective \"all_to_all\"", "\"tp\"", "[{2}, {4:\"tp\"}]",
            "2x2xf64", "[{2:\"tp\"}, {4}]", "1x4xf64"},
           {"rt.collective \"all_to_all\"", "\"tp\"", "[{2}, {4:\"tp\"}]",
            "2x2xf64", "[{2}, {2, 2:\"tp\"}]", "2x2xf64"},
           {"rt.shard \"slice\"", "\"tp\"", "[{2}, {4}]", "2x4xf64",
            "[{2}, {4:\"tp\"}]", "2x2xf64"},
       }) {
    INFO(c.what << " " << c.from << " to " << c.to);
    auto result = runRanks(
        oneClass(c.from, c.local, c.to, c.result,
                 moveText(c.what, c.axes, c.from, c.local, c.to, c.result)),
        {f64({2, 4}, {0, 1, 2, 3, 4, 5, 6, 7})});
    INFO((result ? "" : result.error().str()));
    REQUIRE(result);
    checkValues((*result)[0], {0, 1, 2, 3, 4, 5, 6, 7});
  }
}

TEST_CASE("pending values: to_partial, reduce_scatter, and a partial output") {
  std::string whole = "[{4}]", pending = "[{4}], partial={\"tp\"} sum";
  HostTensor x = f64({4}, {1, 2, 3, 4});
  std::string toPartial = moveText("rt.shard \"to_partial\"", "\"tp\"", whole,
                                   "4xf64", pending, "4xf64");
  auto partial =
      runRanks(oneClass(whole, "4xf64", pending, "4xf64", toPartial), {x});
  REQUIRE(partial);
  checkValues((*partial)[0], {1, 2, 3, 4});
  std::string scatter =
      "  %p = nn.add %x, %x : tensor<4xf64>\n  %r = rt.collective "
      "\"reduce_scatter\" %p axes [\"tp\"] : tensor<4xf64> to tensor<2xf64> "
      "from #dist.sharding<@m, [{4}], partial={\"tp\"} max> to "
      "#dist.sharding<@m, [{4:\"tp\"}]>";
  auto scattered =
      runRanks(oneClass(whole, "4xf64", "[{4:\"tp\"}]", "2xf64", scatter), {x});
  INFO((scattered ? "" : scattered.error().str()));
  REQUIRE(scattered);
  checkValues((*scattered)[0], {2, 4, 6, 8});
}

TEST_CASE("ranks that disagree on an output are a mismatch") {
  std::string body = "  %i = nn.iota 0 start 0.0 step 1.0 : tensor<2xf64> base "
                     "#dist.offset<@m, {4:\"tp\"}>\n"
                     "  %r = nn.add %x, %i : tensor<2xf64>";
  auto wrong = runRanks(oneClass("[{2}]", "2xf64", "[{2}]", "2xf64", body),
                        {f64({2}, {1000, 1000})});
  REQUIRE(!wrong);
  CHECK(wrong.error().exit == ExitCode::Mismatch);
  CHECK(wrong.error().place == "output 0");
  RankOptions loose;
  loose.replicaTolerance = 0.01;
  CHECK(runRanks(oneClass("[{2}]", "2xf64", "[{2}]", "2xf64", body),
                 {f64({2}, {1000, 1000})}, loose));
}

TEST_CASE("what nobody in the group holds is an internal error") {
  // A slice may use only what the rank has.
  std::string text = moveText("rt.shard \"slice\"", "\"tp\"", "[{4:\"tp\"}]",
                              "2xf64", "[{2, 2:\"tp\"}]", "2xf64");
  auto result = runRanks(
      oneClass("[{4:\"tp\"}]", "2xf64", "[{2, 2:\"tp\"}]", "2xf64", text),
      {f64({4}, {1, 2, 3, 4})});
  REQUIRE(!result);
  CHECK(result.error().code == "interp.exchange");
}

TEST_CASE(
    "rank classes out of step and ranks without a function are reported") {
  auto classText = [](int index, const std::string &op) {
    return "func.func @step_class" + std::to_string(index) +
           "(%x: tensor<2xf64>) -> tensor<2xf64> attributes {rt.ranks = "
           "array<i64: " +
           std::to_string(index) + ">} { %r = nn." + op +
           " %x : tensor<2xf64> return %r : tensor<2xf64> }\n";
  };
  HostTensor x = f64({2}, {1, 2});
  CHECK(runRanks(twoRanks + classText(0, "abs") + classText(1, "abs"), {x}));
  for (const std::string &text :
       {twoRanks + classText(0, "abs") + classText(1, "neg"),
        twoRanks + classText(0, "abs"), classText(0, "abs")}) {
    auto result = runRanks(text, {x});
    REQUIRE(!result);
    CHECK(result.error().code == "interp.ranks");
  }
}

TEST_CASE("views and fusions of converted programs run") {
  auto results =
      run("(%x: tensor<2x3xf64>) -> tensor<3x2xf64> {\n"
          "  %t = rt.view %x offset 0 strides [1, 3] : tensor<2x3xf64> to "
          "tensor<3x2xf64>\n"
          "  %r = rt.fusion(%t) : (tensor<3x2xf64>) -> tensor<3x2xf64> {\n"
          "  ^bb0(%a: tensor<3x2xf64>):\n"
          "    %n = nn.neg %a : tensor<3x2xf64>\n"
          "    rt.yield %n : tensor<3x2xf64>\n  }\n"
          "  return %r : tensor<3x2xf64>\n}",
          {f64({2, 3}, {0, 1, 2, 3, 4, 5})});
  checkValues(results[0], {0, -3, -1, -4, -2, -5});
}
