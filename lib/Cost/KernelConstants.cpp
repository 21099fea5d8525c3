//===- KernelConstants.cpp - What devices sustain -------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Constants belong to a type of device and a precision, never to a model or a
// measurement. They minimise the mean absolute logarithmic error over
//
//  - the products of the layers of six language models, cut for 1 to 8 devices,
//    1 to 4,096 rows, f16: Microsoft Vidur, commit 7d47513363,
//    data/profiling/compute (MIT licence);
//  - cuBLASLt in steady state, f16 on A100, f8 on H100 and H200: Azure AI
//    benchmarking guide, commit 8fd0c6e1bd (MIT licence).
//
//   device     precision  rows    error    error with each model held out
//   A100       f16       1,256    5.9 %    6.0 %
//   H100       f16       1,040    6.5 %    6.6 %
//   H100, H200 f8           18    3.9 %    4.6 % (one device from the other)
//   A40        f16         416    5.6 %    (two models: none held out)
//
// Attention: FlashAttention-2 on A100 (arXiv:2307.08691; Azure, as above), and
// FlashAttention-3 on H100 (arXiv:2407.08608; lengths of 512 to 16,384 keys in
// pytorch/benchmark #2391). Convolutions, elementwise rates and devices that
// are not in the table above have no measurements: their figures are
// assumptions, and docs/cost-model.md lists them as such.
//
//===----------------------------------------------------------------------===//

#include "Generation.h"
#include "partita/Cost/Kernels.h"

using namespace partita;

namespace {
/// Constants of the devices that have one of `words` in their names, in one
/// precision or in all others.
struct Entry {
  std::string_view words;
  std::optional<Precision> precision;
  KernelConstants constants;
};
} // namespace

// In order: ceiling, depth, tile; memory; product launch, launch; convolution,
// vector; attention, its head and keys; tiled.
static const KernelConstants ampere{0.767, 45,  52,   0.765, 4.2e-6, 2e-6,
                                    0.8,   0.4, 0.88, 29,    200,    true};
static const KernelConstants hopper{0.744, 7.4, 253,  0.869, 4e-6, 1.7e-6,
                                    0.8,   0.4, 0.91, 56,    200,  true};
static const KernelConstants hopperF8{0.711, 337, 253,  0.869, 4e-6, 1.7e-6,
                                      0.8,   0.4, 0.75, 56,    200,  true};
static const KernelConstants ampereSmall{0.783, 38,  158,  0.757, 2e-6, 1.3e-6,
                                         0.8,   0.4, 0.88, 29,    200,  true};
/// No FlashAttention-2 before Ampere.
static const KernelConstants volta{0.767, 45,  52,  0.765, 5e-6, 3e-6,
                                   0.8,   0.4, 0.5, 29,    200,  true};

/// The first entry that fits counts.
static const Entry entries[] = {
    {"h100 h200 h800 gh200 b200 gb200 b300 gb300", Precision::F8, hopperF8},
    {"h100 h200 h800 gh200 b200 gb200 b300 gb300", std::nullopt, hopper},
    {"a100 a800", std::nullopt, ampere},
    {"a40 a10 3090 4090 l4 l40 l40s", std::nullopt, ampereSmall},
    {"v100 t4", std::nullopt, volta},
};

/// A processor's library of matrix products, and vector units without fused
/// products kept full, transcendentals counted as several operations.
static KernelConstants processor(const DeviceType &device) {
  KernelConstants c;
  c.productLaunch = c.launch = device.launchSeconds;
  return c;
}

/// What the best shape sustains is known of some devices; ordinary ones stay
/// below it, by 7 % on H100.
static KernelConstants unmeasured(const DeviceType &device,
                                  Precision precision) {
  KernelConstants c = ampere;
  double peak = device.matrixPeak(precision);
  if (double sustained = device.sustainedPeak(precision);
      sustained > 0 && sustained < peak)
    c.ceiling = 0.93 * sustained / peak;
  c.attention = c.ceiling;
  c.productLaunch = c.launch = device.launchSeconds;
  return c;
}

KernelConstants partita::kernelConstants(const DeviceType &device,
                                         Precision precision) {
  if (device.kind == DeviceKind::Cpu)
    return processor(device);
  for (const Entry &entry : entries)
    if (hasWord(device.model(), entry.words) &&
        entry.precision.value_or(precision) == precision)
      return entry.constants;
  return unmeasured(device, precision);
}
