//===- Harness.cpp - Compiles and runs local programs ---------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Harness.h"
#include "dialects/dist/Dist.h"
#include "dialects/nn/NN.h"
#include "dialects/rt/RT.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/AsmState.h"
#include "mlir/Parser/Parser.h"
#include "partita/Conversion/Commands.h"
#include "partita/Conversion/NNToRT.h"
#include "partita/Runtime/Library.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Support/TargetSelect.h"
#include <catch2/catch.hpp>
#include <cstring>
#include <random>

using namespace mlir;
using namespace partita;
using namespace partita::test;

/// The value, or the end of the test with the error's text.
template <typename T> static T take(Result<T> result) {
  if (!result)
    FAIL(result.error().str());
  return std::move(*result);
}
template <typename T> static T take(llvm::Expected<T> expected) {
  if (!expected)
    FAIL(llvm::toString(expected.takeError()));
  return std::move(*expected);
}

static void loadDialects(MLIRContext &context) {
  DialectRegistry registry;
  registry.insert<nn::NNDialect, dist::DistDialect, rt::RTDialect,
                  func::FuncDialect>();
  context.appendDialectRegistry(registry);
  context.loadAllAvailableDialects();
}

LocalProgram::LocalProgram(const std::string &text, const std::string &cpu) {
  loadDialects(context);
  module = parseSourceString<ModuleOp>(text, ParserConfig(&context));
  REQUIRE(module);
  take(convertNNToRT(*module, NNToRTOptions()));
  CodegenOptions options;
  options.cpu = cpu;
  CompiledKernels compiled = take(compileKernels(*module, options));
  names = compiled.names;
  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter();
  jit = take(llvm::orc::LLJITBuilder().create());
  if (names.empty())
    return;
  auto buffer = llvm::MemoryBuffer::getMemBufferCopy(
      llvm::StringRef(compiled.object.data(), compiled.object.size()));
  if (auto error = jit->addObjectFile(std::move(buffer)))
    FAIL(llvm::toString(std::move(error)));
}

LocalProgram::~LocalProgram() = default;

int64_t LocalProgram::count(const std::string &operation) const {
  int64_t found = 0;
  module.get()->walk([&](Operation *op) {
    if (op->getName().getStringRef() == operation)
      ++found;
    else if (auto call = dyn_cast<rt::CallOp>(op))
      found += call.getCallee() == operation;
  });
  return found;
}

namespace {

/// The memory of one run: one arena, a slice a buffer.
class Execution {
public:
  Execution(llvm::orc::LLJIT &jit, Block &body)
      : jit(jit), arena(bytesOf(body)) {}

  /// Enough for every value of `body` and all workspaces.
  static int64_t bytesOf(Block &body) {
    int64_t total = 64;
    auto add = [&](Value value) {
      runtime::View view = take(toView(value));
      total += view.numElements() * int64_t(dtypeSize(view.dtype)) + 64;
    };
    llvm::for_each(body.getArguments(), add);
    for (Operation &op : body) {
      llvm::for_each(op.getResults(), add);
      if (auto call = dyn_cast<rt::CallOp>(op))
        total += int64_t(call.getWorkspace()) + 64;
    }
    return total;
  }

  void define(Value value, const void *bytes = nullptr) {
    runtime::View view = take(toView(value));
    int64_t size = view.numElements() * int64_t(dtypeSize(view.dtype));
    next = (next + 63) / 64 * 64;
    REQUIRE(next + size <= int64_t(arena.size()));
    offsets[value] = next;
    // What a kernel does not write must not look like a result.
    std::memset(arena.data() + next, 0x7f, size);
    if (bytes)
      std::memcpy(arena.data() + next, bytes, size);
    next += size;
  }
  std::byte *address(Value value) {
    rt::Addressing addressing = rt::addressingOf(value);
    runtime::View view = take(toView(value));
    REQUIRE(offsets.count(addressing.buffer));
    return arena.data() + offsets[addressing.buffer] + view.offset;
  }

  /// Kernels have no type before their first byte as instrumented functions do;
  /// where one begins a page, there is nothing at all to be read there.
  __attribute__((no_sanitize("function"))) void run(rt::KernelOp op) {
    for (Value result : op.getResults())
      define(result);
    std::vector<void *> buffers;
    for (Value value : op.getInputs())
      buffers.push_back(address(value));
    for (Value value : op.getResults())
      buffers.push_back(address(value));
    auto symbol = take(jit.lookup(op.getKernel()));
    auto kernel = symbol.toPtr<void (*)(void *const *, const int64_t *)>();
    kernel(buffers.data(), nullptr);
  }

