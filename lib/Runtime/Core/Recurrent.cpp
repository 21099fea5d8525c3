//===- Recurrent.cpp - Recurrent layers -----------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// rnn, gru and lstm: for each step a product of all sequences' states with the
// weights, added to what the step contributes itself, and then the cell,
// element by element. Sequences that have ended keep their state.
//
//===----------------------------------------------------------------------===//

#include "Gemm.h"
#include "LibraryImpl.h"
#include <cmath>
#include <cstring>
#include <sstream>

using namespace partita;
using namespace partita::runtime;

//===----------------------------------------------------------------------===//
// Activations
//===----------------------------------------------------------------------===//

namespace {

enum class Function {
  Relu,
  Tanh,
  Sigmoid,
  Affine,
  LeakyRelu,
  ThresholdedRelu,
  ScaledTanh,
  HardSigmoid,
  Elu,
  Softsign,
  Softplus
};

struct Activation {
  Function function = Function::Tanh;
  double alpha = 0, beta = 0;
  /// The largest absolute value of what it is applied to.
  double limit = std::numeric_limits<double>::infinity();

  template <typename T> T operator()(T value) const {
    T x = std::clamp<T>(value, static_cast<T>(-limit), static_cast<T>(limit));
    T a = static_cast<T>(alpha), b = static_cast<T>(beta);
    switch (function) {
    case Function::Relu:
      return std::max<T>(x, 0);
    case Function::Tanh:
      return std::tanh(x);
    case Function::Sigmoid:
      return 1 / (1 + std::exp(-x));
    case Function::Affine:
      return a * x + b;
    case Function::LeakyRelu:
      return x < 0 ? a * x : x;
    case Function::ThresholdedRelu:
      return x >= a ? x : 0;
    case Function::ScaledTanh:
      return a * std::tanh(b * x);
    case Function::HardSigmoid:
      return std::clamp<T>(a * x + b, 0, 1);
    case Function::Elu:
      return x < 0 ? a * (std::exp(x) - 1) : x;
    case Function::Softsign:
      return x / (1 + std::abs(x));
    case Function::Softplus:
      break;
    }
    return std::max<T>(x, 0) + std::log1p(std::exp(-std::abs(x)));
  }
};

} // namespace

static const std::map<std::string, Function> &functionNames() {
  static const std::map<std::string, Function> names = {
      {"Relu", Function::Relu},
      {"Tanh", Function::Tanh},
      {"Sigmoid", Function::Sigmoid},
      {"Affine", Function::Affine},
      {"LeakyRelu", Function::LeakyRelu},
      {"ThresholdedRelu", Function::ThresholdedRelu},
      {"ScaledTanh", Function::ScaledTanh},
      {"HardSigmoid", Function::HardSigmoid},
      {"Elu", Function::Elu},
      {"Softsign", Function::Softsign},
      {"Softplus", Function::Softplus}};
  return names;
}

static Result<std::vector<Activation>> activationsOf(const Command &call,
                                                     size_t count) {
  auto numbers = [&](const char *name) {
    auto found = call.attrs.find(name);
    auto *values = found == call.attrs.end()
                       ? nullptr
                       : std::get_if<std::vector<double>>(&found->second);
    return values && values->size() == count ? *values
                                             : std::vector<double>(count, 0);
  };
  std::vector<double> alpha = numbers("alpha"), beta = numbers("beta");
  double clip = doubleAttr(call, "clip", 0);
  std::vector<Activation> result;
  std::istringstream list(stringAttr(call, "activations"));
  for (std::string name; std::getline(list, name, ',');) {
    auto found = functionNames().find(name);
    if (found == functionNames().end() || result.size() == count)
      return callError(call, "does not know the activations");
    Activation activation{found->second, alpha[result.size()],
                          beta[result.size()]};
    if (clip > 0)
      activation.limit = clip;
    result.push_back(activation);
  }
  if (result.size() != count)
    return callError(call, "has too few activations");
  return result;
}

//===----------------------------------------------------------------------===//
// The recurrence
//===----------------------------------------------------------------------===//

