//===- Convolution.cpp - Convolutions and their transposes ----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// f32 convolutions are primitives of oneDNN on channels-last tensors, where its
// kernels are as fast as on its own blocked layouts, which nothing else could
// read. What is not channels last is copied through the workspace; the compiler
// lays out buffers so that this is rare. Weights are in the layout that the
// primitive chooses: packed once at load where they can be, else brought there
// each time (ConvPrimitive.h). Half precision is converted on those copies.
// With windows of one element and packed weights a convolution is a product of
// its positions with the weight (Panels.h).
//
// f64 and i32, and what oneDNN has only its slow reference for, are plain
// loops over rows, with any strides.
//
//===----------------------------------------------------------------------===//

#include "ConvPrimitive.h"
#include "Panels.h"

using namespace partita;
using namespace partita::runtime;

//===----------------------------------------------------------------------===//
// The problem
//===----------------------------------------------------------------------===//

static Result<ConvProblem> makeProblem(const Command &call, bool transposed,
                                       std::vector<int64_t> input,
                                       std::vector<int64_t> weight,
                                       std::vector<int64_t> result) {
  ConvProblem p{transposed,        1, std::move(input), std::move(weight),
                std::move(result), {}};
  size_t rank = p.input.size();
  if (rank < 3 || p.weight.size() != rank || p.result.size() != rank ||
      p.weight[0] < 1 || p.weight[1] < 1 || p.input[1] < 1)
    return callError(call, "the ranks do not fit a convolution");
  p.groups = transposed ? intAttr(call, "groups", 1) : p.input[1] / p.weight[1];
  int64_t channels = transposed ? p.weight[0] : p.weight[1] * p.groups;
  int64_t results = transposed ? p.weight[1] * p.groups : p.weight[0];
  if (p.groups < 1 || channels != p.input[1] || results != p.result[1] ||
      p.input[1] % p.groups != 0 || p.result[1] % p.groups != 0 ||
      p.input[0] != p.result[0])
    return callError(call, "the shapes do not fit a convolution");
  const auto &outer = transposed ? p.input : p.result;
  const auto &inner = transposed ? p.result : p.input;
  PARTITA_TRY(p.windows, readWindows(call, outer, inner,
                                     {p.weight.begin() + 2, p.weight.end()}));
  return p;
}

/// The shape of a convolution's result, which a call that packs does not have.
static Result<std::vector<int64_t>>
resultShape(const Command &call, bool transposed,
            const std::vector<int64_t> &input,
            const std::vector<int64_t> &weight) {
  std::vector<int64_t> strides = intsAttr(call, "strides"),
                       dilations = intsAttr(call, "dilations"),
                       begin = intsAttr(call, "pads_begin"),
                       end = intsAttr(call, "pads_end"),
                       more = intsAttr(call, "output_pads");
  size_t rank = input.size();
  if (!transposed)
    more.assign(rank < 2 ? 0 : rank - 2, 0);
  if (rank < 3 || weight.size() != rank || strides.size() != rank - 2 ||
      dilations.size() != rank - 2 || begin.size() != rank - 2 ||
      end.size() != rank - 2 || more.size() != rank - 2)
    return callError(call, "lacks numbers of its windows");
  std::vector<int64_t> shape = {
      input[0],
      transposed ? weight[1] * intAttr(call, "groups", 1) : weight[0]};
  for (size_t d = 0; d + 2 < rank; ++d) {
    int64_t extent = (weight[d + 2] - 1) * dilations[d] + 1;
    int64_t pads = begin[d] + end[d];
    if (strides[d] < 1)
      return callError(call, "has a stride below one");
    shape.push_back(
        transposed ? (input[d + 2] - 1) * strides[d] + extent - pads + more[d]
                   : (input[d + 2] + pads - extent) / strides[d] + 1);
    if (shape.back() < 1)
      return callError(call, "has no result");
  }
  return shape;
}

//===----------------------------------------------------------------------===//
// Packed weights
//===----------------------------------------------------------------------===//

