//===- Chain.h - A chain of products and its training step ------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TEST_UNIT_PLANNER_CHAIN_H
#define PARTITA_TEST_UNIT_PLANNER_CHAIN_H

#include "Graphs.h"
#include <random>

namespace partita::test {

/// A chain of products, its gradients and the update of its weights.
class Chain {
public:
  /// With two to four layers, or as many as `count`; of random sizes, or all
  /// of one.
  explicit Chain(uint64_t seed, int count = 0, int64_t width = 0,
                 int64_t rows = 0);

  GraphMaker maker;
  int layers;
  /// By operation.
  std::vector<int> layerOf;

private:
  int add(int layer, int value);
  int product(const std::string &id, int lhs, int rhs, Shape shape,
              ShardingRule rule, int64_t flops);
};

/// All operations that are new belong to this layer.
inline int Chain::add(int layer, int value) {
  layerOf.resize(maker.graph.ops.size(), layer);
  return value;
}

inline int Chain::product(const std::string &id, int lhs, int rhs, Shape shape,
                          ShardingRule rule, int64_t flops) {
  int value = maker.add(id, "nn.matmul", std::move(rule), {lhs, rhs}, {shape},
                        flops, KernelClass::Gemm);
  maker.graph.ops.back().isBackward = true;
  return value;
}

inline Chain::Chain(uint64_t seed, int count, int64_t equal, int64_t rows) {
  std::mt19937_64 random(seed);
  layers = 2 + static_cast<int>(random() % 3);
  if (count > 0)
    layers = count;
  const int64_t anyBatch = int64_t(8) << (random() % 4),
                batch = rows > 0 ? rows : anyBatch;
  auto width = [&] {
    const int64_t any = int64_t(16) << (random() % 6);
    return equal > 0 ? equal : any;
  };
  std::vector<int64_t> widths{width()};
  std::vector<int> inputs, weights, weightOps;
  int x = add(0, maker.input("x", {batch, widths[0]}, {"batch", ""}));
  for (int l = 0; l < layers; ++l) {
    std::string n = std::to_string(l);
    widths.push_back(width());
    weightOps.push_back(static_cast<int>(maker.graph.ops.size()));
    weights.push_back(
        add(l, maker.input("w" + n, {widths[l], widths[l + 1]}, {})));
    // A state until its update is there.
    maker.graph.ops.back().nextState = 0;
    inputs.push_back(x);
    x = add(l, maker.matmul("forward" + n, x, weights[l]));
  }
  int g = add(layers - 1, maker.unary("loss", x));
  maker.graph.ops.back().isBackward = true;
  for (int l = layers; l-- > 0;) {
    std::string n = std::to_string(l);
    const int64_t in = widths[l], out = widths[l + 1],
                  flops = 2 * batch * in * out;
    // [b,k], [b,n] -> [k,n] and [b,n], [k,n] -> [b,k]
    ShardingRule ofWeight =
        RuleBuilder({2, 2}, {2})
            .parallel("k", in, {{0, 1}}, {{0, 0}})
            .parallel("n", out, {{1, 1}}, {{0, 1}})
            .reduction("b", batch, Combiner::Sum, {{0, 0}, {1, 0}})
            .build();
    int gradient = add(l, product("gradient" + n, inputs[l], g, {in, out},
                                  std::move(ofWeight), flops));
    if (l > 0) {
      ShardingRule ofInput =
          RuleBuilder({2, 2}, {2})
              .parallel("b", batch, {{0, 0}}, {{0, 0}})
              .parallel("k", in, {{1, 0}}, {{0, 1}})
              .reduction("n", out, Combiner::Sum, {{0, 1}, {1, 1}})
              .build();
      g = add(l, product("backward" + n, g, weights[l], {batch, in},
                         std::move(ofInput), flops));
    }
    int updated = maker.binary("update" + n, weights[l], gradient, true);
    maker.graph.ops.back().isUpdate = true;
    maker.output(add(l, updated));
    layerOf.push_back(l);
    maker.graph.ops[weightOps[l]].nextState =
        static_cast<int>(maker.graph.ops.size()) - 1;
  }
}

} // namespace partita::test

#endif // PARTITA_TEST_UNIT_PLANNER_CHAIN_H
