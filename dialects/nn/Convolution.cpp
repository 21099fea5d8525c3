//===- Convolution.cpp - Operations on sliding windows --------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Types and rules of what slides a window. Batch and channels are loops as in a
// matrix product. A spatial dimension is one where windows do not overlap: of a
// pointwise window, or of one that is as wide as its stride and tiles the input
// ([n,c,(o k)], [co,c,k] -> [n,co,o]). Where they do, the positions are a halo
// factor: a rank reads some of its neighbours' borders, and pads only what lies
// beyond the ends of the whole.
//
//===----------------------------------------------------------------------===//

#include "dialects/nn/Convolution.h"

using namespace mlir;
using namespace partita;
using namespace partita::nn;

#define GET_OP_CLASSES
#include "dialects/nn/Convolution.cpp.inc"

static constexpr size_t maxSpatial = 3;

//===----------------------------------------------------------------------===//
// Windows
//===----------------------------------------------------------------------===//

bool Window::isValid() const {
  constexpr int64_t limit = int64_t(1) << 31;
  return kernel > 0 && stride > 0 && dilation > 0 && padBegin >= 0 &&
         padEnd >= 0 && kernel < limit && stride < limit && dilation < limit &&
         padBegin < limit && padEnd < limit;
}

std::optional<int64_t> Window::positions(int64_t size) const {
  int64_t padded;
  if (size < 0 || __builtin_add_overflow(size, padBegin + padEnd, &padded) ||
      padded < extent())
    return std::nullopt;
  return (padded - extent()) / stride + 1;
}

/// The windows of an operation over its spatial dimensions.
template <typename Op>
static SmallVector<Window> windowsOf(Op op, ArrayRef<int64_t> kernel) {
  SmallVector<Window> windows;
  for (auto [d, size] : llvm::enumerate(kernel))
    windows.push_back({size, op.getStrides()[d], op.getDilations()[d],
                       op.getPadsBegin()[d], op.getPadsEnd()[d]});
  return windows;
}

/// Fails unless there is one valid window for each of `spatial` dimensions.
template <typename Op>
static LogicalResult checkWindows(std::optional<Location> loc, Op op,
                                  ArrayRef<int64_t> kernel, size_t spatial) {
  if (spatial < 1 || spatial > maxSpatial)
    return emitOptionalError(loc, "needs one to three spatial dimensions");
  for (ArrayRef<int64_t> numbers : {kernel, op.getStrides(), op.getDilations(),
                                    op.getPadsBegin(), op.getPadsEnd()})
    if (numbers.size() != spatial)
      return emitOptionalError(loc, "needs ", spatial,
                               " strides, dilations and pads, one for each "
                               "spatial dimension");
  for (const Window &window : windowsOf(op, kernel))
    if (!window.isValid())
      return emitOptionalError(
          loc, "needs positive strides, dilations and window sizes, and pads "
               "that are not negative, all below 2^31");
  return success();
}

/// Appends to `shape` what the windows make of `spatial`.
static LogicalResult slide(std::optional<Location> loc,
                           ArrayRef<Window> windows, ArrayRef<int64_t> spatial,
                           SmallVectorImpl<int64_t> &shape) {
  for (auto [window, size] : llvm::zip_equal(windows, spatial)) {
    std::optional<int64_t> positions = window.positions(size);
    if (!positions)
      return emitOptionalError(loc, "has a window of ", window.extent(),
                               " over ", size, " elements and ",
                               window.padBegin + window.padEnd, " of padding");
    shape.push_back(*positions);
  }
  return success();
}

static LogicalResult checkElements(std::optional<Location> loc, Value a,
                                   Value b) {
  if (getElementTypeOrSelf(a) != getElementTypeOrSelf(b))
    return emitOptionalError(loc, "element types differ");
  return success();
}

static int64_t product(ArrayRef<int64_t> sizes) {
  int64_t result = 1;
  for (int64_t size : sizes)
    result *= size;
  return result;
}

static std::string spatialName(size_t d) { return std::string(1, "hwd"[d]); }

