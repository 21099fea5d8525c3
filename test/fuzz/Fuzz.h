//===- Fuzz.h - What the fuzzers have in common ----------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A fuzzer gives a reader bytes that nobody has looked at. What may come of it
// is a value or an error that is the user's to mend; whatever else happens, an
// error of our own included, is a finding.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TEST_FUZZ_FUZZ_H
#define PARTITA_TEST_FUZZ_FUZZ_H

#include "partita/Support/Error.h"
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace partita::fuzz {

[[noreturn]] inline void finding(const std::string &text) {
  std::fprintf(stderr, "finding: %s\n", text.c_str());
  std::abort();
}

/// Errors say what to do about the input. Anything else is a finding.
inline void expectUsersError(const Error &error) {
  bool users = error.exit == ExitCode::Usage ||
               error.exit == ExitCode::InvalidInput ||
               error.exit == ExitCode::Unsupported;
  if (!users || error.code.empty() || error.message.empty())
    finding(error.str());
}

/// A folder of its own below $TMPDIR, which tools/fuzz.sh puts into memory.
/// Readers take paths.
class ScratchFolder {
public:
  ScratchFolder() {
    path = std::filesystem::temp_directory_path().string() + "/fuzz-XXXXXX";
    if (!mkdtemp(path.data()))
      finding("there is no place for files");
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  ScratchFolder(const ScratchFolder &) = delete;
  ScratchFolder &operator=(const ScratchFolder &) = delete;

  /// Writes a file and returns its path.
  std::string write(const std::string &name, const void *data,
                    size_t size) const {
    std::string file = path + "/" + name;
    std::FILE *out = std::fopen(file.c_str(), "wb");
    if (!out || std::fwrite(data, 1, size, out) != size ||
        std::fclose(out) != 0)
      finding(file + " cannot be written");
    return file;
  }

  std::string path;
};

} // namespace partita::fuzz

#endif // PARTITA_TEST_FUZZ_FUZZ_H