namespace {

enum class Cell { RNN, GRU, LSTM };

/// A call, checked.
struct RecurrentPlan {
  Cell cell;
  int64_t steps, sequences, gates, hidden;
  std::vector<Activation> activations;
  bool reverse, coupled;
  /// Operands that may be absent, by their index or -1.
  int cellState = -1, peepholes = -1, bias = -1, lengths = -1;
  /// Workspace: gates and a product of all sequences, and their states.
  int64_t gatesBytes, stateBytes;

  int64_t workspace() const { return gatesBytes + 3 * stateBytes; }
};

template <typename T> class PreparedRecurrent : public PreparedCall {
public:
  PreparedRecurrent(const Command &call, RecurrentPlan plan)
      : call(call), p(std::move(plan)) {}

  Status execute(std::byte *const bases[3]) override {
    if (stateCount() == 0)
      return ok();
    bind(bases);
    std::memcpy(h, operand(2), stateCount() * sizeof(T));
    if (p.cell == Cell::LSTM)
      std::memcpy(c, operand(p.cellState), stateCount() * sizeof(T));
    std::memset(result(0), 0, p.steps * stateCount() * sizeof(T));
    for (int64_t s = 0; s < p.steps; ++s) {
      gatherGates(s);
      multiply();
      for (int64_t b = 0; b < p.sequences; ++b)
        if (s < lengthOf(b)) {
          update(b);
          std::memcpy(result(0) + (stepOf(s, b) * p.sequences + b) * p.hidden,
                      h + b * p.hidden, p.hidden * sizeof(T));
        }
    }
    std::memcpy(result(1), h, stateCount() * sizeof(T));
    if (p.cell == Cell::LSTM)
      std::memcpy(result(2), c, stateCount() * sizeof(T));
    return ok();
  }

private:
  void bind(std::byte *const bases[3]) {
    this->bases = bases;
    std::byte *workspace = addressOf(call.workspace[0], bases);
    gates = reinterpret_cast<T *>(workspace);
    h = reinterpret_cast<T *>(workspace + p.gatesBytes);
    c = reinterpret_cast<T *>(workspace + p.gatesBytes + p.stateBytes);
    extra = reinterpret_cast<T *>(workspace + p.gatesBytes + 2 * p.stateBytes);
  }
  const T *operand(int i) const {
    return reinterpret_cast<const T *>(addressOf(call.operands[i], bases));
  }
  T *result(int i) const {
    return reinterpret_cast<T *>(addressOf(call.results[i], bases));
  }
  int64_t stateCount() const { return p.sequences * p.hidden; }

  int64_t lengthOf(int64_t b) const {
    if (p.lengths < 0)
      return p.steps;
    auto *lengths = reinterpret_cast<const int32_t *>(
        addressOf(call.operands[p.lengths], bases));
    return std::clamp<int64_t>(lengths[b], 0, p.steps);
  }
  /// The place of step `s` in sequence `b`, which has it.
  int64_t stepOf(int64_t s, int64_t b) const {
    return p.reverse ? lengthOf(b) - 1 - s : s;
  }

  /// What step `s` contributes itself.
  void gatherGates(int64_t s) {
    int64_t row = p.gates * p.hidden;
    for (int64_t b = 0; b < p.sequences; ++b) {
      if (s < lengthOf(b))
        std::memcpy(gates + b * row,
                    operand(0) + (stepOf(s, b) * p.sequences + b) * row,
                    row * sizeof(T));
      else
        std::fill(gates + b * row, gates + (b + 1) * row, T(0));
    }
  }

  /// out [b, n] (+)= states [b, h] times columns begin to begin + n of the
  /// weights.
  void product(const T *states, int64_t begin, int64_t n, T *out,
               int64_t outRow, T beta) {
    int64_t row = p.gates * p.hidden;
    gemm(Matrix<const T>{states, p.sequences, p.hidden, p.hidden, 1},
         Matrix<const T>{operand(1) + begin, p.hidden, n, row, 1},
         Matrix<T>{out, p.sequences, n, outRow, 1}, beta);
  }

  /// What the states contribute to the gates. A GRU's last gate needs another
  /// before.
  void multiply() {
    int64_t row = p.gates * p.hidden;
    if (p.cell != Cell::GRU)
      return product(h, 0, row, gates, row, 1);
    product(h, 0, 2 * p.hidden, gates, row, 1);
    T *last = gates + 2 * p.hidden;
    auto resetOf = [&](int64_t b, int64_t i) {
      return p.activations[0](gates[b * row + p.hidden + i]);
    };
    if (p.bias >= 0)
      product(h, 2 * p.hidden, p.hidden, extra, p.hidden, 0);
    for (int64_t b = 0; b < p.sequences; ++b)
      for (int64_t i = 0; i < p.hidden; ++i) {
        T &value = extra[b * p.hidden + i];
        if (p.bias >= 0)
          last[b * row + i] += resetOf(b, i) * (value + operand(p.bias)[i]);
        else
          value = resetOf(b, i) * h[b * p.hidden + i];
      }
    if (p.bias < 0)
      product(extra, 2 * p.hidden, p.hidden, last, row, 1);
  }

  /// The next state of sequence `b`.
  void update(int64_t b) {
    const T *g = gates + b * p.gates * p.hidden;
    T *state = h + b * p.hidden, *cell = c + b * p.hidden;
    const std::vector<Activation> &f = p.activations;
    for (int64_t i = 0; i < p.hidden; ++i) {
      auto gate = [&](int64_t k) { return g[k * p.hidden + i]; };
      switch (p.cell) {
      case Cell::RNN:
        state[i] = f[0](gate(0));
        break;
      case Cell::GRU: {
        T z = f[0](gate(0));
        state[i] = (1 - z) * f[1](gate(2)) + z * state[i];
        break;
      }
      case Cell::LSTM: {
        auto peep = [&](int64_t k) {
          return p.peepholes < 0 ? T(0)
                                 : operand(p.peepholes)[k * p.hidden + i];
        };
        T in = f[0](gate(0) + peep(0) * cell[i]);
        T forget = p.coupled ? 1 - in : f[0](gate(2) + peep(2) * cell[i]);
        cell[i] = forget * cell[i] + in * f[1](gate(3));
        T out = f[0](gate(1) + peep(1) * cell[i]);
        state[i] = out * f[2](cell[i]);
        break;
      }
      }
    }
  }

  Command call;
  RecurrentPlan p;
  std::byte *const *bases = nullptr;
  T *gates = nullptr, *h = nullptr, *c = nullptr, *extra = nullptr;
};

} // namespace

