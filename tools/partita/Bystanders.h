//===- Bystanders.h - Who else uses the processor ---------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A time that was taken while another process computed is no property of the
// program. What the whole machine did, less what this process and those that it
// waited for did, is what others did.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOOLS_PARTITA_BYSTANDERS_H
#define PARTITA_TOOLS_PARTITA_BYSTANDERS_H

namespace partita::tool {

class Bystanders {
public:
  /// Begins to watch.
  Bystanders();
  /// Cores that others kept busy since then; 0 where the system does not say.
  double cores() const;
  /// Whether that is more than what a machine does by itself.
  bool disturb() const;
  /// Cores that others keep busy, from which on results are not to be relied
  /// on.
  static constexpr double muchDisturbance = 0.1;

private:
  double busy, own, start;
};

/// How often a measurement is tried until nobody disturbs it.
inline constexpr int mostAttempts = 6;

} // namespace partita::tool

#endif // PARTITA_TOOLS_PARTITA_BYSTANDERS_H
