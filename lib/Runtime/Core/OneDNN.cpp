//===- OneDNN.cpp - What calls of oneDNN share ----------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// See the header.
//
//===----------------------------------------------------------------------===//

#include "OneDNN.h"

using namespace partita;
using namespace partita::runtime;

const dnnl::engine &partita::runtime::cpuEngine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

Error partita::runtime::onednnError(const Command &call,
                                    const dnnl::error &error) {
  return makeError(ExitCode::Internal, "library.onednn", describeCall(call),
                   error.what());
}

static dnnl::algorithm eltwiseOf(EpilogueKind kind) {
  switch (kind) {
  case EpilogueKind::GeluErf:
    return dnnl::algorithm::eltwise_gelu_erf;
  case EpilogueKind::GeluTanh:
    return dnnl::algorithm::eltwise_gelu_tanh;
  case EpilogueKind::Silu:
    return dnnl::algorithm::eltwise_swish;
  case EpilogueKind::Tanh:
    return dnnl::algorithm::eltwise_tanh;
  case EpilogueKind::Sigmoid:
    return dnnl::algorithm::eltwise_logistic;
  default:
    return dnnl::algorithm::eltwise_relu;
  }
}

void partita::runtime::appendPostOp(dnnl::post_ops &ops, EpilogueKind kind,
                                    const dnnl::memory::desc &operand) {
  if (kind > EpilogueKind::Mul)
    ops.append_eltwise(1.f, eltwiseOf(kind),
                       kind == EpilogueKind::Silu ? 1.f : 0.f, 0.f);
  else
    ops.append_binary(kind == EpilogueKind::Mul ? dnnl::algorithm::binary_mul
                                                : dnnl::algorithm::binary_add,
                      operand);
}

bool partita::runtime::overlaps(const View &operand, const View &result) {
  return operand.space == result.space &&
         operand.offset < result.offset + result.extentBytes() &&
         result.offset < operand.offset + operand.extentBytes();
}

Status partita::runtime::checkBlob(const Command &call, const View &blob,
                                   size_t bytes) {
  if (blob.isContiguous() && blob.extentBytes() == static_cast<int64_t>(bytes))
    return ok();
  return makeError(ExitCode::Unsupported, "library.packed", describeCall(call),
                   "packed weights take " + std::to_string(bytes) +
                       " bytes on this machine, the model was compiled with " +
                       std::to_string(blob.extentBytes()),
                   "compile the model on a machine with the same processor");
}

namespace {
class PreparedPack : public PreparedCall {
public:
  PreparedPack(const Command &call, const dnnl::memory::desc &from,
               const dnnl::memory::desc &to)
      : weight(call.operands[0]), blob(call.results[0]), stream(cpuEngine()),
        in(from, cpuEngine(), nullptr), out(to, cpuEngine(), nullptr),
        reorder(in, out) {}
  Status execute(std::byte *const bases[3]) override {
    in.set_data_handle(addressOf(weight, bases));
    out.set_data_handle(addressOf(blob, bases));
    reorder.execute(stream, in, out);
    stream.wait();
    return ok();
  }

private:
  View weight, blob;
  dnnl::stream stream;
  dnnl::memory in, out;
  dnnl::reorder reorder;
};
} // namespace

std::unique_ptr<PreparedCall>
partita::runtime::packWeight(const Command &call,
                             const dnnl::memory::desc &from,
                             const dnnl::memory::desc &to) {
  return std::make_unique<PreparedPack>(call, from, to);
}
