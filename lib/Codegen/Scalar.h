//===- Scalar.h - nn operations on single elements -------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What one element of an elementwise operation is, in arith. Three types belong
// to an element type of nn:
//
//   nn       storage (in memory)   compute (in registers)
//   f32      f32                   f32            f64 and integers likewise
//   f16      f16                   f32
//   bf16     i16                   f32            converted by bit operations
//   i1       i8, 0 or 1            i1
//   ui8      i8                    i8, with unsigned operations
//
// Everything is branch free and calls nothing for f32 (but sin, cos, pow, log
// and mod), so that the loop around it can be vectorised. NaN and infinities
// are kept; nothing is undefined for any input: integer division by zero gives
// zero, floats out of range convert to the nearest integer and NaN to zero.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_CODEGEN_SCALAR_H
#define PARTITA_LIB_CODEGEN_SCALAR_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "partita/Support/Error.h"

namespace partita::codegen {

/// Null if there is none.
mlir::Type storageType(mlir::Type element);
mlir::Type computeType(mlir::Type element);

/// A rough number of instructions for one element of an elementwise operation.
int64_t elementCost(mlir::Operation *op);

class ScalarBuilder {
public:
  ScalarBuilder(mlir::OpBuilder &builder, mlir::Location loc)
      : b(builder), loc(loc) {}

  /// Between memory and registers.
  mlir::Value fromStorage(mlir::Value value, mlir::Type element);
  mlir::Value toStorage(mlir::Value value, mlir::Type element);

  /// One element of `op`, from those of its operands. Error: an operation
  /// without an implementation for its element type.
  Result<mlir::Value> apply(mlir::Operation *op,
                            llvm::ArrayRef<mlir::Value> operands);
  /// An element of a constant.
  Result<mlir::Value> constant(mlir::Attribute value, mlir::Type element);

  /// `kind` of nn.reduce: where it starts and one step of it. Sums may be
  /// reordered.
  Result<mlir::Value> reductionStart(llvm::StringRef kind, mlir::Type element);
  Result<mlir::Value> reduceStep(llvm::StringRef kind, mlir::Type element,
                                 mlir::Value accumulator, mlir::Value value);

private:
  using Value = mlir::Value;
  Value number(double value, mlir::Type type);
  Value integer(int64_t value, mlir::Type type);
  Value add(Value x, Value y);
  Value sub(Value x, Value y);
  Value mul(Value x, Value y);
  Value div(Value x, Value y);
  Value less(Value x, Value y);
  Value select(Value condition, Value x, Value y);
  /// x * y + z, fused where the machine can.
  Value fma(Value x, Value y, double z);
  /// The polynomial with these coefficients, highest first.
  Value polynomial(Value x, llvm::ArrayRef<double> coefficients);

  Value exp(Value x);
  Value tanh(Value x);
  Value erf(Value x);
  Value sigmoid(Value x);
  Value gelu(Value x, bool tanhForm);
  Value sign(Value x);
  Value floatMod(Value x, Value y);
  Value toInteger(Value x, mlir::IntegerType type);
  Value cast(Value x, mlir::Type from, mlir::Type to);
  Value compare(llvm::StringRef predicate, Value x, Value y,
                mlir::Type element);
  Value bitcast(Value x, mlir::Type from, mlir::Type to);
  Value shift(Value x, Value y, bool isUnsigned, bool left);
  Value applyBits(mlir::Operation *op, llvm::ArrayRef<Value> x,
                  bool isUnsigned);
  Value integerDivision(Value x, Value y, bool isUnsigned, bool remainder);
  Value applyFloat(mlir::Operation *op, llvm::ArrayRef<Value> x);
  Value applyInteger(mlir::Operation *op, llvm::ArrayRef<Value> x,
                     mlir::IntegerType type);
  Value applyBoolean(mlir::Operation *op, llvm::ArrayRef<Value> x);

  mlir::OpBuilder &b;
  mlir::Location loc;
};

} // namespace partita::codegen

#endif // PARTITA_LIB_CODEGEN_SCALAR_H
