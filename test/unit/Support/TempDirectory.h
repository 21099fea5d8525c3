//===- TempDirectory.h - A folder for one test -----------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Made on construction, removed with everything in it on destruction.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TEST_UNIT_SUPPORT_TEMPDIRECTORY_H
#define PARTITA_TEST_UNIT_SUPPORT_TEMPDIRECTORY_H

#include <cstdlib>
#include <filesystem>
#include <string>

namespace partita::test {

class TempDirectory {
public:
  TempDirectory() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "partita-XXXXXX").string();
    path = ::mkdtemp(pattern.data());
  }
  ~TempDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string operator/(const std::string &name) const {
    return (path / name).string();
  }
  std::string str() const { return path.string(); }
  /// Number of entries, to see that nothing was left over.
  size_t numEntries() const {
    size_t count = 0;
    for (auto it = std::filesystem::directory_iterator(path);
         it != std::filesystem::directory_iterator(); ++it)
      ++count;
    return count;
  }

private:
  std::filesystem::path path;
};

} // namespace partita::test

#endif // PARTITA_TEST_UNIT_SUPPORT_TEMPDIRECTORY_H