/// The loops of a spatial dimension: over the window's positions. With
/// `hasWeight` operand 1 has the window's taps as a dimension of the same
/// number.
static void addSpatial(RuleBuilder &builder, const Window &window, size_t d,
                       int64_t from, int64_t to, bool hasWeight) {
  unsigned dim = d + 2;
  std::string name = spatialName(d);
  RuleBuilder::Places taps;
  if (hasWeight)
    taps.push_back({1, dim});
  bool tiles = window.padBegin == 0 && window.padEnd == 0 &&
               window.dilation == 1 && window.stride == window.kernel &&
               to * window.kernel == from;
  if (tiles) {
    builder.parallel(name, to, {{0, dim}}, {{0, dim}});
    taps.push_back({0, dim});
  } else if (Halo halo{to, window.stride, window.padBegin, window.extent()};
             halo.isValid()) {
    builder.halo(name, halo, from, {{0, dim}}, {{0, dim}});
  } else {
    builder.replicate(name, from, {{0, dim}}, {});
    builder.replicate("o" + name, to, {}, {{0, dim}});
  }
  if (!taps.empty())
    builder.replicate("k" + name, window.kernel, taps, {});
}

/// The pads of a rank class: what its own windows reach over the ends.
template <typename Op>
static std::pair<SmallVector<int64_t>, SmallVector<int64_t>>
localPads(Op op, const LocalPlace &place) {
  SmallVector<int64_t> begin(op.getPadsBegin()), end(op.getPadsEnd());
  for (size_t d = 0; d < begin.size(); ++d)
    if (auto beyond = place.beyond(spatialName(d)))
      std::tie(begin[d], end[d]) = *beyond;
  return {begin, end};
}

//===----------------------------------------------------------------------===//
// Convolution
//===----------------------------------------------------------------------===//

ShardingRule ConvOp::getShardingRule() {
  // ([n,(g ci),s..], [(g co),ci,k..]) -> ([n,(g co),o..])
  std::vector<int64_t> input = shapeOf(getInput()),
                       weight = shapeOf(getWeight()),
                       result = shapeOf(getResult());
  unsigned rank = input.size();
  int64_t groups = weight[1] ? input[1] / weight[1] : 1;
  RuleBuilder builder({rank, rank}, {rank});
  builder.parallel("n", input[0], {{0, 0}}, {{0, 0}})
      .parallel("g", groups, {{0, 1}, {1, 0}}, {{0, 1}})
      .parallel("co", weight[0] / groups, {{1, 0}}, {{0, 1}})
      .reduction("ci", weight[1], Combiner::Sum, {{0, 1}, {1, 1}});
  for (auto [d, window] :
       llvm::enumerate(windowsOf(*this, ArrayRef(weight).drop_front(2))))
    addSpatial(builder, window, d, input[d + 2], result[d + 2], true);
  return builder.linear({0}).linear({1}).build();
}

LogicalResult ConvOp::inferReturnTypes(MLIRContext *,
                                       std::optional<Location> loc,
                                       Adaptor adaptor,
                                       SmallVectorImpl<Type> &types) {
  std::vector<int64_t> input = shapeOf(adaptor.getInput()),
                       weight = shapeOf(adaptor.getWeight());
  if (input.size() < 3 || weight.size() != input.size())
    return emitOptionalError(loc, "input and weight need the same rank");
  auto kernel = ArrayRef(weight).drop_front(2);
  if (failed(checkWindows(loc, adaptor, kernel, input.size() - 2)) ||
      failed(checkElements(loc, adaptor.getInput(), adaptor.getWeight())))
    return failure();
  if (weight[1] == 0 || input[1] == 0 || input[1] % weight[1] != 0 ||
      weight[0] % (input[1] / weight[1]) != 0)
    return emitOptionalError(loc, "has ", input[1], " channels, which ",
                             weight[0], " filters of ", weight[1],
                             " channels do not divide into groups");
  SmallVector<int64_t> shape = {input[0], weight[0]};
  if (failed(slide(loc, windowsOf(adaptor, kernel),
                   ArrayRef(input).drop_front(2), shape)))
    return failure();
  types.push_back(withShape(adaptor.getInput().getType(), shape));
  return success();
}

Operation *ConvOp::localize(OpBuilder &builder, ValueRange operands,
                            TypeRange results, const LocalPlace &place) {
  auto [begin, end] = localPads(*this, place);
  return ConvOp::create(builder, getLoc(), results, operands[0], operands[1],
                        getStrides(), getDilations(), begin, end);
}

