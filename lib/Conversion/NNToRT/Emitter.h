//===- Emitter.h - Builds the operations of rt -----------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Walks a function in order and builds, where each unit of the plan ends, its
// command. What a value of nn is in rt is a Place; views are built when a
// command reads them, copies when a place cannot express what is asked.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_CONVERSION_NNTORT_EMITTER_H
#define PARTITA_LIB_CONVERSION_NNTORT_EMITTER_H

#include "Plan.h"
#include "Views.h"
#include "partita/Runtime/Program.h"
#include <map>

namespace partita::rt {

/// Rewrites what the plan does not take as it is: reductions and softmax over
/// dimensions that are not last read their operand transposed; operations that
/// change nothing, and dead ones, vanish.
void normalize(mlir::func::FuncOp func);

/// What the library says about sizes, asked once: layers ask the same.
class SizeCache {
public:
  explicit SizeCache(int threads) : threads(threads) {}
  /// Bytes of scratch memory of a call whose results overlap no operand.
  Result<int64_t> workspace(runtime::Command command);
  /// Bytes that a call which packs a weight makes; its result is not known yet.
  Result<int64_t> packed(const runtime::Command &command);

private:
  int threads;
  std::map<std::string, int64_t> workspaces, packs;
};

class Emitter {
public:
  /// With `movesInPlace` collectives take tensors in the order in which they are
  /// stored; the classes of a program must agree in that.
  Emitter(mlir::func::FuncOp func, SizeCache &sizes, bool movesInPlace);
  Status run();

private:
  /// What a library call is built from.
  struct Call {
    mlir::Operation *from; ///< whose id and nodes it carries
    llvm::StringRef callee;
    llvm::SmallVector<mlir::Value> operands;
    llvm::SmallVector<mlir::NamedAttribute> config;
    llvm::SmallVector<mlir::Attribute> bases;
    int64_t matmulFlops = 0;
    llvm::StringRef suffix = ""; ///< of the id, for calls that are helpers
  };
  using Permutation = llvm::SmallVector<int64_t>;

  // Places and buffers.
  Result<Place> placeOf(mlir::Value value);
  mlir::Value viewOf(const Place &place);
  Result<mlir::Value> operandOf(mlir::Value value);
  Result<mlir::Value> operandOf(mlir::Value value,
                                llvm::ArrayRef<int64_t> broadcastShape);
  Result<Place> copied(const Place &place, mlir::Type elementType);
  Result<mlir::Value> contiguous(mlir::Value value);
  Place splatPlace(mlir::SplatElementsAttr splat, mlir::Type type);

  // Results.
  static Permutation channelsLast(int64_t rank);
  static bool isChannelsLast(const Place &place);
  Permutation permutationFor(mlir::Value value, mlir::ValueRange from = {});
  mlir::RankedTensorType bufferType(mlir::Type type, const Permutation &order);
  mlir::ArrayAttr permutationsAttr(llvm::ArrayRef<Permutation> orders);
  void setResult(mlir::Value value, mlir::Value buffer,
                 mlir::ArrayAttr permutations, unsigned index);
  Result<mlir::Value> forward(mlir::Value operand);
  Result<CallOp> build(const Call &call, mlir::TypeRange buffers,
                       mlir::ArrayAttr permutations = nullptr);
  Status buildFor(const Call &call, mlir::ValueRange results);

  // One operation or unit each.
  Status emit(mlir::Operation *op);
  Status emitProduct(const Product &product);
  Status emitProductCall(const Call &call, const Product &product);
  Status emitFusion(const Fusion &fusion);
  Status emitAlone(mlir::Operation *op);
  Status emitAttention(nn::AttentionOp op);
  Status emitRope(nn::RopeOp op);
  Status emitLibraryCall(LibraryOpInterface op);
  Status emitCall(mlir::Operation *op);
  Status makeOperandsContiguous(mlir::Operation *op);
  Status emitMove(mlir::Operation *op);
  bool canPack(const Product &product) const;
  Status addWeight(Call &call, const Product &product);
  Status addEpilogues(Call &call, const Product &product);
  Result<mlir::Value> packed(const Product &product, const Call &pack);
  Result<mlir::Value> floatOperand(mlir::Value value);
  Result<mlir::Value> maskOperand(mlir::Value mask,
                                  llvm::ArrayRef<int64_t> shape);
  Status eraseConverted();

  mlir::NamedAttribute ints(llvm::StringRef name, llvm::ArrayRef<int64_t> v);
  mlir::NamedAttribute number(llvm::StringRef name, double v);
  mlir::NamedAttribute text(llvm::StringRef name, llvm::StringRef v);

  mlir::func::FuncOp func;
  mlir::OpBuilder builder;
  SizeCache &sizes;
  bool movesInPlace;
  Plan plan;
  /// The operation at which the walk is.
  mlir::Operation *current = nullptr;

  using Key = std::tuple<void *, int64_t, std::vector<int64_t>,
                         std::vector<int64_t>, const void *>;
  static Key keyOf(const Place &place, const void *tag = nullptr);
  llvm::DenseMap<mlir::Value, Place> places;
  std::map<Key, mlir::Value> views, copies;
  std::map<std::pair<Key, const void *>, mlir::Value> packs;
  llvm::DenseMap<mlir::Attribute, mlir::Value> splats;
  /// Moves in whose place others stand.
  llvm::DenseSet<mlir::Operation *> replaced;
};

/// Gives `to` the id of the last member and the nodes of all of them.
void mergeIdentity(llvm::ArrayRef<mlir::Operation *> members,
                   mlir::Operation *to);
/// The operation's id, or its name, with the nodes that it covers.
std::string describe(mlir::Operation *op);

} // namespace partita::rt

#endif // PARTITA_LIB_CONVERSION_NNTORT_EMITTER_H
