//===- TrainingOperationTest.cpp ------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "OperationCases.h"
#include <catch2/catch.hpp>

using namespace partita::test;

TEST_CASE("the gradient of attention partitions") {
  // Query, key, value, lse, delta, gradient and a mask.
  auto arguments = [](int b, int h, int g, int s, int t, std::string mask) {
    auto shape = [](std::initializer_list<int> sizes) {
      std::string text;
      for (int size : sizes)
        text += std::to_string(size) + "x";
      return text + "f64";
    };
    std::vector<std::string> types = {shape({b, h, s, 3}), shape({b, g, t, 3}),
                                      shape({b, g, t, 2}), shape({b, h, s}),
                                      shape({b, h, s}),    shape({b, h, s, 2})};
    if (!mask.empty())
      types.push_back(mask);
    return types;
  };
  auto gradient = [&](const std::string &flags, std::vector<std::string> types,
                      bool ofMask = false) {
    std::string operands = "%a, %b, %c, %d, %e, %f";
    std::vector<std::string> results(types.begin(), types.begin() + 3);
    if (types.size() > 6)
      operands += ", %g";
    if (ofMask)
      results.push_back(types[6]);
    return Case{"nn.attention_gradient " + operands + " scale 0.7" + flags +
                    " : $T to $R",
                types, results};
  };
  checkAll({gradient("", arguments(2, 4, 2, 3, 5, "")),
            gradient(" causal", arguments(1, 2, 2, 4, 4, "")),
            gradient(" causal", arguments(1, 4, 1, 2, 5, "")),
            gradient(" softcap 0.5", arguments(2, 2, 2, 2, 4, "2x1x1x4xi1")),
            gradient("", arguments(2, 2, 1, 4, 3, "1x2x4x3xf64"), true),
            gradient("", arguments(4, 2, 2, 2, 4, "4x1x2x4xf64"), true)});
}

TEST_CASE("the gradient of a gather partitions, both ways") {
  checkAll({{"nn.gather_gradient %a, %b axis 0 : $T to $R",
             {"4x3xi64", "4x3x6xf64"},
             {"5x6xf64"},
             {-1, 1, 5}},
            {"nn.gather_gradient %a, %b axis 1 : $T to $R",
             {"4xi32", "3x4x2xf64"},
             {"3x6x2xf64"},
             {-1, 1, 6}}});
}

TEST_CASE("a step of AdamW partitions") {
  checkAll({{"nn.adamw %a, %b, %c, %d, %e, %f, %g {beta1 = 0.9 : f64, "
             "beta2 = 0.999 : f64, epsilon = 1.0e-8 : f64} : $T to $R",
             {"4x6xf64", "4x6xf64", "4x6xf64", "4x6xf64", "f64", "f64", "f64"},
             {"4x6xf64", "4x6xf64", "4x6xf64"},
             {0.1, 1}}});
}
