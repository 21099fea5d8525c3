//===- File.cpp - Reading and writing files safely ------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// POSIX calls, each checked. openat2 is called by number: glibc has no wrapper
// for it, and kernels before 5.6 (or seccomp profiles) answer ENOSYS or EPERM,
// upon which the path is walked component by component with O_NOFOLLOW.
//
//===----------------------------------------------------------------------===//

#include "partita/Support/File.h"
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace partita;

static const char *hintFor(int number) {
  switch (number) {
  case ENOENT:
  case ENOTDIR:
    return "check the path; folders on the way to it must exist";
  case EACCES:
  case EPERM:
  case EROFS:
    return "check the permissions, or choose another place";
  case ENOSPC:
  case EDQUOT:
  case EFBIG:
    return "free some space, raise the limit, or choose another place";
  default:
    return "check the path and the disk that it is on";
  }
}

static Error systemError(const char *code, const std::string &path,
                         const std::string &what, int number) {
  return makeError(ExitCode::InvalidInput, code, path,
                   what + ": " + std::strerror(number), hintFor(number));
}

//===----------------------------------------------------------------------===//
// InputFile
//===----------------------------------------------------------------------===//

InputFile::InputFile(InputFile &&other) noexcept { *this = std::move(other); }

InputFile &InputFile::operator=(InputFile &&other) noexcept {
  std::swap(fd, other.fd);
  std::swap(bytes, other.bytes);
  std::swap(name, other.name);
  return *this;
}

InputFile::~InputFile() {
  if (fd >= 0)
    ::close(fd);
}

Result<InputFile> InputFile::adopt(int fd, std::string path) {
  InputFile file;
  file.fd = fd;
  file.name = std::move(path);
  struct stat info;
  if (::fstat(fd, &info) != 0)
    return systemError("file.open", file.name, "cannot be examined", errno);
  if (!S_ISREG(info.st_mode))
    return makeError(ExitCode::InvalidInput, "file.not-regular", file.name,
                     "is not a regular file", "name a file");
  file.bytes = info.st_size;
  return file;
}

Result<InputFile> InputFile::open(const std::string &path) {
  // Without O_NONBLOCK, opening a FIFO would wait for a writer.
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return systemError("file.open", path, "cannot be opened", errno);
  return adopt(fd, path);
}

/// Components of a relative path without empty ones and dots; nothing if it is
/// absolute, empty, or has a `..`.
static std::optional<std::vector<std::string>>
splitRelative(const std::string &path) {
  if (path.empty() || path[0] == '/' || path.find('\0') != std::string::npos)
    return std::nullopt;
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= path.size();) {
    size_t end = std::min(path.find('/', begin), path.size());
    std::string part = path.substr(begin, end - begin);
    if (part == "..")
      return std::nullopt;
    if (!part.empty() && part != ".")
      parts.push_back(std::move(part));
    begin = end + 1;
  }
  if (parts.empty())
    return std::nullopt;
  return parts;
}

/// Opens below `directory` without following any symbolic link.
static int openWalking(int directory, const std::vector<std::string> &parts) {
  int current = ::dup(directory);
  for (size_t i = 0; current >= 0 && i < parts.size(); ++i) {
    int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    if (i + 1 < parts.size())
      flags |= O_DIRECTORY;
    int next = ::openat(current, parts[i].c_str(), flags);
    int saved = errno;
    ::close(current);
    errno = saved;
    current = next;
  }
  return current;
}

