//===- TransformerStep.cpp - A training step by formula -------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TransformerStep.h"
#include <algorithm>
#include <cmath>

using namespace partita;
using namespace partita::tool;

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

bool TransformerStep::isValid() const {
  constexpr int64_t most = int64_t(1) << 24;
  for (int64_t value :
       {layers, hidden, ffn, heads, kvHeads, sequence, vocabulary, ranks,
        tensor, pipeline, context, chunks, microBatch, globalBatch})
    if (value < 1 || value > most)
      return false;
  int64_t others = tensor * pipeline;
  constexpr int64_t mostStages = 1 << 16; // Each is priced.
  return others <= most && pipeline <= mostStages && others * context <= most &&
         zero <= 3 && ranks % (others * context) == 0 && hidden % heads == 0 &&
         globalBatch >= data() * microBatch && layers >= pipeline * chunks;
}

std::array<ProductShape, 4> tool::productsOf(const TransformerStep &s) {
  auto hidden = static_cast<double>(s.hidden),
       tensor = static_cast<double>(s.tensor),
       ffn = static_cast<double>(s.ffn) / tensor,
       head = hidden / static_cast<double>(s.heads),
       qkv = (hidden + 2 * static_cast<double>(s.kvHeads) * head) / tensor;
  return {{{qkv, hidden},
           {hidden, hidden / tensor},
           {ffn * (s.gated ? 2 : 1), hidden},
           {hidden, ffn}}};
}

/// Parameters of a rank.
static double parametersOf(const TransformerStep &s) {
  double layer = 0;
  for (const ProductShape &shape : productsOf(s))
    layer += shape.columns * shape.inner;
  auto tensor = static_cast<double>(s.tensor),
       pipeline = static_cast<double>(s.pipeline);
  double tables = static_cast<double>(s.vocabulary) *
                  static_cast<double>(s.hidden) * (s.gated ? 2 : 1);
  return layer * static_cast<double>(s.layers) / pipeline +
         tables / (tensor * pipeline);
}

//===----------------------------------------------------------------------===//
// A layer
//===----------------------------------------------------------------------===//

namespace {
/// Prices the parts of one step. Times are in seconds.
class StepModel {
public:
  StepModel(const TransformerStep &step, const SoftwareProfile &profile,
            const Topology &topology);
  StepPrice price() const;

private:
  enum Axis : uint32_t { Pipeline = 1, Data = 2, Context = 4, Tensor = 8 };
  /// Ranks that have the same parameters.
  static constexpr uint32_t Replicas = Data | Context;

  double product(double m, double n, double k, double batch = 1) const;
  /// `kernels` of them together read and write `bytes`.
  double memory(double bytes, double kernels) const;
  /// Along the axes of a bit set.
  double collective(MoveKind kind, uint32_t axes, double bytes) const;
  double attention(bool backward) const;
  double forward() const;
  double backward() const;
  double layer(bool recomputes) const;
  double head() const;
  double pipelined(const std::vector<double> &stages) const;
  double reduction(double longest) const;
  double sharded(double computing, double host) const;
  /// Over how many ranks norms and residuals are split.
  double splitNorms() const {
    return profile.sequenceParallel || s.sequenceParallel
               ? static_cast<double>(s.tensor)
               : 1;
  }
  /// Computing and communicating at a time: computing loses `loss` of its rate
  /// meanwhile.
  double together(double computing, double communicating, double loss) const {
    return std::max(communicating, computing + loss * communicating);
  }

  const TransformerStep &s;
  const SoftwareProfile &profile;
  const DeviceType device;
  KernelCost kernels;
  CollectiveCost collectives;
  bool f8;
  /// Tokens of a micro-batch on a rank; bytes of their activations.
  double tokens, activations;
  double microBatches, dataRanks, stageLayers, parameters;
  /// What computing loses: over NVLink, and over the network if data ranks are
  /// on several nodes. Measured on A100 (github.com/Dazz993/Mist, commit
  /// d69e530acb).
  static constexpr double lossInside = 0.5, lossAcross = 0.08;
  double dataLoss = lossInside;
};
} // namespace

static Mesh meshOf(const TransformerStep &s) {
  Mesh mesh;
  mesh.axisNames = {"pp", "dp", "cp", "tp"};
  mesh.axisSizes = {s.pipeline, s.data(), s.context, s.tensor};
  return mesh;
}

StepModel::StepModel(const TransformerStep &step,
                     const SoftwareProfile &profile, const Topology &topology)
    : s(step), profile(profile), device(topology.commonDevice()),
      kernels(device), collectives(topology, meshOf(step)),
      f8(step.precision == Precision::F8) {
  tokens = static_cast<double>(s.microBatch * s.sequence) /
           static_cast<double>(s.context);
  activations = 2 * tokens * static_cast<double>(s.hidden);
  dataRanks = static_cast<double>(s.data());
  microBatches = static_cast<double>(s.globalBatch) /
                 (dataRanks * static_cast<double>(s.microBatch));
  stageLayers = static_cast<double>(s.layers) / static_cast<double>(s.pipeline);
  parameters = parametersOf(s);
  AxisSpan span = topology.spanOf(collectives.mesh(), {1, 2});
  if (int level = span.outermost();
      level >= 0 && isNetwork(topology.linkOf(level).kind))
    dataLoss = lossAcross;
}

