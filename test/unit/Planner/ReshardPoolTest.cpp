//===- ReshardPoolTest.cpp ------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Planner/ReshardPool.h"
#include <catch2/catch.hpp>

using namespace partita;
using namespace partita::planner;

TEST_CASE("what is known of a mesh has one user at a time", "[planner]") {
  const Topology topology = *Topology::parse("cpu:8");
  const Mesh mesh = *Mesh::parse("pp=2,x=4"), other = *Mesh::parse("pp=4,x=2");
  ReshardPool pool(topology);
  auto first = pool.lend(mesh), second = pool.lend(mesh);
  CHECK(first.get() != second.get());
  const ReshardSpaces *known = first.get();
  first.reset();
  CHECK(pool.lend(other).get() != known);
  // A planner gives back what it was given.
  {
    ReshardPlanner planner(pool.lend(mesh));
  }
  auto again = pool.lend(mesh);
  CHECK(again.get() == known);
  CHECK(again.get() != second.get());
}
