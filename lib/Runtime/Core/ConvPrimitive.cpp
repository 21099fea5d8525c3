//===- ConvPrimitive.cpp - oneDNN's convolutions --------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ConvPrimitive.h"
#include <cstring>

using namespace partita;
using namespace partita::runtime;

static constexpr auto f32 = dnnl::memory::data_type::f32;

dnnl::memory::desc
runtime::channelsLast(const std::vector<int64_t> &shape) {
  using Tag = dnnl::memory::format_tag;
  constexpr Tag tags[] = {Tag::acb, Tag::acdb, Tag::acdeb};
  return dnnl::memory::desc(shape, f32, tags[shape.size() - 3]);
}

dnnl::memory::desc runtime::weightDesc(const ConvProblem &p, bool any) {
  int64_t out = p.resultsPerGroup(), in = p.inputsPerGroup(), taps = 1;
  dnnl::memory::dims dims = {p.groups, out, in}, strides(3);
  for (size_t d = p.spatial(); d-- > 0;) {
    strides.insert(strides.begin() + 3, taps);
    taps *= p.weight[2 + d];
  }
  dims.insert(dims.end(), p.weight.begin() + 2, p.weight.end());
  strides[0] = out * in * taps;
  strides[1] = p.transposed ? taps : in * taps;
  strides[2] = p.transposed ? out * taps : taps;
  if (p.groups == 1) {
    dims.erase(dims.begin());
    strides.erase(strides.begin());
  }
  if (any)
    return dnnl::memory::desc(dims, f32, dnnl::memory::format_tag::any);
  return dnnl::memory::desc(dims, f32, strides);
}

/// Whether a bias comes first: it is an argument of the primitive.
static bool startsWithBias(const std::vector<EpilogueKind> &epilogues) {
  return !epilogues.empty() && epilogues[0] == EpilogueKind::Bias;
}

template <typename Base>
static std::optional<typename Base::primitive_desc>
createDesc(const ConvProblem &p, const std::vector<EpilogueKind> &epilogues,
           const dnnl::memory::desc &weight, dnnl::algorithm algorithm) {
  using Dims = dnnl::memory::dims;
  dnnl::memory::desc in = channelsLast(p.input), out = channelsLast(p.result);
  if (algorithm == dnnl::algorithm::convolution_winograd) {
    constexpr auto blocked = dnnl::memory::format_tag::nChw16c;
    in = dnnl::memory::desc(p.input, f32, blocked);
    out = dnnl::memory::desc(p.result, f32, blocked);
  }
  size_t first = 3 - p.spatial();
  Dims strides, dilations, begin, end;
  for (size_t d = first; d < 3; ++d) {
    const Windows &w = p.windows;
    int64_t extent = (w.kernel[d] - 1) * w.dilation[d] + 1;
    strides.push_back(w.stride[d]);
    dilations.push_back(w.dilation[d] - 1);
    begin.push_back(w.pad[d]);
    // What the last window needs; the call's own pads may be larger.
    end.push_back((w.outer[d] - 1) * w.stride[d] + extent - w.inner[d] -
                  w.pad[d]);
  }
  bool bias = startsWithBias(epilogues);
  dnnl::memory::desc biasDesc =
      bias ? dnnl::memory::desc({p.result[1]}, f32, dnnl::memory::format_tag::a)
           : dnnl::memory::desc();
  dnnl::post_ops ops;
  for (size_t i = bias; i < epilogues.size(); ++i)
    appendPostOp(ops, epilogues[i], out);
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attr.set_post_ops(ops);
  try {
    typename Base::desc desc(dnnl::prop_kind::forward_inference, algorithm, in,
                             weight, biasDesc, out, strides, dilations, begin,
                             end);
    typename Base::primitive_desc made(desc, attr, cpuEngine());
    if (!std::strstr(made.impl_info_str(), "ref"))
      return made;
  } catch (const dnnl::error &) {
    // oneDNN does not know this one.
  }
  return std::nullopt;
}

template <typename Base>
static std::optional<ConvPrimitive>
choose(const ConvProblem &p, const std::vector<EpilogueKind> &epilogues,
       const dnnl::memory::desc &weight, dnnl::algorithm algorithm) {
  auto desc = createDesc<Base>(p, epilogues, weight, algorithm);
  if (!desc)
    return std::nullopt;
  return ConvPrimitive{Base(*desc),
                       desc->src_desc(),
                       desc->weights_desc(),
                       desc->bias_desc(),
                       desc->dst_desc(),
                       desc->scratchpad_desc(),
                       algorithm == dnnl::algorithm::convolution_winograd};
}

std::optional<ConvPrimitive>
runtime::choosePrimitive(const ConvProblem &p,
                         const std::vector<EpilogueKind> &epilogues,
                         const dnnl::memory::desc &weight, bool winograd) {
  for (const auto *shape : {&p.input, &p.weight, &p.result})
    for (int64_t size : *shape)
      if (size == 0 || !fitsOneDNN(size))
        return std::nullopt;
  // What a post-operation reads has its channels last.
  for (size_t i = startsWithBias(epilogues); i < epilogues.size(); ++i)
    if (winograd && epilogues[i] <= EpilogueKind::Mul)
      return std::nullopt;
  if (p.transposed)
    return choose<dnnl::deconvolution_forward>(
        p, epilogues, weight, dnnl::algorithm::deconvolution_direct);
  return choose<dnnl::convolution_forward>(
      p, epilogues, weight,
      winograd ? dnnl::algorithm::convolution_winograd
               : dnnl::algorithm::convolution_direct);
}

/// Where Winograd's algorithm was measured to be faster, with the layouts
/// changed before and after it: many channels, and enough positions that its
/// larger weights are read for something.
static bool suitsWinograd(const ConvProblem &p) {
  constexpr int64_t leastChannels = 64, leastPositions = 64;
  if (p.transposed || p.groups != 1 || p.spatial() != 2)
    return false;
  for (size_t d : {1, 2})
    if (p.windows.kernel[d] != 3 || p.windows.stride[d] != 1 ||
        p.windows.dilation[d] != 1 || p.windows.pad[d] > 1)
      return false;
  for (int64_t channels : {p.input[1], p.result[1]})
    if (channels < leastChannels || channels % 16 != 0)
      return false;
  return p.result[2] * p.result[3] >= leastPositions;
}

std::optional<ConvPrimitive>
runtime::chooseLayout(const ConvProblem &p,
                      const std::vector<Epilogue> &epilogues, bool packed) {
  std::vector<EpilogueKind> kinds;
  for (const Epilogue &epilogue : epilogues)
    kinds.push_back(epilogue.kind);
  dnnl::memory::desc any = weightDesc(p, /*any=*/true);
  if (packed && suitsWinograd(p))
    if (auto chosen = choosePrimitive(p, kinds, any, /*winograd=*/true))
      return chosen;
  if (auto chosen = choosePrimitive(p, kinds, any, /*winograd=*/false))
    return chosen;
  return kinds.empty() ? std::nullopt
                       : choosePrimitive(p, {}, any, /*winograd=*/false);
}
