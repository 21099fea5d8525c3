//===- Error.h - Failures that a user reads --------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every failure that can be caused by input carries four things: a stable
// code, the place (node, tensor, file and offset), what is wrong, and a hint.
// The exit code follows from the kind of failure. Libraries return
// `Result<T>`; only tools print and exit. No exception leaves a library.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_SUPPORT_ERROR_H
#define PARTITA_SUPPORT_ERROR_H

#include <cassert>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>

namespace partita {

/// Exit codes of every Partita command and of every emitted executable.
enum class ExitCode : int {
  Ok = 0,
  Usage = 1,
  InvalidInput = 2,
  Unsupported = 3,
  Infeasible = 4,
  Mismatch = 5,
  DistributedFault = 6,
  Different = 7,
  Internal = 70,
};

/// One failure. `code` is stable and greppable ("import.unbound-dimension").
struct Error {
  ExitCode exit = ExitCode::Internal;
  std::string code;
  std::string place;
  std::string message;
  std::string hint;

  /// "error[code]: place: message\n  hint: hint", without a final newline.
  std::string str() const;
};

inline Error makeError(ExitCode exit, std::string code, std::string place,
                       std::string message, std::string hint = "") {
  return Error{exit, std::move(code), std::move(place), std::move(message),
               std::move(hint)};
}

/// A value or the reason why there is none.
template <typename T> class [[nodiscard]] Result {
public:
  Result(T value) : storage(std::move(value)) {}
  Result(Error error) : storage(std::move(error)) {}

  explicit operator bool() const { return storage.index() == 0; }
  T &operator*() { return std::get<0>(storage); }
  const T &operator*() const { return std::get<0>(storage); }
  T *operator->() { return &std::get<0>(storage); }
  const T *operator->() const { return &std::get<0>(storage); }
  const Error &error() const { return std::get<1>(storage); }
  Error takeError() { return std::move(std::get<1>(storage)); }

private:
  std::variant<T, Error> storage;
};

/// Success without a value.
struct Unit {};
using Status = Result<Unit>;
inline Status ok() { return Status(Unit{}); }

} // namespace partita

/// Assigns the value of a Result-returning expression to `decl`, or returns
/// the error from the enclosing function.
#define PARTITA_TRY(decl, expr)                                                \
  PARTITA_TRY_IMPL(decl, expr, PARTITA_TRY_CAT(partitaTry, __LINE__))
#define PARTITA_TRY_CAT2(a, b) a##b
#define PARTITA_TRY_CAT(a, b) PARTITA_TRY_CAT2(a, b)
#define PARTITA_TRY_IMPL(decl, expr, tmp)                                      \
  auto tmp = (expr);                                                           \
  if (!tmp)                                                                    \
    return tmp.takeError();                                                    \
  decl = std::move(*tmp)

/// Returns the error of a Status-returning expression, if it has one.
#define PARTITA_CHECK(expr)                                                    \
  do {                                                                         \
    if (auto partitaStatus = (expr); !partitaStatus)                           \
      return partitaStatus.takeError();                                        \
  } while (false)

#endif // PARTITA_SUPPORT_ERROR_H