static Result<ConvProblem> packedProblem(const Command &call) {
  PARTITA_CHECK(checkCounts(call, 1, 0));
  bool transposed = intAttr(call, "transposed", 0) != 0;
  std::vector<int64_t> input = intsAttr(call, "input");
  const View &weight = call.operands[0];
  if (weight.dtype != DType::F32)
    return callError(call, "the weight is not f32");
  PARTITA_TRY(std::vector<int64_t> result,
              resultShape(call, transposed, input, weight.shape));
  return makeProblem(call, transposed, input, weight.shape, result);
}

/// Whether a window lies in padding alone.
static bool hasEmptyWindows(const Windows &w) {
  for (size_t d = 0; d < 3; ++d)
    if (w.pad[d] > (w.kernel[d] - 1) * w.dilation[d] ||
        (w.outer[d] - 1) * w.stride[d] - w.pad[d] >= w.inner[d])
      return true;
  return false;
}

/// The product of positions with the weight that a convolution is, or nothing.
/// Channels are last.
static std::optional<PanelProduct> pointwiseProduct(const ConvProblem &p) {
  const Windows &w = p.windows;
  const auto &[depth, height, width] = w.outer;
  int64_t batch = p.result[0], channels = p.input[1];
  if (p.transposed || p.groups != 1 || w.kernel != Windows::Triple{1, 1, 1} ||
      w.pad != Windows::Triple{0, 0, 0} || hasEmptyWindows(w))
    return std::nullopt;
  // One step from each row of positions to the next, also across images.
  int64_t step = w.stride[1];
  if ((depth > 1 && w.stride[0] * w.inner[1] != height * step) ||
      (batch > 1 && w.inner[0] * w.inner[1] != depth * height * step))
    return std::nullopt;
  return PanelProduct{batch * depth * height * width,
                      channels,
                      p.result[1],
                      /*inner=*/width,
                      /*innerStride=*/w.stride[2] * channels,
                      /*outerStride=*/step * w.inner[2] * channels,
                      /*cStride=*/p.result[1]};
}

static int64_t panelBytes(const PanelProduct &product) {
  return panelElements(product.k, product.n) *
         static_cast<int64_t>(sizeof(float));
}

/// The layout of the packed weight, or nothing if it stays as it is.
static Result<std::optional<dnnl::memory::desc>>
packedDesc(const Command &call, const ConvProblem &problem, int threads) {
  PARTITA_TRY(std::vector<EpilogueKind> kinds, epilogueKinds(call));
  std::vector<Epilogue> epilogues;
  for (EpilogueKind kind : kinds)
    epilogues.push_back({kind, -1, {}});
  ThreadCount guard(threads);
  try {
    std::optional<ConvPrimitive> chosen =
        chooseLayout(problem, epilogues, /*packed=*/true);
    return chosen ? std::optional(chosen->weight) : std::nullopt;
  } catch (const dnnl::error &e) {
    return onednnError(call, e);
  }
}

static Result<int64_t> packedConvBytes(const Command &call, int threads) {
  PARTITA_TRY(ConvProblem problem, packedProblem(call));
  if (auto product = pointwiseProduct(problem))
    return panelBytes(*product);
  PARTITA_TRY(std::optional<dnnl::memory::desc> desc,
              packedDesc(call, problem, threads));
  return desc ? static_cast<int64_t>(desc->get_size()) : int64_t(0);
}

static Result<int64_t> packWorkspace(const Command &call, int) {
  PARTITA_CHECK(checkCounts(call, 1, 1));
  return int64_t(0);
}

static Result<std::unique_ptr<PreparedCall>>
preparePack(const Command &call, const PrepareContext &context) {
  PARTITA_CHECK(checkCounts(call, 1, 1));
  PARTITA_TRY(ConvProblem problem, packedProblem(call));
  if (!call.operands[0].isContiguous())
    return callError(call, "the weight is not contiguous");
  if (auto product = pointwiseProduct(problem)) {
    View weight = call.operands[0];
    weight.shape = {product->k, product->n};
    weight.strides = {1, product->k};
    PARTITA_CHECK(checkBlob(call, call.results[0], panelBytes(*product)));
    return packIntoPanels(weight, call.results[0], context.threads);
  }
  PARTITA_TRY(std::optional<dnnl::memory::desc> desc,
              packedDesc(call, problem, context.threads));
  if (!desc)
    return callError(call, "this weight is not packed");
  PARTITA_CHECK(checkBlob(call, call.results[0], desc->get_size()));
  ThreadCount guard(context.threads);
  try {
    return packWeight(call, weightDesc(problem, /*any=*/false), *desc);
  } catch (const dnnl::error &e) {
    return onednnError(call, e);
  }
}

