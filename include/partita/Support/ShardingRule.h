//===- ShardingRule.h - What an operation's loops are ----------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A sharding rule names the loops ("factors") of an operation and says which
// factors each dimension of each operand and result walks, major first:
//
//   matmul  ([b,m,k], [b,k,n]) -> ([b,m,n])   reduce{k: sum}, linear{0}, {1}
//   reshape ([b,s,(h d)])      -> ([b,s,h,d])                 linear{0}
//   split   ([b,(p n)])        -> ([b,n], [b,n], [b,n])       replicate{p}
//
// A strategy sends factors to mesh axes; a factor may first be refined into a
// mixed-radix product of which only some parts carry axes. Then:
//
//   - a parallel factor on an axis splits every dimension that walks it;
//   - a reduction factor does too, and every result that does not walk it is
//     pending over the axis with the factor's combiner;
//   - a replicate factor takes no axis;
//   - a *halo* factor is the positions of a window. Results walk it like a
//     parallel factor; operands have the elements under the windows in its
//     place, and each rank reads what its own positions need of them, which
//     overlaps with what its neighbours read;
//   - a *linear* factor has no dimension: on an axis it says that the operands
//     in `linearOperands` arrive pending (sum) over the axis and so do the
//     results, the other operands being whole. This is how partial values flow.
//
// Axes that no factor takes compute the same thing more than once.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_SUPPORT_SHARDINGRULE_H
#define PARTITA_SUPPORT_SHARDINGRULE_H

#include "partita/Support/Sharding.h"

namespace partita {

enum class FactorKind : uint8_t {
  Parallel,
  Reduction,
  Replicate,
  Linear,
  Halo
};

struct Factor {
  std::string name;
  int64_t size = 1;
  FactorKind kind = FactorKind::Parallel;
  Combiner combiner = Combiner::None;
  std::vector<unsigned> linearOperands;
  /// The operation computes with the factor's index (a position, a row number):
  /// each rank's share must be one interval of it.
  bool contiguous = false;
  /// Of a halo factor: its windows, and the size of the operands' dimension.
  Halo halo = {};
  int64_t elements = 0;

  /// The size of a dimension that walks this factor and no other.
  int64_t sizeIn(bool operand) const {
    return operand && kind == FactorKind::Halo ? elements : size;
  }
};

/// Factors walked by each dimension of one tensor.
using TensorMap = std::vector<std::vector<unsigned>>;

struct ShardingRule {
  std::vector<Factor> factors;
  std::vector<TensorMap> operands, results;

  /// "([b,m,k], [k,n]) -> ([b,m,n]) reduce{k: sum} linear{0} linear{1}".
  std::string str() const;
};

/// Fluent construction, so that an operation's rule takes a few lines:
///
///   RuleBuilder(2, 1).parallel("m", M, {{0, 0}}, {{0, 0}})
///       .reduction("k", K, Combiner::Sum, {{0, 1}, {1, 0}})
///       .parallel("n", N, {{1, 1}}, {{0, 1}}).linear({0}).linear({1}).build();
///
/// Places are (tensor, dimension). Calls append: a dimension's factors are
/// listed in the order of the calls that name it.
class RuleBuilder {
public:
  using Places = std::vector<std::pair<unsigned, unsigned>>;
  RuleBuilder(std::vector<size_t> operandRanks, std::vector<size_t> resultRanks);

  RuleBuilder &parallel(std::string name, int64_t size, const Places &operands,
                        const Places &results);
  /// Results in which the loop is no reduction walk it.
  RuleBuilder &reduction(std::string name, int64_t size, Combiner combiner,
                         const Places &operands, const Places &results = {});
  RuleBuilder &replicate(std::string name, int64_t size, const Places &operands,
                         const Places &results);
  RuleBuilder &linear(std::vector<unsigned> operands);
  /// Windows over dimensions of `elements`: each is all of its operand's
  /// dimension, and halo.positions are all of the result's. Each rank's share is
  /// an interval.
  RuleBuilder &halo(std::string name, const Halo &halo, int64_t elements,
                    const Places &operands, const Places &results);
  /// Marks a factor named before as contiguous.
  RuleBuilder &contiguous(const std::string &name);
  ShardingRule build();

private:
  void add(Factor factor, const Places &operands, const Places &results);
  ShardingRule rule;
};

/// The rule of a reshape between two shapes with the same element count: the
/// coarsest common refinement. Where none exists (6x4 -> 8x3) the smallest
/// incompatible group becomes replicate factors on both sides.
ShardingRule reshapeRule(const std::vector<int64_t> &from,
                         const std::vector<int64_t> &to);

/// One factor's part of a strategy: the factor's mixed-radix refinement with
/// its axes. Unrefined and unsharded is one FactorSharding {size, {}}.
/// For a linear factor `factors` is {1, axes}.
struct Strategy {
  std::vector<DimSharding> factors; // one per rule factor

  bool operator==(const Strategy &) const = default;
  auto operator<=>(const Strategy &) const = default;
  /// Everything whole.
  static Strategy replicated(const ShardingRule &rule);
  std::string str(const ShardingRule &rule, const Mesh &mesh) const;
};

/// The sharding that `strategy` demands of operand `i`.
Sharding operandSharding(const ShardingRule &rule, const Strategy &strategy,
                         unsigned i);
/// The sharding of result `i` under `strategy`.
Sharding resultSharding(const ShardingRule &rule, const Strategy &strategy,
                        unsigned i);

/// Legal: refinements multiply to the factor sizes, axes occur once over all
/// factors, no shard is empty, replicate factors are whole, shares of contiguous
/// factors are intervals.
Status checkStrategy(const ShardingRule &rule, const Strategy &strategy,
                     const Mesh &mesh, const std::string &place);

} // namespace partita

#endif // PARTITA_SUPPORT_SHARDINGRULE_H
