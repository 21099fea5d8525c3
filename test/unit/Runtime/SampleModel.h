//===- SampleModel.h - A small compiled model, made by hand ----*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// y = 2 relu(x W) + 1 over N ranks: x [4,8] split by columns, W [8,6] by rows,
// so that the product is pending and needs an all-reduce. relu is the epilogue
// of a product with the identity, a constant. The last operation is a kernel
// function of this file, in place of a generated one; it also gives z[rank],
// the rank's first row of W, which it knows by its shard offset.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TEST_UNIT_RUNTIME_SAMPLEMODEL_H
#define PARTITA_TEST_UNIT_RUNTIME_SAMPLEMODEL_H

#include "../Support/TempDirectory.h"
#include "partita/Runtime/Program.h"
#include "partita/Runtime/partita.h"
#include "partita/Support/File.h"
#include <catch2/catch.hpp>
#include <cstring>

namespace partita::test {

using namespace partita::runtime;

/// buffers: in [4,6], out [4,6], first [1] (i64).
inline void sampleKernel(void *const *buffers, const int64_t *offsets) {
  auto *in = static_cast<const float *>(buffers[0]);
  auto *out = static_cast<float *>(buffers[1]);
  for (int i = 0; i < 24; ++i)
    out[i] = 2 * in[i] + 1;
  *static_cast<int64_t *>(buffers[2]) = offsets[0];
}

class SampleModel {
public:
  explicit SampleModel(int64_t ranks = 2) {
    std::string weights(64, '\0');
    for (int i = 0; i < 48; ++i) {
      float value = weight(i);
      weights.append(reinterpret_cast<const char *>(&value), 4);
    }
    REQUIRE(writeFileAtomically(directory / "model.onnx", weights));
    program.mesh = *Mesh::parse("tp=" + std::to_string(ranks));
    program.modelName = "sample";
    program.planJson = "{\"mesh\": {\"tp\": 2}}";
    program.files = {
        {directory / "model.onnx", 256, *hashFile(directory / "model.onnx")}};
    program.parameters = {{"w", DType::F32, {8, 6}, 0, 64, 192}};
    program.inputs = {{"x", DType::F32, {4, 8}, ""}};
    program.outputs = {{"y", DType::F32, {4, 6}, ""},
                       {"z", DType::I64, {ranks}, ""}};
    program.kernelNames = {"double_plus_one"};
    for (int64_t r = 0; r < ranks; ++r) {
      program.classOfRank.push_back(static_cast<int32_t>(r));
      program.classes.push_back(makeClass(r));
    }
    seal();
  }

  static float weight(int i) { return static_cast<float>(i % 7) - 3; }
  static float expected(const float *x, int row, int column) {
    float sum = 0;
    for (int k = 0; k < 8; ++k)
      sum += x[row * 8 + k] * weight(k * 6 + column);
    return 2 * std::max(sum, 0.f) + 1;
  }

  /// Serialises again after a change of `program`.
  void seal() {
    bytes = serialize(program);
    module.program = bytes.data();
    module.program_size = bytes.size();
    module.kernels = kernels;
    module.num_kernels = 1;
  }

  TempDirectory directory;
  Program program;
  partita_module module{};

private:
  RankClass makeClass(int64_t rank) {
    Sharding columns = Sharding::replicated({4, 8});
    columns.dims[1].factors[0].axes = {0};
    Sharding rows = Sharding::replicated({8, 6});
    rows.dims[0].factors[0].axes = {0};
    Sharding pending = Sharding::replicated({4, 6}), whole = pending;
    pending.partialAxes = {0};
    pending.combiner = Combiner::Sum;
    Sharding perRank = Sharding::replicated({program.mesh.numRanks()});
    perRank.dims[0].factors[0].axes = {0};

    int64_t k = localShape(rows, program.mesh, rank)[0];
    View w = contiguousView(Space::Persistent, 0, DType::F32, {k, 6});
    View x = contiguousView(Space::Arena, 0, DType::F32, {4, k});
    View partial = contiguousView(Space::Arena, 128, DType::F32, {4, 6});
    View sum = contiguousView(Space::Arena, 256, DType::F32, {4, 6});
    View relu = contiguousView(Space::Arena, 128, DType::F32, {4, 6});
    View y = contiguousView(Space::Arena, 384, DType::F32, {4, 6});
    View z = contiguousView(Space::Arena, 0, DType::I64, {1});

    RankClass c;
    c.arenaBytes = 8192;
    c.persistentBytes = 256;
    Command load{.kind = CommandKind::LoadParameter, .index = 0, .id = "w"};
    load.results = {w};
    load.to = rows;
    c.init = {load};
    Command input{.kind = CommandKind::LoadInput, .index = 0, .id = "x"};
    input.results = {x};
    input.to = columns;
    Command product{.kind = CommandKind::Call, .callee = "matmul", .id = "mm"};
    product.nodes = "/layer/MatMul";
    product.operands = {x, w};
    product.results = {partial};
    product.workspace = {contiguousView(Space::Arena, 512, DType::U8, {4096})};
    product.matmulFlops = 2 * 4 * k * 6;
    Command reduce{.kind = CommandKind::Collective, .id = "reduce"};
    reduce.nodes = "/layer/MatMul";
    reduce.operands = {partial};
    reduce.results = {sum};
    reduce.from = pending;
    reduce.to = whole;
    reduce.axes = {0};
    Command clip{.kind = CommandKind::Call, .callee = "matmul", .id = "relu"};
    // relu as the epilogue of a product with the identity.
    View identity = contiguousView(Space::Constant, 0, DType::F32, {6, 6});
    program.constants.assign(144, std::byte{0});
    for (int i = 0; i < 6; ++i) {
      float one = 1;
      std::memcpy(program.constants.data() + (i * 6 + i) * 4, &one, 4);
    }
    clip.operands = {sum, identity};
    clip.results = {relu};
    clip.attrs["epilogue"] = std::string("relu");
    clip.workspace = product.workspace;
    Command kernel{.kind = CommandKind::Kernel, .index = 0, .id = "scale"};
    kernel.nodes = "/Mul, /Add";
    kernel.operands = {relu};
    kernel.results = {y, z};
    kernel.offsets = {{8, {0}}};
    Command storeY{.kind = CommandKind::StoreOutput, .index = 0, .id = "y"};
    storeY.operands = {y};
    storeY.from = whole;
    Command storeZ{.kind = CommandKind::StoreOutput, .index = 1, .id = "z"};
    storeZ.operands = {z};
    storeZ.from = perRank;
    c.step = {input, product, reduce, clip, kernel, storeY, storeZ};
    return c;
  }

  partita_kernel kernels[1] = {sampleKernel};
  std::vector<std::byte> bytes;
};

} // namespace partita::test

#endif // PARTITA_TEST_UNIT_RUNTIME_SAMPLEMODEL_H