//===----------------------------------------------------------------------===//
// The plan
//===----------------------------------------------------------------------===//

namespace {

/// An operand or the result, and its copy in the workspace if it has one.
struct Operand {
  View view;
  bool copied = false;
  StridedCopy copy;
  int64_t workspaceOffset = 0;
};

struct ConvPlan {
  ConvProblem problem;
  Operand input, weight, result;
  bool packed = false;
  std::vector<Epilogue> epilogues;
  /// What each of them reads, if it reads anything.
  std::vector<Operand> extra;
  /// A product with panels, a primitive, or neither: plain loops.
  std::optional<PanelProduct> product;
  std::optional<ConvPrimitive> chosen;
  /// How many epilogues the product or the primitive applies.
  size_t fused = 0;
  /// The weight is brought to the primitive's layout each time.
  bool reorders = false;
  int64_t reorderedOffset = 0, scratchpadOffset = 0, workspace = 0;
  /// Where Winograd's primitive has its input and its result in blocks.
  int64_t blockedInputOffset = 0, blockedResultOffset = 0;
};

class ConvPlanner {
public:
  ConvPlanner(const Command &call, bool transposed)
      : call(call), transposed(transposed) {}
  Result<ConvPlan> run();

private:
  Status readOperands();
  int64_t allot(int64_t bytes);
  void copyOperand(Operand &operand, bool last);
  bool fusible(size_t position);
  void planProduct();
  void planPrimitive();

  const Command &call;
  bool transposed;
  ConvPlan plan;
};

} // namespace

static bool isHalf(DType dtype) {
  return dtype == DType::F16 || dtype == DType::BF16;
}

Status ConvPlanner::readOperands() {
  PARTITA_CHECK(checkCounts(call, 2, 1));
  plan.input.view = call.operands[0];
  plan.weight.view = call.operands[1];
  plan.result.view = call.results[0];
  PARTITA_TRY(plan.epilogues, parseEpilogues(call));
  for (const Epilogue &epilogue : plan.epilogues)
    plan.extra.push_back({epilogue.view, false, {}, 0});
  DType dtype = plan.input.view.dtype;
  if (dtype != DType::F32 && dtype != DType::F64 && dtype != DType::I32 &&
      !isHalf(dtype))
    return callError(call, "convolutions are of floating point or i32");
  plan.packed = call.attrs.count("packed") != 0;
  View &weight = plan.weight.view;
  if (plan.packed && dtype != DType::F32)
    return callError(call, "packed convolutions are f32");
  if (plan.packed) // What the blob holds; its address is the blob's.
    weight = contiguousView(weight.space, weight.offset, dtype,
                            intsAttr(call, "packed"));
  if (weight.dtype != dtype || plan.result.view.dtype != dtype)
    return callError(call, "element types differ");
  PARTITA_TRY(plan.problem, makeProblem(call, transposed, plan.input.view.shape,
                                        weight.shape, plan.result.view.shape));
  return ok();
}

int64_t ConvPlanner::allot(int64_t bytes) {
  int64_t offset = plan.workspace;
  plan.workspace += alignWorkspace(bytes);
  return offset;
}

/// The order of dimensions in which channels come last.
static std::vector<int64_t> strideOrder(const std::vector<int64_t> &shape,
                                        bool last) {
  std::vector<int64_t> strides(shape.size(), 1);
  int64_t step = last ? shape[1] : 1;
  for (size_t d = shape.size(); d-- > 2;) {
    strides[d] = step;
    step *= shape[d];
  }
  strides[1] = last ? 1 : step;
  strides[0] = last ? step : step * shape[1];
  return strides;
}

