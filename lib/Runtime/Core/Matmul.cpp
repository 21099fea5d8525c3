//===- Matmul.cpp - Matrix products ---------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// f32 products run in one of three ways:
//
//   panels      weights packed at load, in kernels of our own (Panels.h) with
//               bias and epilogues fused
//   primitive   a matmul primitive of oneDNN on dense operands, with bias and
//               epilogues fused
//   loop        dnnl_sgemm on each matrix of a batch: takes any leading
//               dimension, packs nothing
//
// A plan decides this once, from shapes and strides; the workspace's size and
// the execution both follow from it. f64 is a plain blocked loop: it exists for
// checking, not for speed.
//
// Leading dimensions: if B has none, those of A and C become rows.
//
//===----------------------------------------------------------------------===//

#include "Gemm.h"
#include "OneDNN.h"
#include "Panels.h"
#include <cstring>

using namespace partita;
using namespace partita::runtime;

static constexpr auto f32 = dnnl::memory::data_type::f32;

//===----------------------------------------------------------------------===//
// Packed weights
//===----------------------------------------------------------------------===//

namespace {
/// [k,n] of the attribute `packed`.
struct PackedShape {
  int64_t k, n;
  int64_t bytes() const {
    return panelElements(k, n) * static_cast<int64_t>(sizeof(float));
  }
};
} // namespace

static Result<PackedShape> packedShape(const Command &call) {
  std::vector<int64_t> packed = intsAttr(call, "packed");
  if (packed.size() != 2 || packed[0] < 1 || packed[1] < 1)
    return callError(call, "attribute 'packed' is not [k,n]");
  constexpr int64_t most = std::numeric_limits<int32_t>::max();
  if (packed[0] > most || packed[1] > most / 4)
    return callError(call,
                     "a matrix has more rows or columns than fit 31 bits");
  return PackedShape{packed[0], packed[1]};
}

static Result<int64_t> packWorkspace(const Command &call, int) {
  PARTITA_CHECK(checkCounts(call, 1, 1));
  return int64_t(0);
}

static Result<int64_t> packedMatmulBytes(const Command &call, int) {
  PARTITA_TRY(PackedShape shape, packedShape(call));
  return shape.bytes();
}

static Result<std::unique_ptr<PreparedCall>>
preparePack(const Command &call, const PrepareContext &context) {
  PARTITA_CHECK(checkCounts(call, 1, 1));
  PARTITA_TRY(PackedShape shape, packedShape(call));
  const View &weight = call.operands[0];
  if (weight.dtype != DType::F32 ||
      weight.shape != std::vector<int64_t>{shape.k, shape.n})
    return callError(call, "the weight is not f32 [k,n]");
  PARTITA_CHECK(checkBlob(call, call.results[0], shape.bytes()));
  return packIntoPanels(weight, call.results[0], context.threads);
}

//===----------------------------------------------------------------------===//
// The plan
//===----------------------------------------------------------------------===//

namespace {

/// A matrix operand: where it is, or the copy of it in the workspace.
struct Operand {
  View view;
  bool copied = false;
  StridedCopy copy;
  int64_t workspaceOffset = 0;
};

struct MatmulPlan {
  Operand a, b, c;
  /// With operands as views of the result's shape, and the same with leading
  /// dimensions merged into rows (nothing where strides forbid it).
  std::vector<Epilogue> epilogues;
  std::vector<std::optional<View>> merged;
  /// The result, or its copy in the workspace, before rows were merged.
  View unmerged;
  /// How many of the epilogues the panels' kernels or the primitive apply.
  size_t fused = 0;
  bool packed = false, primitive = false;
  /// Loops over the matrices of a batch; strides of A, B, C. Empty for one.
  LoopNest batch;
  int64_t m = 0, k = 0, n = 0;
  dnnl::matmul::primitive_desc desc;
  int64_t scratchpadOffset = 0, workspace = 0;
};

class MatmulPlanner {
public:
  explicit MatmulPlanner(const Command &call) : call(call) {}
  Result<MatmulPlan> run();

private:
  Status checkShapes();
  void copyOperand(Operand &operand);
  void rowsFromLeading();
  void planBatch();
  void planPanels();
  void planPrimitive();
  void mergeEpilogues();
  bool createPrimitive(size_t fused);
  bool fusible(size_t position) const;

  const Command &call;
  MatmulPlan plan;
};

} // namespace

/// A view with the same elements in row-major order.
static View denseLike(const View &view) {
  return contiguousView(view.space, 0, view.dtype, view.shape);
}

