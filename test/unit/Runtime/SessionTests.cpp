//===- SessionTests.cpp - Running a model through the C interface ---------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "SampleModel.h"
#include "lib/Runtime/Liveness.h"
#include <fstream>
#include <string>
#include <vector>

using namespace partita;
using namespace partita::test;

namespace {

struct Outcome {
  int code = 0;
  std::string message;
};

Outcome outcome(int code, char *message) {
  Outcome result{code, message ? message : ""};
  partita_free(message);
  return result;
}

/// Owns a session.
class Handle {
public:
  Outcome create(const SampleModel &model,
                 const partita_options *options = {}) {
    char *message = nullptr;
    int code = partita_create(&model.module, options, &session, &message);
    return outcome(code, message);
  }
  ~Handle() {
    if (session)
      partita_destroy(session);
  }
  partita_session *session = nullptr;
};

/// Inputs and outputs of the sample in the caller's memory.
struct Buffers {
  explicit Buffers(int64_t ranks) : z(ranks, -1), zShape{ranks} {
    for (int i = 0; i < 32; ++i)
      x[i] = static_cast<float>((i * 5) % 11) - 5;
  }
  float x[32], y[24] = {};
  std::vector<int64_t> z;
  int64_t xShape[2] = {4, 8}, yShape[2] = {4, 6}, zShape[1];
  partita_tensor input() { return {"x", "f32", 2, xShape, x, sizeof(x)}; }
  std::vector<partita_tensor> outputs() {
    return {{"y", "f32", 2, yShape, y, sizeof(y)},
            {"z", "i64", 1, zShape, z.data(), z.size() * 8}};
  }
};

Outcome runSample(partita_session *session, Buffers &buffers) {
  char *message = nullptr;
  partita_tensor input = buffers.input();
  std::vector<partita_tensor> outputs = buffers.outputs();
  int code = partita_run(session, "step", &input, 1, outputs.data(),
                         outputs.size(), &message);
  return outcome(code, message);
}

} // namespace

TEST_CASE("a model runs on any number of ranks", "[session]") {
  for (int64_t ranks : {1, 2, 3, 4, 8})
    for (bool checkArena : {false, true}) {
      SampleModel model(ranks);
      Handle handle;
      partita_options options{};
      options.check_arena = checkArena;
      Outcome created = handle.create(model, &options);
      INFO(created.message);
      REQUIRE(created.code == 0);
      for (int repeat = 0; repeat < 20; ++repeat) {
        Buffers buffers(ranks);
        Outcome ran = runSample(handle.session, buffers);
        INFO(ran.message);
        REQUIRE(ran.code == 0);
        for (int i = 0; i < 24; ++i)
          REQUIRE(buffers.y[i] ==
                  SampleModel::expected(buffers.x, i / 6, i % 6));
        for (int64_t r = 0; r < ranks; ++r)
          REQUIRE(buffers.z[r] ==
                  shardInterval(8, {0}, model.program.mesh, {r}).begin);
      }
    }
}

TEST_CASE("wrong tensors are refused with what is expected", "[session]") {
  SampleModel model;
  Handle handle;
  REQUIRE(handle.create(model).code == 0);
  Buffers buffers(2);
  auto refused = [&](auto change, const char *why) {
    partita_tensor input = buffers.input();
    size_t count = 1;
    change(input, count);
    char *message = nullptr;
    int code = partita_run(handle.session, "step", &input, count, nullptr, 0,
                           &message);
    Outcome result = outcome(code, message);
    CHECK(result.code == 2);
    CHECK_THAT(result.message, Catch::Contains(why));
  };
  refused([](auto &t, auto &) { t.name = "ids"; }, "x: f32[4,8]");
  refused([](auto &, auto &n) { n = 0; }, "'x' is missing");
  refused([](auto &t, auto &) { t.dtype = "i32"; }, "expected x: f32[4,8]");
  refused([](auto &t, auto &) { t.dtype = "f31"; }, "unknown element type");
  static const int64_t other[] = {8, 4};
  refused([](auto &t, auto &) { t.shape = other; }, "is x: f32[8,4]");
  refused([](auto &t, auto &) { t.bytes = 4; }, "4 bytes");
  refused([](auto &t, auto &) { t.data = nullptr; }, "no data");
  char *message = nullptr;
  CHECK(partita_run(handle.session, "train", nullptr, 0, nullptr, 0,
                    &message) == 2);
  partita_free(message);
  // The session is still good, and outputs may be left out.
  CHECK(runSample(handle.session, buffers).code == 0);
  partita_tensor input = buffers.input();
  CHECK(partita_run(handle.session, nullptr, &input, 1, nullptr, 0, nullptr) ==
        0);
}