static bool isChannelsLast(const View &view) {
  std::vector<int64_t> expected = strideOrder(view.shape, true);
  for (size_t d = 0; d < expected.size(); ++d)
    if (view.shape[d] > 1 && view.strides[d] != expected[d])
      return false;
  return true;
}

/// Places an f32 copy of the operand in the workspace, row-major or with
/// channels last.
void ConvPlanner::copyOperand(Operand &operand, bool last) {
  DType dtype = isHalf(operand.view.dtype) ? DType::F32 : operand.view.dtype;
  View dense = contiguousView(operand.view.space, 0, dtype, operand.view.shape);
  dense.strides = strideOrder(dense.shape, last);
  operand.copy = &operand == &plan.result ? StridedCopy(dense, operand.view)
                                          : StridedCopy(operand.view, dense);
  operand.copied = true;
  operand.workspaceOffset =
      allot(dense.numElements() * static_cast<int64_t>(dtypeSize(dtype)));
  operand.view = dense;
}

/// Whether the primitive can read the epilogue's operand, where it is or
/// copied.
bool ConvPlanner::fusible(size_t position) {
  const Epilogue &epilogue = plan.epilogues[position];
  if (epilogue.operand < 0)
    return true;
  const View &view = epilogue.view;
  bool shared = !plan.result.copied && overlaps(view, plan.result.view);
  if (epilogue.kind != EpilogueKind::Bias) {
    // oneDNN 2.6 reads wrong elements of the operand where channels do not fill
    // its vectors, and where a window has nothing to read.
    if (!plan.product && (plan.problem.resultsPerGroup() % 16 != 0 ||
                          hasEmptyWindows(plan.problem.windows)))
      return false;
    if (shared || !isChannelsLast(view))
      copyOperand(plan.extra[position], true);
    return true;
  }
  if (shared)
    return false;
  // A bias is an argument, of one dense vector.
  if (position != 0)
    return false;
  for (size_t d = 0; d < view.shape.size(); ++d)
    if (view.shape[d] > 1 && view.strides[d] != (d == 1 ? 1 : 0))
      return false;
  return true;
}

void ConvPlanner::planProduct() {
  for (Operand *operand : {&plan.input, &plan.result})
    if (!isChannelsLast(operand->view))
      copyOperand(*operand, true);
  while (plan.fused < plan.epilogues.size() && fusible(plan.fused))
    ++plan.fused;
}

void ConvPlanner::planPrimitive() {
  std::optional<ConvPrimitive> best =
      chooseLayout(plan.problem, plan.epilogues, plan.packed);
  if (!best)
    return;
  if (isHalf(plan.input.view.dtype) || !isChannelsLast(plan.input.view))
    copyOperand(plan.input, true);
  if (isHalf(plan.result.view.dtype) || !isChannelsLast(plan.result.view))
    copyOperand(plan.result, true);
  std::vector<EpilogueKind> kinds;
  for (size_t i = 0; i < plan.epilogues.size() && fusible(i); ++i)
    kinds.push_back(plan.epilogues[i].kind);
  for (; !plan.chosen; kinds.pop_back()) {
    plan.chosen =
        choosePrimitive(plan.problem, kinds, best->weight, best->winograd);
    plan.fused = kinds.size();
    if (kinds.empty())
      break;
  }
  if (!plan.chosen)
    return;
  if (plan.chosen->winograd) {
    plan.blockedInputOffset =
        allot(static_cast<int64_t>(plan.chosen->input.get_size()));
    plan.blockedResultOffset =
        allot(static_cast<int64_t>(plan.chosen->result.get_size()));
  }
  if (plan.packed)
    return;
  if (isHalf(plan.weight.view.dtype) || !plan.weight.view.isContiguous())
    copyOperand(plan.weight, false);
  plan.reorders = plan.chosen->weight != weightDesc(plan.problem, false);
  if (plan.reorders)
    plan.reorderedOffset =
        allot(static_cast<int64_t>(plan.chosen->weight.get_size()));
}