Status MatmulPlanner::checkShapes() {
  PARTITA_CHECK(checkCounts(call, 2, 1));
  plan.a.view = call.operands[0];
  plan.b.view = call.operands[1];
  plan.c.view = call.results[0];
  PARTITA_TRY(plan.epilogues, parseEpilogues(call));
  const View &a = plan.a.view, &c = plan.c.view;
  View &b = plan.b.view;
  if (c.dtype != DType::F32 && c.dtype != DType::F64)
    return callError(call, "products are f32 or f64");
  if (call.attrs.count("packed")) {
    PARTITA_TRY(PackedShape shape, packedShape(call));
    plan.packed = true;
    if (c.dtype != DType::F32)
      return callError(call, "packed products are f32");
    // The matrix that the blob holds; its address is the blob's.
    b = contiguousView(b.space, b.offset, DType::F32, {shape.k, shape.n});
  }
  if (a.dtype != c.dtype || b.dtype != c.dtype)
    return callError(call, "element types differ");
  size_t rank = c.shape.size();
  if (rank < 2 || a.shape.size() != rank ||
      (b.shape.size() != rank && b.shape.size() != 2))
    return callError(call, "the operands' ranks do not fit a product");
  for (size_t d = 0; d + 2 < rank; ++d)
    if (a.shape[d] != c.shape[d] ||
        (b.shape.size() == rank && b.shape[d] != c.shape[d]))
      return callError(call, "leading dimensions differ");
  plan.m = c.shape[rank - 2];
  plan.n = c.shape[rank - 1];
  plan.k = a.shape[rank - 1];
  if (a.shape[rank - 2] != plan.m || b.shape[b.shape.size() - 2] != plan.k ||
      b.shape.back() != plan.n)
    return callError(call, "the shapes do not fit a product");
  return ok();
}

/// Places a dense copy of the operand in the workspace.
void MatmulPlanner::copyOperand(Operand &operand) {
  View dense = denseLike(operand.view);
  bool isResult = &operand == &plan.c;
  operand.copy = isResult ? StridedCopy(dense, operand.view)
                          : StridedCopy(operand.view, dense);
  operand.copied = true;
  operand.workspaceOffset = plan.workspace;
  plan.workspace += alignWorkspace(dense.extentBytes());
  operand.view = dense;
  if (isResult)
    plan.unmerged =
        contiguousView(dense.space, 0, dense.dtype, call.results[0].shape);
}

/// The view's leading dimensions and rows as one dimension, or nothing.
static std::optional<View> mergeRows(const View &view) {
  size_t rank = view.shape.size();
  LoopNest nest;
  nest.shape.assign(view.shape.begin(), view.shape.end() - 1);
  nest.strides = {{view.strides.begin(), view.strides.end() - 1}};
  int64_t rows = 1;
  for (int64_t size : nest.shape)
    rows *= size;
  nest = coalesce(std::move(nest));
  if (nest.rank() > 1)
    return std::nullopt;
  View merged = view;
  merged.shape = {rows, view.shape[rank - 1]};
  merged.strides = {nest.shape.empty() ? view.shape[rank - 1]
                                       : nest.strides[0][0],
                    view.strides[rank - 1]};
  return merged;
}

/// B has no leading dimensions: those of A and C become rows.
void MatmulPlanner::rowsFromLeading() {
  if (plan.c.view.shape.size() == 2)
    return;
  for (Operand *operand : {&plan.a, &plan.c}) {
    if (!mergeRows(operand->view))
      copyOperand(*operand);
    operand->view = *mergeRows(operand->view);
  }
  plan.m = plan.c.view.shape[0];
}

/// Whether sgemm can read the matrix in place: one unit stride.
static bool hasUnitStride(const View &view) {
  size_t rank = view.shape.size();
  return view.strides[rank - 1] == 1 || view.strides[rank - 2] == 1 ||
         view.shape[rank - 1] == 1 || view.shape[rank - 2] == 1;
}

void MatmulPlanner::planBatch() {
  if (!hasUnitStride(plan.a.view))
    copyOperand(plan.a);
  if (!hasUnitStride(plan.b.view))
    copyOperand(plan.b);
  int64_t rank = plan.c.view.shape.size();
  if (plan.c.view.strides[rank - 1] != 1 && plan.n != 1)
    copyOperand(plan.c);
  auto leading = [&](const View &view) {
    if (static_cast<int64_t>(view.shape.size()) != rank)
      return std::vector<int64_t>(rank - 2, 0);
    return std::vector<int64_t>(view.strides.begin(), view.strides.end() - 2);
  };
  const std::vector<int64_t> &shape = plan.c.view.shape;
  plan.batch = coalesce(
      {{shape.begin(), shape.end() - 2},
       {leading(plan.a.view), leading(plan.b.view), leading(plan.c.view)}});
}

