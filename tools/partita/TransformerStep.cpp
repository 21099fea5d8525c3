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
#include <string_view>

using namespace partita;
using namespace partita::tool;

//===----------------------------------------------------------------------===//
// Profiles
//===----------------------------------------------------------------------===//

// Fitted on the measurements of each piece of software; docs/cost-model.md has
// the errors.

/// Attention in parts, GPT of 2022 on one machine.
static const SoftwareProfile megatronDeepSpeed{.name = "megatron-deepspeed",
                                               .scores = 6.3,
                                               .elementwise = 5,
                                               .hostLayer = 3.36e-3,
                                               .hostMicroBatch = 2.8e-3,
                                               .hostStep = 2.5e-3,
                                               .optimizer = 2.9};
/// Narayanan et al., arXiv:2104.04473.
static const SoftwareProfile megatron2021{.name = "megatron-2021",
                                          .scores = 5.4,
                                          .elementwise = 2.1,
                                          .hostLayer = 1e-3,
                                          .hostMicroBatch = 1e-3,
                                          .hostStep = 5e-3,
                                          .optimizer = 1.5};
/// Korthikanti et al., arXiv:2205.05198: kernels fused, recomputation of
/// attention alone.
static const SoftwareProfile megatron2022{.name = "megatron-2022",
                                          .scores = 3,
                                          .elementwise = 1,
                                          .hostLayer = 1e-3,
                                          .hostMicroBatch = 1e-3,
                                          .hostStep = 5e-3,
                                          .optimizer = 1.5};
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
                                        .exposed = 0.95};

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

/// Columns and inner sizes of a layer's four products on one rank.
struct ProductShape {
  double columns, inner;
};
static std::array<ProductShape, 4> productsOf(const TransformerStep &s) {
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
  enum Axis { Pipeline, Data, Context, Tensor };

  double product(double m, double n, double k, double batch = 1) const;
  /// `kernels` of them together read and write `bytes`.
  double memory(double bytes, double kernels) const;
  double collective(MoveKind kind, Axis axis, double bytes) const;
  double attention(bool backward) const;
  double forward() const;
  double backward() const;
  double layer(bool recomputes) const;
  double head() const;
  double pipelined(const std::vector<double> &stages) const;
  double reduction(double longest) const;
  double sharded(double stage, double host) const;
  double bytes() const;
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
  AxisSpan span = topology.spanOf(collectives.mesh(), {Data});
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

double StepModel::collective(MoveKind kind, Axis axis, double bytes) const {
  auto whole = static_cast<int64_t>(bytes);
  int64_t part = whole / collectives.mesh().axisSizes[axis];
  MoveBytes move{whole, whole, whole, 0};
  if (kind == MoveKind::AllGather)
    move.from = part;
  if (kind == MoveKind::ReduceScatter)
    move.to = part;
  return toSeconds(collectives.picoseconds(kind, 1u << axis, move));
}

double StepModel::attention(bool backward) const {
  auto heads = std::max(1.0, static_cast<double>(s.microBatch * s.heads) /
                                 static_cast<double>(s.tensor)),
       queries =
           static_cast<double>(s.sequence) / static_cast<double>(s.context),
       keys = static_cast<double>(s.sequence),
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

/// Two norms, two residuals, an activation, and heads laid out.
double StepModel::forward() const {
  auto shapes = productsOf(s);
  double shared = splitNorms();
  double seconds = attention(false), casts = 0;
  for (const ProductShape &shape : shapes) {
    seconds += product(tokens, shape.columns, shape.inner);
    casts += 4 * (tokens + shape.columns) * shape.inner;
  }
  double traffic = activations * (2 * 2 + 2 * 3.5) / shared +
                   2 * tokens * (2 * shapes[2].columns + shapes[0].columns);
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
  double traffic = activations * (2 * 3 + 2 * 3.5) / shared +
                   2 * tokens * (3 * shapes[2].columns + shapes[0].columns);
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
  if (recomputes && s.recompute == Recompute::Selective &&
      profile.attention == 0)
    computing += attention(false);
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
         memory(tokens * columns * (2 + 4 * 4), 6);
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
      s.zero == 0 ? collective(MoveKind::AllReduce, Data, gradients)
                  : collective(MoveKind::ReduceScatter, Data, gradients) +
                        collective(MoveKind::AllGather, Data, 2 * parameters);
  if (!profile.hidesData)
    return seconds;
  return std::max(0.0, seconds - longest) +
         dataLoss * std::min(seconds, longest);
}

/// Parameters gathered for each micro-batch, forward and back, gradients
/// scattered; with ZeRO-2 parameters once a step.
double StepModel::sharded(double stage, double host) const {
  double gather = collective(MoveKind::AllGather, Data, 2 * parameters);
  double scatter = collective(MoveKind::ReduceScatter, Data, 2 * parameters);
  double communicating =
      scatter + (s.zero == 3 ? 2 * gather : gather / microBatches);
  return microBatches *
         std::max(host, together(stage, communicating,
                                 std::min(1.0, dataLoss + profile.exposed)));
}

/// Korthikanti et al., arXiv:2205.05198, with what stages hold in flight.
double StepModel::bytes() const {
  auto tensor = static_cast<double>(s.tensor),
       pipeline = static_cast<double>(s.pipeline),
       chunks = static_cast<double>(s.chunks);
  auto share = [&](int64_t level) { return s.zero >= level ? dataRanks : 1; };
  double state = 2 * parameters / share(3) +
                 (profile.wideGradients ? 4 : 2) * parameters / share(2) +
                 12 * parameters / share(1);
  double shared = splitNorms();
  double layer = activations / 2 * (10 / shared + 24 / tensor);
  if (profile.attention == 0)
    layer += 5 * static_cast<double>(s.microBatch * s.heads) / tensor *
             static_cast<double>(s.sequence) * static_cast<double>(s.sequence);
  if (s.recompute == Recompute::Full)
    layer = activations;
  double inFlight = s.chunks == 1 ? std::min(microBatches, pipeline)
                                  : std::min(microBatches * chunks,
                                             pipeline * chunks + pipeline - 1) /
                                        chunks;
  double logits = 6 * tokens * static_cast<double>(s.vocabulary) / tensor;
  return state + layer * stageLayers * inFlight + logits;
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
    stages.push_back(s.zero >= 2 ? computing : std::max(computing, host));
  }
  StepPrice out;
  if (s.zero >= 2)
    out.seconds = sharded(stages.back(), host);
  else
    out.seconds = pipelined(stages) +
                  reduction(*std::max_element(stages.begin(), stages.end()));
  out.seconds += memory(20 * parameters / (s.zero >= 1 ? dataRanks : 1) *
                            profile.optimizer,
                        1) +
                 profile.hostStep;
  out.bytes = bytes();
  return out;
}

StepPrice tool::priceStep(const TransformerStep &step,
                          const SoftwareProfile &profile,
                          const Topology &topology) {
  return StepModel(step, profile, topology).price();
}