int64_t ConvOp::getFlops() {
  std::vector<int64_t> weight = shapeOf(getWeight());
  return 2 * product(shapeOf(getResult())) *
         product(ArrayRef(weight).drop_front());
}
KernelClass ConvOp::getKernelClass() { return KernelClass::Conv; }
bool ConvOp::takesStrides() { return true; }

//===----------------------------------------------------------------------===//
// Transposed convolution
//===----------------------------------------------------------------------===//

ShardingRule ConvTransposeOp::getShardingRule() {
  // ([n,(g ci),s..], [(g ci),co,k..]) -> ([n,(g co),o..])
  std::vector<int64_t> input = shapeOf(getInput()),
                       weight = shapeOf(getWeight()),
                       result = shapeOf(getResult());
  unsigned rank = input.size();
  int64_t groups = getGroups();
  RuleBuilder builder({rank, rank}, {rank});
  builder.parallel("n", input[0], {{0, 0}}, {{0, 0}})
      .parallel("g", groups, {{0, 1}, {1, 0}}, {{0, 1}})
      .parallel("co", weight[1], {{1, 1}}, {{0, 1}})
      .reduction("ci", input[1] / groups, Combiner::Sum, {{0, 1}, {1, 0}});
  for (unsigned d = 0; d + 2 < rank; ++d)
    builder.replicate(spatialName(d), input[d + 2], {{0, d + 2}}, {})
        .replicate("k" + spatialName(d), weight[d + 2], {{1, d + 2}}, {})
        .replicate("o" + spatialName(d), result[d + 2], {}, {{0, d + 2}});
  return builder.linear({0}).linear({1}).build();
}

LogicalResult ConvTransposeOp::inferReturnTypes(MLIRContext *,
                                                std::optional<Location> loc,
                                                Adaptor adaptor,
                                                SmallVectorImpl<Type> &types) {
  std::vector<int64_t> input = shapeOf(adaptor.getInput()),
                       weight = shapeOf(adaptor.getWeight());
  if (input.size() < 3 || weight.size() != input.size())
    return emitOptionalError(loc, "input and weight need the same rank");
  auto kernel = ArrayRef(weight).drop_front(2);
  if (failed(checkWindows(loc, adaptor, kernel, input.size() - 2)) ||
      failed(checkElements(loc, adaptor.getInput(), adaptor.getWeight())))
    return failure();
  int64_t groups = adaptor.getGroups();
  SmallVector<int64_t> shape = {input[0], 0};
  if (groups < 1 || input[1] == 0 || input[1] != weight[0] ||
      input[1] % groups != 0 ||
      __builtin_mul_overflow(weight[1], groups, &shape[1]))
    return emitOptionalError(loc, "has ", input[1], " channels, which ", groups,
                             " groups of filters for ", weight[0],
                             " do not fit");
  if (adaptor.getOutputPads().size() != kernel.size())
    return emitOptionalError(loc, "needs one output pad a spatial dimension");
  for (auto [d, window] : llvm::enumerate(windowsOf(adaptor, kernel))) {
    int64_t pad = adaptor.getOutputPads()[d], size;
    if (pad < 0 || pad >= int64_t(1) << 31 ||
        __builtin_mul_overflow(input[d + 2] - 1, window.stride, &size) ||
        __builtin_add_overflow(size, window.extent() + pad, &size) ||
        input[d + 2] == 0 || size - window.padBegin - window.padEnd < 1)
      return emitOptionalError(loc, "has no result along spatial dimension ",
                               d);
    shape.push_back(size - window.padBegin - window.padEnd);
  }
  types.push_back(withShape(adaptor.getInput().getType(), shape));
  return success();
}

Operation *
ConvTransposeOp::localize(OpBuilder &builder, ValueRange operands,
                          TypeRange results,
                          const LocalPlace &place) {
  int64_t groups =
      shapeOf(results[0])[1] / std::max<int64_t>(shapeOf(operands[1])[1], 1);
  return ConvTransposeOp::create(builder, getLoc(), results, operands[0],
                                 operands[1], groups, getStrides(),
                                 getDilations(), getPadsBegin(), getPadsEnd(),
                                 getOutputPads());
}

