//===- Epilogue.cpp - What follows a matrix product -----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Line by line over a strided result, on one thread: what is common is fused
// by oneDNN.
//
//===----------------------------------------------------------------------===//

#include "Epilogue.h"
#include <cmath>
#include <numeric>
#include <sstream>

using namespace partita;
using namespace partita::runtime;

static const std::map<std::string, EpilogueKind> &kindsByName() {
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

Result<std::vector<EpilogueKind>>
partita::runtime::epilogueKinds(const Command &call) {
  std::vector<EpilogueKind> kinds;
  std::istringstream names(stringAttr(call, "epilogue"));
  std::string name;
  while (std::getline(names, name, ',')) {
    auto found = kindsByName().find(name);
    if (found == kindsByName().end())
      return callError(call, "unknown epilogue '" + name + "'");
    kinds.push_back(found->second);
  }
  return kinds;
}

Result<std::vector<Epilogue>>
partita::runtime::parseEpilogues(const Command &call) {
  PARTITA_TRY(std::vector<EpilogueKind> kinds, epilogueKinds(call));
  std::vector<Epilogue> epilogues;
  size_t next = 2;
  for (EpilogueKind kind : kinds) {
    Epilogue epilogue{kind, -1, {}};
    if (epilogue.kind <= EpilogueKind::Mul) {
      if (next >= call.operands.size())
        return callError(call, "an epilogue lacks its operand");
      if (call.operands[next].dtype != call.results[0].dtype)
        return callError(call, "an epilogue's operand has another type");
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

/// A loop nest over the result and the operand, innermost where the result's
/// elements are adjacent.
static LoopNest nestOf(const View &c, const std::vector<int64_t> &operand) {
  std::vector<size_t> order(c.shape.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::pair(-c.strides[a], a) < std::pair(-c.strides[b], b);
  });
  LoopNest nest{{}, {{}, {}}};
  for (size_t d : order) {
    nest.shape.push_back(c.shape[d]);
    nest.strides[0].push_back(c.strides[d]);
    nest.strides[1].push_back(operand[d]);
  }
  nest = coalesce(std::move(nest));
  if (nest.shape.empty())
    nest = {{1}, {{1}, {1}}};
  return nest;
}

/// out[i] = fn(out[i], in[i]) along one line, in vectors where both are dense.
template <typename T, typename Fn>
static void applyLine(T *out, const T *in, int64_t count, int64_t outStep,
                      int64_t inStep, Fn fn) {
  if (outStep == 1 && inStep == 1)
    for (int64_t i = 0; i < count; ++i)
      out[i] = fn(out[i], in[i]);
  else
    for (int64_t i = 0; i < count; ++i)
      out[i * outStep] = fn(out[i * outStep], in[i * inStep]);
}

template <typename T>
static void applyOne(const Epilogue &epilogue, const View &c,
                     std::byte *cAddress, std::byte *const bases[3]) {
  bool binary = epilogue.operand >= 0;
  LoopNest nest = nestOf(c, binary ? epilogue.view.strides : c.strides);
  auto *out = reinterpret_cast<T *>(cAddress);
  auto *in = binary
                 ? reinterpret_cast<const T *>(addressOf(epilogue.view, bases))
                 : out;
  int outer = nest.rank() - 1;
  auto lines = [&](auto fn) {
    forEachIndex(nest, outer, [&](const int64_t *offsets) {
      applyLine(out + offsets[0], in + offsets[1], nest.shape[outer],
                nest.strides[0][outer], nest.strides[1][outer], fn);
    });
  };
  if (nest.empty())
    return;
  if (!binary && epilogue.kind == EpilogueKind::Relu)
    lines([](T x, T) { return x > T(0) || x != x ? x : T(0); });
  else if (!binary)
    lines([&](T x, T) { return applyUnary(epilogue.kind, x); });
  else if (epilogue.kind == EpilogueKind::Mul)
    lines([](T x, T y) { return x * y; });
  else
    lines([](T x, T y) { return x + y; });
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
