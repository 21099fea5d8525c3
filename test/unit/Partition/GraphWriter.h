//===- GraphWriter.h - Random programs ---------------------------*- C++
//-*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TEST_UNIT_PARTITION_GRAPHWRITER_H
#define PARTITA_TEST_UNIT_PARTITION_GRAPHWRITER_H

#include <cstdint>
#include <initializer_list>
#include <random>
#include <string>

namespace partita::test {

/// Writes a program whose values are [batch, sequence, width] between blocks:
/// chains with residual connections that mix every family.
class GraphWriter {
public:
  explicit GraphWriter(unsigned seed) : random(seed) {}
  std::string write();

private:
  int64_t pick(std::initializer_list<int64_t> from) {
    return from.begin()[random() % from.size()];
  }
  std::string tensor(std::initializer_list<int64_t> shape) {
    std::string text = "tensor<";
    for (int64_t size : shape)
      text += std::to_string(size) + "x";
    return text + "f64>";
  }
  std::string fresh() { return "%v" + std::to_string(next++); }
  /// Appends an operation with one result.
  std::string emit(const std::string &text) {
    std::string value = fresh();
    body += "  " + value + " = " + text + "\n";
    return value;
  }
  std::string parameter(std::initializer_list<int64_t> shape);
  std::string linear(const std::string &x, int64_t from, int64_t to);
  std::string biased(const std::string &x, int64_t width);
  std::string toHeads(const std::string &x, const std::string &from);
  std::string feedForward(const std::string &x);
  std::string selfAttention(const std::string &x);
  std::string normalized(const std::string &x);
  std::string gated(const std::string &x);
  std::string scaledByMean(const std::string &x);

  std::mt19937 random;
  int next = 0;
  int64_t batch = 0, sequence = 0, heads = 0, depth = 0, width = 0;
  std::string type, parameters, body;
};

} // namespace partita::test

#endif // PARTITA_TEST_UNIT_PARTITION_GRAPHWRITER_H
