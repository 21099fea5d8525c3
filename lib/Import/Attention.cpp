//===- Attention.cpp - Import of attention and rotary embedding -----------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The operators of ai.onnx. What is not handled here (scores as an output) has
// a body in ONNX, which is imported instead.
//
//===----------------------------------------------------------------------===//

#include "AttentionParts.h"

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

/// Input i in heads: rank 3 is cut, rank 4 is that already.
static Value headsOf(NodeImport &n, size_t i, const char *attribute) {
  if (n.rank(i) == 4)
    return n.input(i);
  return splitHeads(n, n.input(i), n.integer(attribute, 0));
}

/// The mask with rank 4; ONNX lets it have fewer keys than there are.
static Value maskInput(NodeImport &n, int64_t keys) {
  Shape shape = n.shape(3);
  if (shape.size() < 2 || shape.size() > 4)
    n.unsupported("its mask has rank " + std::to_string(shape.size()));
  shape.insert(shape.begin(), 4 - shape.size(), 1);
  if (shape[3] != keys && shape[3] != 1)
    n.unsupported("its mask covers only some of the keys");
  return n.reshape(n.input(3), shape);
}

/// Adds the keys or values of earlier steps, and sets the output that keeps
/// both.
static Value withPast(NodeImport &n, Value value, size_t past, size_t present) {
  if (n.has(past)) {
    if (n.rank(past) != 4)
      n.invalid("its earlier keys or values do not have rank 4");
    value = concat(n, {n.input(past), value}, 2);
  }
  if (n.wants(present))
    n.set(present, value);
  return value;
}

static void importAttention(NodeImport &n) {
  if (n.wants(3))
    n.unsupported("its scores are used");
  if (n.has(6) && n.has(4))
    n.invalid("has lengths of keys besides earlier keys");
  bool flat = n.rank(0) == 3;
  Value q = headsOf(n, 0, "q_num_heads"), k = headsOf(n, 1, "kv_num_heads"),
        v = headsOf(n, 2, "kv_num_heads");
  int64_t past = n.has(4) && n.rank(4) == 4 ? n.shape(4)[2] : 0;
  k = withPast(n, k, 4, 1);
  v = withPast(n, v, 5, 2);
  AttentionBuilder attention(n, q, k, v);
  attention.scale = n.real("scale", attention.scale);
  attention.softcap = n.real("softcap", 0);
  if (n.has(3))
    attention.addMask(maskInput(n, attention.numKeys()));
  QueryPosition first{past};
  if (n.has(6)) {
    attention.keysBelow(n.input(6));
    first = QueryPosition::lastOf(n, n.input(6), attention.numQueries());
  }
  if (n.integer("is_causal", 0))
    attention.seesUpTo(first);
  if (int64_t left = n.integer("left_window_size", -1); left >= 0)
    attention.seesBack(first, left);
  if (int64_t right = n.integer("right_window_size", -1); right >= 0)
    attention.seesUpTo(first, right);
  Value out = attention.build();
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

static void importRope(NodeImport &n) {
  bool flat = n.rank(0) == 3;
  Value x = headsOf(n, 0, "num_heads");
  Value cos = angles(n, 1), sin = angles(n, 2);
  int64_t turning = n.integer("rotary_embedding_dim", 0);
  if (turning == 0)
    turning = shapeOf(x).back();
  if (turning % 2 != 0 || shapeOf(cos).back() != turning / 2)
    n.invalid("its tables do not have one angle for two elements");
  Value turned = rotate(n, x, cos, sin, n.integer("interleaved", 0) != 0);
  n.set(0, flat ? joinHeads(n, turned) : turned);
}

void importer::addAttention(ImportTable &table) {
  table.add("Attention", 23, importAttention);
  table.add("RotaryEmbedding", 23, importRope);
}