//===----------------------------------------------------------------------===//
// Calls
//===----------------------------------------------------------------------===//

/// The operands that are there, of those that may be.
static Status findOptional(const Command &call, RecurrentPlan &plan) {
  std::vector<int64_t> counts = intsAttr(call, "operands");
  std::vector<int *> optional;
  size_t required = 3;
  if (plan.cell == Cell::LSTM) {
    plan.cellState = 3;
    required = 4;
    optional = {&plan.peepholes, &plan.lengths};
  } else if (plan.cell == Cell::GRU) {
    optional = {&plan.bias, &plan.lengths};
  } else {
    optional = {&plan.lengths};
  }
  // One alone needs no counts.
  if (optional.size() == 1) {
    counts.assign(required, 1);
    counts.push_back(call.operands.size() > required);
  }
  int next = static_cast<int>(required);
  if (counts.size() == required + optional.size())
    for (size_t i = 0; i < optional.size(); ++i)
      if (counts[required + i] == 1)
        *optional[i] = next++;
  if (static_cast<size_t>(next) != call.operands.size())
    return callError(call, "has a wrong number of operands");
  return ok();
}

/// Whether every tensor has the shape that follows from the gates.
static bool fits(const Command &call, const RecurrentPlan &p) {
  using Shape = std::vector<int64_t>;
  DType type = call.operands[0].dtype;
  auto is = [&](const View &view, Shape shape) {
    return view.shape == shape && view.dtype == type && view.isContiguous();
  };
  Shape state = {p.sequences, p.hidden};
  bool result = is(call.operands[0], call.operands[0].shape) &&
                is(call.operands[1], {p.hidden, p.gates * p.hidden}) &&
                is(call.operands[2], state) &&
                is(call.results[0], {p.steps, p.sequences, p.hidden}) &&
                is(call.results[1], state);
  if (p.cell == Cell::LSTM)
    result = result && is(call.operands[p.cellState], state) &&
             is(call.results[2], state);
  if (p.peepholes >= 0)
    result = result && is(call.operands[p.peepholes], {3, p.hidden});
  if (p.bias >= 0)
    result = result && is(call.operands[p.bias], {p.hidden});
  if (p.lengths >= 0) {
    const View &lengths = call.operands[p.lengths];
    result = result && lengths.shape == Shape{p.sequences} &&
             lengths.dtype == DType::I32 && lengths.isContiguous();
  }
  return result;
}

