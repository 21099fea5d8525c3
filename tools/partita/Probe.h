//===- Probe.h - Timing commands of the runtime -----------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A probe is a run of commands that all ranks perform at the same time, between
// two meetings. Probes are put into a program and linked to an executable like
// any other, so what is timed is what executables do: the same library, the
// same threads, the same waits, as many ranks on the same cores.
//
// Activations are few and stay in the cache, as in a step. Weights are read
// from a pool that is larger than caches, each call further on, since a step
// reads each of its weights once.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOOLS_PARTITA_PROBE_H
#define PARTITA_TOOLS_PARTITA_PROBE_H

#include "Process.h"
#include "partita/Cost/Collectives.h"
#include "partita/Runtime/Program.h"

namespace partita::tool {

/// How many ranks do the same at a time, and how often each probe is run.
struct ProbeLoad {
  int64_t ranks = 1, threads = 1;
  int passes = 9;
  /// Bytes of weights that a rank's probes cycle through.
  int64_t poolBytes = 96 << 20;
};

/// The tensors of an attention.
struct AttentionShape {
  int64_t heads, queries, keys, depth;
};

/// Seconds of a call, by pass.
using PassSeconds = std::vector<double>;

class ProbeProgram {
public:
  explicit ProbeProgram(const ProbeLoad &load);

  /// Begins a probe whose kernels are called so often. What is added next
  /// belongs to it.
  void begin(int64_t calls);
  /// C [m,n] = A [m,k] W [k,n], with W packed as at load, and an epilogue: "",
  /// "add" or "gelu_erf".
  Status product(int64_t m, int64_t n, int64_t k,
                 const std::string &epilogue = "");
  /// Heads laid out as products leave them, with a mask over keys.
  Status attention(const AttentionShape &shape);
  /// A 3x3 or 1x1 convolution of [1, channels, edge, edge] in channels last.
  Status convolution(int64_t edge, int64_t channels, int64_t results,
                     int64_t window);
  /// Among groups of `ranks`, of a matrix [rows, ranks * columns] whose columns
  /// (and, before an all-to-all, rows) are split.
  Status collective(MoveKind kind, int64_t ranks, int64_t rows,
                    int64_t columns);

  /// Makes the executable in `folder`, after all probes were added. Errors: as
  /// writeExecutable().
  Status link(const TemporaryFolder &folder);
  /// Runs it: by probe and pass.
  Result<std::vector<PassSeconds>> run(const TemporaryFolder &folder) const;

private:
  struct Probe {
    int64_t calls = 1, made = 0;
  };
  void meet();
  runtime::View constant(const std::vector<int64_t> &shape);
  runtime::View result(const std::vector<int64_t> &shape);
  runtime::View weight(int64_t bytes);
  Status addCall(runtime::Command command);
  std::vector<int> axesOf(int64_t ranks) const;

  ProbeLoad load;
  runtime::Program program;
  runtime::RankClass rankClass;
  std::vector<Probe> probes;
  /// Floats of the largest activation; where the next weight begins.
  int64_t activationBytes = 0, nextWeight = 0;
};

} // namespace partita::tool

#endif // PARTITA_TOOLS_PARTITA_PROBE_H
