//===- ConvolutionOperationTest.cpp ---------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Windows that slide: batch, channels, groups and positions of windows are split,
// evenly or not, and partial sums over input channels are added up.
//
//===----------------------------------------------------------------------===//

#include "OperationCases.h"
#include <catch2/catch.hpp>

using namespace partita;
using namespace partita::test;

TEST_CASE("convolutions partition") {
  checkAll({
      // Windows that skip elements, and read a border on one side only.
      {"nn.conv %a, %b strides [3, 2] dilations [1, 1] pads [0, 0] [1, 0] : $T",
       {"1x2x11x7xf64", "2x2x1x2xf64"},
       {"1x2x4x3xf64"}},
      {"nn.conv %a, %b strides [2, 1] dilations [1, 2] pads [1, 0] [0, 3] : $T",
       {"3x6x5x7xf64", "5x6x3x2xf64"},
       {"3x5x2x8xf64"}},
      // Four groups of three filters.
      {"nn.conv %a, %b strides [1] dilations [1] pads [1] [1] : $T",
       {"2x8x5xf64", "12x2x3xf64"},
       {"2x12x5xf64"}},
      // Depthwise.
      {"nn.conv %a, %b strides [1, 1] dilations [1, 1] pads [1, 1] [1, 1] : $T",
       {"1x7x4x4xf64", "7x1x3x3xf64"},
       {"1x7x4x4xf64"}},
      {"nn.conv %a, %b strides [1, 2, 1] dilations [1, 1, 1] pads [0, 1, 0] "
       "[0, 0, 1] : $T",
       {"1x2x3x4x5xf64", "4x2x2x2x3xf64"},
       {"1x4x2x2x4xf64"}},
  });
}

TEST_CASE("windows that tile their input partition") {
  checkAll({
      {"nn.conv %a, %b strides [1, 1] dilations [1, 1] pads [0, 0] [0, 0] : $T",
       {"1x3x6x5xf64", "4x3x1x1xf64"},
       {"1x4x6x5xf64"}},
      {"nn.conv %a, %b strides [2, 3] dilations [1, 1] pads [0, 0] [0, 0] : $T",
       {"1x2x10x12xf64", "3x2x2x3xf64"},
       {"1x3x5x4xf64"}},
      {"nn.pool \"max\", %a kernel [2, 1] strides [2, 1] dilations [1, 1] pads "
       "[0, 0] [0, 0] : $T",
       {"1x2x8x5xf64"},
       {"1x2x4x5xf64"}},
  });
}

TEST_CASE("transposed convolutions partition") {
  checkAll({
      {"nn.conv_transpose %a, %b groups 1 strides [2, 1] dilations [1, 2] pads "
       "[1, 0] [0, 1] output_pads [1, 0] : $T",
       {"2x6x3x4xf64", "6x5x3x2xf64"},
       {"2x5x7x5xf64"}},
      {"nn.conv_transpose %a, %b groups 4 strides [2] dilations [1] pads [0] "
       "[0] output_pads [0] : $T",
       {"2x8x3xf64", "8x3x2xf64"},
       {"2x12x6xf64"}},
  });
}

TEST_CASE("pools partition") {
  for (const char *kind : {"max", "sum"})
    checkAll({{std::string("nn.pool \"") + kind +
                   "\", %a kernel [3, 2] strides [2, 1] dilations [1, 2] pads "
                   "[1, 0] [1, 2] : $T",
               {"3x6x5x4xf64"},
               {"3x6x3x4xf64"}},
              {std::string("nn.pool \"") + kind +
                   "\", %a kernel [3] strides [1] dilations [1] pads [2] [2] : "
                   "$T",
               {"2x5x4xi64"},
               {"2x5x6xi64"}}});
}

TEST_CASE("places of maxima partition") {
  // Tiles too: positions count through the whole plane.
  checkAll({{"nn.pool_argmax %a kernel [3, 2] strides [2, 1] dilations [1, 2] "
             "pads [1, 0] [1, 2] : $T",
             {"3x6x5x4xf64"},
             {"3x6x3x4xi64"}},
            {"nn.pool_argmax %a kernel [2, 2] strides [2, 2] dilations [1, 1] "
             "pads [0, 0] [0, 0] column_major : $T",
             {"2x3x8x6xf64"},
             {"2x3x4x3xi64"}},
            {"nn.pool_argmax %a kernel [2, 2, 3] strides [1, 1, 1] dilations "
             "[1, 1, 1] pads [0, 1, 0] [0, 0, 0] : $T",
             {"1x4x3x4x5xi32"},
             {"1x4x2x4x3xi64"}}});
}
