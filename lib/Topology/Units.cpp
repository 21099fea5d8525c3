//===- Units.cpp - Quantities with units ----------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Topology/Units.h"
#include <charconv>
#include <cmath>
#include <cstdio>
#include <vector>

using namespace partita;

namespace {
struct UnitOfMeasure {
  const char *name;
  double factor;
};

struct DimensionUnits {
  /// "a bandwidth".
  const char *what;
  /// "900 GB/s".
  const char *example;
  double least, most;
  /// Those that formatQuantity() chooses from come first, ascending.
  size_t written;
  std::vector<UnitOfMeasure> units;
};
} // namespace

static constexpr double kibi = 1024, mebi = kibi * kibi, gibi = mebi * kibi,
                        tebi = gibi * kibi;

static const DimensionUnits &unitsOf(Dimension dimension) {
  static const DimensionUnits all[] = {
      {"a bandwidth",
       "900 GB/s",
       1,
       1e18,
       5,
       {{"B/s", 1},
        {"kB/s", 1e3},
        {"MB/s", 1e6},
        {"GB/s", 1e9},
        {"TB/s", 1e12},
        {"KB/s", 1e3},
        {"KiB/s", kibi},
        {"MiB/s", mebi},
        {"GiB/s", gibi},
        {"TiB/s", tebi},
        {"Mb/s", 1e6 / 8},
        {"Gb/s", 1e9 / 8},
        {"Tb/s", 1e12 / 8},
        {"Mbit/s", 1e6 / 8},
        {"Gbit/s", 1e9 / 8},
        {"Tbit/s", 1e12 / 8}}},
      {"a rate of arithmetic",
       "312 TFLOP/s",
       1,
       1e24,
       4,
       {{"MFLOP/s", 1e6},
        {"GFLOP/s", 1e9},
        {"TFLOP/s", 1e12},
        {"PFLOP/s", 1e15},
        {"MOP/s", 1e6},
        {"GOP/s", 1e9},
        {"TOP/s", 1e12},
        {"POP/s", 1e15}}},
      {"a size of memory",
       "80 GiB",
       1,
       9007199254740992, // Above it a double does not have every integer.
       5,
       {{"B", 1},
        {"KiB", kibi},
        {"MiB", mebi},
        {"GiB", gibi},
        {"TiB", tebi},
        {"kB", 1e3},
        {"KB", 1e3},
        {"MB", 1e6},
        {"GB", 1e9},
        {"TB", 1e12}}},
      {"a time",
       "3 us",
       0,
       1e3,
       4,
       {{"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"\u00b5s", 1e-6}}},
      {"a clock",
       "1410 MHz",
       1,
       1e12,
       4,
       {{"Hz", 1}, {"kHz", 1e3}, {"MHz", 1e6}, {"GHz", 1e9}}},
      {"a power", "400 W", 1e-3, 1e9, 1, {{"W", 1}, {"kW", 1e3}}},
      {"a price", "1.79 USD/h", 1e-6, 1e9, 1, {{"USD/h", 1}, {"$/h", 1}}},
  };
  return all[static_cast<size_t>(dimension)];
}

static Error notA(const DimensionUnits &units, std::string_view text,
                  const std::string &why) {
  std::string names;
  for (size_t u = 0; u < units.written; ++u)
    names += (u ? ", " : "") + std::string(units.units[u].name);
  constexpr size_t longest = 40;
  std::string shown(text.substr(0, longest));
  return makeError(ExitCode::InvalidInput, "topology.quantity", "",
                   "'" + shown + (text.size() > longest ? "...'" : "'") +
                       " is not " + units.what + ": " + why,
                   "write a number and a unit, such as " +
                       std::string(units.example) + "; units are " + names);
}

Result<double> partita::parseQuantity(std::string_view text,
                                      Dimension dimension) {
  const DimensionUnits &units = unitsOf(dimension);
  double value = 0;
  const char *last = text.data() + text.size();
  auto [end, error] = std::from_chars(text.data(), last, value);
  if (error == std::errc::invalid_argument)
    return notA(units, text, "there is no number");
  if (error != std::errc() || !std::isfinite(value))
    return notA(units, text, "the number is out of range");
  std::string_view name(end, static_cast<size_t>(last - end));
  while (!name.empty() && name.front() == ' ')
    name.remove_prefix(1);
  if (name.empty())
    return notA(units, text, "the unit is missing");
  const UnitOfMeasure *unit = nullptr;
  for (const UnitOfMeasure &known : units.units)
    if (name == known.name)
      unit = &known;
  if (!unit)
    return notA(units, text,
                "'" + std::string(name.substr(0, 20)) + "' is no unit of it");
  value *= unit->factor;
  if (value < units.least)
    return notA(units, text,
                value <= 0 ? "it has to be above zero"
                           : "no machine has that little");
  if (value > units.most)
    return notA(units, text, "no machine has that much");
  return value;
}

std::string partita::formatQuantity(double value, Dimension dimension) {
  const DimensionUnits &units = unitsOf(dimension);
  size_t u = 0;
  while (u + 1 < units.written && value >= units.units[u + 1].factor)
    ++u;
  char text[32];
  std::snprintf(text, sizeof text, "%.5g", value / units.units[u].factor);
  return std::string(text) + " " + units.units[u].name;
}
