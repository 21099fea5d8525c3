//===- Elementwise.cpp - Import of operators on single elements -----------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "NodeImport.h"
#include "dialects/nn/Bits.h"
#include "dialects/nn/Trigonometry.h"
#include <cmath>
#include <limits>

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

template <typename Op> static void importUnary(NodeImport &n) {
  n.set(0, n.unary<Op>(n.input(0)));
}

/// Inputs broadcast to a common shape.
static std::pair<Value, Value> operands(NodeImport &n) {
  if (n.version < 7 && n.attribute("broadcast"))
    n.unsupported("broadcasts as operator sets before 7 do");
  Shape shape = n.broadcastShape({0, 1});
  Value lhs = n.inputAs(0, shape), rhs = n.inputAs(1, shape);
  if (lhs.getType() != rhs.getType())
    n.invalid("its inputs have different element types");
  return {lhs, rhs};
}

template <typename Op> static void importBinary(NodeImport &n) {
  auto [lhs, rhs] = operands(n);
  n.set(0, n.binary<Op>(lhs, rhs));
}

/// Sum, Max and Min take any number of inputs; Mean divides.
template <typename Op> static void importVariadic(NodeImport &n) {
  std::vector<size_t> all;
  for (size_t i = 0; i < n.numInputs(); ++i)
    all.push_back(i);
  Shape shape = n.broadcastShape(all);
  Value result = n.inputAs(0, shape);
  for (size_t i = 1; i < n.numInputs(); ++i)
    result = n.binary<Op>(result, n.inputAs(i, shape));
  n.set(0, result);
}

static void importMean(NodeImport &n) {
  std::vector<size_t> all;
  for (size_t i = 0; i < n.numInputs(); ++i)
    all.push_back(i);
  Shape shape = n.broadcastShape(all);
  Value sum = n.inputAs(0, shape);
  for (size_t i = 1; i < n.numInputs(); ++i)
    sum = n.binary<AddOp>(sum, n.inputAs(i, shape));
  n.set(0, n.binary<MulOp>(sum, n.splatLike(sum, 1.0 / double(n.numInputs()))));
}

static ImportFunction compareWith(const char *predicate) {
  return [predicate](NodeImport &n) {
    auto [lhs, rhs] = operands(n);
    n.set(0, n.compare(predicate, lhs, rhs));
  };
}

/// The exponent need not have the type of the base. Small powers are products,
/// which are exact, fast, and what raising looks for.
static void importPow(NodeImport &n) {
  Shape shape = n.broadcastShape({0, 1});
  Value base = n.inputAs(0, shape);
  std::optional<double> exponent = n.knownScalar(1);
  bool isFloat = isa<FloatType>(n.element(0));
  if (exponent == 1.0)
    return n.set(0, base);
  if (exponent == 2.0)
    return n.set(0, n.binary<MulOp>(base, base));
  if (exponent == 3.0)
    return n.set(0, n.binary<MulOp>(n.binary<MulOp>(base, base), base));
  if (exponent == 0.5 && isFloat)
    return n.set(0, n.unary<SqrtOp>(base));
  if (exponent == -0.5 && isFloat)
    return n.set(0, n.unary<RsqrtOp>(base));
  if (exponent == -1.0 && isFloat)
    return n.set(0, n.unary<ReciprocalOp>(base));
  n.set(0, n.binary<PowOp>(base, n.cast(n.inputAs(1, shape), n.element(0))));
}

static void importBitShift(NodeImport &n) {
  auto [lhs, rhs] = operands(n);
  std::string direction = n.string("direction", "");
  if (direction != "LEFT" && direction != "RIGHT")
    n.invalid("shifts in the direction \"" + direction + "\"");
  n.set(0, direction == "LEFT" ? n.binary<ShiftLeftOp>(lhs, rhs)
                               : n.binary<ShiftRightOp>(lhs, rhs));
}

