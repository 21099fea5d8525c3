//===- Epilogue.h - What follows a matrix product --------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The list of elementwise operations that a product applies to its result, and
// their plain implementation: used for f64, and for what oneDNN cannot fuse.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_CORE_EPILOGUE_H
#define PARTITA_LIB_RUNTIME_CORE_EPILOGUE_H

#include "LibraryImpl.h"

namespace partita::runtime {

enum class EpilogueKind {
  Bias,
  Add,
  Mul,
  GeluErf,
  GeluTanh,
  Relu,
  Silu,
  Tanh,
  Sigmoid
};

/// One operation; `operand` is the index among the call's operands, -1 for
/// those that take none.
struct Epilogue {
  EpilogueKind kind;
  int operand = -1;
  /// The operand as a view of the shape of the result (bias: stride zero).
  View view;
};

/// The kinds that the attribute `epilogue` names.
Result<std::vector<EpilogueKind>> epilogueKinds(const Command &call);

/// Reads the attribute `epilogue`; operands are taken from the third on.
Result<std::vector<Epilogue>> parseEpilogues(const Command &call);

/// Applies `epilogues` in place to the view `c` at its own address.
void applyEpilogues(const std::vector<Epilogue> &epilogues, const View &c,
                    std::byte *cAddress, std::byte *const bases[3]);

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_CORE_EPILOGUE_H
