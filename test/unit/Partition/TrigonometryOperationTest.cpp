//===- TrigonometryOperationTest.cpp --------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "OperationCases.h"
#include <catch2/catch.hpp>

using namespace partita;
using namespace partita::test;

TEST_CASE("circular and hyperbolic functions partition") {
  for (const char *op : {"asin", "acos", "atan", "sinh", "cosh", "asinh"})
    checkAll({{std::string("nn.") + op + " %a : $R",
               {"5x6xf64"},
               {"5x6xf64"},
               {-0.9, 0.9}}});
  checkAll({{"nn.atanh %a : $R", {"7xf64"}, {"7xf64"}, {-0.9, 0.9}},
            {"nn.acosh %a : $R", {"7xf64"}, {"7xf64"}, {1.5, 4}}});
}