/// Whether the operand of an epilogue is one row for all rows.
static bool isPerColumn(const MatmulPlan &plan, size_t position) {
  return plan.merged[position] &&
         (plan.m == 1 || plan.merged[position]->strides[0] == 0);
}

/// Whether the epilogue can be applied to rows of the result. oneDNN wants its
/// operand dense.
bool MatmulPlanner::fusible(size_t position) const {
  if (plan.epilogues[position].operand < 0)
    return true;
  if (!plan.merged[position])
    return false;
  const View &view = *plan.merged[position], &c = plan.c.view;
  if (overlaps(view, c) && !plan.c.copied)
    return false;
  bool unit = view.strides[1] == 1 || plan.n == 1;
  return unit && (plan.packed || isPerColumn(plan, position) ||
                  view.strides[0] == plan.n);
}

/// A bias that comes first goes through the primitive's own argument.
static bool hasBiasArgument(const MatmulPlan &plan, size_t fused) {
  return fused > 0 && plan.epilogues[0].operand >= 0 &&
         plan.epilogues[0].kind != EpilogueKind::Mul && isPerColumn(plan, 0);
}

static dnnl::memory::desc epilogueDesc(const MatmulPlan &plan,
                                       size_t position) {
  return dnnl::memory::desc({isPerColumn(plan, position) ? 1 : plan.m, plan.n},
                            f32, dnnl::memory::format_tag::ab);
}

static bool isDense(const View &view) { return view.isContiguous(); }

bool MatmulPlanner::createPrimitive(size_t fused) {
  using Desc = dnnl::memory::desc;
  using Tag = dnnl::memory::format_tag;
  Desc b({plan.k, plan.n}, f32, isDense(plan.b.view) ? Tag::ab : Tag::ba);
  dnnl::post_ops ops;
  bool bias = hasBiasArgument(plan, fused);
  for (size_t i = bias ? 1 : 0; i < fused; ++i)
    appendPostOp(ops, plan.epilogues[i].kind,
                 plan.epilogues[i].operand < 0 ? Desc()
                                               : epilogueDesc(plan, i));
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attr.set_post_ops(ops);
  Desc a({plan.m, plan.k}, f32, Tag::ab), c({plan.m, plan.n}, f32, Tag::ab);
  try {
    dnnl::matmul::desc desc =
        bias ? dnnl::matmul::desc(a, b, epilogueDesc(plan, 0), c)
             : dnnl::matmul::desc(a, b, c);
    plan.desc = dnnl::matmul::primitive_desc(desc, attr, cpuEngine());
  } catch (const dnnl::error &) {
    return false;
  }
  // The reference implementation is a hundred times slower than what follows.
  if (std::strstr(plan.desc.impl_info_str(), "ref"))
    return false;
  plan.fused = fused;
  plan.primitive = true;
  return true;
}

void MatmulPlanner::mergeEpilogues() {
  for (const Epilogue &epilogue : plan.epilogues)
    plan.merged.push_back(epilogue.operand < 0 ? std::nullopt
                                               : mergeRows(epilogue.view));
}

/// Rows of panels' products have adjacent elements.
void MatmulPlanner::planPanels() {
  if (plan.a.view.strides[1] != 1 && plan.k != 1)
    copyOperand(plan.a);
  if (plan.c.view.strides[1] != 1 && plan.n != 1)
    copyOperand(plan.c);
  mergeEpilogues();
  while (plan.fused < plan.epilogues.size() && fusible(plan.fused))
    ++plan.fused;
}

/// Decides whether to use a primitive, which wants dense A and C.
void MatmulPlanner::planPrimitive() {
  bool single = plan.c.view.shape.size() == 2;
  if (!single || !fitsOneDNN(plan.m, plan.k, plan.n))
    return;
  const View &b = plan.b.view;
  bool plainB = isDense(b) || (b.strides[0] == 1 && b.strides[1] == plan.k);
  // sgemm does as well on strided operands.
  if (!plainB || !isDense(plan.a.view) || !isDense(plan.c.view))
    return;
  mergeEpilogues();
  size_t fused = 0;
  while (fused < plan.epilogues.size() && fusible(fused))
    ++fused;
  if (!createPrimitive(fused) && fused > 0)
    createPrimitive(0);
  if (!plan.primitive)
    return;
  plan.scratchpadOffset = plan.workspace;
  plan.workspace += alignWorkspace(
      static_cast<int64_t>(plan.desc.scratchpad_desc().get_size()));
}