Result<ConvPlan> ConvPlanner::run() {
  PARTITA_CHECK(readOperands());
  DType dtype = plan.input.view.dtype;
  if (plan.packed)
    plan.product = pointwiseProduct(plan.problem);
  if (plan.product)
    planProduct();
  else if (dtype == DType::F32 || isHalf(dtype))
    planPrimitive();
  if (plan.packed && !plan.product && !plan.chosen)
    return callError(call, "oneDNN has no convolution for this packed weight");
  if (plan.chosen)
    plan.scratchpadOffset =
        allot(static_cast<int64_t>(plan.chosen->scratchpad.get_size()));
  else if (isHalf(dtype))
    for (Operand *operand : {&plan.input, &plan.weight, &plan.result})
      copyOperand(*operand, false);
  return std::move(plan);
}

//===----------------------------------------------------------------------===//
// Plain loops
//===----------------------------------------------------------------------===//

namespace {

/// One plane of the result: a sample's output channel.
template <typename T> struct PlainConv {
  const ConvProblem &p;
  const View &input, &weight, &result;
  const T *x, *w;
  T *y;

  void plane(int64_t n, int64_t channel) const {
    int64_t group = channel / p.resultsPerGroup();
    int64_t ins = p.inputsPerGroup(), first = group * ins;
    T *to = y + n * result.strides[0] + channel * result.strides[1];
    clear(to);
    for (int64_t i = 0; i < ins; ++i) {
      const T *from = x + n * input.strides[0] + (first + i) * input.strides[1];
      const T *taps =
          p.transposed
              ? w + (first + i) * weight.strides[0] +
                    channel % p.resultsPerGroup() * weight.strides[1]
              : w + channel * weight.strides[0] + i * weight.strides[1];
      for (int64_t d = 0; d < p.windows.outer[0]; ++d)
        for (int64_t h = 0; h < p.windows.outer[1]; ++h)
          row(from, taps, to, d, h);
    }
  }

private:
  void clear(T *to) const {
    const Windows::Triple &shape =
        p.transposed ? p.windows.inner : p.windows.outer;
    Windows::Triple steps = spatialStrides(result);
    for (int64_t d = 0; d < shape[0]; ++d)
      for (int64_t h = 0; h < shape[1]; ++h)
        for (int64_t i = 0; i < shape[2]; ++i)
          to[d * steps[0] + h * steps[1] + i * steps[2]] = T(0);
  }

  void row(const T *from, const T *taps, T *to, int64_t d, int64_t h) const {
    Windows::Triple in = spatialStrides(input), out = spatialStrides(result),
                    tap = spatialStrides(weight);
    int64_t fromStep = in[2], toStep = out[2];
    (p.transposed ? toStep : fromStep) *= p.windows.stride[2];
    forEachTap(p.windows, d, h, [&](const Tap &t) {
      const T *a = from + dot(p.transposed ? t.outer : t.inner, in);
      T *b = to + dot(p.transposed ? t.inner : t.outer, out);
      T factor = taps[dot(t.tap, tap)];
      if (fromStep == 1 && toStep == 1)
        for (int64_t i = 0; i < t.count; ++i)
          b[i] += factor * a[i];
      else
        for (int64_t i = 0; i < t.count; ++i)
          b[i * toStep] += factor * a[i * fromStep];
    });
  }
};

//===----------------------------------------------------------------------===//
// Execution
//===----------------------------------------------------------------------===//

class PreparedConv : public PreparedCall {
public:
  PreparedConv(const Command &call, ConvPlan given, int threads);
  Status execute(std::byte *const bases[3]) override;

private:
  std::byte *address(const Operand &operand, std::byte *const bases[3]) const;
  int argumentOf(size_t epilogue) const;
  void runProduct(std::byte *const bases[3]);
  void runPrimitive(std::byte *const bases[3]);
  template <typename T> void runPlain(std::byte *const bases[3]);

  ConvPlan plan;
  View workspace;
  View input, weight, result;
  int threads;
  dnnl::stream stream;
  std::unordered_map<int, dnnl::memory> arguments;
  dnnl::memory plainWeight, plainInput, plainResult;
  dnnl::reorder reorder, intoBlocks, outOfBlocks;
  std::vector<Epilogue> rest;
};

} // namespace

