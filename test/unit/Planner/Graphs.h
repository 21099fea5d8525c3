//===- Graphs.h - Models for the planner's tests ----------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Builds graphs as they are extracted from transformer models, with the rules
// of the nn dialect written by hand.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TEST_UNIT_PLANNER_GRAPHS_H
#define PARTITA_TEST_UNIT_PLANNER_GRAPHS_H

#include "partita/Planner/Graph.h"
#include <string>

namespace partita::test {

using Shape = std::vector<int64_t>;
using Places = RuleBuilder::Places;

class GraphMaker {
public:
  Graph graph;

  int input(const std::string &name, Shape shape,
            std::vector<std::string> dimNames, DType dtype = DType::F32) {
    int value = source("input:" + name, OpRole::Input, shape, dtype);
    graph.values[value].dimNames = std::move(dimNames);
    return value;
  }
  int parameter(const std::string &name, Shape shape) {
    int value = source(name, OpRole::Parameter, shape, DType::F32);
    graph.ops.back().atLoad = true;
    return value;
  }
  void output(int value) {
    GraphOp op;
    op.id = "output:" + std::to_string(graph.ops.size());
    op.kind = "output";
    op.role = OpRole::Output;
    op.kernelClass = KernelClass::Free;
    size_t rank = shape(value).size();
    RuleBuilder rule({rank}, {});
    for (unsigned d = 0; d < rank; ++d)
      rule.parallel("d" + std::to_string(d), shape(value)[d], {{0, d}}, {});
    op.rule = rule.build();
    op.operands = {value};
    graph.ops.push_back(op);
  }

  /// lhs [.., m, k] by rhs [k, n] or [.., k, n].
  int matmul(const std::string &id, int lhs, int rhs) {
    Shape l = shape(lhs), r = shape(rhs), out = l;
    unsigned rank = l.size(), rhsRank = r.size();
    out.back() = r.back();
    RuleBuilder rule({rank, rhsRank}, {rank});
    int64_t flops = 2 * l.back() * r.back();
    for (unsigned d = 0; d + 2 < rank; ++d) {
      Places operands{{0, d}};
      if (rhsRank == rank)
        operands.push_back({1, d});
      rule.parallel("b" + std::to_string(d), l[d], operands, {{0, d}});
      flops *= l[d];
    }
    flops *= l[rank - 2];
    rule.parallel("m", l[rank - 2], {{0, rank - 2}}, {{0, rank - 2}})
        .parallel("n", r.back(), {{1, rhsRank - 1}}, {{0, rank - 1}})
        .reduction("k", l.back(), Combiner::Sum,
                   {{0, rank - 1}, {1, rhsRank - 2}})
        .linear({0})
        .linear({1});
    return add(id, "nn.matmul", rule.build(), {lhs, rhs}, {out}, flops,
               KernelClass::Gemm);
  }