double StepModel::product(double m, double n, double k, double batch) const {
  KernelWork work;
  work.kernelClass = KernelClass::Gemm;
  // Scores are not rounded to f8.
  work.precision = batch > 1 && f8 ? Precision::BF16 : s.precision;
  work.batch = batch;
  work.m = m;
  work.n = n;
  work.k = k;
  work.flops = 2 * batch * m * n * k;
  double element = work.precision == Precision::F8 ? 1 : 2;
  work.bytes = batch * (element * (m * k + k * n) + 2 * m * n);
  return toSeconds(kernels.picoseconds(work));
}

double StepModel::memory(double bytes, double count) const {
  KernelWork work;
  work.bytes = bytes / count;
  return count * toSeconds(kernels.picoseconds(work));
}

double StepModel::collective(MoveKind kind, uint32_t axes, double bytes) const {
  int64_t ranks = 1;
  for (int axis = 0; axis < collectives.mesh().numAxes(); ++axis)
    if (axes >> axis & 1)
      ranks *= collectives.mesh().axisSizes[axis];
  auto whole = static_cast<int64_t>(bytes), part = whole / ranks;
  MoveBytes move{whole, whole, whole, 0};
  if (kind == MoveKind::AllGather)
    move.from = part;
  if (kind == MoveKind::ReduceScatter)
    move.to = part;
  return toSeconds(collectives.picoseconds(kind, axes, move));
}

double StepModel::attention(bool backward) const {
  // Samples that share a sequence are computed by themselves.
  auto keys = static_cast<double>(std::min(s.sample, s.sequence)),
       packed = static_cast<double>(s.sequence) / keys,
       heads = std::max(1.0, static_cast<double>(s.microBatch * s.heads) /
                                 static_cast<double>(s.tensor)) *
               packed,
       queries = keys / static_cast<double>(s.context),
       size = static_cast<double>(s.hidden) / static_cast<double>(s.heads);
  double kernel =
      device.matrixPeak(Precision::F8) > device.matrixPeak(Precision::F16)
          ? profile.attentionHopper
          : profile.attention;
  if (kernel == 0) {
    double products = product(queries, keys, size, heads) +
                      product(queries, size, keys, heads);
    return products * (backward ? 2 : 1) +
           memory(2 * heads * queries * keys * profile.scores,
                  backward ? 4 : 3);
  }
  KernelWork work;
  work.kernelClass = KernelClass::Attention;
  work.precision = f8 ? Precision::BF16 : s.precision;
  work.batch = heads;
  work.m = queries;
  work.n = size;
  work.k = 2 * keys;
  // Half of the scores lie behind their query. Going back are five products in
  // place of two, at 0.85 of the rate.
  work.flops = 2 * heads * queries * keys * size * (backward ? 2.5 / 0.85 : 1);
  work.bytes = 2 * heads * size * (2 * queries + 2 * keys);
  return toSeconds(kernels.picoseconds(work)) / kernel;
}

/// Two norms, two residuals, an activation (a gated one reads two columns and
/// writes one), and heads laid out.
double StepModel::forward() const {
  auto shapes = productsOf(s);
  double shared = splitNorms();
  double seconds = attention(false), casts = 0;
  for (const ProductShape &shape : shapes) {
    seconds += product(tokens, shape.columns, shape.inner);
    casts += 4 * (tokens + shape.columns) * shape.inner;
  }
  double traffic =
      activations * (2 * 2 + 2 * 3.5) / shared +
      2 * tokens *
          ((s.gated ? 1.5 : 2) * shapes[2].columns + shapes[0].columns);
  return seconds + memory(traffic * profile.elementwise, 6) +
         (f8 ? memory(casts * profile.casts, 8) : 0);
}

double StepModel::backward() const {
  auto shapes = productsOf(s);
  double shared = splitNorms();
  double seconds = attention(true), casts = 0;
  for (const ProductShape &shape : shapes) {
    seconds += product(tokens, shape.inner, shape.columns) +
               product(shape.columns, shape.inner, tokens);
    casts += 4 * tokens * shape.columns;
  }
  double traffic =
      activations * (2 * 3 + 2 * 3.5) / shared +
      2 * tokens *
          ((s.gated ? 2.5 : 3) * shapes[2].columns + shapes[0].columns);
  return seconds + memory(traffic * profile.elementwise, 8) +
         (f8 ? memory(casts * profile.casts, 4) : 0);
}

