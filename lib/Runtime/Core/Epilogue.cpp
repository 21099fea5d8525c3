//===- Epilogue.cpp - What follows a matrix product -----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Row by row over a strided result; correct rather than fast.
//
//===----------------------------------------------------------------------===//

#include "Epilogue.h"
#include <cmath>
#include <sstream>

using namespace partita;
using namespace partita::runtime;

static const std::map<std::string, EpilogueKind> &epilogueKinds() {
  static const std::map<std::string, EpilogueKind> kinds = {
      {"bias", EpilogueKind::Bias},
      {"add", EpilogueKind::Add},
      {"mul", EpilogueKind::Mul},
      {"gelu_erf", EpilogueKind::GeluErf},
      {"gelu_tanh", EpilogueKind::GeluTanh},
      {"relu", EpilogueKind::Relu},
      {"silu", EpilogueKind::Silu},
      {"tanh", EpilogueKind::Tanh},
      {"sigmoid", EpilogueKind::Sigmoid},
  };
  return kinds;
}

/// The operand as a view of the result's shape: leading dimensions that it does
/// not have, and dimensions of size one, are broadcast.
static Result<View> broadcastTo(const Command &call, const View &operand,
                                const View &result) {
  View view = operand;
  size_t missing = result.shape.size() - operand.shape.size();
  if (operand.shape.size() > result.shape.size())
    return callError(call, "an epilogue's operand has too many dimensions");
  view.shape = result.shape;
  view.strides.assign(result.shape.size(), 0);
  for (size_t d = 0; d < operand.shape.size(); ++d) {
    if (operand.shape[d] == result.shape[missing + d])
      view.strides[missing + d] = operand.strides[d];
    else if (operand.shape[d] != 1)
      return callError(call, "an epilogue's operand does not fit the result");
  }
  return view;
}

Result<std::vector<Epilogue>>
partita::runtime::parseEpilogues(const Command &call) {
  std::vector<Epilogue> epilogues;
  std::istringstream names(stringAttr(call, "epilogue"));
  std::string name;
  size_t next = 2;
  while (std::getline(names, name, ',')) {
    auto found = epilogueKinds().find(name);
    if (found == epilogueKinds().end())
      return callError(call, "unknown epilogue '" + name + "'");
    Epilogue epilogue{found->second, -1, {}};
    if (epilogue.kind <= EpilogueKind::Mul) {
      if (next >= call.operands.size())
        return callError(call, "epilogue '" + name + "' lacks its operand");
      if (call.operands[next].dtype != call.results[0].dtype)
        return callError(call, "epilogue '" + name + "' has another type");
      PARTITA_TRY(epilogue.view,
                  broadcastTo(call, call.operands[next], call.results[0]));
      epilogue.operand = static_cast<int>(next++);
    }
    epilogues.push_back(std::move(epilogue));
  }
  if (next != std::max<size_t>(call.operands.size(), 2))
    return callError(call, "has operands that no epilogue takes");
  return epilogues;
}

template <typename T> static T applyUnary(EpilogueKind kind, T x) {
  switch (kind) {
  case EpilogueKind::GeluErf:
    return T(0.5) * x * (T(1) + std::erf(x * T(0.70710678118654752440)));
  case EpilogueKind::GeluTanh:
    return T(0.5) * x *
           (T(1) + std::tanh(T(0.79788456080286535588) *
                             (x + T(0.044715) * x * x * x)));
  case EpilogueKind::Relu:
    return x > T(0) || x != x ? x : T(0);
  case EpilogueKind::Silu:
    return x / (T(1) + std::exp(-x));
  case EpilogueKind::Tanh:
    return std::tanh(x);
  case EpilogueKind::Sigmoid:
    return T(1) / (T(1) + std::exp(-x));
  default:
    return x;
  }
}

template <typename T>
static void applyOne(const Epilogue &epilogue, const View &c,
                     std::byte *cAddress, std::byte *const bases[3]) {
  bool binary = epilogue.operand >= 0;
  LoopNest nest{c.shape, {c.strides}};
  nest.strides.push_back(binary ? epilogue.view.strides : c.strides);
  nest = coalesce(std::move(nest));
  auto *out = reinterpret_cast<T *>(cAddress);
  auto *in = binary
                 ? reinterpret_cast<const T *>(addressOf(epilogue.view, bases))
                 : out;
  forEachIndex(nest, nest.rank(), [&](const int64_t *offsets) {
    T &x = out[offsets[0]];
    if (!binary)
      x = applyUnary(epilogue.kind, x);
    else if (epilogue.kind == EpilogueKind::Mul)
      x *= in[offsets[1]];
    else
      x += in[offsets[1]];
  });
}

void partita::runtime::applyEpilogues(const std::vector<Epilogue> &epilogues,
                                      const View &c, std::byte *cAddress,
                                      std::byte *const bases[3]) {
  for (const Epilogue &epilogue : epilogues) {
    if (c.dtype == DType::F64)
      applyOne<double>(epilogue, c, cAddress, bases);
    else
      applyOne<float>(epilogue, c, cAddress, bases);
  }
}