  /// Pointwise with trailing broadcasting; linear in both if `sum`.
  int binary(const std::string &id, int lhs, int rhs, bool sum) {
    Shape l = shape(lhs), r = shape(rhs);
    unsigned rank = l.size(), offset = rank - r.size();
    RuleBuilder rule({rank, r.size()}, {rank});
    for (unsigned d = 0; d < rank; ++d) {
      Places operands{{0, d}};
      if (d >= offset && r[d - offset] == l[d])
        operands.push_back({1, d - offset});
      rule.parallel("d" + std::to_string(d), l[d], operands, {{0, d}});
    }
    if (sum)
      rule.linear({0, 1});
    return add(id, sum ? "nn.add" : "nn.mul", rule.build(), {lhs, rhs}, {l},
               count(l), KernelClass::Memory);
  }
  int unary(const std::string &id, int x) {
    Shape s = shape(x);
    RuleBuilder rule({s.size()}, {s.size()});
    for (unsigned d = 0; d < s.size(); ++d)
      rule.parallel("d" + std::to_string(d), s[d], {{0, d}}, {{0, d}});
    return add(id, "nn.gelu", rule.build(), {x}, {s}, 8 * count(s),
               KernelClass::Memory);
  }
  int layerNorm(const std::string &id, int x, int scale, int bias) {
    Shape s = shape(x);
    unsigned last = s.size() - 1;
    RuleBuilder rule({s.size(), 1, 1}, {s.size()});
    for (unsigned d = 0; d < last; ++d)
      rule.parallel("d" + std::to_string(d), s[d], {{0, d}}, {{0, d}});
    rule.replicate("c", s.back(), {{0, last}, {1, 0}, {2, 0}}, {{0, last}});
    return add(id, "nn.layer_norm", rule.build(), {x, scale, bias}, {s},
               5 * count(s), KernelClass::Memory);
  }
  int reshape(const std::string &id, int x, Shape to) {
    return add(id, "nn.reshape", reshapeRule(shape(x), to), {x}, {to}, 0,
               KernelClass::Free);
  }
  int transpose(const std::string &id, int x, std::vector<unsigned> order) {
    Shape s = shape(x), to;
    RuleBuilder rule({s.size()}, {s.size()});
    for (unsigned d = 0; d < s.size(); ++d) {
      to.push_back(s[order[d]]);
      rule.parallel("d" + std::to_string(order[d]), to[d], {{0, order[d]}},
                    {{0, d}});
    }
    return add(id, "nn.transpose", rule.linear({0}).build(), {x}, {to}, 0,
               KernelClass::Memory);
  }
  /// Into equal parts along the last dimension.
  std::vector<int> split(const std::string &id, int x, int parts) {
    Shape s = shape(x), to = s;
    unsigned last = s.size() - 1;
    to.back() /= parts;
    std::vector<size_t> ranks(parts, s.size());
    RuleBuilder rule({s.size()}, ranks);
    auto onParts = [&](unsigned d) {
      Places places;
      for (unsigned p = 0; p < static_cast<unsigned>(parts); ++p)
        places.push_back({p, d});
      return places;
    };
    for (unsigned d = 0; d < last; ++d)
      rule.parallel("d" + std::to_string(d), s[d], {{0, d}}, onParts(d));
    rule.replicate("p", parts, {{0, last}}, {})
        .parallel("n", to.back(), {{0, last}}, onParts(last))
        .linear({0});
    int first = add(id, "nn.split", rule.build(), {x},
                    std::vector<Shape>(parts, to), 0, KernelClass::Memory);
    std::vector<int> results;
    for (int p = 0; p < parts; ++p)
      results.push_back(first + p);
    return results;
  }
  int gather(const std::string &id, int table, int ids) {
    Shape t = shape(table), i = shape(ids), to = i;
    to.push_back(t[1]);
    RuleBuilder rule({2, i.size()}, {to.size()});
    for (unsigned d = 0; d < i.size(); ++d)
      rule.parallel("i" + std::to_string(d), i[d], {{1, d}}, {{0, d}});
    rule.parallel("p1", t[1], {{0, 1}},
                  {{0, static_cast<unsigned>(to.size() - 1)}})
        .reduction("v", t[0], Combiner::Sum, {{0, 0}});
    int result = add(id, "nn.gather", rule.contiguous("v").linear({0}).build(),
                     {table, ids}, {to}, 0, KernelClass::Memory);
    graph.ops.back().sampledOperands = {0};
    return result;
  }
  /// q [b, h, s, d], k and v [b, g, t, d], mask [b, 1, 1, t].
  int attention(const std::string &id, int q, int k, int v, int mask) {
    Shape s = shape(q), kv = shape(k), lse{s[0], s[1], s[2]};
    int64_t groups = kv[1];
    std::vector<size_t> ranks{4, 4, 4};
    std::vector<int> operands{q, k, v};
    Places batch{{0, 0}, {1, 0}, {2, 0}}, keys{{1, 2}, {2, 2}};
    if (mask >= 0) {
      ranks.push_back(4);
      operands.push_back(mask);
      batch.push_back({3, 0});
      keys.push_back({3, 3});
    }
    Places both1{{0, 1}, {1, 1}}, both2{{0, 2}, {1, 2}};
    ShardingRule rule =
        RuleBuilder(ranks, {4, 3})
            .parallel("b", s[0], batch, {{0, 0}, {1, 0}})
            .parallel("g", groups, {{0, 1}, {1, 1}, {2, 1}}, both1)
            .parallel("r", s[1] / groups, {{0, 1}}, both1)
            .parallel("s", s[2], {{0, 2}}, both2)
            .reduction("t", kv[2], Combiner::SoftmaxMerge, keys)
            .replicate("d", s[3], {{0, 3}, {1, 3}}, {})
            .parallel("e", s[3], {{2, 3}}, {{0, 3}})
            .build();
    return add(id, "nn.attention", rule, operands, {s, lse},
               4 * count(s) * kv[2], KernelClass::Attention);
  }