int64_t ConvTransposeOp::getFlops() {
  std::vector<int64_t> weight = shapeOf(getWeight());
  return 2 * product(shapeOf(getInput())) *
         product(ArrayRef(weight).drop_front());
}
KernelClass ConvTransposeOp::getKernelClass() { return KernelClass::Conv; }
bool ConvTransposeOp::takesStrides() { return true; }

//===----------------------------------------------------------------------===//
// Pool
//===----------------------------------------------------------------------===//

ShardingRule PoolOp::getShardingRule() {
  std::vector<int64_t> input = shapeOf(getInput()),
                       result = shapeOf(getResult());
  unsigned rank = input.size();
  RuleBuilder builder({rank}, {rank});
  builder.parallel("n", input[0], {{0, 0}}, {{0, 0}})
      .parallel("c", input[1], {{0, 1}}, {{0, 1}});
  for (auto [d, window] : llvm::enumerate(windowsOf(*this, getKernel())))
    addSpatial(builder, window, d, input[d + 2], result[d + 2], false);
  if (getKind() == "sum")
    builder.linear({0});
  return builder.build();
}

/// The shape of one element for each window.
template <typename Op>
static LogicalResult poolShape(std::optional<Location> loc, Op op,
                               SmallVectorImpl<int64_t> &shape) {
  std::vector<int64_t> input = shapeOf(op.getInput());
  if (input.size() < 3)
    return emitOptionalError(loc, "needs an input with spatial dimensions");
  if (failed(checkWindows(loc, op, op.getKernel(), input.size() - 2)))
    return failure();
  shape.assign({input[0], input[1]});
  return slide(loc, windowsOf(op, op.getKernel()),
               ArrayRef(input).drop_front(2), shape);
}

LogicalResult PoolOp::inferReturnTypes(MLIRContext *,
                                       std::optional<Location> loc,
                                       Adaptor adaptor,
                                       SmallVectorImpl<Type> &types) {
  SmallVector<int64_t> shape;
  if (adaptor.getKind() != "max" && adaptor.getKind() != "sum")
    return emitOptionalError(loc, "needs kind \"max\" or \"sum\"");
  if (failed(poolShape(loc, adaptor, shape)))
    return failure();
  types.push_back(withShape(adaptor.getInput().getType(), shape));
  return success();
}

Operation *PoolOp::localize(OpBuilder &builder, ValueRange operands,
                            TypeRange results, const LocalPlace &place) {
  auto [begin, end] = localPads(*this, place);
  return PoolOp::create(builder, getLoc(), results, getKind(), operands[0],
                        getKernel(), getStrides(), getDilations(), begin, end);
}

int64_t PoolOp::getFlops() {
  return product(shapeOf(getResult())) * product(getKernel());
}
KernelClass PoolOp::getKernelClass() { return KernelClass::Memory; }
bool PoolOp::takesStrides() { return true; }

ShardingRule PoolArgMaxOp::getShardingRule() {
  std::vector<int64_t> input = shapeOf(getInput()),
                       result = shapeOf(getResult());
  unsigned rank = input.size();
  RuleBuilder builder({rank}, {rank});
  builder.parallel("n", input[0], {{0, 0}}, {{0, 0}})
      .parallel("c", input[1], {{0, 1}}, {{0, 1}});
  for (unsigned d = 0; d + 2 < rank; ++d)
    builder.replicate(spatialName(d), input[d + 2], {{0, d + 2}}, {})
        .replicate("o" + spatialName(d), result[d + 2], {}, {{0, d + 2}});
  return builder.build();
}

LogicalResult PoolArgMaxOp::inferReturnTypes(MLIRContext *context,
                                             std::optional<Location> loc,
                                             Adaptor adaptor,
                                             SmallVectorImpl<Type> &types) {
  SmallVector<int64_t> shape;
  if (failed(poolShape(loc, adaptor, shape)))
    return failure();
  types.push_back(RankedTensorType::get(shape, IntegerType::get(context, 64)));
  return success();
}

int64_t PoolArgMaxOp::getFlops() {
  return product(shapeOf(getResult())) * product(getKernel());
}
KernelClass PoolArgMaxOp::getKernelClass() { return KernelClass::Memory; }
bool PoolArgMaxOp::takesStrides() { return true; }