template <Cell cell>
static Result<RecurrentPlan> planRecurrent(const Command &call) {
  constexpr int64_t numGates = cell == Cell::LSTM  ? 4
                               : cell == Cell::GRU ? 3
                                                   : 1;
  constexpr size_t numActivations = cell == Cell::LSTM  ? 3
                                    : cell == Cell::GRU ? 2
                                                        : 1;
  constexpr bool isLSTM = cell == Cell::LSTM;
  PARTITA_CHECK(checkCounts(call, isLSTM ? 4 : 3, isLSTM ? 3 : 2));
  RecurrentPlan plan;
  plan.cell = cell;
  const View &gates = call.operands[0];
  if (gates.shape.size() != 3 || gates.shape[2] % numGates != 0 ||
      (gates.dtype != DType::F32 && gates.dtype != DType::F64))
    return callError(call, "its gates have a wrong shape or type");
  plan.steps = gates.shape[0];
  plan.sequences = gates.shape[1];
  plan.gates = numGates;
  plan.hidden = gates.shape[2] / numGates;
  plan.reverse = intAttr(call, "reverse", 0) != 0;
  plan.coupled = intAttr(call, "coupled", 0) != 0;
  PARTITA_CHECK(findOptional(call, plan));
  if (!fits(call, plan))
    return callError(call, "the operands and the results do not fit together");
  PARTITA_TRY(plan.activations, activationsOf(call, numActivations));
  int64_t size = dtypeSize(gates.dtype);
  plan.stateBytes = alignWorkspace(plan.sequences * plan.hidden * size);
  plan.gatesBytes =
      alignWorkspace(plan.sequences * plan.gates * plan.hidden * size);
  return plan;
}

template <Cell cell>
static Result<int64_t> recurrentWorkspace(const Command &call, int) {
  PARTITA_TRY(RecurrentPlan plan, planRecurrent<cell>(call));
  return plan.workspace();
}

template <Cell cell>
static Result<std::unique_ptr<PreparedCall>>
prepareRecurrent(const Command &call, const PrepareContext &) {
  PARTITA_TRY(RecurrentPlan plan, planRecurrent<cell>(call));
  PARTITA_CHECK(checkWorkspace(call, plan.workspace()));
  using Prepared = std::unique_ptr<PreparedCall>;
  if (call.operands[0].dtype == DType::F64)
    return Prepared(
        std::make_unique<PreparedRecurrent<double>>(call, std::move(plan)));
  return Prepared(
      std::make_unique<PreparedRecurrent<float>>(call, std::move(plan)));
}

void partita::runtime::addRecurrentCalls(CallTable &table) {
  table["rnn"] = {recurrentWorkspace<Cell::RNN>, prepareRecurrent<Cell::RNN>};
  table["gru"] = {recurrentWorkspace<Cell::GRU>, prepareRecurrent<Cell::GRU>};
  table["lstm"] = {recurrentWorkspace<Cell::LSTM>,
                   prepareRecurrent<Cell::LSTM>};
}
