//===- AttentionParts.cpp - What attention operators share ----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Masks stay as small as they are: a dimension of size one is repeated only
// where two masks meet. Causality of a known position is a property of
// nn.attention and needs no mask.
//
//===----------------------------------------------------------------------===//

#include "AttentionParts.h"
#include <cmath>
#include <limits>

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

Value importer::splitHeads(NodeImport &n, Value value, int64_t heads) {
  Shape shape = shapeOf(value);
  if (shape.size() != 3 || heads < 1 || shape[2] % heads != 0)
    n.invalid("one of its inputs cannot be cut into " + std::to_string(heads) +
              " heads");
  value = n.reshape(value, {shape[0], shape[1], heads, shape[2] / heads});
  return n.transpose(value, {0, 2, 1, 3});
}

Value importer::joinHeads(NodeImport &n, Value value) {
  Shape shape = shapeOf(value);
  return n.reshape(n.transpose(value, {0, 2, 1, 3}),
                   {shape[0], shape[2], shape[1] * shape[3]});
}

Value importer::concat(NodeImport &n, ArrayRef<Value> values, int64_t axis) {
  Shape shape = shapeOf(values.front());
  Type element = getElementTypeOrSelf(values.front());
  shape[axis] = 0;
  SmallVector<Value> parts;
  for (Value value : values) {
    Shape part = shapeOf(value);
    int64_t size = part.size() == shape.size() ? part[axis] : 0;
    if (__builtin_add_overflow(shape[axis], size, &shape[axis]))
      n.invalid("its result is too large");
    part.resize(shape.size());
    part[axis] = shape[axis];
    if (part != shape || getElementTypeOrSelf(value) != element)
      n.invalid("its earlier and its new keys or values do not fit together");
    if (size != 0)
      parts.push_back(value);
  }
  if (parts.empty())
    return values.front();
  if (parts.size() == 1)
    return parts.front();
  return n.create<ConcatOp>(n.makeType(shape, element), parts, axis);
}

SmallVector<Value> importer::splitLast(NodeImport &n, Value value,
                                       ArrayRef<int64_t> sizes) {
  Shape shape = shapeOf(value);
  int64_t rest = shape.back();
  SmallVector<Type> types;
  for (int64_t size : sizes) {
    if (size < 1 || size > rest)
      n.invalid("its queries, keys and values do not make up its input");
    rest -= size;
    shape.back() = size;
    types.push_back(n.makeType(shape, getElementTypeOrSelf(value)));
  }
  if (rest != 0)
    n.invalid("its queries, keys and values do not make up its input");
  auto split = n.createOp<SplitOp>(types, value, int64_t(shape.size()) - 1);
  return llvm::to_vector_of<Value>(split.getResults());
}

Value importer::rotate(NodeImport &n, Value x, Value cos, Value sin,
                       bool interleaved) {
  Shape shape = shapeOf(x), table = shapeOf(cos);
  if (shape.size() != 4 || table.size() != 3 || table != shapeOf(sin) ||
      table[2] < 1 || table[2] > shape[3] / 2 || table[1] != shape[2] ||
      (table[0] != 1 && table[0] != shape[0]))
    n.invalid("its tables of angles do not fit its input");
  int64_t turning = 2 * table[2];
  Value turned =
      n.create<RopeOp>(n.slice(x, 3, 0, turning), cos, sin, interleaved);
  return concat(n, {turned, n.slice(x, 3, turning, shape[3] - turning)}, 3);
}

QueryPosition QueryPosition::lastOf(NodeImport &n, Value lengths,
                                    int64_t queries) {
  lengths = n.cast(lengths, n.builder.getI64Type());
  return {0, n.binary<SubOp>(lengths, n.splatLike(lengths, double(queries)))};
}

//===----------------------------------------------------------------------===//
// AttentionBuilder
//===----------------------------------------------------------------------===//

