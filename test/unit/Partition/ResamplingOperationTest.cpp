//===- ResamplingOperationTest.cpp ----------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "OperationCases.h"
#include <catch2/catch.hpp>

using namespace partita::test;

TEST_CASE("resampling partitions, both of its loops too") {
  auto resample = [](const std::string &filter, const std::string &more) {
    return "nn.resample \"" + filter +
           "\" %a axis 1 {coordinates = array<f64: 0.5, 5.0, 8.0, -0.5>, "
           "cubic = -0.75 : f64" +
           more + "} : $T to $R";
  };
  for (const char *filter : {"round_half_down", "ceil", "linear", "cubic"})
    checkAll({{resample(filter, ", filter_scale = 1.0 : f64"),
               {"4x5x3xf64"},
               {"4x8x3xf64"}}});
  checkAll(
      {{resample("linear", ", filter_scale = 0.4 : f64"),
        {"4x7xf64"},
        {"4x4xf64"}},
       {resample(
            "cubic",
            ", filter_scale = 1.0 : f64, exclude_outside, fill = 2.5 : f64"),
        {"2x6xf64"},
        {"2x9xf64"}}});
}

TEST_CASE("sampling at points and in boxes partitions") {
  checkAll({{"nn.grid_sample \"linear\" \"zeros\" %a, %b : $T to $R",
             {"4x3x5x6xf64", "4x2x4x2xf64"},
             {"4x3x2x4xf64"}},
            {"nn.grid_sample \"cubic\" \"reflection\" %a, %b {align_corners} : "
             "$T to $R",
             {"2x4x7xf64", "2x5x1xf64"},
             {"2x4x5xf64"},
             {-3, 3}},
            {"nn.roi_align %a, %b, %c {scale = 2.0 : f64, offset = 0.5 : f64, "
             "sampling = 2 : i64} : $T to $R",
             {"4x3x5x6xf64", "4x4xf64", "4xi64"},
             {"4x3x2x2xf64"},
             {0, 4, 2}}});
}
