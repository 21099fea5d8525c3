//===- Text.cpp - Import of operators on tokens ---------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/nn/Text.h"
#include "NodeImport.h"
#include <map>

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

//===----------------------------------------------------------------------===//
// TfIdfVectorizer
//===----------------------------------------------------------------------===//

namespace {
/// The n-grams that are counted.
struct Vocabulary {
  std::vector<int64_t> grams, sizes, columns;
  /// Columns of the result.
  int64_t width = 0;
};
} // namespace

static std::vector<int64_t> listOf(NodeImport &n, const char *name) {
  return n.integers(name).value_or(std::vector<int64_t>());
}

/// The pool holds all n-grams of one token, then all of two, and so on;
/// ngram_counts says where each of these begins, ngram_indexes gives the n-gram
/// its column. Those shorter or longer than asked for are not counted.
static Vocabulary vocabularyOf(NodeImport &n) {
  std::vector<int64_t> pool = listOf(n, "pool_int64s"),
                       begins = listOf(n, "ngram_counts"),
                       columns = listOf(n, "ngram_indexes");
  int64_t shortest = n.integer("min_gram_length", 0),
          longest = n.integer("max_gram_length", 0);
  if (shortest < 1 || longest < shortest)
    n.invalid("its lengths of n-grams are impossible");
  // The last one counts where a pool has an n-gram twice.
  std::map<std::vector<int64_t>, int64_t> found;
  size_t next = 0;
  for (size_t i = 0; i < begins.size(); ++i) {
    int64_t size = int64_t(i) + 1, begin = begins[i],
            end = i + 1 < begins.size() ? begins[i + 1] : int64_t(pool.size());
    if (begin < 0 || end < begin || end > int64_t(pool.size()) ||
        (end - begin) % size != 0)
      n.invalid("its ngram_counts do not divide its pool into n-grams");
    for (; begin < end; begin += size, ++next) {
      if (next >= columns.size() || columns[next] < 0 ||
          columns[next] >= int64_t(1) << 31)
        n.invalid("does not have one column for each n-gram");
      if (size >= shortest && size <= longest)
        found[{pool.begin() + begin, pool.begin() + begin + size}] =
            columns[next];
    }
  }
  if (next != columns.size())
    n.invalid("does not have one column for each n-gram");
  Vocabulary v;
  for (int64_t column : columns)
    v.width = std::max(v.width, column + 1);
  for (const auto &[gram, column] : found) {
    v.grams.insert(v.grams.end(), gram.begin(), gram.end());
    v.sizes.push_back(int64_t(gram.size()));
    v.columns.push_back(column);
  }
  return v;
}

/// The weights of columns, which are those of their n-grams; all one if there
/// are none.
static Value weightsOf(NodeImport &n, int64_t width, const Shape &shape) {
  const auto *given = n.attribute("weights");
  std::vector<int64_t> columns = listOf(n, "ngram_indexes");
  RankedTensorType type = n.makeType(shape, n.builder.getF32Type());
  if (!given || given->floats_size() == 0)
    return n.splat(type, 1);
  if (size_t(given->floats_size()) != columns.size())
    n.invalid("does not have one weight for each n-gram");
  if (width * int64_t(sizeof(float)) > int64_t(NodeImport::maxConstantBytes))
    n.unsupported("it has too many weights");
  HostTensor weights(DType::F32, {width});
  std::vector<bool> isSet(size_t(width), false);
  for (size_t i = 0; i < columns.size(); ++i) {
    double weight = double(given->floats(int(i)));
    if (isSet[size_t(columns[i])] && weights.getDouble(columns[i]) != weight)
      n.unsupported("n-grams of one column have different weights");
    isSet[size_t(columns[i])] = true;
    weights.setDouble(columns[i], weight);
  }
  return n.broadcast(n.constantValue(weights), shape);
}

static void importTfIdfVectorizer(NodeImport &n) {
  if (const auto *strings = n.attribute("pool_strings");
      strings && strings->strings_size())
    n.unsupported("its n-grams are of strings");
  Vocabulary v = vocabularyOf(n);
  Shape from = n.shape(0);
  if (from.size() != 1 && from.size() != 2)
    n.invalid("its input is not one sequence or several");
  int64_t skip = n.integer("max_skip_count", 0), batch = from.size() == 2;
  if (skip < 0)
    n.invalid("its max_skip_count is negative");
  Value tokens = n.reshape(n.input(0), {batch ? from[0] : 1, from.back()});
  Shape shape = {nn::shapeOf(tokens)[0], v.width};
  Value counts = n.create<NgramCountsOp>(
      n.makeType(shape, n.builder.getI64Type()), tokens, v.grams, v.sizes,
      v.columns, uint64_t(skip), Attribute());
  counts = n.cast(counts, n.builder.getF32Type());
  std::string mode = n.string("mode", "");
  if (mode == "IDF") {
    Value occurs = n.compare("gt", counts, n.splatLike(counts, 0));
    counts = n.cast(occurs, n.builder.getF32Type());
  } else if (mode != "TF" && mode != "TFIDF") {
    n.invalid("its mode is \"" + mode + "\"");
  }
  n.attribute("weights"); // Of no use for TF.
  if (mode != "TF")
    counts = n.binary<MulOp>(counts, weightsOf(n, v.width, shape));
  n.set(0, n.reshape(counts, batch ? shape : Shape{v.width}));
}

void importer::addText(ImportTable &table) {
  table.add("TfIdfVectorizer", 9, importTfIdfVectorizer);
}
