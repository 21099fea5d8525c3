//===- Elimination.h - Exact, but for what is kept -------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Eliminating a variable replaces the functions that read it by one of their
// other variables: the least sum over its values. The variable with the
// smallest such step goes first. Where even that is too large, one of the
// variables around it keeps the value that it has, which takes a dimension off
// what reads it: the result is then the best among those with that value.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_SOLVE_ELIMINATION_H
#define PARTITA_LIB_SOLVE_ELIMINATION_H

#include <cstdint>
#include <random>
#include <vector>

namespace partita::solve {

class Elimination {
public:
  /// Dense, the last variable of the scope fastest.
  struct Function {
    std::vector<int> scope;
    std::vector<double> data;
  };

  /// `unary` by variable and value; functions of two variables and more.
  Elimination(std::vector<std::vector<double>> unary,
              std::vector<Function> functions);

  /// The least sum over all assignments in which whatever is kept has its value
  /// in `current`. No step visits more than `limit` entries of a sum; once all
  /// of them have visited `budget`, no more than `smallLimit`.
  double run(const std::vector<int> &current, int64_t limit, int64_t budget,
             std::mt19937_64 &random);
  static constexpr int64_t smallLimit = 1 << 10;
  /// By variable.
  const std::vector<int> &values() const { return found; }
  /// Entries visited.
  int64_t work() const { return visited; }

private:
  struct Step {
    int variable;
    std::vector<int> scope;
    std::vector<uint16_t> choice;
  };
  int64_t sizeOf(int variable) const {
    return static_cast<int64_t>(unary[variable].size());
  }
  double measure(int variable, std::vector<int> &scope);
  void measureAll(const std::vector<int> &variables);
  void detach(int function);
  void attach(Function function);
  void keep(int variable, int value);
  void eliminate(int variable, const std::vector<int> &scope);
  void addTo(std::vector<double> &sums, const Function &function, int variable,
             const std::vector<int> &scope) const;
  void goBack();

  std::vector<std::vector<double>> unary;
  std::vector<Function> functions;
  std::vector<std::vector<int>> functionsOf;
  std::vector<char> done;
  /// Entries of the step that would eliminate the variable.
  std::vector<double> entries;
  std::vector<Step> steps;
  std::vector<int> found, marks;
  int mark = 0;
  double constant = 0;
  int64_t visited = 0;
};

} // namespace partita::solve

#endif // PARTITA_LIB_SOLVE_ELIMINATION_H