TEST_CASE("weights are found, checked and relocated", "[session]") {
  SampleModel model;
  auto code = [&](const partita_options *options, const char *why) {
    Handle handle;
    Outcome result = handle.create(model, options);
    CHECK_THAT(result.message, Catch::Contains(why));
    return result.code;
  };
  std::filesystem::create_directory(model.directory / "moved");
  std::filesystem::rename(model.directory / "model.onnx",
                          model.directory / "moved/model.onnx");
  CHECK(code(nullptr, "--weights-dir") == 2);
  partita_options options{};
  std::string moved = model.directory / "moved";
  options.weights_dir = moved.c_str();
  CHECK(code(&options, "") == 0);
  std::fstream(moved + "/model.onnx", std::ios::in | std::ios::out) << "x";
  CHECK(code(&options, "other contents") == 2);
  options.skip_weight_check = 1;
  CHECK(code(&options, "") == 0);
  std::filesystem::resize_file(moved + "/model.onnx", 100);
  CHECK(code(&options, "100 bytes") == 2);
  model.program.weightsAbsent = true;
  model.seal();
  CHECK(code(nullptr, "without weights") == 2);
}

TEST_CASE("programs that do not fit are refused", "[session]") {
  SampleModel model;
  auto code = [&] {
    model.seal();
    Handle handle;
    return handle.create(model).code;
  };
  Program good = model.program;
  for (RankClass &c : model.program.classes)
    c.step[1].callee = "convolve";
  CHECK(code() == 3);
  model.program = good;
  for (RankClass &c : model.program.classes)
    c.step[2].axes = {};
  CHECK(code() != 0);
  model.program = good;
  model.program.kernelNames.push_back("absent");
  CHECK(code() == 2);
  model.program = good;
  CHECK(code() == 0);
}

TEST_CASE("dead bytes follow from the views", "[session]") {
  auto view = [](int64_t offset, int64_t bytes) {
    return contiguousView(Space::Arena, offset, DType::U8, {bytes});
  };
  std::vector<Command> commands(4);
  commands[0].results = {view(0, 64)};
  commands[1].operands = {view(0, 32)};
  commands[1].results = {view(64, 64)};
  commands[2].operands = {view(0, 64), view(64, 64)};
  commands[2].workspace = {view(128, 64)};
  commands[2].results = {view(192, 64)};
  commands[3].operands = {view(192, 64)};
  auto dead = deadAfter(commands);
  CHECK(dead[0].empty());
  CHECK(dead[1].empty());
  REQUIRE(dead[2].size() == 3);
  CHECK(dead[2][0] == Interval{0, 64});
  CHECK(dead[2][1] == Interval{64, 128});
  CHECK(dead[2][2] == Interval{128, 192});
  CHECK(dead[3] == std::vector<Interval>{{192, 256}});
  // Columns of a matrix: what lies between them is not touched.
  View column{Space::Arena, 4, DType::F32, {3, 1}, {4, 1}};
  std::vector<Command> strided(1);
  strided[0].results = {column};
  CHECK(deadAfter(strided)[0] ==
        std::vector<Interval>{{4, 8}, {20, 24}, {36, 40}});
}
