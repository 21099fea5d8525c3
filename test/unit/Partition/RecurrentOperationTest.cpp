//===- RecurrentOperationTest.cpp -----------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "OperationCases.h"
#include <catch2/catch.hpp>

using namespace partita::test;

static std::string attributes(const std::string &names, int count,
                              const std::string &more = "") {
  std::string numbers = count == 3   ? "0.5, 0.5, 0.5"
                        : count == 2 ? "0.5, 0.5"
                                     : "0.5";
  return " {activations = \"" + names + "\", alpha = array<f64: " + numbers +
         ">, beta = array<f64: " + numbers + ">, clip = 2.0 : f64" + more +
         "} : ($T) -> ($R)";
}

TEST_CASE("recurrent layers partition") {
  checkAll({{"nn.rnn %a, %b, %c" + attributes("Elu", 1),
             {"3x5x4xf64", "4x4xf64", "5x4xf64"},
             {"3x5x4xf64", "5x4xf64"}},
            {"nn.gru %a, %b, %c lengths %d" +
                 attributes("Sigmoid,Tanh", 2, ", reverse"),
             {"3x5x6xf64", "2x6xf64", "5x2xf64", "5xi32"},
             {"3x5x2xf64", "5x2xf64"},
             {-1, 1, 4}},
            {"nn.gru %a, %b, %c bias %d" + attributes("Sigmoid,Tanh", 2),
             {"3x4x6xf64", "2x6xf64", "4x2xf64", "2xf64"},
             {"3x4x2xf64", "4x2xf64"}},
            {"nn.lstm %a, %b, %c, %d peepholes %e lengths %f" +
                 attributes("Sigmoid,Tanh,ScaledTanh", 3),
             {"3x4x8xf64", "2x8xf64", "4x2xf64", "4x2xf64", "3x2xf64", "4xi32"},
             {"3x4x2xf64", "4x2xf64", "4x2xf64"},
             {-1, 1, 4}}});
}

TEST_CASE("a running product partitions") {
  checkAll({{"nn.cumprod %a axis 1 exclusive : $R",
             {"4x5x3xf64"},
             {"4x5x3xf64"}}});
}
