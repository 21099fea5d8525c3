//===- Verify.cpp - Is a solution what it says? ---------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Shares no code with the solver, so that an error there shows here.
//
//===----------------------------------------------------------------------===//

#include "partita/Planner/Problem.h"

using namespace partita;

Status partita::verify(const Problem &problem, const Solution &solution) {
  auto fail = [](const std::string &what) {
    return makeError(ExitCode::Internal, "solve.verify", "planner", what,
                     "this is an error in the planner; please report it");
  };
  if (solution.values.size() != problem.unary.size())
    return fail("the solution has another number of variables");
  __int128 price = 0;
  for (size_t v = 0; v < solution.values.size(); ++v) {
    int value = solution.values[v];
    if (value < 0 || static_cast<size_t>(value) >= problem.unary[v].size())
      return fail("variable " + std::to_string(v) + " has no value " +
                  std::to_string(value));
    price += problem.unary[v][static_cast<size_t>(value)];
  }
  for (const PriceEdge &edge : problem.edges) {
    const PriceTable &table = *edge.table;
    size_t row = static_cast<size_t>(solution.values[edge.first]);
    size_t column = static_cast<size_t>(solution.values[edge.second]);
    price += table.prices[row * static_cast<size_t>(table.columns) + column];
  }
  if (price >= forbidden)
    price = forbidden;
  if (price != solution.price)
    return fail("the price of the solution is not " +
                std::to_string(solution.price));
  if (solution.bound > solution.price)
    return fail("the bound " + std::to_string(solution.bound) +
                " is above the price " + std::to_string(solution.price));
  if (solution.proved != (solution.bound == solution.price))
    return fail("the solution is called proved wrongly");
  return ok();
}
