//===- Sequences.cpp - Import of sequences and optional values ------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A sequence of tensors exists at import alone: it is a list of values, whose
// length and positions must be known. What takes tensors out of it leaves no
// trace of it. An optional value is the value, or an input that is left out.
//
//===----------------------------------------------------------------------===//

#include "GraphImport.h"

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

static void setSequence(NodeImport &n, std::vector<Imported> elements) {
  Imported result;
  result.sequence =
      std::make_shared<std::vector<Imported>>(std::move(elements));
  n.set(0, result);
}

static Imported valueOf(Value value) {
  Imported result;
  result.value = value;
  result.type = cast<RankedTensorType>(value.getType());
  return result;
}

static void importSequenceConstruct(NodeImport &n) {
  std::vector<Imported> elements;
  for (size_t i = 0; i < n.numInputs(); ++i) {
    n.type(i);
    elements.push_back(n.imported(i));
  }
  setSequence(n, std::move(elements));
}

static void importSequenceEmpty(NodeImport &n) {
  // Elements bring their type.
  n.integer("dtype", 1);
  setSequence(n, {});
}

/// The position that input `i` names among `size`, the last one if it is
/// absent; counted from the end if negative.
static size_t position(NodeImport &n, size_t i, size_t size) {
  if (size == 0)
    n.invalid("names a position in an empty sequence");
  return size_t(n.axis(n.has(i) ? n.scalarInt(i) : -1, int64_t(size)));
}

static void importSequenceAt(NodeImport &n) {
  const std::vector<Imported> &elements = n.sequence(0);
  n.set(0, elements[position(n, 1, elements.size())]);
}

static void importSequenceLength(NodeImport &n) {
  HostTensor length(DType::I64, {});
  length.setInt(0, int64_t(n.sequence(0).size()));
  n.setConstant(0, std::move(length));
}

static void importSequenceInsert(NodeImport &n) {
  std::vector<Imported> elements = n.sequence(0);
  n.type(1);
  // The position behind the last element is one too.
  size_t at = n.has(2) ? position(n, 2, elements.size() + 1) : elements.size();
  if (n.has(2) && n.scalarInt(2) < 0)
    at = position(n, 2, elements.size());
  elements.insert(elements.begin() + int64_t(at), n.imported(1));
  setSequence(n, std::move(elements));
}

static void importSequenceErase(NodeImport &n) {
  std::vector<Imported> elements = n.sequence(0);
  size_t at = position(n, 1, elements.size());
  elements.erase(elements.begin() + int64_t(at));
  setSequence(n, std::move(elements));
}

/// Parts of the given sizes, or of one size with the last one smaller; without
/// sizes each index, whose dimension may go away.
static void importSplitToSequence(NodeImport &n) {
  int64_t axis = n.axis(n.integer("axis", 0), n.rank(0));
  int64_t size = n.shape(0)[axis];
  bool keepDims = n.integer("keepdims", 1) != 0 || n.has(1);
  std::vector<int64_t> sizes;
  if (n.has(1) && n.rank(1) == 1) {
    sizes = n.ints(1);
  } else {
    int64_t each = n.has(1) ? n.scalarInt(1) : 1;
    if (each < 1)
      n.invalid("has parts of an impossible size");
    if (size / each > 4096)
      n.unsupported("it makes too many parts");
    for (int64_t begin = 0; begin < size; begin += each)
      sizes.push_back(std::min(each, size - begin));
  }
  std::vector<Imported> elements;
  int64_t begin = 0;
  for (int64_t part : sizes) {
    if (part < 0 || part > size - begin)
      n.invalid("its parts do not make up its input");
    Value value = n.slice(n.input(0), axis, begin, part);
    Shape shape = nn::shapeOf(value);
    if (!keepDims)
      shape.erase(shape.begin() + axis);
    elements.push_back(valueOf(n.reshape(value, shape)));
    begin += part;
  }
  if (begin != size)
    n.invalid("its parts do not make up its input");
  setSequence(n, std::move(elements));
}

static void importConcatFromSequence(NodeImport &n) {
  std::vector<Imported> elements = n.sequence(0);
  if (elements.empty())
    n.invalid("joins an empty sequence");
  bool isNew = n.integer("new_axis", 0) != 0;
  SmallVector<Value> parts;
  Shape joined;
  int64_t axis = 0;
  for (Imported &element : elements) {
    if (element.poisoned || !element.type)
      n.unsupported("it joins what is not supported");
    Shape shape = nn::shapeOf(element.type);
    axis = n.axis(n.integer("axis", 0), int64_t(shape.size()) + isNew);
    if (isNew)
      shape.insert(shape.begin() + axis, 1);
    parts.push_back(n.reshape(n.graph.materialize(element, n), shape));
    if (joined.empty())
      joined = shape;
    else if (joined.size() != shape.size() ||
             __builtin_add_overflow(joined[size_t(axis)], shape[size_t(axis)],
                                    &joined[size_t(axis)]))
      n.invalid("its elements do not fit together");
  }
  if (parts.size() == 1)
    return n.set(0, parts[0]);
  n.set(0,
        n.create<ConcatOp>(n.makeType(joined, getElementTypeOrSelf(parts[0])),
                           parts, uint64_t(axis)));
}

//===----------------------------------------------------------------------===//
// Optional values
//===----------------------------------------------------------------------===//

static void importOptional(NodeImport &n) {
  // Without a value its attribute says of which type it is.
  n.attribute("type");
  n.set(0, n.has(0) ? n.imported(0) : Imported());
}

static void importOptionalGetElement(NodeImport &n) { n.set(0, n.imported(0)); }

static void importOptionalHasElement(NodeImport &n) {
  HostTensor result(DType::Bool, {});
  result.setInt(0, n.has(0));
  n.setConstant(0, std::move(result));
}

void importer::addSequences(ImportTable &table) {
  table.add("SequenceConstruct", 11, importSequenceConstruct);
  table.add("SequenceEmpty", 11, importSequenceEmpty);
  table.add("SequenceAt", 11, importSequenceAt);
  table.add("SequenceLength", 11, importSequenceLength);
  table.add("SequenceInsert", 11, importSequenceInsert);
  table.add("SequenceErase", 11, importSequenceErase);
  table.add("SplitToSequence", 11, importSplitToSequence);
  table.add("ConcatFromSequence", 11, importConcatFromSequence);
  table.add("Optional", 15, importOptional);
  table.add("OptionalGetElement", 15, importOptionalGetElement);
  table.add("OptionalHasElement", 15, importOptionalHasElement);
}
