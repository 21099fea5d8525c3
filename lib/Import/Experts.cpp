//===- Experts.cpp - Import of mixtures of experts ------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A mixture sends each token to k of its experts. Which ones depends on data,
// and shapes here are static, so every expert sees every token and those that
// it was not chosen for count nothing:
//
//   gate [t, e]       the weight of each chosen expert, zero of the others
//   hidden [t, e, i]  act(x W1[e]) * gate
//   result [t, h]     one product that sums over (e, i)
//
// Experts are a factor of the columns of the first product and of the summed
// dimension of the second. An axis that splits it is expert parallelism: each
// rank has some experts, tokens are on all ranks, and results are summed. It
// costs e / k times the arithmetic of sending tokens to their experts.
//
//===----------------------------------------------------------------------===//

#include "NodeImport.h"
#include <limits>

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

/// The weights of the k experts with the highest scores. An expert is chosen if
/// fewer than k are before it: counting needs no sort, and experts stay
/// independent of each other.
static Value chooseExperts(NodeImport &n, Value scores, int64_t k,
                           bool normalise) {
  Shape shape = shapeOf(scores), pairs = {shape[0], shape[1], shape[1]};
  if (k < 1 || k > shape[1])
    n.invalid("chooses " + std::to_string(k) + " of " +
              std::to_string(shape[1]) + " experts");
  Value own = n.broadcast(scores, pairs, {0, 1});
  Value other = n.broadcast(scores, pairs, {0, 2});
  RankedTensorType index = n.makeType(pairs, n.builder.getI64Type());
  Value earlier =
      n.compare("lt", n.iota(index, 2, 0, 1), n.iota(index, 1, 0, 1));
  Value before =
      n.binary<OrOp>(n.compare("gt", other, own),
                     n.binary<AndOp>(n.compare("eq", other, own), earlier));
  Value rank =
      n.reduce("sum", n.cast(before, n.builder.getI64Type()), {2}, false);
  Value chosen = n.compare("lt", rank, n.splatLike(rank, double(k)));
  // Of the chosen ones alone it is their softmax as well.
  if (normalise)
    scores = n.create<SelectOp>(
        scores.getType(), chosen, scores,
        n.splatLike(scores, -std::numeric_limits<double>::infinity()));
  Value weights = n.create<SoftmaxOp>(scores.getType(), scores, uint64_t(1));
  return n.create<SelectOp>(weights.getType(), chosen, weights,
                            n.splatLike(weights, 0));
}

namespace {
/// One MoE of com.microsoft: tokens, scores, weights and biases of the first,
/// second and third product.
class Mixture {
public:
  explicit Mixture(NodeImport &n) : n(n) {}
  void import();

private:
  Value product(Value x, size_t weights, size_t bias);
  Value activated(Value x);
  Value gatedUnit(Value x);
  Value half(Value x, int64_t which, int64_t fusion);

  NodeImport &n;
  int64_t tokens = 0, width = 0, experts = 0, inner = 0;
};
} // namespace

/// x W[e] + b[e] for all experts: [t, e, rows of W[e]].
Value Mixture::product(Value x, size_t weights, size_t bias) {
  if (n.rank(weights) != 3 || n.shape(weights)[0] != experts ||
      n.shape(weights)[2] != width)
    n.invalid("the weights of its experts do not fit its tokens");
  int64_t rows = n.shape(weights)[1];
  Value matrix = n.reshape(n.input(weights), {experts * rows, width});
  Value result = n.matmul(x, n.transpose(matrix, {1, 0}));
  result = n.reshape(result, {tokens, experts, rows});
  if (n.has(bias))
    result = n.binary<AddOp>(result, n.inputAs(bias, shapeOf(result)));
  return result;
}

/// One of two tensors that are interleaved (fusion 1) or follow each other (2).
Value Mixture::half(Value x, int64_t which, int64_t fusion) {
  Shape shape = {tokens, experts, inner, inner};
  int64_t axis = fusion == 1 ? 3 : 2;
  shape[axis] = 2;
  return n.reshape(n.slice(n.reshape(x, shape), axis, which, 1),
                   {tokens, experts, inner});
}

/// g sigmoid(alpha g) (l + beta), g and l at most `limit`.
Value Mixture::gatedUnit(Value x) {
  Value first = product(x, 2, 3), g = first, l;
  int64_t fusion = n.integer("swiglu_fusion", 0);
  if (fusion == 0) {
    l = product(x, 6, 7);
  } else {
    g = half(first, 0, fusion);
    l = half(first, 1, fusion);
  }
  if (const auto *limit = n.attribute("swiglu_limit"); limit) {
    double most = n.real("swiglu_limit", 0);
    g = n.binary<MinOp>(g, n.splatLike(g, most));
    l = n.binary<MaxOp>(n.binary<MinOp>(l, n.splatLike(l, most)),
                        n.splatLike(l, -most));
  }
  Value gate = g;
  if (double alpha = n.real("activation_alpha", 1); alpha != 1)
    gate = n.binary<MulOp>(g, n.splatLike(g, alpha));
  if (double beta = n.real("activation_beta", 0); beta != 0)
    l = n.binary<AddOp>(l, n.splatLike(l, beta));
  g = gate == g ? n.unary<SiluOp>(g)
                : n.binary<MulOp>(g, n.unary<SigmoidOp>(gate));
  return n.binary<MulOp>(g, l);
}

Value Mixture::activated(Value x) {
  std::string kind = n.string("activation_type", "relu");
  if (kind == "swiglu")
    return gatedUnit(x);
  Value hidden = product(x, 2, 3);
  if (kind == "relu")
    hidden = n.unary<ReluOp>(hidden);
  else if (kind == "silu")
    hidden = n.unary<SiluOp>(hidden);
  else if (kind == "gelu")
    hidden = n.create<GeluOp>(hidden.getType(), hidden, /*tanh=*/true);
  else if (kind != "identity")
    n.unsupported("its activation is " + kind);
  if (n.has(6))
    hidden = n.binary<MulOp>(hidden, product(x, 6, 7));
  return hidden;
}

void Mixture::import() {
  if (n.integer("use_sparse_mixer", 0))
    n.unsupported("it mixes sparsely");
  Shape shape = n.shape(0), fc2 = n.shape(4);
  if (shape.empty() || n.rank(1) != 2 || fc2.size() != 3)
    n.invalid("its tokens, its scores or its weights have a wrong rank");
  tokens = n.shape(1)[0], experts = n.shape(1)[1], width = shape.back();
  inner = fc2[2];
  if (fc2[0] != experts || fc2[1] != width)
    n.invalid("the weights of its experts do not fit its tokens");
  Value x = n.reshape(n.input(0), {tokens, width});
  Value gates = chooseExperts(n, n.input(1), n.integer("k", 1),
                              n.integer("normalize_routing_weights", 0));
  Value hidden = activated(x);
  if (shapeOf(hidden) != Shape{tokens, experts, inner})
    n.invalid("the weights of its experts do not fit each other");
  hidden = n.binary<MulOp>(hidden, n.broadcast(gates, shapeOf(hidden), {0, 1}));
  Value matrix =
      n.reshape(n.transpose(n.input(4), {0, 2, 1}), {experts * inner, width});
  Value result = n.matmul(n.reshape(hidden, {tokens, experts * inner}), matrix);
  if (n.has(5))
    result = n.binary<AddOp>(result, n.matmul(gates, n.input(5)));
  n.set(0, n.reshape(result, shape));
}

void importer::addExperts(ImportTable &table) {
  table.add(
      "MoE", 1, [](NodeImport &n) { Mixture(n).import(); }, "com.microsoft");
}
