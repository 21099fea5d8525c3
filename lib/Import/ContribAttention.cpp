//===- ContribAttention.cpp - ONNX Runtime's attention operators ----------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Domain com.microsoft: Attention (with the projection of its input inside),
// MultiHeadAttention, GroupQueryAttention (with a cache and rotary embedding
// inside) and RotaryEmbedding. ONNX has no schemas of them, so everything is
// checked here.
//
// Masks of Attention and MultiHeadAttention add mask_filter_value where a key
// is hidden; that is not minus infinity, and a row that is hidden as a whole
// shows it.
//
//===----------------------------------------------------------------------===//

#include "AttentionParts.h"
#include <algorithm>

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

static constexpr const char *domain = "com.microsoft";

/// Zero stands for the default.
static void setScale(NodeImport &n, AttentionBuilder &attention) {
  if (double scale = n.real("scale", 0); scale != 0)
    attention.scale = scale;
}

/// x plus a vector along the last dimension.
static Value addVector(NodeImport &n, Value x, Value vector) {
  if (shapeOf(vector).size() != 1)
    n.invalid("its bias is not a vector");
  return n.binary<AddOp>(x, n.broadcast(vector, shapeOf(x)));
}

//===----------------------------------------------------------------------===//
// Masks
//===----------------------------------------------------------------------===//

/// Numbers: how many keys each of the batch has, and, if there are twice as
/// many, where its first key is.
static Value maskFromLengths(NodeImport &n, Value lengths, int64_t batch,
                             int64_t keys) {
  Type i64 = n.builder.getI64Type();
  int64_t count = shapeOf(lengths)[0];
  if (count != batch && count != 2 * batch)
    n.unsupported("its mask is of sequences packed after each other");
  lengths = n.cast(lengths, i64);
  Shape shape = {batch, 1, 1, keys};
  Value index = n.iota(n.makeType(shape, i64), 3, 0, 1);
  auto bound = [&](int64_t begin) {
    return n.broadcast(n.slice(lengths, 0, begin, batch), shape, {0});
  };
  Value keep = n.compare("lt", index, bound(0));
  if (count == 2 * batch)
    keep = n.binary<AndOp>(keep, n.compare("ge", index, bound(batch)));
  return keep;
}

/// One number for each key, or for each query and key.
static Value maskFromElements(NodeImport &n, Value mask, int64_t queries,
                              int64_t keys) {
  Shape shape = shapeOf(mask);
  if (shape.size() == 2)
    mask = n.reshape(mask, {shape[0], 1, 1, shape[1]});
  else if (shape.size() == 3)
    mask = n.reshape(mask, {shape[0], 1, shape[1], shape[2]});
  else if (shape.size() == 4 && shape[2] >= keys && shape[3] >= keys &&
           queries <= keys)
    // Of the longest sequence: the queries are the last ones of the keys.
    mask = n.slice(n.slice(mask, 2, keys - queries, queries), 3, 0, keys);
  else
    n.invalid("its mask does not fit the queries and keys");
  return n.compare("ne", mask, n.splatLike(mask, 0));
}

/// Adds input i, of which any of the forms above is.
static void addMaskInput(NodeImport &n, size_t i, AttentionBuilder &attention) {
  if (!n.has(i))
    return;
  Value keep = n.rank(i) == 1
                   ? maskFromLengths(n, n.input(i), attention.batch(),
                                     attention.numKeys())
                   : maskFromElements(n, n.input(i), attention.numQueries(),
                                      attention.numKeys());
  RankedTensorType type = n.makeType(shapeOf(keep), n.element(0));
  attention.addMask(
      n.create<SelectOp>(type, keep, n.splat(type, 0),
                         n.splat(type, n.real("mask_filter_value", -10000))));
}