/// Forward and back, with what tensor and context ranks tell each other.
double StepModel::layer(bool recomputes) const {
  double computing = forward() + backward(), passes = 2;
  if (recomputes && s.recompute == Recompute::Full) {
    computing += forward();
    passes = 3;
  }
  if (recomputes && s.recompute == Recompute::Selective) {
    if (profile.halfOfProducts)
      computing += (forward() - attention(false)) / 2;
    else if (profile.attention == 0)
      computing += attention(false);
  }
  double keys = 4 * tokens * static_cast<double>(s.kvHeads) /
                static_cast<double>(s.tensor) *
                static_cast<double>(s.hidden / s.heads);
  double communicating =
      passes * 2 * collective(MoveKind::AllReduce, Tensor, activations) +
      3 * static_cast<double>(s.context - 1) *
          collective(MoveKind::Permute, Context, keys);
  return profile.hidesTensor ? together(computing, communicating, lossInside)
                             : computing + communicating;
}

/// Logits forward and back in half precision, and the loss in f32.
double StepModel::head() const {
  double columns =
      static_cast<double>(s.vocabulary) / static_cast<double>(s.tensor);
  auto hidden = static_cast<double>(s.hidden);
  KernelWork work;
  work.kernelClass = KernelClass::Gemm;
  work.precision = f8 ? Precision::BF16 : s.precision;
  work.m = tokens;
  work.n = columns;
  work.k = hidden;
  work.flops = 2 * tokens * columns * hidden;
  work.bytes = 2 * (tokens * hidden + hidden * columns + tokens * columns);
  return 3 * toSeconds(kernels.picoseconds(work)) +
         memory(tokens * columns * profile.logitTraffic, 6);
}

//===----------------------------------------------------------------------===//
// A step
//===----------------------------------------------------------------------===//

/// One forward, one backward, in chunks: the longest stage for each
/// micro-batch, the others to fill and to drain.
double StepModel::pipelined(const std::vector<double> &stages) const {
  double sum = 0, longest = 0;
  for (double stage : stages) {
    sum += stage;
    longest = std::max(longest, stage);
  }
  auto chunks = static_cast<double>(s.chunks),
       pipeline = static_cast<double>(s.pipeline);
  double send = collective(MoveKind::Permute, Pipeline,
                           activations / static_cast<double>(s.tensor));
  double exposed = profile.hidesData ? 0 : 2 * microBatches * chunks * send;
  return microBatches * longest + (sum - longest) / chunks +
         2 * (pipeline - 1) * send + exposed;
}

/// Of gradients, once a step, and what sharded optimizers give back.
double StepModel::reduction(double longest) const {
  double gradients = parameters * (profile.wideGradients ? 4 : 2);
  double seconds =
      s.zero == 0
          ? collective(MoveKind::AllReduce, Replicas, gradients)
          : collective(MoveKind::ReduceScatter, Replicas, gradients) +
                collective(MoveKind::AllGather, Replicas, 2 * parameters);
  if (!profile.hidesData)
    return seconds;
  return std::max(0.0, seconds - longest) +
         dataLoss * std::min(seconds, longest);
}

/// What one micro-batch takes on a stage whose parameters are sharded: they are
/// gathered, forward and back, and gradients scattered; with ZeRO-2 parameters
/// once a step.
double StepModel::sharded(double computing, double host) const {
  double gather = collective(MoveKind::AllGather, Replicas, 2 * parameters);
  double scatter =
      collective(MoveKind::ReduceScatter, Replicas, 2 * parameters);
  double communicating =
      scatter + (s.zero == 3 ? 2 * gather : gather / microBatches);
  return std::max(host, together(computing, communicating,
                                 std::min(1.0, dataLoss + profile.exposed)));
}

StepPrice StepModel::price() const {
  double usual = layer(true), ofLast = s.lastStageKeeps ? layer(false) : usual;
  double host = stageLayers * profile.hostLayer + profile.hostMicroBatch;
  // The host is a lane too: it issues one layer while another is computed.
  std::vector<double> stages;
  for (int64_t stage = 0; stage < s.pipeline; ++stage) {
    bool last = stage + 1 == s.pipeline;
    double computing =
        stageLayers * (last ? ofLast : usual) + (last ? head() : 0);
    stages.push_back(s.zero >= 2 ? sharded(computing, host)
                                 : std::max(computing, host));
  }
  StepPrice out;
  out.seconds = pipelined(stages);
  if (s.zero < 2)
    out.seconds += reduction(*std::max_element(stages.begin(), stages.end()));
  double shards = s.zero >= 1 ? dataRanks * static_cast<double>(s.context) : 1;
  out.seconds += memory(20 * parameters / shards * profile.optimizer, 1) +
                 profile.hostStep;
  out.memory = memoryOf(s, profile);
  return out;
}

StepPrice tool::priceStep(const TransformerStep &step,
                          const SoftwareProfile &profile,
                          const Topology &topology) {
  return StepModel(step, profile, topology).price();
}
