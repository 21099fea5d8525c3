//===- Models.h - Attaching reference kernels ------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A reference kernel is a function of an operation, its operands and the rank's
// place; `attach` makes it the operation's ReferenceOpInterface. One file for
// each family of operations, as in the dialect.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_INTERP_MODELS_H
#define PARTITA_LIB_INTERP_MODELS_H

#include "Numbers.h"
#include "dialects/dist/Dist.h"
#include "dialects/nn/NN.h"

namespace partita::interp {

using Tensors = std::vector<HostTensor>;
using Operands = llvm::ArrayRef<HostTensor>;

template <typename Op>
using Kernel = Result<Tensors> (*)(Op, Operands, const RankPlace &);

/// The interface implementation that calls a kernel.
template <typename Op, Kernel<Op> kernel>
struct Model : ReferenceOpInterface::ExternalModel<Model<Op, kernel>, Op> {
  Result<Tensors> evaluate(mlir::Operation *op, Operands operands,
                           const RankPlace &place) const {
    return kernel(llvm::cast<Op>(op), operands, place);
  }
};

template <typename Op, Kernel<Op> kernel> void attach(mlir::MLIRContext &ctx) {
  Op::template attachInterface<Model<Op, kernel>>(ctx);
}

void attachElementwiseModels(mlir::MLIRContext &context);
void attachLinearModels(mlir::MLIRContext &context);
void attachReductionModels(mlir::MLIRContext &context);
void attachShapeModels(mlir::MLIRContext &context);

/// One tensor as the only result.
inline Result<Tensors> single(HostTensor tensor) {
  Tensors tensors;
  tensors.push_back(std::move(tensor));
  return tensors;
}

/// "nn.add \"layer.0/Add\"": how messages name an operation.
std::string describe(mlir::Operation *op);
/// Exit code 2: the values make the operation undefined.
Error valueError(mlir::Operation *op, std::string message);
/// Exit code 3: not defined for this element type.
Error typeError(mlir::Operation *op, DType type);

/// Where this rank's part of a factor begins, and the factor's whole size.
struct Offset {
  int64_t begin = 0, size = 0;
};
/// Of an optional `#dist.offset`; if it is null the part of size `localSize` is
/// the whole.
Result<Offset> offsetOf(mlir::Operation *op, mlir::Attribute attr,
                        int64_t localSize, const RankPlace &place);

} // namespace partita::interp

#endif // PARTITA_LIB_INTERP_MODELS_H