/// What Attention and MultiHeadAttention end with.
static void finishAttention(NodeImport &n, AttentionBuilder &attention,
                            size_t mask, size_t bias) {
  setScale(n, attention);
  addMaskInput(n, mask, attention);
  if (n.has(bias))
    attention.addMask(n.input(bias));
  if (n.integer("unidirectional", 0))
    attention.seesUpTo({attention.numKeys() - attention.numQueries()});
  n.set(0, joinHeads(n, attention.build()));
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

/// The widths of queries, keys and values.
static std::vector<int64_t> projectedSizes(NodeImport &n, int64_t heads) {
  std::vector<int64_t> third(3, n.shape(1)[1] / 3);
  std::vector<int64_t> sizes = n.integers("qkv_hidden_sizes").value_or(third);
  bool fits = sizes.size() == 3 && heads >= 1;
  for (size_t i = 0; fits && i < 3; ++i)
    fits = sizes[i] > 0 && sizes[i] % heads == 0;
  if (!fits)
    n.invalid("its projection does not divide into queries, keys and values "
              "of " +
              std::to_string(heads) + " heads");
  return sizes;
}

/// input, weights, bias, mask, past [2, b, h, p, d], attention bias, length of
/// the past -> output, present.
static void importAttention(NodeImport &n) {
  if (n.integer("do_rotary", 0) || n.integer("past_present_share_buffer", 0))
    n.unsupported("it turns positions or shares the buffer of its cache");
  if (n.rank(0) != 3 || n.rank(1) != 2)
    n.invalid("its input or its weights have a wrong rank");
  Shape x = n.shape(0);
  int64_t heads = n.integer("num_heads", 0);
  Value projected = n.reshape(n.input(0), {x[0] * x[1], x[2]});
  projected = n.matmul(projected, n.input(1));
  projected = n.reshape(projected, {x[0], x[1], n.shape(1)[1]});
  if (n.has(2))
    projected = addVector(n, projected, n.input(2));
  SmallVector<Value> parts = splitLast(n, projected, projectedSizes(n, heads));
  for (Value &part : parts)
    part = splitHeads(n, part, heads);
  if (n.has(4) && (n.rank(4) != 5 || n.shape(4)[0] != 2))
    n.invalid("its earlier keys and values have a wrong shape");
  SmallVector<Value> kept;
  for (int64_t i : {0, 1}) {
    Value &part = parts[i + 1];
    if (n.has(4)) {
      Shape past = n.shape(4);
      past.erase(past.begin());
      Value earlier = n.reshape(n.slice(n.input(4), 0, i, 1), past);
      part = concat(n, {earlier, part}, 2);
    }
    Shape stacked = shapeOf(part);
    stacked.insert(stacked.begin(), 1);
    if (n.wants(1))
      kept.push_back(n.reshape(part, stacked));
  }
  if (n.wants(1))
    n.set(1, concat(n, kept, 0));
  AttentionBuilder attention(n, parts[0], parts[1], parts[2]);
  finishAttention(n, attention, 3, 5);
}

//===----------------------------------------------------------------------===//
// MultiHeadAttention
//===----------------------------------------------------------------------===//

/// Part `part` of a tensor [b, s, heads, parts, d], as [b, s, heads * d].
static Value packedPart(NodeImport &n, size_t i, int64_t part) {
  Shape shape = n.shape(i);
  return n.reshape(n.slice(n.input(i), 3, part, 1),
                   {shape[0], shape[1], shape[2] * shape[4]});
}

/// Queries, keys and values as [b, s, heads * d]; keys and values that come in
/// heads already stay so.
static SmallVector<Value> multiHeadInputs(NodeImport &n) {
  if (n.rank(0) == 5 && n.shape(0)[3] == 3)
    return {packedPart(n, 0, 0), packedPart(n, 0, 1), packedPart(n, 0, 2)};
  if (n.rank(0) != 3 || !n.has(1))
    n.invalid("its queries have a wrong shape, or it has no keys");
  if (n.rank(1) == 5 && n.shape(1)[3] == 2)
    return {n.input(0), packedPart(n, 1, 0), packedPart(n, 1, 1)};
  return {n.input(0), n.input(1), n.input(2)};
}

/// query, key, value, bias, key padding mask, attention bias, past key, past
/// value, length of the past, beams -> output, present key, present value, qk.
static void importMultiHeadAttention(NodeImport &n) {
  for (size_t i : {8, 9})
    if (n.has(i))
      n.unsupported("it shares the buffer of its cache");
  if (n.wants(3))
    n.unsupported("its scores are used");
  int64_t heads = n.integer("num_heads", 0);
  SmallVector<Value> parts = multiHeadInputs(n);
  if (n.has(3)) {
    int64_t begin = 0;
    for (Value &part : parts) {
      int64_t size = shapeOf(part).size() == 4 ? heads * shapeOf(part).back()
                                               : shapeOf(part).back();
      if (n.rank(3) != 1 || n.shape(3)[0] - begin < size)
        n.invalid("its bias does not fit its queries, keys and values");
      // Keys that come in heads are of an encoder, and have their bias already.
      if (shapeOf(part).size() == 3)
        part = addVector(n, part, n.slice(n.input(3), 0, begin, size));
      begin += size;
    }
  }
  for (Value &part : parts)
    if (shapeOf(part).size() != 4)
      part = splitHeads(n, part, heads);
  for (size_t i : {1, 2}) {
    if (n.has(5 + i) && n.rank(5 + i) == 4)
      parts[i] = concat(n, {n.input(5 + i), parts[i]}, 2);
    else if (n.has(5 + i))
      n.invalid("its earlier keys and values have a wrong shape");
    if (n.wants(i))
      n.set(i, parts[i]);
  }
  AttentionBuilder attention(n, parts[0], parts[1], parts[2]);
  finishAttention(n, attention, 4, 5);
}

//===----------------------------------------------------------------------===//
// GroupQueryAttention
//===----------------------------------------------------------------------===//

/// Integers 0 .. size - 1 as tensor [batch, size] after each one's first.
static Value positionsAfter(NodeImport &n, const QueryPosition &first,
                            int64_t batch, int64_t size) {
  Type i64 = n.builder.getI64Type();
  RankedTensorType type = n.makeType({batch, size}, i64);
  Value index = n.iota(type, 1, double(first.known), 1);
  if (!first.perBatch)
    return index;
  Value start = n.cast(first.perBatch, i64);
  return n.binary<AddOp>(index, n.broadcast(start, type.getShape(), {0}));
}

/// The rows of a table [max, r] at the positions of `size` tokens, [b|1, s, r].
static Value anglesAt(NodeImport &n, size_t table, const QueryPosition &first,
                      int64_t batch, int64_t size) {
  if (n.rank(table) != 2)
    n.invalid("its tables of angles have a wrong rank");
  Shape shape = n.shape(table);
  if (first.perBatch)
    return n.create<GatherOp>(n.input(table),
                              positionsAfter(n, first, batch, size),
                              uint64_t(0), Attribute());
  if (first.known < 0 || first.known > shape[0] - size)
    n.invalid("its tables of angles end before its tokens do");
  return n.reshape(n.slice(n.input(table), 0, first.known, size),
                   {1, size, shape[1]});
}

/// A cache [b, g, p, d] up to a position, and the tokens `added` [b, g, s, d]
/// from there on, with room for `capacity` tokens; zeros follow.
static Value writeCache(NodeImport &n, Value cache, Value added,
                        const QueryPosition &first, int64_t capacity) {
  Shape from = shapeOf(added), to = from;
  to[2] = capacity;
  auto padded = [&](Value value) {
    Shape rest = shapeOf(value);
    if (rest.size() != 4 || rest[2] > capacity)
      n.invalid("its earlier keys or values have a wrong shape");
    rest[2] = capacity - rest[2];
    return concat(n, {value, n.splat(n.makeType(rest, n.element(0)), 0)}, 2);
  };
  if (!first.perBatch)
    return padded(added);
  if (!cache || shapeOf(cache = padded(cache)) != to)
    n.invalid("its earlier keys or values are missing or have a wrong shape");
  // Which token goes to which place, as a matrix of zeros and ones.
  Type i64 = n.builder.getI64Type();
  auto start = [&](const Shape &shape) {
    return n.broadcast(n.cast(first.perBatch, i64), shape, {0});
  };
  RankedTensorType grid = n.makeType({to[0], to[1], capacity, from[2]}, i64);
  Value token = n.binary<AddOp>(n.iota(grid, 3, 0, 1), start(grid.getShape()));
  Value lands = n.compare("eq", n.iota(grid, 2, 0, 1), token);
  Value placed = n.matmul(n.cast(lands, n.element(0)), added);
  Value earlier =
      n.compare("lt", n.iota(n.makeType(to, i64), 2, 0, 1), start(to));
  return n.create<SelectOp>(cache.getType(), earlier, cache, placed);
}

namespace {
/// One GroupQueryAttention: query, key, value, past key, past value, lengths of
/// the keys less one, longest length, cosines, sines, positions, attention
/// bias, sinks, two scales, norms of queries and keys -> output, present key,
/// present value.
class GroupQueryAttention {
public:
  explicit GroupQueryAttention(NodeImport &n) : n(n) {}
  void import();

private:
  void refuse();
  void readTokens();
  void normalise(Value &x, size_t scale);
  void turn();
  void setCache();
  Value withSinks(Value out, Value lse);

  NodeImport &n;
  int64_t heads = 0, groups = 0, batch = 0, tokens = 0, total = 0;
  Value query, key, value;
  /// Where the tokens begin.
  QueryPosition first;
  bool prompt = false;
};
} // namespace

void GroupQueryAttention::refuse() {
  for (size_t i : {12, 13})
    if (n.has(i))
      n.unsupported("its cache is quantised");
  for (const char *name : {"k_quant_type", "v_quant_type"})
    if (n.string(name, "NONE") != "NONE")
      n.unsupported("its cache is quantised");
  n.integer("kv_cache_bit_width", 0);
  if (n.integer("sliding_window_cache", 0))
    n.unsupported("its cache holds a window only");
  if (n.wants(3) || n.integer("qk_output", 0))
    n.unsupported("its scores are used");
}

/// Queries, keys and values in heads; they may come as one tensor.
void GroupQueryAttention::readTokens() {
  heads = n.integer("num_heads", 0);
  groups = n.integer("kv_num_heads", 0);
  if (n.rank(0) != 3 || heads < 1 || groups < 1 || heads > (1 << 20) ||
      groups > heads)
    n.invalid("its queries or its numbers of heads are wrong");
  batch = n.shape(0)[0], tokens = n.shape(0)[1];
  if (n.has(1)) {
    query = n.input(0), key = n.input(1), value = n.input(2);
  } else {
    int64_t size = n.shape(0)[2] / (heads + 2 * groups);
    SmallVector<Value> parts =
        splitLast(n, n.input(0), {heads * size, groups * size, groups * size});
    query = parts[0], key = parts[1], value = parts[2];
  }
  query = splitHeads(n, query, heads);
  key = splitHeads(n, key, groups);
  value = splitHeads(n, value, groups);
  total = n.scalarInt(6);
  if (n.rank(5) == 2 && n.shape(5)[1] == 1 ? n.shape(5)[0] != batch
                                           : n.shape(5) != Shape{batch})
    n.invalid("does not have one length for each of the batch");
  prompt = tokens == total;
  if (prompt)
    return;
  Value last = n.reshape(n.input(5), {batch});
  last = n.cast(last, n.builder.getI64Type());
  first.perBatch = n.binary<SubOp>(last, n.splatLike(last, double(tokens - 1)));
}

/// RMS norm of every head.
void GroupQueryAttention::normalise(Value &x, size_t scale) {
  if (n.has(scale))
    x = n.create<RMSNormOp>(
        x.getType(), x, n.input(scale),
        n.builder.getF64FloatAttr(n.real("qk_norm_epsilon", 1e-6f)));
}

void GroupQueryAttention::turn() {
  normalise(query, 14);
  normalise(key, 15);
  bool interleaved = n.integer("rotary_interleaved", 0);
  if (!n.integer("do_rotary", 0))
    return;
  auto angles = [&](size_t i) {
    if (!n.has(9))
      return anglesAt(n, i, first, batch, tokens);
    if (n.rank(i) != 2 || n.shape(9) != Shape{batch, tokens})
      n.invalid("its tables of angles or its positions have a wrong shape");
    return n.create<GatherOp>(n.input(i), n.input(9), uint64_t(0), Attribute());
  };
  Value cos = angles(7), sin = angles(8);
  query = rotate(n, query, cos, sin, interleaved);
  key = rotate(n, key, cos, sin, interleaved);
}

/// The first tokens see each other only; later ones see the cache.
void GroupQueryAttention::setCache() {
  int64_t capacity = total;
  if (n.has(3) && n.rank(3) == 4)
    capacity = std::max(capacity, n.shape(3)[2]);
  auto cached = [&](Value &tokens, size_t past, size_t present) {
    if (prompt && !n.wants(present))
      return;
    Value cache = writeCache(n, n.has(past) ? n.input(past) : Value(), tokens,
                             first, capacity);
    if (n.wants(present))
      n.set(present, cache);
    if (!prompt)
      tokens = n.slice(cache, 2, 0, total);
  };
  if (total < tokens)
    n.invalid("has more tokens than keys");
  cached(key, 3, 1);
  cached(value, 4, 2);
}

/// A sink is one more score of every row, of a value of zeros: it adds to the
/// sum by which the row is divided.
Value GroupQueryAttention::withSinks(Value out, Value lse) {
  Shape rows = shapeOf(lse);
  Value sink = n.has(11)
                   ? n.broadcast(n.cast(n.input(11), n.element(0)), rows, {1})
                   : n.splatLike(lse, 0);
  Value share = n.unary<SigmoidOp>(n.binary<SubOp>(lse, sink));
  return n.binary<MulOp>(out, n.broadcast(share, shapeOf(out), {0, 1, 2}));
}

void GroupQueryAttention::import() {
  refuse();
  readTokens();
  turn();
  setCache();
  AttentionBuilder attention(n, query, key, value);
  setScale(n, attention);
  attention.softcap = n.real("softcap", 0);
  int64_t window = n.integer("local_window_size", -1);
  if (n.integer("causal", 1)) {
    attention.seesUpTo(first);
    if (window > 0 && window < total)
      attention.seesBack(first, window - 1);
  } else {
    Value last = n.reshape(n.input(5), {batch});
    attention.keysBelow(n.binary<AddOp>(last, n.splatLike(last, 1)));
  }
  if (n.has(10))
    attention.addMask(n.input(10));
  Value lse, out = attention.build(&lse);
  if (n.has(11) && n.shape(11) != Shape{heads})
    n.invalid("does not have one sink for each head");
  if (n.has(11) || n.integer("smooth_softmax", 0) == 1)
    out = withSinks(out, lse);
  n.set(0, joinHeads(n, out));
}

//===----------------------------------------------------------------------===//
// RotaryEmbedding
//===----------------------------------------------------------------------===//

/// input, positions [1] (of the first token) or [b, s], cosines, sines.
static void importRope(NodeImport &n) {
  if (n.integer("is_packed_batching", 0) || n.real("scale", 1) != 1)
    n.unsupported("it scales, or its sequences are packed after each other");
  if (n.rank(2) != 2 || n.rank(3) != 2)
    n.invalid("its tables of angles have a wrong rank");
  bool flat = n.rank(0) == 3;
  Value x = n.input(0);
  if (flat) {
    int64_t heads = n.integer("num_heads", 0), turning = 2 * n.shape(2)[1];
    if (heads == 0 && turning > 0)
      heads = n.shape(0)[2] / turning;
    x = splitHeads(n, x, heads);
  }
  n.integer("rotary_embedding_dim", 0);
  Shape shape = shapeOf(x);
  if (shape.size() != 4)
    n.invalid("its input has a wrong rank");
  auto angles = [&](size_t table) {
    Value where = n.input(1);
    if (n.shape(1) == Shape{1})
      where = positionsAfter(n, {0, where}, 1, shape[2]);
    else if (n.rank(1) != 2)
      n.invalid("its positions have a wrong rank");
    return n.create<GatherOp>(n.input(table), where, uint64_t(0), Attribute());
  };
  Value cos = angles(2), sin = angles(3);
  Value turned = rotate(n, x, cos, sin, n.integer("interleaved", 0) != 0);
  n.set(0, flat ? joinHeads(n, turned) : turned);
}

void importer::addContribAttention(ImportTable &table) {
  table.add("Attention", 1, importAttention, domain);
  table.add("MultiHeadAttention", 1, importMultiHeadAttention, domain);
  table.add(
      "GroupQueryAttention", 1,
      [](NodeImport &n) { GroupQueryAttention(n).import(); }, domain);
  table.add("RotaryEmbedding", 1, importRope, domain);
}
