//===- MatrixOperationTest.cpp --------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "OperationCases.h"
#include <catch2/catch.hpp>

using namespace partita::test;

TEST_CASE("determinants partition by matrices") {
  checkAll({{"nn.det %a : $T", {"5x4x3x3xf64"}, {"5x4xf64"}},
            {"nn.det %a : $T", {"4x4xf64"}, {"f64"}},
            {"nn.det %a : $T", {"3x0x0xf64"}, {"3xf64"}}});
}