PreparedConv::PreparedConv(const Command &call, ConvPlan given, int threads)
    : plan(std::move(given)), input(call.operands[0]), weight(call.operands[1]),
      result(call.results[0]), threads(threads), stream(cpuEngine()) {
  if (!call.workspace.empty())
    workspace = call.workspace[0];
  rest.assign(plan.epilogues.begin() + plan.fused, plan.epilogues.end());
  if (!plan.chosen)
    return;
  auto add = [&](int name, const dnnl::memory::desc &desc) {
    arguments.emplace(name, dnnl::memory(desc, cpuEngine(), nullptr));
  };
  add(DNNL_ARG_SRC, plan.chosen->input);
  add(DNNL_ARG_WEIGHTS, plan.chosen->weight);
  add(DNNL_ARG_DST, plan.chosen->result);
  add(DNNL_ARG_SCRATCHPAD, plan.chosen->scratchpad);
  for (size_t i = 0; i < plan.fused; ++i)
    if (plan.epilogues[i].operand >= 0)
      add(argumentOf(i), argumentOf(i) == DNNL_ARG_BIAS ? plan.chosen->bias
                                                        : plan.chosen->result);
  if (plan.reorders) {
    plainWeight =
        dnnl::memory(weightDesc(plan.problem, false), cpuEngine(), nullptr);
    reorder = dnnl::reorder(plainWeight, arguments[DNNL_ARG_WEIGHTS]);
  }
  if (plan.chosen->winograd) {
    plainInput =
        dnnl::memory(channelsLast(plan.problem.input), cpuEngine(), nullptr);
    plainResult =
        dnnl::memory(channelsLast(plan.problem.result), cpuEngine(), nullptr);
    intoBlocks = dnnl::reorder(plainInput, arguments[DNNL_ARG_SRC]);
    outOfBlocks = dnnl::reorder(arguments[DNNL_ARG_DST], plainResult);
  }
}

/// Under which name the primitive takes the operand of a fused epilogue.
int PreparedConv::argumentOf(size_t epilogue) const {
  bool bias = plan.epilogues[0].kind == EpilogueKind::Bias;
  if (bias && epilogue == 0)
    return DNNL_ARG_BIAS;
  return DNNL_ARG_ATTR_MULTIPLE_POST_OP(static_cast<int>(epilogue - bias)) |
         DNNL_ARG_SRC_1;
}

std::byte *PreparedConv::address(const Operand &operand,
                                 std::byte *const bases[3]) const {
  if (operand.copied)
    return addressOf(workspace, bases) + operand.workspaceOffset;
  return addressOf(operand.view, bases);
}

void PreparedConv::runProduct(std::byte *const bases[3]) {
  auto at = [&](const Operand &operand) {
    return reinterpret_cast<float *>(address(operand, bases));
  };
  std::vector<PanelEpilogue> epilogues;
  for (size_t i = 0; i < plan.fused; ++i) {
    EpilogueKind kind = plan.epilogues[i].kind;
    bool reads = plan.epilogues[i].operand >= 0;
    epilogues.push_back({kind, reads ? at(plan.extra[i]) : nullptr,
                         kind == EpilogueKind::Bias ? 0 : plan.product->n});
  }
  multiplyPanels(*plan.product, at(plan.input), at(plan.weight),
                 at(plan.result), epilogues, threads);
}

void PreparedConv::runPrimitive(std::byte *const bases[3]) {
  auto set = [&](int name, std::byte *data) {
    arguments[name].set_data_handle(data);
  };
  set(DNNL_ARG_SRC, address(plan.input, bases));
  set(DNNL_ARG_DST, address(plan.result, bases));
  set(DNNL_ARG_WEIGHTS, address(plan.weight, bases));
  if (plan.reorders) {
    plainWeight.set_data_handle(address(plan.weight, bases));
    set(DNNL_ARG_WEIGHTS, addressOf(workspace, bases) + plan.reorderedOffset);
    reorder.execute(stream, plainWeight, arguments[DNNL_ARG_WEIGHTS]);
  }
  if (plan.chosen->scratchpad.get_size() > 0)
    set(DNNL_ARG_SCRATCHPAD,
        addressOf(workspace, bases) + plan.scratchpadOffset);
  for (size_t i = 0; i < plan.fused; ++i)
    if (plan.epilogues[i].operand >= 0)
      set(argumentOf(i), address(plan.extra[i], bases));
  bool winograd = plan.chosen->winograd;
  if (winograd) {
    plainInput.set_data_handle(address(plan.input, bases));
    plainResult.set_data_handle(address(plan.result, bases));
    set(DNNL_ARG_SRC, addressOf(workspace, bases) + plan.blockedInputOffset);
    set(DNNL_ARG_DST, addressOf(workspace, bases) + plan.blockedResultOffset);
    intoBlocks.execute(stream, plainInput, arguments[DNNL_ARG_SRC]);
  }
  plan.chosen->primitive.execute(stream, arguments);
  if (winograd)
    outOfBlocks.execute(stream, arguments[DNNL_ARG_DST], plainResult);
  stream.wait();
}