  void run(rt::CallOp op) {
    for (Value result : op.getResults())
      define(result);
    runtime::Command command = take(toCommand(op));
    for (auto [view, value] : llvm::zip_equal(command.operands, op.getInputs()))
      view.offset = address(value) - arena.data();
    for (auto [view, value] : llvm::zip_equal(command.results, op.getResults()))
      view.offset = address(value) - arena.data();
    for (runtime::View &view : command.workspace) {
      next = (next + 63) / 64 * 64;
      view.offset = next;
      next += view.numElements();
    }
    Mesh mesh;
    auto prepared = take(
        runtime::prepareCall(command, runtime::PrepareContext{&mesh, {}, 1}));
    std::byte *const bases[3] = {arena.data(), nullptr, nullptr};
    take(prepared->execute(bases));
  }

private:
  llvm::orc::LLJIT &jit;
  std::vector<std::byte> arena;
  llvm::DenseMap<Value, int64_t> offsets;
  int64_t next = 0;
};

} // namespace

static void defineConstant(Execution &execution, nn::ConstantOp op) {
  auto value = cast<DenseElementsAttr>(op.getValue());
  runtime::View view = take(toView(op.getResult()));
  HostTensor tensor(view.dtype, view.shape);
  for (int64_t i = 0; i < tensor.numElements(); ++i) {
    if (isa<FloatType>(value.getElementType()))
      tensor.setDouble(i, value.getValues<APFloat>()[i].convertToDouble());
    else
      tensor.setInt(i, value.getValues<APInt>()[i].getSExtValue());
  }
  execution.define(op.getResult(), tensor.data());
}

std::vector<HostTensor>
LocalProgram::run(const std::vector<HostTensor> &inputs,
                  const std::map<std::string, HostTensor> &parameters) {
  auto func = *module->getOps<func::FuncOp>().begin();
  Execution execution(*jit, func.getBody().front());
  REQUIRE(func.getNumArguments() == inputs.size());
  for (auto [argument, input] : llvm::zip_equal(func.getArguments(), inputs)) {
    REQUIRE(nn::shapeOf(argument) == input.shape());
    execution.define(argument, input.data());
  }
  std::vector<HostTensor> outputs;
  for (Operation &op : func.getBody().front()) {
    if (auto kernel = dyn_cast<rt::KernelOp>(op)) {
      execution.run(kernel);
    } else if (auto call = dyn_cast<rt::CallOp>(op)) {
      execution.run(call);
    } else if (auto constant = dyn_cast<nn::ConstantOp>(op)) {
      defineConstant(execution, constant);
    } else if (auto get = dyn_cast<nn::GetParameterOp>(op)) {
      auto found = parameters.find(get.getParameter().str());
      REQUIRE(found != parameters.end());
      execution.define(get.getResult(), found->second.data());
    } else if (isa<func::ReturnOp>(op)) {
      for (Value value : op.getOperands()) {
        runtime::View view = take(toView(value));
        HostTensor tensor(view.dtype, view.shape);
        std::memcpy(tensor.data(), execution.address(value), tensor.numBytes());
        outputs.push_back(std::move(tensor));
      }
    } else {
      REQUIRE(isa<rt::ViewOp>(op));
    }
  }
  return outputs;
}

Error partita::test::compileError(const std::string &text) {
  MLIRContext context;
  loadDialects(context);
  auto module = parseSourceString<ModuleOp>(text, ParserConfig(&context));
  REQUIRE(module);
  if (Status status = convertNNToRT(*module, NNToRTOptions()); !status)
    return status.error();
  Result<CompiledKernels> compiled = compileKernels(*module, CodegenOptions());
  return compiled ? Error() : compiled.error();
}

HostTensor partita::test::tensor(std::vector<int64_t> shape,
                                 const std::vector<float> &values) {
  HostTensor result(DType::F32, std::move(shape));
  REQUIRE(result.numElements() == int64_t(values.size()));
  std::memcpy(result.data(), values.data(), result.numBytes());
  return result;
}

HostTensor partita::test::randomTensor(std::vector<int64_t> shape,
                                       unsigned seed, double low, double high,
                                       DType dtype) {
  HostTensor result(dtype, std::move(shape));
  std::mt19937 engine(seed);
  for (int64_t i = 0; i < result.numElements(); ++i) {
    double value = low + (high - low) * (engine() / 4294967296.0);
    if (isFloat(dtype))
      result.setDouble(i, value);
    else
      result.setInt(i, int64_t(std::floor(value)));
  }
  return result;
}
