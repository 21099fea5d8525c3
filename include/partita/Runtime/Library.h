//===- Library.h - Operations that the runtime implements ------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Library calls by name. Views may be strided in any way (transposes, splits
// and broadcasts cost nothing) unless said otherwise. The compiler links this
// library too: it asks for workspace and packed sizes, so that the promised
// arena is the arena.
//
//   matmul       operands A [..,m,k], B [..,k,n] (or a packed blob), then one
//                operand per epilogue that takes one; result C [..,m,n].
//                Leading dimensions of A and C are equal; B has the same ones
//                or none. attrs: packed=[m,k,n] (B is a blob made by
//                pack_weight with the same attrs), epilogue="bias,gelu_erf,.."
//                in order of application: bias (operand [n] or broadcast view),
//                add (operand shaped like C), mul, gelu_erf, gelu_tanh, relu,
//                silu, tanh, sigmoid.
//   pack_weight  operand B [k,n] (strided) -> blob. attrs: packed=[m,k,n]
//   conv         operands X [n,c,s..], W [o,c/g,k..] (or a packed blob), then
//                those of epilogues as for matmul, aligned at the last
//                dimension; result [n,o,s'..]; 1 to 3 spatial dimensions.
//                attrs: strides, dilations, pads_begin, pads_end (one number
//                for each spatial dimension), packed=W's shape (W is a blob made
//                by pack_conv with the same attrs), epilogue.
//   conv_transpose   the same for W [c,o/g,k..]; attrs also groups=[g],
//                output_pads.
//   pack_conv    operand W (contiguous) -> blob. attrs: those of the convolution
//                and input=X's shape; transposed=[1] for conv_transpose.
//   pool         operand [n,c,s..] -> [n,c,s'..]. attrs: kind="max"|"sum",
//                kernel, strides, dilations, pads_begin, pads_end
//   attention    operands q [b,h,s,d], k [b,g,t,d], v [b,g,t,e], optional mask
//                (attr has_mask=[1]; f32 additive or bool, each dimension full
//                or broadcast by stride 0, shape [b,h,s,t]); results out
//                [b,h,s,e], optional lse [b,h,s]. attrs: scale=[x] (double),
//                causal=[0|1]: the last of all queries sees all keys, each one
//                before it one less. offsets[0], [1] = first query, first key.
//                h is a multiple of g. Rows whose every key is masked to -inf
//                give zeros and lse -inf.
//   gather       operands data, indices (i32/i64); attrs axis=[a]. Indices count
//                in the whole dimension, a negative one from its end; one outside
//                is a run-time error. offsets[0] says where this rank's part
//                begins: rows outside of the part give zeros.
//   pool_argmax  operand [n,c,s..] -> i64 [n,c,s'..]. attrs: as for pool, but
//                column_major=[0|1] in place of kind
//   gather_elements, gather_nd, scatter_elements, scatter_nd, topk   as the
//                operations of nn; indices and offsets as for gather, but a
//                scatter leaves out rows outside the local range
//   resample, grid_sample, roi_align, rnn, gru, lstm, det   as the operations
//                of nn
//   ngram_counts   as the operation of nn; offsets[0] = this rank's first column
//   copy         operand -> result of the same shape (any strides; dtype
//                conversion allowed): also reshape of strided views, pad's
//                interior, concat's pieces.
//   fill         attrs value=[x] -> result
//   iota         attrs axis=[a], start, step (doubles); offsets[0] added
//   rope         operands x [b,h,s,d], cos, sin (views shaped [b,h,s,d'], d' =
//                d or d/2, broadcast by stride 0); attrs interleaved=[0|1]
//   cumsum, cumprod   attrs axis, exclusive, reverse
//   shard_slice  operand (contiguous) in sharding `from` -> the part of it that
//                this rank holds in `to`
//   zero_unless_first   operand -> result: the operand on the rank whose
//                coordinates along `axes` are all zero, zeros elsewhere
//                (replicated -> partial)
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_RUNTIME_LIBRARY_H
#define PARTITA_RUNTIME_LIBRARY_H

#include "partita/Runtime/Program.h"
#include <memory>

namespace partita::runtime {

/// Bytes of scratch memory that `call` needs with these views and attributes
/// when run with `threads` threads. Unknown callee or unsupported types: error.
Result<int64_t> workspaceBytes(const Command &call, int threads);

/// Bytes of the blob that `call`, which packs a weight, makes; its result need
/// not be known yet. Zero: the library takes this weight as it is.
Result<int64_t> packedBytes(const Command &call, int threads);

/// Sets how many OpenMP threads the calling thread's library calls use. A rank's
/// thread does so before it prepares anything.
void setThreadCount(int threads);

/// A call made ready: primitives created, offsets evaluated. `execute` is
/// called with the base addresses that the views refer to.
class PreparedCall {
public:
  virtual ~PreparedCall() = default;
  /// `bases[space]` is the first byte of each space.
  virtual Status execute(std::byte *const bases[3]) = 0;
};

struct PrepareContext {
  const Mesh *mesh;
  std::vector<int64_t> coords;
  int threads;
};

Result<std::unique_ptr<PreparedCall>> prepareCall(const Command &call,
                                                  const PrepareContext &context);

} // namespace partita::runtime

#endif // PARTITA_RUNTIME_LIBRARY_H