Result<InputFile> InputFile::openBeneath(const std::string &directory,
                                         const std::string &relative) {
  std::string whole = directory + "/" + relative;
  auto parts = splitRelative(relative);
  if (!parts)
    return makeError(ExitCode::InvalidInput, "file.outside", relative,
                     "is not a path below " + directory,
                     "the location must be relative and without '..'");
  int root = ::open(directory.empty() ? "." : directory.c_str(),
                    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (root < 0)
    return systemError("file.open", directory, "cannot be opened", errno);
  struct open_how how = {};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  int fd = static_cast<int>(
      ::syscall(SYS_openat2, root, relative.c_str(), &how, sizeof(how)));
  if (fd < 0 && (errno == ENOSYS || errno == EPERM || errno == EINVAL))
    fd = openWalking(root, *parts);
  int number = errno;
  ::close(root);
  if (fd >= 0)
    return adopt(fd, whole);
  if (number == EXDEV || number == ELOOP)
    return makeError(ExitCode::InvalidInput, "file.outside", relative,
                     "goes by a symbolic link",
                     "copy the file into the model's directory");
  return systemError("file.open", whole, "cannot be opened", number);
}

Status InputFile::read(int64_t offset, void *into, int64_t count) const {
  char *out = static_cast<char *>(into);
  while (count > 0) {
    ssize_t got = ::pread(fd, out, std::min<int64_t>(count, 1 << 30), offset);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return systemError("file.read", name, "cannot be read", errno);
    if (got == 0)
      return makeError(ExitCode::InvalidInput, "file.truncated", name,
                       "ends at byte " + std::to_string(offset) + ", " +
                           std::to_string(count) + " bytes too early",
                       "the file changed while it was read, or is damaged");
    out += got;
    offset += got;
    count -= got;
  }
  return ok();
}

//===----------------------------------------------------------------------===//
// MappedFile
//===----------------------------------------------------------------------===//

MappedFile::MappedFile(MappedFile &&other) noexcept {
  *this = std::move(other);
}

MappedFile &MappedFile::operator=(MappedFile &&other) noexcept {
  std::swap(memory, other.memory);
  std::swap(bytes, other.bytes);
  std::swap(name, other.name);
  return *this;
}

MappedFile::~MappedFile() {
  if (memory)
    ::munmap(const_cast<std::byte *>(memory), bytes);
}

Result<MappedFile> MappedFile::map(const InputFile &file) {
  MappedFile mapped;
  mapped.name = file.path();
  mapped.bytes = file.size();
  if (file.size() == 0)
    return mapped;
  void *memory = ::mmap(nullptr, file.size(), PROT_READ, MAP_PRIVATE,
                        file.descriptor(), 0);
  if (memory == MAP_FAILED)
    return systemError("file.map", file.path(), "cannot be mapped", errno);
  mapped.memory = static_cast<const std::byte *>(memory);
  return mapped;
}

Result<MappedFile> MappedFile::open(const std::string &path) {
  PARTITA_TRY(InputFile file, InputFile::open(path));
  return map(file);
}

Result<MappedFile> MappedFile::openBeneath(const std::string &directory,
                                           const std::string &relative) {
  PARTITA_TRY(InputFile file, InputFile::openBeneath(directory, relative));
  return map(file);
}

Result<std::string> partita::readFile(const std::string &path, int64_t limit) {
  PARTITA_TRY(InputFile file, InputFile::open(path));
  if (file.size() > limit)
    return makeError(ExitCode::InvalidInput, "file.too-large", path,
                     "has " + std::to_string(file.size()) +
                         " bytes, more than the " + std::to_string(limit) +
                         " that are read",
                     "is this the right file?");
  std::string content(file.size(), '\0');
  PARTITA_CHECK(file.read(0, content.data(), file.size()));
  return content;
}

//===----------------------------------------------------------------------===//
// AtomicFile
//===----------------------------------------------------------------------===//

AtomicFile::AtomicFile(AtomicFile &&other) noexcept {
  *this = std::move(other);
}

AtomicFile &AtomicFile::operator=(AtomicFile &&other) noexcept {
  std::swap(fd, other.fd);
  std::swap(target, other.target);
  std::swap(temporary, other.temporary);
  std::swap(nameless, other.nameless);
  std::swap(transient, other.transient);
  return *this;
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::discard() {
  if (fd >= 0)
    ::close(fd);
  if (!temporary.empty())
    ::unlink(temporary.c_str());
  fd = -1;
  temporary.clear();
  transient.release();
}

/// Lets a file-size limit arrive as EFBIG instead of killing the process.
static void ignoreFileSizeSignal() {
  static const bool once = [] {
    struct sigaction current;
    if (::sigaction(SIGXFSZ, nullptr, &current) == 0 &&
        current.sa_handler == SIG_DFL)
      ::signal(SIGXFSZ, SIG_IGN);
    return true;
  }();
  (void)once;
}

Result<AtomicFile> AtomicFile::create(const std::string &path,
                                      bool executable) {
  ignoreFileSizeSignal();
  AtomicFile file;
  file.target = path;
  struct stat info;
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    if (S_ISDIR(info.st_mode))
      return makeError(ExitCode::InvalidInput, "file.write", path,
                       "is a directory", "name a file");
    file.fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (file.fd < 0)
      return systemError("file.write", path, "cannot be opened", errno);
    return file;
  }
  size_t slash = path.rfind('/');
  std::string folder =
      slash == std::string::npos ? "." : path.substr(0, slash + 1);
  mode_t mode = executable ? 0777 : 0666;
  file.fd = ::open(folder.c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, mode);
  file.nameless = file.fd >= 0;
  if (file.nameless)
    return file;
  bool named = file.giveName([&](const char *name) {
    file.fd = ::open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    return file.fd >= 0;
  });
  if (!named)
    return systemError("file.write", path, "cannot be created", errno);
  return file;
}

/// Finds a name beside the target with which `make` succeeds; errno says why
/// there is none.
template <typename Make> bool AtomicFile::giveName(Make make) {
  static std::atomic<unsigned> counter{0};
  for (int attempt = 0; attempt < 100; ++attempt) {
    temporary = target + ".tmp" + std::to_string(::getpid()) + "." +
                std::to_string(counter++);
    transient = TransientPath(temporary);
    if (make(temporary.c_str()))
      return true;
    if (errno != EEXIST)
      break;
  }
  int number = errno;
  temporary.clear();
  transient.release();
  errno = number;
  return false;
}

Status AtomicFile::write(const void *data, size_t size) {
  const char *from = static_cast<const char *>(data);
  while (size > 0) {
    ssize_t done = ::write(fd, from, std::min<size_t>(size, 1 << 30));
    if (done < 0 && errno == EINTR)
      continue;
    if (done < 0) {
      int number = errno;
      discard();
      return systemError("file.write", target, "cannot be written", number);
    }
    from += done;
    size -= done;
  }
  return ok();
}

Status AtomicFile::finish() {
  if (fd < 0)
    return ok();
  bool done = true;
  if (std::exchange(nameless, false)) {
    std::string self = "/proc/self/fd/" + std::to_string(fd);
    done = giveName([&](const char *name) {
      return ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name,
                      AT_SYMLINK_FOLLOW) == 0;
    });
  }
  int number = errno;
  if (::close(std::exchange(fd, -1)) != 0 && done) {
    done = false;
    number = errno;
  }
  if (done)
    return ok();
  discard();
  return systemError("file.write", target, "cannot be written", number);
}

Status AtomicFile::commit() {
  PARTITA_CHECK(finish());
  if (temporary.empty())
    return ok();
  if (::rename(temporary.c_str(), target.c_str()) != 0) {
    int number = errno;
    discard();
    return systemError("file.write", target, "cannot be renamed to", number);
  }
  temporary.clear();
  transient.release();
  return ok();
}

Status partita::writeFileAtomically(const std::string &path,
                                    std::string_view content, bool executable) {
  PARTITA_TRY(AtomicFile file, AtomicFile::create(path, executable));
  PARTITA_CHECK(file.write(content));
  return file.commit();
}
