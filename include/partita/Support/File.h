//===- File.h - Reading and writing files safely ---------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Models name other files, which may be hostile, and outputs go to disks that
// may be full. Everything that touches a file does so here:
//
//   InputFile   an open regular file with a known size; positioned reads
//   MappedFile  the same, mapped read-only
//   openBeneath refuses every path that leaves its directory
//   hashFile    identifies a weight file
//   AtomicFile  a file appears whole under its name, or not at all
//
// Errors carry the path, what the system said, and exit code 2.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_SUPPORT_FILE_H
#define PARTITA_SUPPORT_FILE_H

#include "partita/Support/Error.h"
#include "partita/Support/Transient.h"
#include "partita/Support/HostTensor.h"
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace partita {

/// A regular file, open for reading. Movable.
class InputFile {
public:
  InputFile() = default;
  InputFile(InputFile &&other) noexcept;
  InputFile &operator=(InputFile &&other) noexcept;
  ~InputFile();

  static Result<InputFile> open(const std::string &path);
  /// Opens `relative` below `directory`. Refused: absolute paths, any `..`
  /// component, an empty path, and symbolic links that lead outside (every
  /// symbolic link, on kernels without openat2).
  static Result<InputFile> openBeneath(const std::string &directory,
                                       const std::string &relative);

  const std::string &path() const { return name; }
  int64_t size() const { return bytes; }
  int descriptor() const { return fd; }
  /// Reads exactly `count` bytes at `offset`; an end of file before that is an
  /// error.
  Status read(int64_t offset, void *into, int64_t count) const;

private:
  static Result<InputFile> adopt(int fd, std::string path);
  int fd = -1;
  int64_t bytes = 0;
  std::string name;
};

/// A file mapped read-only. Movable. The pages of a file that another process
/// truncates fault: sizes are checked when mapped, not on each access.
class MappedFile {
public:
  MappedFile() = default;
  MappedFile(MappedFile &&other) noexcept;
  MappedFile &operator=(MappedFile &&other) noexcept;
  ~MappedFile();

  static Result<MappedFile> open(const std::string &path);
  static Result<MappedFile> openBeneath(const std::string &directory,
                                        const std::string &relative);
  static Result<MappedFile> map(const InputFile &file);

  const std::string &path() const { return name; }
  int64_t size() const { return bytes; }
  const std::byte *data() const { return memory; }
  std::span<const std::byte> span() const {
    return {memory, static_cast<size_t>(bytes)};
  }

private:
  const std::byte *memory = nullptr;
  int64_t bytes = 0;
  std::string name;
};

/// The whole file. For small ones: refuses more than `limit` bytes.
Result<std::string> readFile(const std::string &path, int64_t limit = int64_t(1)
                                                                      << 31);

/// 64-bit hash of bytes (XXH64), for identification, not for security.
uint64_t hashBytes(const void *data, size_t size, uint64_t seed = 0);

/// Identifies a file's content. Up to 64 MiB every byte counts. Above, the
/// hash is of the size, the first and the last MiB, and 64 blocks of 64 KiB at
/// evenly spaced offsets: a different checkpoint is noticed, a flipped bit in
/// the middle of a 20 GB file may not be.
Result<uint64_t> hashFile(const InputFile &file);
Result<uint64_t> hashFile(const std::string &path);

/// A file that gets a temporary name beside its target and is renamed when
/// complete. Until then it has no name where the file system can do that, so
/// that a process that is killed leaves nothing behind; elsewhere the temporary
/// is removed when the object dies uncommitted. A
/// target that exists and is no regular file (/dev/full, a pipe) is written
/// directly. Failures (disk full, file-size limit, permission) are errors with
/// exit code 2; SIGXFSZ is ignored from the first creation on, so that a limit
/// arrives as an error. Movable.
class AtomicFile {
public:
  AtomicFile() = default;
  AtomicFile(AtomicFile &&other) noexcept;
  AtomicFile &operator=(AtomicFile &&other) noexcept;
  ~AtomicFile();

  static Result<AtomicFile> create(const std::string &path,
                                   bool executable = false);
  Status write(const void *data, size_t size);
  Status write(std::string_view text) {
    return write(text.data(), text.size());
  }
  /// Closes the temporary; what the system reports late is reported here.
  Status finish();
  /// finish(), then the rename.
  Status commit();
  const std::string &path() const { return target; }

private:
  void discard();
  template <typename Make> bool giveName(Make make);
  int fd = -1;
  bool nameless = false;
  std::string target, temporary;
  TransientPath transient;
};

/// Writes and commits.
Status writeFileAtomically(const std::string &path, std::string_view content,
                           bool executable = false);

/// The bytes before the data of a version 1.0 `.npy` file.
std::string npyHeader(DType type, const std::vector<int64_t> &shape);
/// Appends a tensor in `.npy` format.
Status writeNpy(AtomicFile &file, const HostTensor &tensor);

} // namespace partita

#endif // PARTITA_SUPPORT_FILE_H
