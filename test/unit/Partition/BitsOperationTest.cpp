//===- BitsOperationTest.cpp ----------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "OperationCases.h"
#include <catch2/catch.hpp>

using namespace partita;
using namespace partita::test;

TEST_CASE("operations on bits partition") {
  for (const char *op :
       {"bit_and", "bit_or", "bit_xor", "shift_left", "shift_right"})
    checkAll({{std::string("nn.") + op + " %a, %b : $R",
               {"5x6xi32", "5x6xi32"},
               {"5x6xi32"},
               {-1, 1, 40}}});
  checkAll(
      {{"nn.bit_not %a : $R", {"7xui8"}, {"7xui8"}, {-1, 1, 9}},
       {"nn.bitcast %a : $T to $R", {"5x6xi64"}, {"5x6xf64"}, {-1, 1, 9}}});
}