/// Booleans are bytes of 0 and 1 to ONNX, and not bits to us.
static void importBitCast(NodeImport &n) {
  Type to = n.graphElementType(int(n.integer("to", 0))), from = n.element(0);
  if (from == to)
    return n.set(0, n.imported(0));
  if ((from.isInteger(1) && to.isInteger(8)) ||
      (from.isInteger(8) && to.isInteger(1)))
    return n.set(0, n.cast(n.input(0), to));
  n.set(0, n.create<BitcastOp>(n.makeType(n.shape(0), to), n.input(0)));
}

/// With fmod the remainder has the sign of the dividend.
static void importMod(NodeImport &n) {
  auto [lhs, rhs] = operands(n);
  if (n.integer("fmod", 0) == 0)
    return n.set(0, n.binary<ModOp>(lhs, rhs));
  Value size = n.binary<ModOp>(n.unary<AbsOp>(lhs), n.unary<AbsOp>(rhs));
  Value zero = n.splatLike(lhs, 0);
  n.set(0, n.create<SelectOp>(lhs.getType(), n.compare("lt", lhs, zero),
                              n.unary<NegOp>(size), size));
}

static void importWhere(NodeImport &n) {
  Shape shape = n.broadcastShape({0, 1, 2});
  Value onTrue = n.inputAs(1, shape), onFalse = n.inputAs(2, shape);
  if (onTrue.getType() != onFalse.getType())
    n.invalid("its values have different element types");
  n.set(0, n.create<SelectOp>(onTrue.getType(), n.inputAs(0, shape), onTrue,
                              onFalse));
}

static void importClip(NodeImport &n) {
  Value value = n.input(0);
  Shape shape = n.shape(0);
  if (n.version < 11) {
    if (n.attribute("min"))
      value = n.binary<MaxOp>(value, n.splatLike(value, n.real("min", 0)));
    if (n.attribute("max"))
      value = n.binary<MinOp>(value, n.splatLike(value, n.real("max", 0)));
  } else {
    if (n.has(1))
      value = n.binary<MaxOp>(value, n.inputAs(1, shape));
    if (n.has(2))
      value = n.binary<MinOp>(value, n.inputAs(2, shape));
  }
  n.set(0, value);
}

/// Input 0 as `narrow`, or where that is null as another type.
static void setCast(NodeImport &n, Type to, const NarrowType *narrow) {
  bool saturates = n.integer("saturate", 1) != 0;
  const NarrowType *from = n.narrow(0);
  if (from == narrow && (narrow || to == n.element(0)))
    return n.set(0, n.imported(0));
  if (narrow)
    return n.setNarrow(0, castToNarrow(n, n.input(0), *narrow, saturates),
                       narrow);
  if (to != n.element(0))
    return n.set(0, n.cast(n.input(0), to));
  // The type in which it is stored.
  if (const HostTensor *known = n.constant(0))
    return n.setConstant(0, *known);
  n.set(0, n.input(0));
}

static void importCast(NodeImport &n) {
  int to = int(n.integer("to", 0));
  if (const NarrowType *narrow = narrowType(to))
    return setCast(n, Type(), narrow);
  setCast(n, n.graphElementType(to), nullptr);
}

/// Only the type of the second input matters: a known first one stays known.
static void importCastLike(NodeImport &n) {
  if (!n.narrow(1) && !n.narrow(0) && n.element(0) != n.element(1) &&
      n.imported(0).folds)
    return n.setConstant(0, n.constant(0)->cast(*getDType(n.element(1))));
  setCast(n, n.element(1), n.narrow(1));
}

static void importGelu(NodeImport &n) {
  n.set(0, n.create<GeluOp>(n.type(0), n.input(0),
                            n.string("approximate", "none") == "tanh"));
}

/// x where x > 0, else alpha x.
static void importLeakyRelu(NodeImport &n) {
  Value x = n.input(0);
  Value scaled = n.binary<MulOp>(x, n.splatLike(x, n.real("alpha", 0.01f)));
  n.set(0, n.create<SelectOp>(
               x.getType(), n.compare("lt", x, n.splatLike(x, 0)), scaled, x));
}

