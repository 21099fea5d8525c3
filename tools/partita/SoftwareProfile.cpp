//===- SoftwareProfile.cpp - What software makes of a layer ---------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TransformerStep.h"
#include <string_view>

using namespace partita;
using namespace partita::tool;

// Fitted on the measurements of each piece of software; docs/cost-model.md has
// the errors.

/// Attention in parts, GPT of 2022 on one machine.
static const SoftwareProfile megatronDeepSpeed{.name = "megatron-deepspeed",
                                               .scores = 6.3,
                                               .elementwise = 5,
                                               .hostLayer = 3.36e-3,
                                               .hostMicroBatch = 2.8e-3,
                                               .hostStep = 2.5e-3,
                                               .optimizer = 2.9,
                                               .dropout = true};
/// Narayanan et al., arXiv:2104.04473.
static const SoftwareProfile megatron2021{.name = "megatron-2021",
                                          .scores = 5.4,
                                          .elementwise = 2.1,
                                          .hostLayer = 1e-3,
                                          .hostMicroBatch = 1e-3,
                                          .hostStep = 5e-3,
                                          .optimizer = 1.5,
                                          .dropout = true};
/// Korthikanti et al., arXiv:2205.05198: kernels fused, recomputation of
/// attention alone.
static const SoftwareProfile megatron2022{.name = "megatron-2022",
                                          .scores = 3,
                                          .elementwise = 1,
                                          .hostLayer = 1e-3,
                                          .hostMicroBatch = 1e-3,
                                          .hostStep = 5e-3,
                                          .optimizer = 1.5,
                                          .wideGradients = true,
                                          .dropout = true,
                                          .chunks = 3};
/// Megatron-Core of 2024 in bf16.
static const SoftwareProfile megatronCore{.name = "megatron-core",
                                          .attention = 1,
                                          .attentionHopper = 0.5,
                                          .elementwise = 5,
                                          .hostLayer = 1.6e-3,
                                          .hostMicroBatch = 1e-3,
                                          .hostStep = 5e-3,
                                          .optimizer = 1.5,
                                          .hidesData = true,
                                          .hidesTensor = true,
                                          .sequenceParallel = true,
                                          .wideGradients = true};
/// NeMo of 2024 with the Transformer Engine in f8.
static const SoftwareProfile nemo{.name = "nemo",
                                  .attention = 1,
                                  .attentionHopper = 0.81,
                                  .elementwise = 3.7,
                                  .casts = 0.81,
                                  .hostLayer = 1.75e-3,
                                  .hostMicroBatch = 1e-3,
                                  .hostStep = 5e-3,
                                  .optimizer = 1.5,
                                  .hidesData = true,
                                  .hidesTensor = true,
                                  .sequenceParallel = true,
                                  .wideGradients = true};
/// PyTorch's fully sharded data parallelism with attention in Triton.
static const SoftwareProfile llmFoundry{.name = "llm-foundry",
                                        .attention = 0.56,
                                        .attentionHopper = 0.31,
                                        .elementwise = 2.1,
                                        .optimizer = 8.2,
                                        .exposed = 0.95,
                                        .logitBytes = 14,
                                        .logitTraffic = 36};

/// The same with attention of PyTorch itself, compiled, with DTensor's tensor
/// parallelism; recomputes every second product where it is selective.
static const SoftwareProfile torchtitan{.name = "torchtitan",
                                        .attention = 0.9,
                                        .attentionHopper = 0.45,
                                        .elementwise = 2.1,
                                        .optimizer = 1.5,
                                        .exposed = 0.95,
                                        .sequenceParallel = true,
                                        .halfOfProducts = true,
                                        .logitBytes = 14,
                                        .logitTraffic = 36};

/// Hopper and later: GPUs that compute in f8.
static bool isHopper(const DeviceType &device) {
  return device.matrixPeak(Precision::F8) > device.matrixPeak(Precision::F16);
}

const SoftwareProfile &tool::profileOf(const std::string &provenance,
                                       const TransformerStep &step,
                                       const DeviceType &device) {
  static const std::pair<std::string_view, const SoftwareProfile *> names[] = {
      {"Megatron-DeepSpeed", &megatronDeepSpeed},
      {"llm-foundry", &llmFoundry},
      {"torchtitan", &torchtitan},
      {"NeMo", &nemo},
      {"Megatron-Core", &megatronCore},
      {"2104.04473", &megatron2021},
      {"2205.05198", &megatron2022},
  };
  for (const auto &[name, profile] : names)
    if (provenance.find(name) != std::string::npos)
      return *profile;
  if (step.zero >= 2)
    return llmFoundry;
  if (step.precision == Precision::F8)
    return nemo;
  if (isHopper(device))
    return megatronCore;
  return step.sequenceParallel || step.recompute == Recompute::Selective
             ? megatron2022
             : megatron2021;
}
