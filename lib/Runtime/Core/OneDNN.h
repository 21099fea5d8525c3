//===- OneDNN.h - What calls of oneDNN share -------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The engine, epilogues as post-operations, and weights packed at load.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_CORE_ONEDNN_H
#define PARTITA_LIB_RUNTIME_CORE_ONEDNN_H

#include "Epilogue.h"
#include "LibraryImpl.h"
#include <limits>
#include <oneapi/dnnl/dnnl.hpp>

namespace partita::runtime {

const dnnl::engine &cpuEngine();

/// Whether oneDNN can count so far. Of larger sizes it keeps 32 bits in places,
/// and divides by what is left.
template <typename... Sizes> bool fitsOneDNN(Sizes... sizes) {
  return ((sizes <= std::numeric_limits<int32_t>::max()) && ...);
}

/// What oneDNN threw, as an error of the call.
Error onednnError(const Command &call, const dnnl::error &error);

/// Adds an epilogue; `operand` describes that of a sum or product.
void appendPostOp(dnnl::post_ops &ops, EpilogueKind kind,
                  const dnnl::memory::desc &operand);

/// Whether an epilogue's operand shares memory with the result: a primitive
/// that accumulates there would overwrite it.
bool overlaps(const View &operand, const View &result);

/// Fails unless the blob has the size of the packed weight on this machine.
Status checkBlob(const Command &call, const View &blob, size_t bytes);

/// A call that brings operand 0, laid out as `from`, into the layout `to`.
std::unique_ptr<PreparedCall> packWeight(const Command &call,
                                         const dnnl::memory::desc &from,
                                         const dnnl::memory::desc &to);

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_CORE_ONEDNN_H
