//===- Contrib.cpp - ONNX Runtime's fused operators -----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Domain com.microsoft: what its optimiser makes of a few operators of ONNX, as
// those operators again, and products with weights of few bits. ONNX has no
// schemas of them, so everything is checked here. Norms are in Norm.cpp,
// attention in ContribAttention.cpp.
//
//===----------------------------------------------------------------------===//

#include "Linear.h"
#include "Narrow.h"

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

static constexpr const char *domain = "com.microsoft";

//===----------------------------------------------------------------------===//
// Activations
//===----------------------------------------------------------------------===//

/// gelu(x + bias), the bias optional.
static ImportFunction biasGelu(bool tanh) {
  return [tanh](NodeImport &n) {
    Value x = n.input(0);
    if (n.has(1))
      x = n.binary<AddOp>(x, n.inputAs(1, n.shape(0)));
    n.set(0, n.create<GeluOp>(x.getType(), x, tanh));
  };
}

static void importQuickGelu(NodeImport &n) {
  Value x = n.input(0);
  double alpha = n.real("alpha", 1.702f);
  Value gate = n.unary<SigmoidOp>(n.binary<MulOp>(x, n.splatLike(x, alpha)));
  n.set(0, n.binary<MulOp>(x, gate));
}

static void importBiasAdd(NodeImport &n) {
  Value sum = n.binary<AddOp>(n.input(0), n.inputAs(1, n.shape(0)));
  n.set(0, n.binary<AddOp>(sum, n.inputAs(2, n.shape(0))));
}

//===----------------------------------------------------------------------===//
// Embeddings
//===----------------------------------------------------------------------===//

static Value lookUp(NodeImport &n, size_t table, size_t indices) {
  if (n.rank(table) != 2 || n.rank(indices) != 2)
    n.invalid("one of its tables or indices has a wrong rank");
  return n.create<GatherOp>(n.input(table), n.input(indices), uint64_t(0),
                            Attribute());
}

/// Positions 0, 1, ... if they are not given.
static Value positionEmbedding(NodeImport &n) {
  if (n.has(8))
    return lookUp(n, 3, 8);
  Shape table = n.rank(3) == 2 ? n.shape(3) : Shape{0, 0};
  int64_t sequence = n.shape(0)[1];
  if (table[0] < sequence)
    n.invalid("its table of positions ends before its tokens do");
  return n.reshape(n.slice(n.input(3), 0, 0, sequence),
                   {1, sequence, table[1]});
}

/// words, segments, three tables, scale, bias, mask, positions -> norm of the
/// sum, tokens of each row, sum.
static void importEmbedLayerNorm(NodeImport &n) {
  if (n.rank(0) != 2)
    n.invalid("its words have a wrong rank");
  Value sum = lookUp(n, 2, 0);
  Shape shape = shapeOf(sum);
  sum = n.binary<AddOp>(sum, n.broadcast(positionEmbedding(n), shape));
  if (n.has(1))
    sum = n.binary<AddOp>(sum, n.broadcast(lookUp(n, 4, 1), shape));
  n.set(0, n.create<LayerNormOp>(
               sum.getType(), sum, n.input(5), n.input(6),
               n.builder.getF64FloatAttr(n.real("epsilon", 1e-12f))));
  n.integer("mask_index_type", 0);
  if (n.wants(1)) {
    Type i32 = n.builder.getI32Type();
    n.set(1, n.has(7) ? n.reduce("sum", n.cast(n.input(7), i32), {1}, false)
                      : n.splat(n.makeType({shape[0]}, i32), 0));
  } else if (n.numOutputs() > 1) {
    n.set(1, Imported());
  }
  if (n.wants(2))
    n.set(2, sum);
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

static void importFusedMatMul(NodeImport &n) {
  if (n.integer("transBatchA", 0) || n.integer("transBatchB", 0))
    n.unsupported("it moves its batch dimensions");
  auto operand = [&](size_t i, const char *transposed) {
    Value value = n.input(i);
    int64_t rank = n.rank(i);
    if (!n.integer(transposed, 0) || rank < 2)
      return value;
    std::vector<int64_t> permutation;
    for (int64_t d = 0; d < rank; ++d)
      permutation.push_back(d);
    std::swap(permutation[rank - 1], permutation[rank - 2]);
    return n.transpose(value, permutation);
  };
  Value a = operand(0, "transA"), b = operand(1, "transB");
  Value result = numpyMatMul(n, a, b);
  if (double alpha = n.real("alpha", 1); alpha != 1)
    result = n.binary<MulOp>(result, n.splatLike(result, alpha));
  n.set(0, result);
}

/// A B with B [n, blocks, bytes] of numbers of few bits: (number - zero) scale,
/// zero and scale by block. It depends on weights only, so it is unpacked once,
/// when they are loaded.
static void importMatMulNBits(NodeImport &n) {
  int64_t k = n.integer("K", 0), columns = n.integer("N", 0);
  int64_t bits = n.integer("bits", 4), block = n.integer("block_size", 0);
  n.integer("accuracy_level", 0);
  if (n.has(4) || n.integer("weight_prepacked", 0))
    n.unsupported("its blocks are reordered or packed for one device");
  if (bits != 2 && bits != 4 && bits != 8)
    n.unsupported("its numbers have " + std::to_string(bits) + " bits");
  if (k < 1 || columns < 1 || block < 16 || block > 65536 || k > (1 << 30))
    n.invalid("its sizes make no sense");
  int64_t blocks = (k + block - 1) / block;
  Type element = n.element(0);
  Value weight = n.reshape(n.input(1), {columns, blocks, block * bits / 8});
  Shape shape = {columns, blocks, block};
  weight = n.cast(unpackBits(n, weight, bits), element);
  auto byBlock = [&](Value value) {
    value = n.reshape(value, {columns, blocks});
    return n.broadcast(n.cast(value, element), shape, {0, 1});
  };
  Value zero = n.splatLike(weight, double(1 << (bits - 1)));
  if (n.has(3) && n.element(3).isUnsignedInteger(8)) {
    int64_t bytes = (blocks * bits + 7) / 8;
    Value packed = unpackBits(n, n.reshape(n.input(3), {columns, bytes}), bits);
    zero = byBlock(n.slice(packed, 1, 0, blocks));
  } else if (n.has(3)) {
    zero = byBlock(n.input(3));
  }
  weight = n.binary<MulOp>(n.binary<SubOp>(weight, zero), byBlock(n.input(2)));
  weight = n.slice(n.reshape(weight, {columns, blocks * block}), 1, 0, k);
  Value result = numpyMatMul(n, n.input(0), n.transpose(weight, {1, 0}));
  if (n.has(5))
    result = n.binary<AddOp>(result, n.inputAs(5, shapeOf(result)));
  n.set(0, result);
}

void importer::addContrib(ImportTable &table) {
  table.add("BiasGelu", 1, biasGelu(/*tanh=*/false), domain);
  table.add("FastGelu", 1, biasGelu(/*tanh=*/true), domain);
  table.add("QuickGelu", 1, importQuickGelu, domain);
  table.add("BiasAdd", 1, importBiasAdd, domain);
  table.add("EmbedLayerNormalization", 1, importEmbedLayerNorm, domain);
  table.add("FusedMatMul", 1, importFusedMatMul, domain);
  table.add("TransposeMatMul", 1, importFusedMatMul, domain);
  table.add("MatMulNBits", 1, importMatMulNBits, domain);
}
