//===- Attention.cpp - Import of attention and rotary embedding -----------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "NodeImport.h"
#include <cmath>

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

/// [b, s, heads * d] -> [b, heads, s, d]; rank 4 is that already.
static Value splitHeads(NodeImport &n, size_t i, const char *attribute) {
  Shape shape = n.shape(i);
  if (shape.size() == 4)
    return n.input(i);
  int64_t heads = n.integer(attribute, 0);
  if (shape.size() != 3 || heads < 1 || shape[2] % heads != 0)
    n.invalid("input " + std::to_string(i) + " cannot be cut into " +
              std::to_string(heads) + " heads");
  Value value =
      n.reshape(n.input(i), {shape[0], shape[1], heads, shape[2] / heads});
  return n.transpose(value, {0, 2, 1, 3});
}

static Value joinHeads(NodeImport &n, Value value) {
  Shape shape = shapeOf(value);
  return n.reshape(n.transpose(value, {0, 2, 1, 3}),
                   {shape[0], shape[2], shape[1] * shape[3]});
}

/// The mask with rank 4; ONNX lets it have fewer keys than there are.
static Value attentionMask(NodeImport &n, int64_t keys) {
  Shape shape = n.shape(3);
  if (shape.size() < 2 || shape.size() > 4)
    n.unsupported("its mask has rank " + std::to_string(shape.size()));
  shape.insert(shape.begin(), 4 - shape.size(), 1);
  if (shape[3] != keys && shape[3] != 1)
    n.unsupported("its mask covers only some of the keys");
  Value mask = n.reshape(n.input(3), shape);
  shape[3] = keys;
  return n.broadcast(mask, shape);
}

/// ONNX's causal mask aligns the first query with the first key, that of
/// nn.attention the last with the last: they differ where there are more keys.
static Value causalMask(NodeImport &n, Value mask, int64_t queries,
                        int64_t keys) {
  Type i64 = n.builder.getI64Type();
  RankedTensorType type = n.makeType({1, 1, queries, keys}, i64);
  Value sees = n.compare("ge", n.iota(type, 2, 0, 1), n.iota(type, 3, 0, 1));
  if (!mask)
    return sees;
  Shape shape = shapeOf(mask);
  shape[2] = queries;
  mask = n.broadcast(mask, shape);
  sees = n.broadcast(sees, shape);
  if (getElementTypeOrSelf(mask).isInteger(1))
    return n.binary<AndOp>(mask, sees);
  Value never = n.splatLike(mask, -std::numeric_limits<double>::infinity());
  return n.create<SelectOp>(mask.getType(), sees, mask, never);
}

static void importAttention(NodeImport &n) {
  for (size_t i = 4; i < n.numInputs(); ++i)
    if (n.has(i))
      n.unsupported("it has a cache of keys and values");
  for (size_t i = 1; i < n.numOutputs(); ++i)
    if (n.wants(i))
      n.unsupported("its keys, values or scores are used");
  if (n.real("softcap", 0) != 0)
    n.unsupported("it has a softcap");
  bool flat = n.rank(0) == 3;
  Value q = splitHeads(n, 0, "q_num_heads");
  Value k = splitHeads(n, 1, "kv_num_heads");
  Value v = splitHeads(n, 2, "kv_num_heads");
  Shape qs = shapeOf(q), ks = shapeOf(k), vs = shapeOf(v);
  if (qs[0] != ks[0] || qs[0] != vs[0] || ks[1] != vs[1] || ks[2] != vs[2] ||
      qs[3] != ks[3] || ks[1] == 0 || qs[1] % ks[1] != 0)
    n.invalid("its queries, keys and values do not fit together");
  Value mask = n.has(3) ? attentionMask(n, ks[2]) : Value();
  bool causal = n.integer("is_causal", 0);
  if (causal && qs[2] != ks[2]) {
    mask = causalMask(n, mask, qs[2], ks[2]);
    causal = false;
  }
  if (mask)
    for (int d = 0; d < 3; ++d)
      if (int64_t size = shapeOf(mask)[d]; size != 1 && size != qs[d])
        n.invalid("its mask does not fit");
  double scale = n.real("scale", 1.0 / std::sqrt(double(qs[3])));
  Value out = n.create<AttentionOp>(q, k, v, mask, APFloat(scale), causal,
                                    Attribute(), Attribute());
  n.set(0, flat ? joinHeads(n, out) : out);
}

/// The rows of a table of angles: [max, d/2] looked up at the positions, or
/// [b, s, d/2] as they are.
static Value angles(NodeImport &n, size_t i) {
  if (!n.has(3)) {
    if (n.rank(i) != 3)
      n.invalid("its tables have rank " + std::to_string(n.rank(i)));
    return n.input(i);
  }
  if (n.rank(i) != 2 || n.rank(3) != 2)
    n.invalid("its tables or positions have a wrong rank");
  return n.create<GatherOp>(n.input(i), n.input(3), uint64_t(0), Attribute());
}

/// With rotary_embedding_dim only the first elements of a head turn.
static void importRope(NodeImport &n) {
  bool flat = n.rank(0) == 3;
  Value x = splitHeads(n, 0, "num_heads");
  Shape shape = shapeOf(x);
  Value cos = angles(n, 1), sin = angles(n, 2);
  int64_t turning = n.integer("rotary_embedding_dim", 0);
  if (turning == 0)
    turning = shape[3];
  Shape table = shapeOf(cos);
  if (turning < 2 || turning > shape[3] || table != shapeOf(sin) ||
      2 * table[2] != turning || table[1] != shape[2] ||
      (table[0] != 1 && table[0] != shape[0]))
    n.invalid("its tables do not fit its input");
  Value part = n.slice(x, 3, 0, turning);
  Value turned =
      n.create<RopeOp>(part, cos, sin, n.integer("interleaved", 0) != 0);
  if (turning < shape[3]) {
    Value rest = n.slice(x, 3, turning, shape[3] - turning);
    turned = n.create<ConcatOp>(x.getType(), ValueRange{turned, rest}, 3);
  }
  n.set(0, flat ? joinHeads(n, turned) : turned);
}

void importer::addAttention(ImportTable &table) {
  table.add("Attention", 23, importAttention);
  table.add("RotaryEmbedding", 23, importRope);
}
