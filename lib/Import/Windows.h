//===- Windows.h - Windows of nodes, and what slides them ------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Many operators slide a window, and ONNX lets each say it in the same
// half-explicit way: automatic pads, sizes that are rounded up. This turns what
// a node says into windows with explicit pads, and makes operations from them.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_IMPORT_WINDOWS_H
#define PARTITA_LIB_IMPORT_WINDOWS_H

#include "NodeImport.h"
#include "dialects/nn/Convolution.h"

namespace partita::importer {

/// Windows of a node, one for each spatial dimension, with explicit pads.
struct NodeWindows {
  std::vector<nn::Window> windows;
  /// What the node itself pads at the end; windows that reach beyond are there
  /// because their number was rounded up.
  std::vector<int64_t> statedEnd;

  std::vector<int64_t> get(int64_t nn::Window::*number) const {
    std::vector<int64_t> result;
    for (const nn::Window &window : windows)
      result.push_back(window.*number);
    return result;
  }
};

/// The numbers of an attribute, one for each of `count` dimensions.
std::vector<int64_t> perDimension(NodeImport &n, const char *name, size_t count,
                                  int64_t otherwise);
/// Splits `total` elements of padding into two halves; the odd one goes to the
/// end for SAME_UPPER.
void splitPads(nn::Window &window, int64_t total, bool upper);
/// Kernel, strides and dilations, and pads as far as the node states them.
NodeWindows statedWindows(NodeImport &n, llvm::ArrayRef<int64_t> kernel);
/// The windows over an input of these sizes.
NodeWindows windowsOver(NodeImport &n, llvm::ArrayRef<int64_t> kernel,
                        llvm::ArrayRef<int64_t> sizes);

/// The dimensions behind batch and channels.
Shape spatialOf(const Shape &shape);
/// The kernel of a weight, which its shape tells and an attribute may repeat.
Shape kernelOf(NodeImport &n, const Shape &input, const Shape &weight);
/// The node's convolution of these values, without a bias.
mlir::Value convolve(NodeImport &n, mlir::Value input, mlir::Value weight);
/// `value` with a number for each channel added, if the node has input `bias`.
mlir::Value withBias(NodeImport &n, mlir::Value value, size_t bias);

/// Creates an operation whose types its operands and attributes decide; what
/// does not fit together is an error of the node.
template <typename Op>
mlir::Value createInferred(NodeImport &n, mlir::ValueRange operands,
                           const typename Op::Properties &properties) {
  std::string message;
  llvm::SmallVector<mlir::Type> types;
  {
    mlir::ScopedDiagnosticHandler handler(
        n.builder.getContext(), [&](mlir::Diagnostic &d) {
          message += (message.empty() ? "" : "; ") + d.str();
        });
    typename Op::Adaptor adaptor(operands, mlir::DictionaryAttr(), properties);
    if (failed(Op::inferReturnTypes(n.builder.getContext(), n.location(),
                                    adaptor, types)))
      n.invalid("does not make sense: " + message);
  }
  auto type = mlir::cast<mlir::RankedTensorType>(types[0]);
  n.makeType(type.getShape(), type.getElementType());
  return n.create<Op>(mlir::TypeRange(types), operands, properties);
}

/// Strides, dilations and pads as attributes.
template <typename Properties>
Properties windowProperties(NodeImport &n, const NodeWindows &windows) {
  using nn::Window;
  Properties p;
  p.strides = n.builder.getDenseI64ArrayAttr(windows.get(&Window::stride));
  p.dilations = n.builder.getDenseI64ArrayAttr(windows.get(&Window::dilation));
  p.pads_begin = n.builder.getDenseI64ArrayAttr(windows.get(&Window::padBegin));
  p.pads_end = n.builder.getDenseI64ArrayAttr(windows.get(&Window::padEnd));
  return p;
}

/// The same with the windows' sizes, for what has no weight to tell them.
template <typename Properties>
Properties poolProperties(NodeImport &n, const NodeWindows &windows) {
  auto p = windowProperties<Properties>(n, windows);
  p.kernel = n.builder.getDenseI64ArrayAttr(windows.get(&nn::Window::kernel));
  return p;
}

} // namespace partita::importer

#endif // PARTITA_LIB_IMPORT_WINDOWS_H
