//===- ConvPrimitive.h - oneDNN's convolutions -----------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Which of oneDNN's primitives computes a convolution, and in which layouts.
//
// Tensors have their channels last. Where Winograd's algorithm pays (a window of
// 3x3 in steps of one over many channels: it takes about half of the
// multiplications) the primitive wants blocks of sixteen channels instead, and
// its operand and result are brought there and back.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_CORE_CONVPRIMITIVE_H
#define PARTITA_LIB_RUNTIME_CORE_CONVPRIMITIVE_H

#include "OneDNN.h"
#include "Window.h"
#include <optional>

namespace partita::runtime {

/// A convolution by its sizes. For a transposed one the windows are over the
/// result.
struct ConvProblem {
  bool transposed = false;
  int64_t groups = 1;
  std::vector<int64_t> input, weight, result;
  Windows windows;

  size_t spatial() const { return input.size() - 2; }
  int64_t inputsPerGroup() const { return input[1] / groups; }
  int64_t resultsPerGroup() const { return result[1] / groups; }
};

/// A primitive with what it says of its operands.
struct ConvPrimitive {
  dnnl::primitive primitive;
  dnnl::memory::desc input, weight, bias, result, scratchpad;
  bool winograd = false;
};

/// An f32 tensor of 1 to 3 spatial dimensions, row-major but for its channels.
dnnl::memory::desc channelsLast(const std::vector<int64_t> &shape);

/// A weight as oneDNN counts: [g], outputs, inputs, taps; row-major as the call
/// has it, or in any layout.
dnnl::memory::desc weightDesc(const ConvProblem &p, bool any);

/// The fastest primitive that applies these epilogues to weights in the given
/// layout; nothing if there is only the slow reference.
std::optional<ConvPrimitive>
choosePrimitive(const ConvProblem &p, const std::vector<EpilogueKind> &epilogues,
                const dnnl::memory::desc &weight, bool winograd);

/// The same with weights as it likes them best. They are those of the primitive
/// with all epilogues, so that the call that packs and the one that uses them
/// agree. Weights that are not packed once are not worth Winograd's transform.
std::optional<ConvPrimitive>
chooseLayout(const ConvProblem &p, const std::vector<Epilogue> &epilogues,
             bool packed);

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_CORE_CONVPRIMITIVE_H
