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

/// The dimensions that an ellipsis stands for have labels of their own: the
/// last one is 1.
static std::string ellipsisLabels(int64_t count) {
  std::string labels;
  for (int64_t i = count; i > 0; --i)
    labels.push_back(char(i));
  return labels;
}

/// Replaces "..." in a term by the labels of `count` dimensions.
static void expandEllipsis(NodeImport &n, std::string &term, int64_t count) {
  size_t at = term.find("...");
  if (at != std::string::npos)
    term.replace(at, 3, ellipsisLabels(count));
  if (term.find('.') != std::string::npos)
    n.invalid("its equation has a term with stray dots");
}

/// Without "->" the output has the dimensions of the ellipsis and the labels
/// that occur once, in their order.
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
  if (equation.inputs.size() != n.numInputs())
    n.invalid("its equation \"" + text + "\" does not have one term an input");
  int64_t dots = 0;
  for (size_t i = 0; i < n.numInputs(); ++i) {
    std::string &term = equation.inputs[i];
    int64_t count = n.rank(i) - (int64_t(term.size()) - 3);
    if (term.find("...") != std::string::npos && count >= 0 && count < 32) {
      dots = std::max(dots, count);
      expandEllipsis(n, term, count);
    }
    if (int64_t(term.size()) != n.rank(i) ||
        term.find('.') != std::string::npos)
      n.invalid("its equation \"" + text + "\" does not fit input " +
                std::to_string(i));
  }
  if (arrow != std::string::npos) {
    equation.output = text.substr(arrow + 2);
    expandEllipsis(n, equation.output, dots);
  } else {
    equation.output = ellipsisLabels(dots);
    for (char label = 'A'; label <= 'z'; ++label)
      if (std::count(left.begin(), left.end(), label) == 1)
        equation.output.push_back(label);
  }
  for (char label : equation.output) {
    bool known = llvm::any_of(equation.inputs, [&](const std::string &term) {
      return term.find(label) != std::string::npos;
    });
    if (!known ||
        std::count(equation.output.begin(), equation.output.end(), label) > 1)
      n.invalid("its equation \"" + text + "\" makes no sense");
  }
  return equation;
}

/// A tensor whose dimensions have labels.
namespace {
struct Labelled {
  Value value;
  std::string labels;
};
} // namespace

/// An input with each label once: of a label that a term repeats the diagonal
/// is taken, which is the sum of what is left when the rest is zero.
static Labelled withoutDiagonals(NodeImport &n, Value value,
                                 const std::string &term) {
  std::string labels;
  std::vector<int64_t> repeated;
  for (size_t d = 0; d < term.size(); ++d) {
    size_t first = labels.find(term[d]);
    labels.push_back(first == std::string::npos ? term[d] : '\0');
    if (first == std::string::npos)
      continue;
    Shape shape = shapeOf(value);
    if (shape[first] != shape[d])
      n.invalid(std::string("the label ") + term[d] + " has two sizes");
    RankedTensorType type = n.makeType(shape, n.builder.getI64Type());
    Value same = n.compare("eq", n.iota(type, int64_t(first), 0, 1),
                           n.iota(type, int64_t(d), 0, 1));
    value =
        n.create<SelectOp>(value.getType(), same, value, n.splatLike(value, 0));
    repeated.push_back(int64_t(d));
  }
  llvm::erase(labels, '\0');
  return {n.reduce("sum", value, repeated, false), labels};
}

/// Takes dimensions of size one away where an ellipsis repeats them to the size
/// that another input has.
static void dropRepeated(std::vector<Labelled> &tensors, NodeImport &n) {
  std::map<char, int64_t> size;
  for (const Labelled &tensor : tensors)
    for (size_t d = 0; d < tensor.labels.size(); ++d)
      size[tensor.labels[d]] =
          std::max(size[tensor.labels[d]], shapeOf(tensor.value)[d]);
  for (Labelled &tensor : tensors) {
    Shape shape;
    std::string labels;
    for (size_t d = 0; d < tensor.labels.size(); ++d) {
      char label = tensor.labels[d];
      int64_t here = shapeOf(tensor.value)[d];
      if (label < 'A' && here == 1 && size[label] != 1)
        continue;
      shape.push_back(here);
      labels.push_back(label);
    }
    tensor = {n.reshape(tensor.value, shape), labels};
  }
}

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
  std::vector<Labelled> tensors;
  for (size_t i = 0; i < n.numInputs(); ++i)
    tensors.push_back(withoutDiagonals(n, n.input(i), equation.inputs[i]));
  dropRepeated(tensors, n);
  Labelled result = tensors[0];
  for (size_t i = 1; i < tensors.size(); ++i) {
    std::string keep = equation.output;
    for (size_t j = i + 1; j < tensors.size(); ++j)
      keep += tensors[j].labels;
    result = contract(n, result, tensors[i], keep);
  }
  result = sumOthers(n, result, equation.output);
  n.set(0, permute(n, result, equation.output));
}

void importer::addLinear(ImportTable &table) {
  table.add("MatMul", 1, importMatMul);
  table.add("Gemm", 7, importGemm);
  table.add("Einsum", 12, importEinsum);
}
