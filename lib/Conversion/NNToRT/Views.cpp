//===- Views.cpp - Addressing of values that move no data -----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Views.h"
#include "dialects/nn/NN.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace partita;
using namespace partita::rt;

SmallVector<int64_t> rt::rowMajorStrides(ArrayRef<int64_t> shape) {
  SmallVector<int64_t> strides(shape.size(), 1);
  for (size_t d = shape.size(); d-- > 1;)
    strides[d - 1] = strides[d] * shape[d];
  return strides;
}

Place rt::wholeBuffer(Value buffer) {
  auto type = cast<RankedTensorType>(buffer.getType());
  return {buffer, 0, SmallVector<int64_t>(type.getShape()),
          rowMajorStrides(type.getShape())};
}

bool rt::isWholeRowMajor(const Place &place) {
  auto type = cast<RankedTensorType>(place.buffer.getType());
  int64_t elements = 1;
  for (int64_t size : place.shape)
    elements *= size;
  if (elements != type.getNumElements() || place.offset != 0)
    return false;
  SmallVector<int64_t> dense = rowMajorStrides(place.shape);
  for (auto [size, stride, expected] :
       llvm::zip_equal(place.shape, place.strides, dense))
    if (size > 1 && stride != expected)
      return false;
  return true;
}

std::optional<Place> rt::reshape(const Place &place, ArrayRef<int64_t> shape) {
  Place result{place.buffer, place.offset, SmallVector<int64_t>(shape),
               rowMajorStrides(shape)};
  if (llvm::is_contained(shape, 0))
    return result;
  // Runs of old dimensions that are laid out as one, outermost first; sizes of
  // one have no say.
  SmallVector<std::pair<int64_t, int64_t>> runs; // size, innermost stride
  for (auto [size, stride] : llvm::zip_equal(place.shape, place.strides)) {
    if (size == 1)
      continue;
    if (!runs.empty() && runs.back().second == stride * size)
      runs.back() = {runs.back().first * size, stride};
    else
      runs.push_back({size, stride});
  }
  // Each new dimension is cut from the innermost run that is left.
  int64_t left = 1, stride = 1;
  for (size_t d = shape.size(); d-- > 0;) {
    if (shape[d] == 1) {
      result.strides[d] = 1;
      continue;
    }
    if (left == 1) {
      if (runs.empty())
        return std::nullopt;
      std::tie(left, stride) = runs.pop_back_val();
    }
    if (left % shape[d] != 0)
      return std::nullopt;
    result.strides[d] = stride;
    stride *= shape[d];
    left /= shape[d];
  }
  return result;
}

Place rt::transpose(const Place &place, ArrayRef<int64_t> order) {
  Place result{place.buffer, place.offset, {}, {}};
  for (int64_t dim : order) {
    result.shape.push_back(place.shape[dim]);
    result.strides.push_back(place.strides[dim]);
  }
  return result;
}

Place rt::broadcast(const Place &place, ArrayRef<int64_t> dims,
                    ArrayRef<int64_t> shape) {
  Place result{place.buffer, place.offset, SmallVector<int64_t>(shape),
               SmallVector<int64_t>(shape.size(), 0)};
  for (auto [i, d] : llvm::enumerate(dims))
    if (place.shape[i] == shape[d] && shape[d] != 1)
      result.strides[d] = place.strides[i];
  return result;
}

Place rt::slice(const Place &place, ArrayRef<int64_t> starts,
                ArrayRef<int64_t> steps, ArrayRef<int64_t> shape) {
  Place result{place.buffer, place.offset, SmallVector<int64_t>(shape), {}};
  bool empty = llvm::is_contained(shape, 0);
  for (size_t d = 0; d < shape.size(); ++d) {
    result.offset += empty ? 0 : starts[d] * place.strides[d];
    result.strides.push_back(place.strides[d] * steps[d]);
  }
  return result;
}

bool rt::isViewOp(Operation *op) {
  return op && isa<nn::ReshapeOp, nn::TransposeOp, nn::BroadcastOp, nn::SliceOp,
                   nn::SplitOp>(op);
}

static Place splitPlace(nn::SplitOp op, unsigned part, const Place &input) {
  int64_t axis = op.getAxis(), start = 0;
  for (unsigned i = 0; i < part; ++i)
    start += nn::shapeOf(op.getResult(i))[axis];
  SmallVector<int64_t> starts(input.shape.size(), 0);
  starts[axis] = start;
  SmallVector<int64_t> steps(input.shape.size(), 1);
  return slice(input, starts, steps, nn::shapeOf(op.getResult(part)));
}

std::optional<Place> rt::viewPlace(OpResult result, const Place &input) {
  using Maybe = std::optional<Place>;
  std::vector<int64_t> shape = nn::shapeOf(result);
  return TypeSwitch<Operation *, Maybe>(result.getOwner())
      .Case([&](nn::ReshapeOp) { return reshape(input, shape); })
      .Case([&](nn::TransposeOp op) -> Maybe {
        return transpose(input, op.getPermutation());
      })
      .Case([&](nn::BroadcastOp op) -> Maybe {
        return broadcast(input, op.getDims(), shape);
      })
      .Case([&](nn::SliceOp op) -> Maybe {
        return slice(input, op.getStarts(), op.getSteps(), shape);
      })
      .Case([&](nn::SplitOp op) -> Maybe {
        return splitPlace(op, result.getResultNumber(), input);
      })
      .Default([](Operation *) { return std::nullopt; });
}
