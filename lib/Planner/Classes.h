//===- Classes.h - Numbers for equal things ---------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Models repeat themselves. What looks at a part of a problem numbers what it
// sees, and looks only once at what has equal numbers: the cost of planning
// then grows with the number of different layers, and no choice is tied.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_CLASSES_H
#define PARTITA_LIB_PLANNER_CLASSES_H

#include <map>
#include <vector>

namespace partita::planner {

/// Numbers from 0 for different values, in the order in which they come.
template <typename T> class Classes {
public:
  int of(const T &value) {
    auto [it, isNew] = numbers.try_emplace(value, size());
    if (isNew)
      values.push_back(&it->first);
    return it->second;
  }
  const T &operator[](int number) const { return *values[number]; }
  int size() const { return static_cast<int>(values.size()); }

private:
  std::map<T, int> numbers;
  std::vector<const T *> values;
};

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_CLASSES_H
