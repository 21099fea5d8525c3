//===- NamesTest.cpp ------------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Support/Names.h"
#include <catch2/catch.hpp>

using namespace partita;

TEST_CASE("names that differ in numbers") {
  using Ids = std::vector<std::string>;
  CHECK(commonName(Ids{"a.1/b"}) == "a.1/b");
  CHECK(commonName(Ids{"l.10.x", "l.9.x", "l.11.x"}) == "l.[9-11].x");
  CHECK(commonName(Ids{"l.1.x", "l.3.x"}) == "l.[1,3].x");
  CHECK(commonName(Ids{"1", "3", "5", "7", "9"}) == "[1..9]");
  CHECK(commonName(Ids{"a0b7", "a1b7", "a0b8", "a1b8"}) == "a[0-1]b[7-8]");
  // Numbers that no integer holds, and zeros in front.
  CHECK(commonName(Ids{"x99999999999999999999999", "x1"}) ==
        "x[1,99999999999999999999999]");
  CHECK(commonName(Ids{"x01", "x02"}) == "x[01,02]");
  CHECK(namePattern("a1b22") == namePattern("a333b4"));
  CHECK(namePattern("a1b22") != namePattern("a1b"));
}
