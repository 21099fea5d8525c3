//===- TextOperationTest.cpp ----------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "OperationCases.h"
#include <catch2/catch.hpp>

using namespace partita::test;

TEST_CASE("n-grams are counted by sequences and by columns") {
  // Tokens 0 to 2; column 3 has no n-gram, column 1 has two.
  checkAll({{"nn.ngram_counts %a grams [1, 0, 1, 1, 2, 2, 0, 0] sizes "
             "[1, 2, 2, 3] columns [4, 0, 1, 1] max_skip 2 : $T to $R",
             {"5x9xi64"},
             {"5x6xi64"},
             {0, 3}},
            {"nn.ngram_counts %a grams [2] sizes [1] columns [0] max_skip 0 : "
             "$T to $R",
             {"3x1xi32"},
             {"3x1xi64"},
             {0, 3}}});
}
