//===- NN.cpp - Tensor operations of neural networks ----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/nn/NN.h"
#include "dialects/nn/Bits.h"
#include "dialects/nn/Convolution.h"
#include "dialects/nn/Matrix.h"
#include "dialects/nn/Recurrent.h"
#include "dialects/nn/Resampling.h"
#include "dialects/nn/Selection.h"
#include "dialects/nn/Text.h"
#include "dialects/nn/Training.h"
#include "dialects/nn/Trigonometry.h"

using namespace mlir;
using namespace partita;
using namespace partita::nn;

#include "dialects/nn/NNBaseDialect.cpp.inc"

void NNDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "dialects/nn/Bits.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/nn/Convolution.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/nn/Elementwise.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/nn/Linear.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/nn/Matrix.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/nn/Module.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/nn/Recurrent.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/nn/Reduction.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/nn/Resampling.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/nn/Selection.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/nn/Shape.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/nn/Text.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/nn/Training.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/nn/Trigonometry.cpp.inc"
      >();
}

StringRef nn::getId(Operation *op) {
  auto id = dyn_cast_or_null<StringAttr>(op->getDiscardableAttr(idAttrName));
  return id ? id.getValue() : StringRef();
}

std::vector<std::string> nn::getNodes(Operation *op) {
  std::vector<std::string> nodes;
  if (auto list =
          dyn_cast_or_null<ArrayAttr>(op->getDiscardableAttr(nodesAttrName)))
    for (auto name : list.getAsRange<StringAttr>())
      nodes.push_back(name.str());
  return nodes;
}

void nn::copyIdentity(Operation *from, Operation *to, StringRef suffix) {
  // Both at once: each change of a dictionary makes and uniques a whole one.
  NamedAttrList attributes(to->getDiscardableAttrDictionary());
  bool changed = false;
  auto set = [&](StringRef name, Attribute value) {
    changed |= attributes.set(name, value) != value;
  };
  if (auto id = from->getDiscardableAttr(idAttrName)) {
    auto text = dyn_cast<StringAttr>(id);
    set(idAttrName,
        suffix.empty() || !text
            ? id
            : StringAttr::get(to->getContext(), text.getValue() + suffix));
  }
  if (Attribute nodes = from->getDiscardableAttr(nodesAttrName))
    set(nodesAttrName, nodes);
  if (changed)
    to->setDiscardableAttrs(attributes.getDictionary(to->getContext()));
}

std::vector<int64_t> nn::shapeOf(Type type) {
  ArrayRef<int64_t> shape = cast<RankedTensorType>(type).getShape();
  return std::vector<int64_t>(shape.begin(), shape.end());
}

std::vector<int64_t> nn::shapeOf(Value value) {
  return shapeOf(value.getType());
}

RankedTensorType nn::withShape(Type type, ArrayRef<int64_t> shape) {
  return RankedTensorType::get(shape,
                               cast<RankedTensorType>(type).getElementType());
}
