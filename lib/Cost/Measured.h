//===- Measured.h - Prices between measured points --------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Kernels: at every point of a table the measured time is some multiple of what
// the model says. Multiples vary slowly from shape to shape, where times vary
// by orders of magnitude, so it is their logarithms that are interpolated,
// linearly in the logarithms of the coordinates. Outside of the box that the
// points span the model goes on, with the multiple of the nearest point of the
// box.
//
// Collectives: the logarithms of times in those of bytes. Below the least bytes
// a collective takes as long as with these; beyond the most, in proportion.
// Times never fall: what was measured faster with more bytes counts as equal.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_COST_MEASURED_H
#define PARTITA_LIB_COST_MEASURED_H

#include "partita/Cost/Kernels.h"
#include "partita/Topology/Calibration.h"
#include <functional>
#include <optional>

namespace partita {

/// Values over a grid of coordinates, all as logarithms.
class LogGrid {
public:
  /// `axes` ascend; the last varies fastest in `values`.
  LogGrid(std::vector<std::vector<double>> axes, std::vector<double> values)
      : axes(std::move(axes)), values(std::move(values)) {}
  /// Multilinear; coordinates outside count as the nearest inside.
  double at(const std::vector<double> &coordinates) const;

private:
  std::vector<std::vector<double>> axes;
  std::vector<double> values;
};

/// What measured times are of modelled ones.
class MeasuredKernels {
public:
  using Model = std::function<double(const KernelWork &)>;
  /// `seconds` is the model, without any launch that it lacks for the table.
  MeasuredKernels(const std::vector<KernelTable> &tables, const Model &seconds);
  /// 1 where there is no table of the class and precision.
  double factor(const KernelWork &work) const;

private:
  struct Entry {
    KernelClass kernelClass;
    Precision precision;
    LogGrid grid;
  };
  std::vector<Entry> entries;
};

/// The collectives of one load.
class MeasuredCollectives {
public:
  explicit MeasuredCollectives(const std::vector<CollectiveTable> &tables);
  /// Seconds, if there is a table; `bytes` as in CollectiveTable.
  std::optional<double> seconds(const std::string &move, int64_t ranks,
                                double bytes) const;

private:
  std::vector<CollectiveTable> tables;
};

} // namespace partita

#endif // PARTITA_LIB_COST_MEASURED_H
