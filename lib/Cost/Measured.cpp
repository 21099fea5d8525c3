//===- Measured.cpp - Prices between measured points ----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Measured.h"
#include <algorithm>
#include <cmath>

using namespace partita;

//===----------------------------------------------------------------------===//
// Grids
//===----------------------------------------------------------------------===//

namespace {
/// Between which two values of an axis a coordinate is, and how far.
struct Place {
  size_t below = 0, above = 0;
  double part = 0;
};
} // namespace

static Place placeOn(const std::vector<double> &axis, double coordinate) {
  if (!(coordinate > axis.front()))
    return {};
  if (coordinate >= axis.back())
    return {axis.size() - 1, axis.size() - 1, 0};
  size_t above = static_cast<size_t>(
      std::upper_bound(axis.begin(), axis.end(), coordinate) - axis.begin());
  double low = axis[above - 1], high = axis[above];
  return {above - 1, above, (coordinate - low) / (high - low)};
}

double LogGrid::at(const std::vector<double> &coordinates) const {
  std::vector<Place> places;
  for (size_t a = 0; a < axes.size(); ++a)
    places.push_back(placeOn(axes[a], coordinates[a]));
  // Each corner of the cell, by how near it is.
  double sum = 0;
  for (size_t corner = 0; corner < size_t(1) << axes.size(); ++corner) {
    double weight = 1;
    size_t index = 0;
    for (size_t a = 0; a < axes.size(); ++a) {
      bool up = corner >> a & 1;
      weight *= up ? places[a].part : 1 - places[a].part;
      index = index * axes[a].size() + (up ? places[a].above : places[a].below);
    }
    if (weight > 0)
      sum += weight * values[index];
  }
  return sum;
}

static std::vector<double> logs(std::vector<double> values) {
  for (double &value : values)
    value = std::log(value);
  return values;
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

static double bytesOf(Precision precision) {
  switch (precision) {
  case Precision::F64:
    return 8;
  case Precision::F32:
  case Precision::TF32:
    return 4;
  case Precision::F16:
  case Precision::BF16:
    return 2;
  default:
    return 1;
  }
}

/// The work at a point of a table.
static KernelWork workAt(const KernelTable &table,
                         const std::vector<double> &point) {
  KernelWork work;
  work.kernelClass = table.kernelClass;
  work.precision = table.precision;
  if (table.kernelClass == KernelClass::Memory) {
    work.bytes = point[0];
    work.flops = point[0] * point[1];
    return work;
  }
  work.batch = table.batch;
  work.m = point[0];
  work.n = point[1];
  work.k = point[2];
  work.flops = 2 * work.batch * work.m * work.n * work.k;
  // Attention reads queries, keys and values; its k counts keys twice.
  double read = table.kernelClass == KernelClass::Attention
                    ? work.m * work.n + work.k * work.n
                    : work.m * work.k + work.k * work.n;
  work.bytes = bytesOf(table.precision) * work.batch * (read + work.m * work.n);
  return work;
}

static std::vector<double> pointOf(const KernelWork &work) {
  // A coordinate of nothing is the nearest that there is.
  constexpr double least = 1e-300;
  std::vector<double> values =
      work.kernelClass == KernelClass::Memory
          ? std::vector{work.bytes, work.flops / std::max(work.bytes, 1.0)}
          : std::vector{work.m, work.n, work.k};
  for (double &value : values)
    value = std::max(value, least);
  return logs(std::move(values));
}

MeasuredKernels::MeasuredKernels(const std::vector<KernelTable> &tables,
                                 const Model &seconds) {
  for (const KernelTable &table : tables) {
    std::vector<double> ratios;
    for (size_t i = 0; i < table.seconds.size(); ++i) {
      std::vector<double> point(table.axes.size());
      size_t rest = i;
      for (size_t a = table.axes.size(); a-- > 0;) {
        point[a] = table.axes[a][rest % table.axes[a].size()];
        rest /= table.axes[a].size();
      }
      ratios.push_back(table.seconds[i] / seconds(workAt(table, point)));
    }
    std::vector<std::vector<double>> axes;
    for (const std::vector<double> &axis : table.axes)
      axes.push_back(logs(axis));
    entries.push_back({table.kernelClass, table.precision,
                       LogGrid(std::move(axes), logs(std::move(ratios)))});
  }
}

double MeasuredKernels::factor(const KernelWork &work) const {
  for (const Entry &entry : entries)
    if (entry.kernelClass == work.kernelClass &&
        entry.precision == work.precision)
      return std::exp(entry.grid.at(pointOf(work)));
  return 1;
}

//===----------------------------------------------------------------------===//
// Collectives
//===----------------------------------------------------------------------===//

MeasuredCollectives::MeasuredCollectives(
    const std::vector<CollectiveTable> &tables)
    : tables(tables) {
  for (CollectiveTable &table : this->tables)
    for (size_t i = 1; i < table.seconds.size(); ++i)
      table.seconds[i] = std::max(table.seconds[i], table.seconds[i - 1]);
}

std::optional<double> MeasuredCollectives::seconds(const std::string &move,
                                                   int64_t ranks,
                                                   double bytes) const {
  auto table = std::find_if(tables.begin(), tables.end(), [&](const auto &t) {
    return t.move == move && t.ranks == ranks;
  });
  if (table == tables.end())
    return std::nullopt;
  if (bytes > table->bytes.back())
    return table->seconds.back() * bytes / table->bytes.back();
  LogGrid grid({logs(table->bytes)}, logs(table->seconds));
  return std::exp(grid.at({std::log(std::max(bytes, 1.0))}));
}
