//===- SelectionOperationTest.cpp -----------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "OperationCases.h"
#include <catch2/catch.hpp>

using namespace partita::test;

TEST_CASE("top-k partitions") {
  checkAll({{"nn.topk %a axis 1 largest : $T to $R",
             {"4x7xf64"},
             {"4x3xf64", "4x3xi64"}},
            {"nn.topk %a axis 0 : $T to $R",
             {"5x4x3xi64"},
             {"2x4x3xi64", "2x4x3xi64"},
             {-1, 1, 9}}});
}

TEST_CASE("gathers partition, the indexed dimension too") {
  checkAll({{"nn.gather_elements %a, %b axis 1 : $T",
             {"4x6xf64", "4x5xi64"},
             {"4x5xf64"},
             {-1, 1, 6}},
            {"nn.gather_elements %a, %b axis 0 : $T",
             {"5x6xf64", "4x2xi32"},
             {"4x2xf64"},
             {-1, 1, 5}},
            {"nn.gather_nd %a, %b batch 0 : $T",
             {"5x4x6xf64", "4x2xi64"},
             {"4x6xf64"},
             {-1, 1, 4}},
            {"nn.gather_nd %a, %b batch 1 : $T",
             {"4x5x3xf64", "4x6x1xi32"},
             {"4x6x3xf64"},
             {-1, 1, 5}}});
}

TEST_CASE("scatters partition, the indexed dimension too") {
  for (const char *kind : {"none", "add", "mul", "min", "max"}) {
    std::string elements = std::string("nn.scatter_elements \"") + kind + '"',
                slices = std::string("nn.scatter_nd \"") + kind + '"';
    checkAll({{elements + ", %a, %b, %c axis 1 : $T",
               {"4x6xf64", "4x5xi64", "4x5xf64"},
               {"4x6xf64"},
               {-1, 1, 6}},
              {elements + ", %a, %b, %c axis 0 : $T",
               {"5x6xf64", "4x2xi32", "4x2xf64"},
               {"5x6xf64"},
               {-1, 1, 5}},
              {slices + ", %a, %b, %c batch 0 : $T",
               {"5x4x6xf64", "4x2xi64", "4x6xf64"},
               {"5x4x6xf64"},
               {-1, 1, 4}},
              {slices + ", %a, %b, %c batch 1 : $T",
               {"4x5x3xf64", "4x6x1xi64", "4x6x3xf64"},
               {"4x5x3xf64"},
               {-1, 1, 5}}});
  }
}