  Shape shape(int value) const { return graph.values[value].shape; }
  static int64_t count(const Shape &shape) {
    int64_t n = 1;
    for (int64_t size : shape)
      n *= size;
    return n;
  }

  /// Adds an operation; returns its first result.
  int add(const std::string &id, const std::string &kind, ShardingRule rule,
          std::vector<int> operands, std::vector<Shape> shapes, int64_t flops,
          KernelClass kernelClass) {
    GraphOp op;
    op.id = id;
    op.nodes = {"/" + id};
    op.kind = kind;
    op.rule = std::move(rule);
    op.operands = std::move(operands);
    op.flops = flops;
    op.kernelClass = kernelClass;
    for (Shape &shape : shapes) {
      op.results.push_back(graph.values.size());
      graph.values.push_back({id, std::move(shape), DType::F32, {}});
    }
    graph.ops.push_back(op);
    return op.results[0];
  }

private:
  int source(const std::string &id, OpRole role, Shape shape, DType dtype) {
    RuleBuilder rule({}, {shape.size()});
    for (unsigned d = 0; d < shape.size(); ++d)
      rule.parallel("d" + std::to_string(d), shape[d], {}, {{0, d}});
    int value = add(id, role == OpRole::Input ? "input" : "nn.get_parameter",
                    rule.build(), {}, {shape}, 0, KernelClass::Memory);
    graph.ops.back().role = role;
    graph.values[value].dtype = dtype;
    return value;
  }
};

struct TransformerSize {
  int64_t batch, sequence, hidden, heads, kvHeads, vocabulary;
  int layers;
  bool fused = false; // one projection for query, key and value
};

/// An encoder with post-norm (separate projections) or a decoder with fused
/// ones; enough of BERT and GPT-2 to plan like them.
inline Graph transformer(const TransformerSize &size) {
  GraphMaker g;
  int64_t b = size.batch, s = size.sequence, h = size.hidden;
  int64_t d = h / size.heads;
  int ids = g.input("ids", {b, s}, {"batch", "sequence"}, DType::I64);
  int mask = g.input("mask", {b, 1, 1, s}, {"batch", "", "", "sequence"});
  int table = g.parameter("embeddings", {size.vocabulary, h});
  int positions = g.parameter("positions", {s, h});
  int x = g.gather("embed", table, ids);
  x = g.binary("embed.position", x, positions, true);
  auto norm = [&](const std::string &id, int x) {
    return g.layerNorm(id, x, g.parameter(id + ".scale", {h}),
                       g.parameter(id + ".bias", {h}));
  };
  auto linear = [&](const std::string &id, int x, int64_t n) {
    int y =
        g.matmul(id, x, g.parameter(id + ".weight", {g.shape(x).back(), n}));
    return g.binary(id + ".add", y, g.parameter(id + ".bias", {n}), true);
  };
  x = norm("embed.norm", x);
  for (int layer = 0; layer < size.layers; ++layer) {
    std::string p = "layer" + std::to_string(layer) + ".";
    std::vector<int> qkv;
    int64_t kv = size.kvHeads * d;
    if (size.fused)
      qkv = g.split(p + "split", linear(p + "qkv", x, 3 * h), 3);
    else
      qkv = {linear(p + "q", x, h), linear(p + "k", x, kv),
             linear(p + "v", x, kv)};
    for (int i = 0; i < 3; ++i) {
      std::string id = p + "heads" + std::to_string(i);
      int64_t heads = i ? size.kvHeads : size.heads;
      qkv[i] = g.reshape(id, qkv[i], {b, s, heads, d});
      qkv[i] = g.transpose(id + ".transpose", qkv[i], {0, 2, 1, 3});
    }
    int a = g.attention(p + "attention", qkv[0], qkv[1], qkv[2], mask);
    a = g.transpose(p + "merge.transpose", a, {0, 2, 1, 3});
    a = g.reshape(p + "merge", a, {b, s, h});
    a = linear(p + "out", a, h);
    x = norm(p + "norm1", g.binary(p + "residual1", a, x, true));
    int f = g.unary(p + "gelu", linear(p + "fc1", x, 4 * h));
    f = linear(p + "fc2", f, h);
    x = norm(p + "norm2", g.binary(p + "residual2", f, x, true));
  }
  g.output(x);
  return g.graph;
}

} // namespace partita::test

#endif // PARTITA_TEST_UNIT_PLANNER_GRAPHS_H