/// Towards zero by bias, and zero between -lambd and lambd.
static void importShrink(NodeImport &n) {
  Value x = n.input(0), zero = n.splatLike(x, 0);
  double lambd = n.real("lambd", 0.5), bias = n.real("bias", 0);
  auto choose = [&](const char *predicate, double bound, double by,
                    Value otherwise) {
    return n.create<SelectOp>(
        x.getType(), n.compare(predicate, x, n.splatLike(x, bound)),
        n.binary<AddOp>(x, n.splatLike(x, by)), otherwise);
  };
  n.set(0, choose("lt", -lambd, bias, choose("gt", lambd, -bias, zero)));
}

static void importBinarizer(NodeImport &n) {
  Value x = n.input(0);
  Value above = n.compare("gt", x, n.splatLike(x, n.real("threshold", 0)));
  n.set(0, n.cast(above, n.element(0)));
}

static void importHardSigmoid(NodeImport &n) {
  Value x = n.input(0);
  Value line =
      n.binary<AddOp>(n.binary<MulOp>(x, n.splatLike(x, n.real("alpha", 0.2f))),
                      n.splatLike(x, n.real("beta", 0.5)));
  n.set(0, n.binary<MinOp>(n.binary<MaxOp>(line, n.splatLike(x, 0)),
                           n.splatLike(x, 1)));
}

/// log(1 + e^x) = max(x, 0) + log(1 + e^-|x|), which does not overflow.
static Value softplus(NodeImport &n, Value x) {
  Value tail = n.unary<LogOp>(n.binary<AddOp>(
      n.splatLike(x, 1), n.unary<ExpOp>(n.unary<NegOp>(n.unary<AbsOp>(x)))));
  return n.binary<AddOp>(n.unary<ReluOp>(x), tail);
}

static void importSoftplus(NodeImport &n) { n.set(0, softplus(n, n.input(0))); }

static void importMish(NodeImport &n) {
  Value x = n.input(0);
  n.set(0, n.binary<MulOp>(x, n.unary<TanhOp>(softplus(n, x))));
}

/// x sigmoid(alpha x); alpha is nearly always one.
static void importSwish(NodeImport &n) {
  Value x = n.input(0);
  double alpha = n.real("alpha", 1);
  if (alpha == 1.0)
    return n.set(0, n.unary<SiluOp>(x));
  Value gate = n.unary<SigmoidOp>(n.binary<MulOp>(x, n.splatLike(x, alpha)));
  n.set(0, n.binary<MulOp>(x, gate));
}

static void importTan(NodeImport &n) {
  Value x = n.input(0);
  n.set(0, n.binary<DivOp>(n.unary<SinOp>(x), n.unary<CosOp>(x)));
}

static void importIsNaN(NodeImport &n) {
  Value x = n.input(0);
  n.set(0, n.compare("ne", x, x));
}

static void importIsInf(NodeImport &n) {
  Value x = n.input(0);
  double infinity = std::numeric_limits<double>::infinity();
  bool positive = n.integer("detect_positive", 1);
  bool negative = n.integer("detect_negative", 1);
  Value above = n.compare("eq", x, n.splatLike(x, infinity));
  Value below = n.compare("eq", x, n.splatLike(x, -infinity));
  if (positive && negative)
    n.set(0, n.binary<OrOp>(above, below));
  else if (positive || negative)
    n.set(0, positive ? above : below);
  else
    n.set(0, n.splatLike(above, 0));
}

/// Where training is over, or where nothing is dropped in it, dropout passes
/// its input and keeps everything.
static void importDropout(NodeImport &n) {
  bool isTraining = n.version >= 12 && n.has(2) && n.knownScalar(2) != 0.0;
  // Without a ratio it is one half.
  bool drops = !n.has(1) || n.knownScalar(1) != 0.0;
  if (isTraining && !n.knownScalar(2))
    n.unsupported("its training_mode depends on data");
  if (isTraining && drops)
    n.unsupported("training_mode is set");
  n.set(0, n.imported(0));
  if (n.wants(1))
    n.set(1, n.splat(n.makeType(n.shape(0), n.builder.getI1Type()), 1));
}

static void importIdentity(NodeImport &n) { n.set(0, n.imported(0)); }

