//===- TransformerMemory.cpp - What a training step holds, by formula -----===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Bytes of each stage's ranks: what parameters need, what forward passes keep
// for the micro-batches in flight (Korthikanti et al., "Reducing Activation
// Recomputation in Large Transformer Models", arXiv:2205.05198, section 4,
// tensor by tensor), and what is there for a while.
//
//===----------------------------------------------------------------------===//

#include "TransformerStep.h"
#include <algorithm>
#include <cmath>

using namespace partita;
using namespace partita::tool;

namespace {
class MemoryModel {
public:
  MemoryModel(const TransformerStep &step, const SoftwareProfile &profile);
  StepMemory ofStage(int64_t stage) const;

private:
  bool isLast(int64_t stage) const { return stage + 1 == s.pipeline; }
  double share(int64_t level) const { return s.zero >= level ? shards : 1; }
  double states(int64_t stage) const;
  double layer() const;
  double kept(int64_t stage) const;
  double inFlight(int64_t stage) const;
  double transients(int64_t stage) const;

  const TransformerStep &s;
  const SoftwareProfile &profile;
  double tensor, hidden, shards;
  /// Tokens of a micro-batch on a rank, and on one if norms are split.
  double tokens, splitTokens;
  double stageLayers, layerParameters;
  /// Of one of the two tables, of words and of logits.
  double tableParameters;
};
} // namespace

MemoryModel::MemoryModel(const TransformerStep &step,
                         const SoftwareProfile &profile)
    : s(step), profile(profile), tensor(static_cast<double>(s.tensor)),
      hidden(static_cast<double>(s.hidden)),
      shards(static_cast<double>(s.data() * s.context)),
      tokens(static_cast<double>(s.microBatch * s.sequence) /
             static_cast<double>(s.context)),
      splitTokens(profile.sequenceParallel || s.sequenceParallel
                      ? tokens / tensor
                      : tokens),
      stageLayers(static_cast<double>(s.layers) /
                  static_cast<double>(s.pipeline)),
      layerParameters(0),
      tableParameters(static_cast<double>(s.vocabulary) * hidden / tensor) {
  for (const ProductShape &shape : productsOf(s))
    layerParameters += shape.columns * shape.inner;
}

/// Weights in half precision, gradients, a master copy and two means in f32;
/// what computes in f8 has the weights in that too, and transposed.
double MemoryModel::states(int64_t stage) const {
  // One stage has one table, unless logits have their own.
  double tables = s.pipeline == 1 ? (s.gated ? 2 : 1)
                                  : (stage == 0) + (isLast(stage) ? 1 : 0);
  double layers = layerParameters * stageLayers,
         all = layers + tables * tableParameters;
  bool f8 = s.precision == Precision::F8;
  return 2 * all / share(3) + (f8 ? 2 * layers / share(3) : 0) +
         (profile.wideGradients ? 4 : 2) * all / share(2) + 12 * all / share(1);
}

/// What the backward pass of a layer reads, of one micro-batch.
double MemoryModel::layer() const {
  auto shapes = productsOf(s);
  bool f8 = s.precision == Precision::F8;
  double input = f8 ? 1 : 2; // Products keep their inputs as they read them.
  double ffn = static_cast<double>(s.ffn) / tensor;
  // A layer's input; queries and values; attention; one of the MLP's inputs,
  // and its result.
  if (s.recompute == Recompute::Selective && profile.halfOfProducts)
    return 2 * (2 * splitTokens * hidden +
                tokens * ((shapes[0].columns + hidden / tensor) / 2 +
                          hidden / tensor + ffn));
  // Norms and what they give, and masks of two dropouts.
  double norms = splitTokens * hidden * (2 * 2 + 2 * input);
  if (profile.dropout)
    norms += splitTokens * hidden * 2;
  double attention =
      tokens * (2 * shapes[0].columns + (f8 ? 2 + input : 2) * hidden / tensor);
  // Softmax, its mask, and what dropout leaves.
  if (profile.attention == 0 && s.recompute != Recompute::Selective)
    attention += 5 * tokens * static_cast<double>(s.heads) / tensor *
                 static_cast<double>(s.sequence);
  double mlp = tokens * (2 * shapes[2].columns + input * ffn);
  return norms + attention + mlp;
}

/// Micro-batches of which a stage keeps activations, of all its layers: one
/// forward, one backward, in chunks (Narayanan et al., arXiv:2104.04473).
double MemoryModel::inFlight(int64_t stage) const {
  auto pipeline = static_cast<double>(s.pipeline),
       after = pipeline - 1 - static_cast<double>(stage),
       chunks = static_cast<double>(s.chunks),
       microBatches = static_cast<double>(s.globalBatch) /
                      static_cast<double>(s.data() * s.microBatch);
  if (s.chunks == 1)
    return std::min(microBatches, after + 1);
  return std::min(microBatches * chunks,
                  2 * after + (chunks - 1) * pipeline + 1) /
         chunks;
}

double MemoryModel::kept(int64_t stage) const {
  bool full =
      s.recompute == Recompute::Full && !(s.lastStageKeeps && isLast(stage));
  double ofLayer = full ? 2 * splitTokens * hidden : layer();
  return ofLayer * stageLayers * inFlight(stage);
}

double MemoryModel::transients(int64_t stage) const {
  double bytes = 0;
  if (isLast(stage))
    bytes += profile.logitBytes * tokens * static_cast<double>(s.vocabulary) /
             tensor;
  if (s.recompute == Recompute::Full)
    bytes += layer();
  // Of sharded parameters the layer that is computed and the next, and the
  // tables, which stay; with the gradients of one layer.
  if (s.zero == 3 && shards > 1)
    bytes += 2 * (3 * layerParameters + 2 * tableParameters);
  // NCCL keeps 4 MiB a channel (NCCL_BUFFSIZE), of 16 channels, to send and to
  // receive.
  constexpr double communicator = 2.0 * 16 * (4 << 20);
  for (int64_t ranks : {s.tensor, s.pipeline, s.context, s.data()})
    bytes += ranks > 1 ? communicator : 0;
  return bytes;
}

StepMemory MemoryModel::ofStage(int64_t stage) const {
  return {states(stage), kept(stage), transients(stage)};
}

StepMemory tool::memoryOf(const TransformerStep &step,
                          const SoftwareProfile &profile) {
  MemoryModel model(step, profile);
  StepMemory most;
  // Those between the first and the last hold less than the first.
  for (int64_t stage : {int64_t(0), step.pipeline - 1})
    if (StepMemory memory = model.ofStage(stage); memory.sum() > most.sum())
      most = memory;
  return most;
}
