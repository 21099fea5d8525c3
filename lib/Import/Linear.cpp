//===- Linear.cpp - Import of matrix products -----------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Linear.h"
#include <algorithm>

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

//===----------------------------------------------------------------------===//
// MatMul
//===----------------------------------------------------------------------===//

Value importer::numpyMatMul(NodeImport &n, Value lhs, Value rhs) {
  Shape a = shapeOf(lhs), b = shapeOf(rhs);
  if (a.empty() || b.empty())
    n.invalid("multiplies a scalar");
  bool leftVector = a.size() == 1, rightVector = b.size() == 1;
  if (leftVector)
    a.insert(a.begin(), 1);
  if (rightVector)
    b.push_back(1);
  lhs = n.reshape(lhs, a);
  rhs = n.reshape(rhs, b);
  // One matrix for all of lhs stays one matrix.
  bool single = std::all_of(b.begin(), b.end() - 2,
                            [](int64_t size) { return size == 1; });
  if (single && a.size() >= b.size()) {
    rhs = n.reshape(rhs, {b.end() - 2, b.end()});
  } else {
    size_t rank = std::max(a.size(), b.size());
    Shape batchA(a), batchB(b);
    batchA.insert(batchA.begin(), rank - a.size(), 1);
    batchB.insert(batchB.begin(), rank - b.size(), 1);
    for (size_t d = 0; d + 2 < rank; ++d) {
      if (batchA[d] != batchB[d] && batchA[d] != 1 && batchB[d] != 1)
        n.invalid("its inputs do not broadcast");
      batchA[d] = batchB[d] = batchA[d] == 1 ? batchB[d] : batchA[d];
    }
    lhs = n.broadcast(lhs, batchA);
    rhs = n.broadcast(rhs, batchB);
  }
  Value result = n.matmul(lhs, rhs);
  Shape shape = shapeOf(result);
  if (rightVector)
    shape.pop_back();
  if (leftVector)
    shape.erase(shape.end() - (rightVector ? 1 : 2));
  return n.reshape(result, shape);
}

static void importMatMul(NodeImport &n) {
  n.set(0, numpyMatMul(n, n.input(0), n.input(1)));
}

/// alpha A B + beta C, with A and B transposed on demand.
static void importGemm(NodeImport &n) {
  auto matrix = [&](size_t i, const char *transposed) {
    if (n.rank(i) != 2)
      n.invalid("input " + std::to_string(i) + " is not a matrix");
    Value value = n.input(i);
    return n.integer(transposed, 0) ? n.transpose(value, {1, 0}) : value;
  };
  Value a = matrix(0, "transA"), b = matrix(1, "transB");
  Value result = n.matmul(a, b);
  double alpha = n.real("alpha", 1), beta = n.real("beta", 1);
  if (alpha != 1.0)
    result = n.binary<MulOp>(result, n.splatLike(result, alpha));
  if (n.has(2) && beta != 0.0) {
    Value c = n.inputAs(2, shapeOf(result));
    if (beta != 1.0)
      c = n.binary<MulOp>(c, n.splatLike(c, beta));
    result = n.binary<AddOp>(result, c);
  }
  n.set(0, result);
}

//===----------------------------------------------------------------------===//
// Einsum
//===----------------------------------------------------------------------===//

namespace {
/// "ab,bc->ac" as label strings.
struct Equation {
  std::vector<std::string> inputs;
  std::string output;
};
} // namespace

/// Without "->" the output has the labels that occur once, in their order.
static Equation parseEquation(NodeImport &n) {
  std::string text = n.string("equation", "");
  llvm::erase(text, ' ');
  Equation equation;
  size_t arrow = text.find("->");
  std::string left = text.substr(0, arrow);
  for (size_t begin = 0; begin <= left.size();) {
    size_t end = std::min(left.find(',', begin), left.size());
    equation.inputs.push_back(left.substr(begin, end - begin));
    begin = end + 1;
  }
  if (text.find('.') != std::string::npos)
    n.unsupported("its equation \"" + text + "\" has an ellipsis");
  if (arrow != std::string::npos) {
    equation.output = text.substr(arrow + 2);
  } else {
    for (char label = 'A'; label <= 'z'; ++label)
      if (std::count(left.begin(), left.end(), label) == 1)
        equation.output.push_back(label);
  }
  if (equation.inputs.size() != n.numInputs())
    n.invalid("its equation \"" + text + "\" does not have one term an input");
  for (size_t i = 0; i < n.numInputs(); ++i) {
    if (int64_t(equation.inputs[i].size()) != n.rank(i))
      n.invalid("its equation \"" + text + "\" does not fit input " +
                std::to_string(i));
    for (char label : equation.inputs[i])
      if (std::count(equation.inputs[i].begin(), equation.inputs[i].end(),
                     label) > 1)
        n.unsupported("its equation \"" + text + "\" takes a diagonal");
  }
  for (char label : equation.output)
    if (left.find(label) == std::string::npos ||
        std::count(equation.output.begin(), equation.output.end(), label) > 1)
      n.invalid("its equation \"" + text + "\" makes no sense");
  return equation;
}