Result<MatmulPlan> MatmulPlanner::run() {
  PARTITA_CHECK(checkShapes());
  plan.unmerged = plan.c.view;
  if (plan.b.view.shape.size() == 2)
    rowsFromLeading();
  if (plan.packed)
    planPanels();
  else if (plan.c.view.dtype == DType::F32 && plan.c.view.numElements() > 0 &&
           plan.k > 0)
    planPrimitive();
  if (!plan.packed && !plan.primitive)
    planBatch();
  return std::move(plan);
}

//===----------------------------------------------------------------------===//
// Execution
//===----------------------------------------------------------------------===//

namespace {

class PreparedMatmul : public PreparedCall {
public:
  PreparedMatmul(const Command &call, MatmulPlan given, int threads);
  Status execute(std::byte *const bases[3]) override;

private:
  std::byte *address(const Operand &operand, std::byte *const bases[3]) const;
  void runPanels(std::byte *const bases[3]);
  void runPrimitive(std::byte *const bases[3]);
  void runLoop(std::byte *const bases[3]);

  MatmulPlan plan;
  View a, b, c, workspace;
  int threads;
  dnnl::stream stream;
  dnnl::matmul primitive;
  std::unordered_map<int, dnnl::memory> arguments;
};

} // namespace

PreparedMatmul::PreparedMatmul(const Command &call, MatmulPlan given,
                               int threads)
    : plan(std::move(given)), a(call.operands[0]), b(call.operands[1]),
      c(call.results[0]), threads(threads), stream(cpuEngine()) {
  if (!call.workspace.empty())
    workspace = call.workspace[0];
  if (!plan.primitive)
    return;
  primitive = dnnl::matmul(plan.desc);
  auto add = [&](int name, const dnnl::memory::desc &desc) {
    arguments.emplace(name, dnnl::memory(desc, cpuEngine(), nullptr));
  };
  add(DNNL_ARG_SRC, plan.desc.src_desc());
  add(DNNL_ARG_WEIGHTS, plan.desc.weights_desc());
  add(DNNL_ARG_DST, plan.desc.dst_desc());
  add(DNNL_ARG_SCRATCHPAD, plan.desc.scratchpad_desc());
  bool bias = hasBiasArgument(plan, plan.fused);
  for (size_t i = 0; i < plan.fused; ++i)
    if (plan.epilogues[i].operand >= 0)
      add(bias && i == 0
              ? DNNL_ARG_BIAS
              : DNNL_ARG_ATTR_MULTIPLE_POST_OP(static_cast<int>(i - bias)) |
                    DNNL_ARG_SRC_1,
          epilogueDesc(plan, i));
}

std::byte *PreparedMatmul::address(const Operand &operand,
                                   std::byte *const bases[3]) const {
  if (operand.copied)
    return addressOf(workspace, bases) + operand.workspaceOffset;
  return addressOf(operand.view, bases);
}

void PreparedMatmul::runPrimitive(std::byte *const bases[3]) {
  arguments[DNNL_ARG_SRC].set_data_handle(address(plan.a, bases));
  arguments[DNNL_ARG_WEIGHTS].set_data_handle(address(plan.b, bases));
  arguments[DNNL_ARG_DST].set_data_handle(address(plan.c, bases));
  if (plan.desc.scratchpad_desc().get_size() > 0)
    arguments[DNNL_ARG_SCRATCHPAD].set_data_handle(addressOf(workspace, bases) +
                                                   plan.scratchpadOffset);
  bool bias = hasBiasArgument(plan, plan.fused);
  for (size_t i = 0; i < plan.fused; ++i)
    if (plan.epilogues[i].operand >= 0)
      arguments[bias && i == 0 ? DNNL_ARG_BIAS
                               : DNNL_ARG_ATTR_MULTIPLE_POST_OP(
                                     static_cast<int>(i - bias)) |
                                     DNNL_ARG_SRC_1]
          .set_data_handle(addressOf(plan.epilogues[i].view, bases));
  primitive.execute(stream, arguments);
  stream.wait();
}

