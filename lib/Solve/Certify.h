//===- Certify.h - A bound that others can check ---------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Writes a certificate that nothing that fits costs less than a target, or as
// much less as comes out when the time is up. docs/solver.md has its format.
//
// A certificate is a tree of branches. Each has steps: prices of memory and
// what each table gives to its ends, both integers in fractions of a unit.
// Whatever these numbers are,
//
//   sum over variables of min [price + payments for memory + what tables give]
//     + sum over tables of min [price - what was given]
//     - sum over times of (price of memory * limit)
//
// is at most the price of all that fits. A value that lifts the sum of a star
// (its variable and the tables and variables around it) to the target is taken
// away, for this branch and those below it; a branch whose sum reaches the
// target, or whose values are gone, is closed. Others are split in two by the
// values of one variable.
//
// The numbers come from the passes of a Dual. They are rounded here, and the
// sum is computed again in 128 bits, so that what the certificate claims is
// what its checker will find.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_SOLVE_CERTIFY_H
#define PARTITA_LIB_SOLVE_CERTIFY_H

#include "Branch.h"
#include "partita/Solve/Solve.h"

namespace partita::solve {

/// `root`: a dual of the model as before any pass. `target`: of the whole
/// instance. `prices`: of memory, of about the size that will come. Stops
/// opening branches when `stop` says so. Errors: those of `write`, which is
/// given the certificate line by line.
Status certify(const Presolved &presolved, Dual root, int64_t target,
               const RowPrices &prices, const std::string &name,
               const WriteLine &write, const std::function<bool()> &stop);

} // namespace partita::solve

#endif // PARTITA_LIB_SOLVE_CERTIFY_H