/// A tensor whose dimensions have labels.
namespace {
struct Labelled {
  Value value;
  std::string labels;
};
} // namespace

/// Sums over the labels that are not in `keep`.
static Labelled sumOthers(NodeImport &n, Labelled tensor,
                          const std::string &keep) {
  std::vector<int64_t> axes;
  std::string labels;
  for (size_t d = 0; d < tensor.labels.size(); ++d)
    if (keep.find(tensor.labels[d]) == std::string::npos)
      axes.push_back(int64_t(d));
    else
      labels.push_back(tensor.labels[d]);
  return {n.reduce("sum", tensor.value, axes, false), labels};
}

static Value permute(NodeImport &n, const Labelled &tensor,
                     const std::string &order) {
  std::vector<int64_t> permutation;
  for (char label : order)
    permutation.push_back(int64_t(tensor.labels.find(label)));
  return n.transpose(tensor.value, permutation);
}

/// Contracts two tensors by one batched matrix product.
static Labelled contract(NodeImport &n, Labelled a, Labelled b,
                         const std::string &keep) {
  a = sumOthers(n, a, b.labels + keep);
  b = sumOthers(n, b, a.labels + keep);
  std::map<char, int64_t> size;
  for (const Labelled *tensor : {&a, &b})
    for (size_t d = 0; d < tensor->labels.size(); ++d) {
      int64_t here = shapeOf(tensor->value)[d];
      auto [it, isNew] = size.try_emplace(tensor->labels[d], here);
      if (!isNew && it->second != here)
        n.invalid(std::string("the label ") + tensor->labels[d] +
                  " has two sizes");
    }
  std::string batch, rows, columns, summed;
  for (char label : a.labels)
    if (b.labels.find(label) == std::string::npos)
      rows.push_back(label);
    else
      (keep.find(label) == std::string::npos ? summed : batch).push_back(label);
  for (char label : b.labels)
    if (a.labels.find(label) == std::string::npos)
      columns.push_back(label);
  auto product = [&](const std::string &labels) {
    int64_t result = 1;
    for (char label : labels)
      result *= size[label];
    return result;
  };
  auto sizes = [&](const std::string &labels) {
    Shape result;
    for (char label : labels)
      result.push_back(size[label]);
    return result;
  };
  Shape shapeA = sizes(batch), shapeB = sizes(batch);
  shapeA.insert(shapeA.end(), {product(rows), product(summed)});
  shapeB.insert(shapeB.end(), {product(summed), product(columns)});
  Value lhs = n.reshape(permute(n, a, batch + rows + summed), shapeA);
  Value rhs = n.reshape(permute(n, b, batch + summed + columns), shapeB);
  std::string labels = batch + rows + columns;
  return {n.reshape(n.matmul(lhs, rhs), sizes(labels)), labels};
}

static void importEinsum(NodeImport &n) {
  Equation equation = parseEquation(n);
  Labelled result = {n.input(0), equation.inputs[0]};
  for (size_t i = 1; i < n.numInputs(); ++i) {
    std::string keep = equation.output;
    for (size_t j = i + 1; j < n.numInputs(); ++j)
      keep += equation.inputs[j];
    result = contract(n, result, {n.input(i), equation.inputs[i]}, keep);
  }
  result = sumOthers(n, result, equation.output);
  n.set(0, permute(n, result, equation.output));
}

void importer::addLinear(ImportTable &table) {
  table.add("MatMul", 1, importMatMul);
  table.add("Gemm", 7, importGemm);
  table.add("Einsum", 12, importEinsum);
}
