//===- TransformerStep.h - A training step by formula -----------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What a training step of a transformer takes that others ran with their own
// software: composed of the cost model's kernels and collectives, with the
// sizes, the parallelism and the schedule that they published. It says how good
// those prices are, and plans nothing.
//
// What prices do not know is what the software makes of a layer: whether
// attention is one kernel, how much memory elementwise kernels touch beyond the
// least, what the host needs to issue a layer, what of the communication hides.
// That is a profile, declared for a piece of software, never for a row.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOOLS_PARTITA_TRANSFORMERSTEP_H
#define PARTITA_TOOLS_PARTITA_TRANSFORMERSTEP_H

#include "partita/Cost/Cost.h"

namespace partita::tool {

enum class Recompute : uint8_t { None, Selective, Full };

/// What was run. Counts are of the whole model; a gated MLP has two inputs.
struct TransformerStep {
  int64_t layers = 1, hidden = 1, ffn = 1, heads = 1, kvHeads = 1;
  int64_t sequence = 1, vocabulary = 1;
  /// Positions that attend to each other: less than `sequence` where several
  /// samples are packed into it.
  int64_t sample = 1;
  bool gated = false;
  int64_t ranks = 1, tensor = 1, pipeline = 1, context = 1;
  /// Chunks of layers that a stage has, and the level of ZeRO.
  int64_t chunks = 1, zero = 0;
  int64_t microBatch = 1, globalBatch = 1;
  Recompute recompute = Recompute::None;
  /// The last stage recomputes nothing.
  bool lastStageKeeps = false;
  /// Norms and residuals are split over tensor ranks.
  bool sequenceParallel = false;
  Precision precision = Precision::BF16;

  int64_t data() const { return ranks / (tensor * pipeline * context); }
  /// Numbers are in range and the counts divide.
  bool isValid() const;
};

/// Columns and inner sizes of a layer's four products on one rank: queries,
/// keys and values; what attention gives; the MLP's inputs; its output.
struct ProductShape {
  double columns, inner;
};
std::array<ProductShape, 4> productsOf(const TransformerStep &step);

/// A piece of software, of one time.
struct SoftwareProfile {
  const char *name = "";
  /// The speed of its attention kernel against the best one, before Hopper and
  /// from then on; zero: scores are written out, and read and written `scores`
  /// times between the two products.
  double attention = 0, attentionHopper = 0, scores = 0;
  /// Traffic of elementwise kernels against the least, and of casts to f8.
  double elementwise = 1, casts = 1;
  /// Seconds that the host needs for a layer, forward and back, for a
  /// micro-batch and for a step.
  double hostLayer = 0, hostMicroBatch = 0, hostStep = 0;
  /// Traffic of the optimizer against 20 bytes a parameter.
  double optimizer = 1;
  /// What is hidden behind kernels: gradients and parameters of ZeRO-1 and
  /// below; collectives of tensor parallelism. Of sharded parameters the share
  /// that is not.
  bool hidesData = false, hidesTensor = false;
  double exposed = 0;
  /// Always splits norms and residuals over tensor ranks; sums gradients in
  /// f32; trains with dropout, whose masks are kept.
  bool sequenceParallel = false, wideGradients = false, dropout = false;
  /// Selective recomputation is of every second product, and keeps the others'
  /// results; else of attention's scores.
  bool halfOfProducts = false;
  /// Chunks that a stage is cut into where a row does not say and they divide;
  /// zero: as many as are best.
  int64_t chunks = 0;
  /// Bytes a logit that the loss holds at a time: rounded and in f32, and what
  /// is not done in place; and that it reads and writes, forward and back.
  double logitBytes = 6, logitTraffic = 52;
};

/// By the names of software in what a row says of its source; where it says
/// nothing, by the techniques and the device.
const SoftwareProfile &profileOf(const std::string &provenance,
                                 const TransformerStep &step,
                                 const DeviceType &device);

/// Bytes of a rank.
struct StepMemory {
  /// Parameters, their gradients, and what the optimizer keeps.
  double states = 0;
  /// What forward passes keep for backward passes.
  double activations = 0;
  /// The loss, gathered parameters, a layer that runs again, buffers of
  /// communicators.
  double transients = 0;
  double sum() const { return states + activations + transients; }
};

/// Of the rank that holds most.
StepMemory memoryOf(const TransformerStep &step,
                    const SoftwareProfile &profile);

struct StepPrice {
  double seconds = 0;
  StepMemory memory;
};

StepPrice priceStep(const TransformerStep &step, const SoftwareProfile &profile,
                    const Topology &topology);

} // namespace partita::tool

#endif // PARTITA_TOOLS_PARTITA_TRANSFORMERSTEP_H
