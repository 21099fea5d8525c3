//===- Elimination.cpp - Exact, but for what is kept ----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Elimination.h"
#include <algorithm>

using namespace partita;
using namespace partita::solve;

Elimination::Elimination(std::vector<std::vector<double>> prices,
                         std::vector<Function> given)
    : unary(std::move(prices)), functionsOf(unary.size()),
      done(unary.size(), 0), entries(unary.size(), 0), found(unary.size(), -1),
      marks(unary.size(), -1) {
  functions.reserve(given.size() + unary.size());
  for (Function &function : given)
    attach(std::move(function));
}

void Elimination::attach(Function function) {
  for (int variable : function.scope)
    functionsOf[variable].push_back(static_cast<int>(functions.size()));
  functions.push_back(std::move(function));
}

void Elimination::detach(int number) {
  for (int variable : functions[number].scope)
    std::erase(functionsOf[variable], number);
}

/// The entries of the sum that eliminates the variable, and its other
/// variables.
double Elimination::measure(int variable, std::vector<int> &scope) {
  scope.clear();
  ++mark;
  double product = double(sizeOf(variable));
  for (int f : functionsOf[variable])
    for (int other : functions[f].scope)
      if (other != variable && marks[other] != mark) {
        marks[other] = mark;
        scope.push_back(other);
        product *= double(sizeOf(other));
      }
  return product;
}

void Elimination::measureAll(const std::vector<int> &variables) {
  std::vector<int> scope;
  for (int variable : variables)
    if (!done[variable])
      entries[variable] = measure(variable, scope);
}

/// The functions of a variable with its value put in.
void Elimination::keep(int variable, int value) {
  std::vector<int> around;
  measure(variable, around);
  done[variable] = 1;
  found[variable] = value;
  constant += unary[variable][value];
  std::vector<int> mine = functionsOf[variable];
  for (int number : mine) {
    detach(number);
    Function function = std::move(functions[number]);
    functions[number] = {};
    auto place =
        std::find(function.scope.begin(), function.scope.end(), variable);
    int64_t inner = 1;
    for (auto it = place + 1; it != function.scope.end(); ++it)
      inner *= sizeOf(*it);
    int64_t block = inner * sizeOf(variable);
    int64_t outer = static_cast<int64_t>(function.data.size()) / block;
    for (int64_t o = 0; o < outer; ++o)
      std::copy_n(function.data.begin() + o * block + value * inner, inner,
                  function.data.begin() + o * inner);
    function.data.resize(outer * inner);
    function.scope.erase(place);
    if (function.scope.size() > 1) {
      attach(std::move(function));
      continue;
    }
    std::vector<double> &prices = unary[function.scope[0]];
    for (size_t k = 0; k < prices.size(); ++k)
      prices[k] += function.data[k];
  }
  measureAll(around);
}

/// Adds a function to sums laid out as [scope.., variable].
void Elimination::addTo(std::vector<double> &sums, const Function &function,
                        int variable, const std::vector<int> &scope) const {
  std::vector<int64_t> strides(scope.size(), 0), index(scope.size(), 0);
  int64_t own = 0, stride = 1;
  for (size_t d = function.scope.size(); d-- > 0;) {
    int other = function.scope[d];
    if (other == variable)
      own = stride;
    else
      strides[std::find(scope.begin(), scope.end(), other) - scope.begin()] =
          stride;
    stride *= sizeOf(other);
  }
  int64_t size = sizeOf(variable), offset = 0;
  for (double *to = sums.data(), *end = to + sums.size(); to != end;
       to += size) {
    const double *from = function.data.data() + offset;
    if (own == 1)
      for (int64_t k = 0; k < size; ++k)
        to[k] += from[k];
    else
      for (int64_t k = 0; k < size; ++k)
        to[k] += from[k * own];
    for (size_t d = scope.size(); d-- > 0;) {
      offset += strides[d];
      if (++index[d] < sizeOf(scope[d]))
        break;
      offset -= strides[d] * index[d];
      index[d] = 0;
    }
  }
}

void Elimination::eliminate(int variable, const std::vector<int> &scope) {
  int64_t size = sizeOf(variable), outer = 1;
  for (int other : scope)
    outer *= sizeOf(other);
  visited += outer * size * (2 + int64_t(functionsOf[variable].size()));
  std::vector<double> sums(outer * size);
  for (int64_t o = 0; o < outer; ++o)
    std::copy(unary[variable].begin(), unary[variable].end(),
              sums.begin() + o * size);
  std::vector<int> mine = functionsOf[variable];
  for (int number : mine) {
    addTo(sums, functions[number], variable, scope);
    detach(number);
    functions[number] = {};
  }
  Step step{variable, scope, std::vector<uint16_t>(outer)};
  Function least{scope, std::vector<double>(outer)};
  for (int64_t o = 0; o < outer; ++o) {
    const double *row = sums.data() + o * size;
    const double *at = std::min_element(row, row + size);
    step.choice[o] = static_cast<uint16_t>(at - row);
    least.data[o] = *at;
  }
  done[variable] = 1;
  steps.push_back(std::move(step));
  if (scope.empty())
    constant += least.data[0];
  else if (scope.size() > 1)
    attach(std::move(least));
  else
    for (int64_t o = 0; o < outer; ++o)
      unary[scope[0]][o] += least.data[o];
  measureAll(scope);
}

/// Values in reverse order of elimination, each the best given those after.
void Elimination::goBack() {
  for (size_t i = steps.size(); i-- > 0;) {
    const Step &step = steps[i];
    int64_t at = 0;
    for (int other : step.scope)
      at = at * sizeOf(other) + found[other];
    found[step.variable] = step.choice[at];
  }
}

double Elimination::run(const std::vector<int> &current, int64_t limit,
                        int64_t budget, std::mt19937_64 &random) {
  int n = static_cast<int>(unary.size());
  std::vector<int> scope;
  for (int v = 0; v < n; ++v)
    entries[v] = measure(v, scope);
  for (int left = n; left > 0; --left) {
    int next = -1;
    for (int v = 0; v < n; ++v)
      if (!done[v] && (next < 0 || entries[v] < entries[next]))
        next = v;
    if (visited > budget)
      limit = std::min(limit, smallLimit);
    if (measure(next, scope) <= double(limit) || scope.empty()) {
      eliminate(next, scope);
      continue;
    }
    // Of three around it, the one that most functions read.
    int kept = scope[random() % scope.size()];
    for (int tries = 0; tries < 2; ++tries)
      if (int other = scope[random() % scope.size()];
          functionsOf[other].size() > functionsOf[kept].size())
        kept = other;
    keep(kept, current[kept]);
  }
  goBack();
  return constant;
}