void importer::addElementwise(ImportTable &table) {
  table.add("Abs", 1, importUnary<AbsOp>);
  table.add("Neg", 1, importUnary<NegOp>);
  table.add("Exp", 1, importUnary<ExpOp>);
  table.add("Log", 1, importUnary<LogOp>);
  table.add("Sqrt", 1, importUnary<SqrtOp>);
  table.add("Reciprocal", 1, importUnary<ReciprocalOp>);
  table.add("Tanh", 1, importUnary<TanhOp>);
  table.add("Sin", 7, importUnary<SinOp>);
  table.add("Cos", 7, importUnary<CosOp>);
  table.add("Tan", 7, importTan);
  table.add("Asin", 7, importUnary<AsinOp>);
  table.add("Acos", 7, importUnary<AcosOp>);
  table.add("Atan", 7, importUnary<AtanOp>);
  table.add("Sinh", 9, importUnary<SinhOp>);
  table.add("Cosh", 9, importUnary<CoshOp>);
  table.add("Asinh", 9, importUnary<AsinhOp>);
  table.add("Acosh", 9, importUnary<AcoshOp>);
  table.add("Atanh", 9, importUnary<AtanhOp>);
  table.add("Erf", 9, importUnary<ErfOp>);
  table.add("Sigmoid", 1, importUnary<SigmoidOp>);
  table.add("Relu", 1, importUnary<ReluOp>);
  table.add("Floor", 1, importUnary<FloorOp>);
  table.add("Ceil", 1, importUnary<CeilOp>);
  table.add("Round", 11, importUnary<RoundOp>);
  table.add("Sign", 9, importUnary<SignOp>);
  table.add("Not", 1, importUnary<NotOp>);
  table.add("IsNaN", 9, importIsNaN);
  table.add("IsInf", 10, importIsInf);

  table.add("Add", 7, importBinary<AddOp>);
  table.add("Sub", 7, importBinary<SubOp>);
  table.add("Mul", 7, importBinary<MulOp>);
  table.add("Div", 7, importBinary<DivOp>);
  table.add("Mod", 10, importMod);
  table.add("Pow", 7, importPow);
  table.add("And", 7, importBinary<AndOp>);
  table.add("Or", 7, importBinary<OrOp>);
  table.add("Xor", 7, importBinary<XorOp>);
  table.add("BitwiseAnd", 18, importBinary<BitAndOp>);
  table.add("BitwiseOr", 18, importBinary<BitOrOp>);
  table.add("BitwiseXor", 18, importBinary<BitXorOp>);
  table.add("BitwiseNot", 18, importUnary<BitNotOp>);
  table.add("BitShift", 11, importBitShift);
  table.add("BitCast", 26, importBitCast);
  table.add("Sum", 8, importVariadic<AddOp>);
  table.add("Max", 8, importVariadic<MaxOp>);
  table.add("Min", 8, importVariadic<MinOp>);
  table.add("Mean", 8, importMean);
  table.add("Equal", 7, compareWith("eq"));
  table.add("Less", 7, compareWith("lt"));
  table.add("LessOrEqual", 12, compareWith("le"));
  table.add("Greater", 7, compareWith("gt"));
  table.add("GreaterOrEqual", 12, compareWith("ge"));

  table.add("Where", 9, importWhere);
  table.add("Clip", 6, importClip);
  table.add("Cast", 6, importCast);
  table.add("CastLike", 15, importCastLike);
  table.add("Gelu", 20, importGelu);
  table.add("Gelu", 1, importGelu, "com.microsoft");
  table.add("LeakyRelu", 6, importLeakyRelu);
  table.add("HardSigmoid", 6, importHardSigmoid);
  table.add("Shrink", 9, importShrink);
  table.add("Binarizer", 1, importBinarizer, "ai.onnx.ml");
  table.add("Softplus", 1, importSoftplus);
  table.add("Mish", 18, importMish);
  table.add("Swish", 24, importSwish);
  table.add("Dropout", 7, importDropout);
  table.add("Identity", 1, importIdentity);
}
