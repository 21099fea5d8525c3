//===- Transient.h - What an interrupted process removes -------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Nothing half-written stays behind: results are written under temporary names
// and renamed, and destructors remove what was not. A signal runs no
// destructors. Temporary files and folders are therefore listed where a signal
// handler finds them:
//
//   TransientPath guard(temporary);     // before it is created
//   ...                                 // Ctrl-C removes it
//   rename(temporary, target);
//   guard.release();                    // or the guard's end
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_SUPPORT_TRANSIENT_H
#define PARTITA_SUPPORT_TRANSIENT_H

#include <string>
#include <utility>

namespace partita {

/// Lists a path while it lives. Removing it otherwise is its owner's business.
class TransientPath {
public:
  TransientPath() = default;
  explicit TransientPath(const std::string &path);
  TransientPath(TransientPath &&other) noexcept
      : slot(std::exchange(other.slot, -1)) {}
  TransientPath &operator=(TransientPath &&other) noexcept {
    std::swap(slot, other.slot);
    return *this;
  }
  ~TransientPath() { release(); }
  void release();

private:
  /// Of the list; none if it is full, which costs cleanliness only.
  int slot = -1;
};

/// Removes all listed paths; for a process that is about to end otherwise than
/// by returning. Allocates nothing.
void removeTransientPaths();

/// From now on SIGINT, SIGTERM and SIGHUP remove all listed paths before they
/// end the process. For tools; a library does not take its host's signals.
void removeTransientPathsOnSignals();

} // namespace partita

#endif // PARTITA_SUPPORT_TRANSIENT_H