AttentionBuilder::AttentionBuilder(NodeImport &n, Value query, Value key,
                                   Value value)
    : n(n), query(query), key(key), value(value), queries(shapeOf(query)),
      keys(shapeOf(key)) {
  Shape v = shapeOf(value);
  const Shape &q = queries, &k = keys;
  if (q.size() != 4 || k.size() != 4 || v.size() != 4 || q[0] != k[0] ||
      q[0] != v[0] || k[1] != v[1] || k[2] != v[2] || q[3] != k[3] ||
      k[1] == 0 || q[1] % k[1] != 0)
    n.invalid("its queries, keys and values do not fit together");
  scale = 1.0 / std::sqrt(double(q[3]));
}

void AttentionBuilder::addMask(Value added) {
  Shape shape = shapeOf(added),
        most = {queries[0], queries[1], queries[2], keys[2]};
  bool fits = shape.size() == 4;
  for (size_t d = 0; fits && d < 4; ++d)
    fits = shape[d] == 1 || shape[d] == most[d];
  if (!fits)
    n.invalid("its mask does not fit the queries and keys");
  bool boolean = getElementTypeOrSelf(added).isInteger(1);
  if (!boolean)
    added = n.cast(added, getElementTypeOrSelf(query));
  if (!mask) {
    mask = added;
    return;
  }
  for (size_t d = 0; d < 4; ++d)
    shape[d] = std::max(shape[d], shapeOf(mask)[d]);
  Value a = n.broadcast(mask, shape), b = n.broadcast(added, shape);
  if (getElementTypeOrSelf(a).isInteger(1))
    std::swap(a, b);
  if (getElementTypeOrSelf(a).isInteger(1)) {
    mask = n.binary<AndOp>(a, b);
  } else if (boolean || getElementTypeOrSelf(b).isInteger(1)) {
    Value never = n.splatLike(a, -std::numeric_limits<double>::infinity());
    mask = n.create<SelectOp>(a.getType(), b, a, never);
  } else {
    mask = n.binary<AddOp>(a, b);
  }
}

Value AttentionBuilder::positions(int64_t axis, const QueryPosition &first,
                                  int64_t offset) {
  Type i64 = n.builder.getI64Type();
  Shape shape = {first.perBatch ? queries[0] : 1, 1, queries[2], keys[2]};
  Value index =
      n.iota(n.makeType(shape, i64), axis, double(first.known + offset), 1);
  if (!first.perBatch)
    return index;
  Value start = n.cast(first.perBatch, i64);
  return n.binary<AddOp>(index, n.broadcast(start, shape, {0}));
}

void AttentionBuilder::compareWithKeys(const char *predicate,
                                       const QueryPosition &first,
                                       int64_t offset) {
  Value own = positions(2, first, offset);
  Value other = n.iota(cast<RankedTensorType>(own.getType()), 3, 0, 1);
  addMask(n.compare(predicate, other, own));
}

void AttentionBuilder::seesUpTo(const QueryPosition &first, int64_t right) {
  if (!first.perBatch && right == 0 && first.known == keys[2] - queries[2])
    causal = true;
  else
    compareWithKeys("le", first, right);
}

void AttentionBuilder::seesBack(const QueryPosition &first, int64_t left) {
  compareWithKeys("ge", first, -left);
}

void AttentionBuilder::keysBelow(Value lengths) {
  Shape shape = {queries[0], 1, 1, keys[2]};
  if (shapeOf(lengths) != Shape{queries[0]})
    n.invalid("does not have one length for each of the batch");
  Type i64 = n.builder.getI64Type();
  Value own = n.iota(n.makeType(shape, i64), 3, 0, 1);
  addMask(n.compare("lt", own, n.broadcast(n.cast(lengths, i64), shape, {0})));
}

Value AttentionBuilder::build(Value *lse) {
  if (mask) {
    Shape shape = shapeOf(mask);
    shape[3] = keys[2];
    mask = n.broadcast(mask, shape);
  }
  FloatAttr cap;
  if (softcap != 0)
    cap = n.builder.getF64FloatAttr(softcap);
  auto op = n.createOp<AttentionOp>(query, key, value, mask, APFloat(scale),
                                    causal, Attribute(), Attribute(), cap);
  if (lse)
    *lse = op.getLse();
  return op.getOut();
}
