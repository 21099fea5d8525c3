//===- HostTensorTests.cpp - Element types, tensors, .npy -----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TempDirectory.h"
#include "partita/Support/File.h"
#include "partita/Support/HostTensor.h"
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <fstream>
#include <limits>

using namespace partita;
using partita::test::TempDirectory;

TEST_CASE("dtype names are inverted by parseDType", "[dtype]") {
  for (int i = 0; i <= static_cast<int>(DType::Bool); ++i) {
    auto type = static_cast<DType>(i);
    CHECK(parseDType(dtypeName(type)) == type);
  }
  CHECK_FALSE(parseDType("f8").has_value());
}

TEST_CASE("every half converts to f32 and back", "[dtype]") {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    uint16_t half = static_cast<uint16_t>(bits);
    float value = halfToFloat(half);
    if (std::isnan(value))
      CHECK(std::isnan(halfToFloat(floatToHalf(value))));
    else if (floatToHalf(value) != half)
      FAIL("half " << bits);
    float wide = bfloatToFloat(half);
    if (!std::isnan(wide) && floatToBfloat(wide) != half)
      FAIL("bfloat " << bits);
  }
}

TEST_CASE("f32 rounds to the nearest half, ties to even", "[dtype]") {
  CHECK(floatToHalf(65519.f) == 0x7bff);
  CHECK(floatToHalf(65520.f) == 0x7c00);
  CHECK(floatToHalf(1.f + 0x1p-11f) == 0x3c00);
  CHECK(floatToHalf(1.f + 3 * 0x1p-11f) == 0x3c02);
  CHECK(floatToHalf(0x1p-25f) == 0x0000);
  CHECK(floatToHalf(1.0001f * 0x1p-25f) == 0x0001);
  CHECK(floatToHalf(-0.f) == 0x8000);
  CHECK(floatToBfloat(1.f + 0x1p-8f) == 0x3f80);
  CHECK(floatToBfloat(1.f + 3 * 0x1p-8f) == 0x3f82);
}

TEST_CASE("element counts that overflow are refused", "[tensor]") {
  CHECK(checkedNumElements({2, 3}) == 6);
  CHECK(checkedNumElements({}) == 1);
  CHECK(checkedNumElements({1ll << 40, 1ll << 40, 0}) == std::nullopt);
  CHECK(checkedNumElements({0, 5}) == 0);
  CHECK_FALSE(checkedNumElements({1ll << 32, 1ll << 32}).has_value());
  CHECK_FALSE(checkedNumElements({-1}).has_value());
  CHECK_THROWS_AS(HostTensor(DType::F64, {1ll << 61}), std::bad_alloc);
}

TEST_CASE("casts saturate and keep 64-bit integers", "[tensor]") {
  HostTensor floats(DType::F32, {4});
  floats.setDouble(0, 1e30);
  floats.setDouble(1, -1e30);
  floats.setDouble(2, std::nan(""));
  floats.setDouble(3, -2.75);
  HostTensor ints = floats.cast(DType::I32);
  CHECK(ints.getInt(0) == std::numeric_limits<int32_t>::max());
  CHECK(ints.getInt(1) == std::numeric_limits<int32_t>::min());
  CHECK(ints.getInt(2) == 0);
  CHECK(ints.getInt(3) == -2);
  HostTensor big(DType::I64, {1});
  big.setInt(0, (1ll << 60) + 1);
  CHECK(big.cast(DType::U64).getInt(0) == (1ll << 60) + 1);
  CHECK(big.cast(DType::Bool).getInt(0) == 1);
}

TEST_CASE("every type survives a .npy file", "[npy]") {
  TempDirectory directory;
  for (int i = 0; i <= static_cast<int>(DType::Bool); ++i) {
    auto type = static_cast<DType>(i);
    for (const std::vector<int64_t> &shape :
         {std::vector<int64_t>{}, {5}, {2, 3}, {0, 4}}) {
      HostTensor tensor(type, shape);
      for (int64_t e = 0; e < tensor.numElements(); ++e)
        tensor.setInt(e, type == DType::Bool ? e % 2 : e);
      std::string path = directory / "t.npy";
      REQUIRE(writeNpy(path, tensor));
      Result<HostTensor> read = readNpy(path);
      REQUIRE(read);
      CHECK(read->dtype() == (type == DType::BF16 ? DType::F32 : type));
      CHECK(read->shape() == shape);
      for (int64_t e = 0; e < tensor.numElements(); ++e)
        CHECK(read->getDouble(e) == tensor.getDouble(e));
    }
  }
  CHECK(directory.numEntries() == 1);
}

static std::string npyBytes(const std::string &dict, size_t dataBytes) {
  std::string text("\x93NUMPY\x01\x00", 8);
  text += static_cast<char>(dict.size() & 0xff);
  text += static_cast<char>(dict.size() >> 8);
  return text + dict + std::string(dataBytes, '\1');
}

static Result<HostTensor> readBytes(const TempDirectory &directory,
                                    const std::string &bytes) {
  std::ofstream(directory / "x.npy", std::ios::binary) << bytes;
  return readNpy(directory / "x.npy");
}

TEST_CASE("Fortran order is transposed", "[npy]") {
  TempDirectory directory;
  std::string bytes = npyBytes(
      "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }\n", 0);
  for (char c = 0; c < 6; ++c)
    bytes += c;
  Result<HostTensor> tensor = readBytes(directory, bytes);
  REQUIRE(tensor);
  for (int64_t row = 0; row < 2; ++row)
    for (int64_t column = 0; column < 3; ++column)
      CHECK(tensor->getInt(row * 3 + column) == column * 2 + row);
}

TEST_CASE("malformed .npy files are refused", "[npy]") {
  TempDirectory directory;
  auto refused = [&](const std::string &bytes, const std::string &why) {
    Result<HostTensor> tensor = readBytes(directory, bytes);
    REQUIRE_FALSE(tensor);
    CHECK(tensor.error().exit == ExitCode::InvalidInput);
    CHECK_THAT(tensor.error().str(), Catch::Contains(why));
  };
  refused("", "not a .npy file");
  refused("PK\3\4 something else entirely", "not a .npy file");
  refused(std::string("\x93NUMPY\x01\x00\xff\xff{", 11), "longer than");
  refused(
      npyBytes("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", 8),
      "pickled");
  refused(npyBytes("{'descr': [('a', '<f4')], 'fortran_order': False, "
                   "'shape': (1,), }",
                   4),
          "structured");
  refused(
      npyBytes("{'descr': '>f4', 'fortran_order': False, 'shape': (1,)}", 4),
      "'>f4'");
  refused(
      npyBytes("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 4),
      "needs 8 bytes");
  refused(npyBytes("{'descr': '<f4', 'fortran_order': False, "
                   "'shape': (4611686018427387904, 4)}",
                   4),
          "63 bits");
  refused(npyBytes("{'descr': '<f4', 'fortran_order': False, "
                   "'shape': (99999999999999999999,)}",
                   4),
          "dictionary");
  refused(
      npyBytes("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", 4),
      "dictionary");
  refused(npyBytes("{'descr': '<f4', 'fortran_order': False}", 4), "missing");
  refused(npyBytes("__import__('os').system('true')", 4), "dictionary");
  CHECK_FALSE(readNpy(directory / "absent.npy"));
  CHECK_FALSE(readNpy(directory.str()));
}
