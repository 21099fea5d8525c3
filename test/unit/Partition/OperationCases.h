//===- OperationCases.h - Operations that must partition ------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A family of operations lists its cases in a file of its own:
//
//   TEST_CASE("top-k partitions") {
//     checkAll({{"nn.topk %a 2 axis 1 : $T -> $R",
//                {"3x5xf64"}, {"3x2xf64", "3x2xi64"}}});
//   }
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TEST_UNIT_PARTITION_OPERATIONCASES_H
#define PARTITA_TEST_UNIT_PARTITION_OPERATIONCASES_H

#include "Property.h"

namespace partita::test {

/// One operation with operands %a, %b, ..; types without "tensor<>". "$T" in `op`
/// stands for the types of all arguments, "$R" of all results.
struct Case {
  std::string op;
  std::vector<std::string> arguments, results;
  InputRange range = {};
};

/// Requires of each case that, split by any legal strategy on one axis and by a
/// seeded sample on two, it computes what it computes whole.
void checkAll(const std::vector<Case> &cases);

/// The sharding of a boundary: what the operation has there, whole, or any.
Sharding boundary(const Sharding &own, const Mesh &mesh, std::mt19937 &random);

} // namespace partita::test

#endif // PARTITA_TEST_UNIT_PARTITION_OPERATIONCASES_H