void PreparedMatmul::runPanels(std::byte *const bases[3]) {
  auto at = [&](std::byte *data) { return reinterpret_cast<float *>(data); };
  PanelProduct product{plan.m,
                       plan.k,
                       plan.n,
                       /*inner=*/plan.m,
                       plan.a.view.strides[0],
                       /*outerStride=*/0,
                       plan.c.view.strides[0]};
  std::vector<PanelEpilogue> epilogues;
  for (size_t i = 0; i < plan.fused; ++i) {
    const Epilogue &epilogue = plan.epilogues[i];
    bool reads = epilogue.operand >= 0;
    epilogues.push_back(
        {epilogue.kind, reads ? at(addressOf(epilogue.view, bases)) : nullptr,
         reads && !isPerColumn(plan, i) ? plan.merged[i]->strides[0] : 0});
  }
  multiplyPanels(product, at(address(plan.a, bases)), at(addressOf(b, bases)),
                 at(address(plan.c, bases)), epilogues, threads);
}

/// One matrix of the batch.
template <typename T>
static void oneProduct(const MatmulPlan &plan, const std::byte *a,
                       const std::byte *b, std::byte *c) {
  auto matrix = [](auto *data, const View &view) {
    size_t rank = view.shape.size();
    return Matrix<std::remove_pointer_t<decltype(data)>>{
        data, view.shape[rank - 2], view.shape[rank - 1],
        view.strides[rank - 2], view.strides[rank - 1]};
  };
  gemm(matrix(reinterpret_cast<const T *>(a), plan.a.view),
       matrix(reinterpret_cast<const T *>(b), plan.b.view),
       matrix(reinterpret_cast<T *>(c), plan.c.view), T(0));
}

void PreparedMatmul::runLoop(std::byte *const bases[3]) {
  int64_t size = dtypeSize(plan.c.view.dtype);
  std::byte *aBase = address(plan.a, bases), *bBase = address(plan.b, bases);
  std::byte *cBase = address(plan.c, bases);
  auto product =
      plan.c.view.dtype == DType::F64 ? oneProduct<double> : oneProduct<float>;
  forEachIndex(plan.batch, plan.batch.rank(), [&](const int64_t *offsets) {
    product(plan, aBase + offsets[0] * size, bBase + offsets[1] * size,
            cBase + offsets[2] * size);
  });
}

Status PreparedMatmul::execute(std::byte *const bases[3]) {
  if (c.numElements() == 0)
    return ok();
  for (auto [operand, view] : {std::pair{&plan.a, &a}, std::pair{&plan.b, &b}})
    if (operand->copied)
      operand->copy.run(addressOf(*view, bases), address(*operand, bases),
                        threads);
  if (plan.packed)
    runPanels(bases);
  else if (plan.primitive)
    runPrimitive(bases);
  else
    runLoop(bases);
  std::vector<Epilogue> &epilogues = plan.epilogues;
  if (plan.fused < epilogues.size()) {
    std::vector<Epilogue> rest(epilogues.begin() + plan.fused, epilogues.end());
    applyEpilogues(rest, plan.unmerged, address(plan.c, bases), bases);
  }
  if (plan.c.copied)
    plan.c.copy.run(address(plan.c, bases), addressOf(c, bases), threads);
  return ok();
}

static Result<MatmulPlan> makePlan(const Command &call, int threads) {
  ThreadCount guard(threads);
  try {
    return MatmulPlanner(call).run();
  } catch (const dnnl::error &e) {
    return onednnError(call, e);
  }
}

static Result<int64_t> matmulWorkspace(const Command &call, int threads) {
  PARTITA_TRY(MatmulPlan plan, makePlan(call, threads));
  return plan.workspace;
}

static Result<std::unique_ptr<PreparedCall>>
prepareMatmul(const Command &call, const PrepareContext &context) {
  PARTITA_TRY(MatmulPlan plan, makePlan(call, context.threads));
  PARTITA_CHECK(checkWorkspace(call, plan.workspace));
  if (plan.packed)
    PARTITA_CHECK(
        checkBlob(call, call.operands[1], PackedShape{plan.k, plan.n}.bytes()));
  ThreadCount guard(context.threads);
  try {
    return std::unique_ptr<PreparedCall>(std::make_unique<PreparedMatmul>(
        call, std::move(plan), context.threads));
  } catch (const dnnl::error &e) {
    return onednnError(call, e);
  }
}

void partita::runtime::addMatmulCalls(CallTable &table) {
  table["matmul"] = {matmulWorkspace, prepareMatmul};
  table["pack_weight"] = {packWorkspace, preparePack, packedMatmulBytes};
}