template <typename T> void PreparedConv::runPlain(std::byte *const bases[3]) {
  PlainConv<T> conv{plan.problem,
                    plan.input.view,
                    plan.weight.view,
                    plan.result.view,
                    reinterpret_cast<const T *>(address(plan.input, bases)),
                    reinterpret_cast<const T *>(address(plan.weight, bases)),
                    reinterpret_cast<T *>(address(plan.result, bases))};
  int64_t channels = plan.problem.result[1];
  parallelFor(threads, plan.problem.result[0] * channels,
              [&](int64_t begin, int64_t end, int) {
                for (int64_t i = begin; i < end; ++i)
                  conv.plane(i / channels, i % channels);
              });
}

Status PreparedConv::execute(std::byte *const bases[3]) {
  if (result.numElements() == 0)
    return ok();
  for (auto [operand, view] :
       {std::pair{&plan.input, &input}, std::pair{&plan.weight, &weight}})
    if (operand->copied)
      operand->copy.run(addressOf(*view, bases), address(*operand, bases),
                        threads);
  for (size_t i = 0; i < plan.fused; ++i)
    if (plan.extra[i].copied)
      plan.extra[i].copy.run(addressOf(plan.epilogues[i].view, bases),
                             address(plan.extra[i], bases), threads);
  if (plan.product)
    runProduct(bases);
  else if (plan.chosen)
    runPrimitive(bases);
  else if (plan.result.view.dtype == DType::F64)
    runPlain<double>(bases);
  else if (plan.result.view.dtype == DType::I32)
    runPlain<uint32_t>(bases); // Wraps around.
  else
    runPlain<float>(bases);
  if (!rest.empty())
    applyEpilogues(rest, plan.result.view, address(plan.result, bases), bases);
  if (plan.result.copied)
    plan.result.copy.run(address(plan.result, bases), addressOf(result, bases),
                         threads);
  return ok();
}

static Result<ConvPlan> makePlan(const Command &call, int threads) {
  ThreadCount guard(threads);
  try {
    return ConvPlanner(call, call.callee == "conv_transpose").run();
  } catch (const dnnl::error &e) {
    return onednnError(call, e);
  }
}

static Result<int64_t> convWorkspace(const Command &call, int threads) {
  PARTITA_TRY(ConvPlan plan, makePlan(call, threads));
  return plan.workspace;
}

static Result<std::unique_ptr<PreparedCall>>
prepareConv(const Command &call, const PrepareContext &context) {
  PARTITA_TRY(ConvPlan plan, makePlan(call, context.threads));
  PARTITA_CHECK(checkWorkspace(call, plan.workspace));
  if (plan.packed)
    PARTITA_CHECK(checkBlob(call, call.operands[1],
                            plan.product ? panelBytes(*plan.product)
                                         : plan.chosen->weight.get_size()));
  ThreadCount guard(context.threads);
  try {
    return std::unique_ptr<PreparedCall>(
        std::make_unique<PreparedConv>(call, std::move(plan), context.threads));
  } catch (const dnnl::error &e) {
    return onednnError(call, e);
  }
}

void partita::runtime::addConvolutionCalls(CallTable &table) {
  table["conv"] = {convWorkspace, prepareConv};
  table["conv_transpose"] = {convWorkspace, prepareConv};
  table["pack_conv"] = {packWorkspace, preparePack, packedConvBytes};
}
