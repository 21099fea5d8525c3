//===- FileTests.cpp - Files that may be hostile, disks that may be full --===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TempDirectory.h"
#include "partita/Support/File.h"
#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sys/resource.h>
#include <unistd.h>

using namespace partita;
using partita::test::TempDirectory;
namespace fs = std::filesystem;

TEST_CASE("paths that leave their directory are refused", "[file]") {
  TempDirectory directory;
  fs::create_directories(directory / "model/data");
  std::string model = directory / "model";
  std::ofstream(directory / "secret") << "secret";
  std::ofstream(model + "/data/w") << "weights";
  fs::create_symlink("../secret", model + "/link");
  fs::create_symlink("w", model + "/data/inside");
  fs::create_symlink("..", model + "/up");
  fs::create_symlink(directory / "secret", model + "/absolute");

  Result<MappedFile> file = MappedFile::openBeneath(model, "data/w");
  REQUIRE(file);
  CHECK(std::memcmp(file->data(), "weights", 7) == 0);
  CHECK(file->size() == 7);
  CHECK(InputFile::openBeneath(model, "./data//w"));
  for (const char *path :
       {"../secret", "data/../../secret", "/etc/passwd", "", ".", "..", "link",
        "data/inside", "up/secret", "absolute", "data/..", "data/../data/w"}) {
    INFO(path);
    Result<InputFile> opened = InputFile::openBeneath(model, path);
    REQUIRE_FALSE(opened);
    CHECK(opened.error().exit == ExitCode::InvalidInput);
    CHECK(opened.error().code == "file.outside");
  }
  CHECK_FALSE(InputFile::openBeneath(model, "data"));
  CHECK_FALSE(InputFile::openBeneath(model, "absent"));
  CHECK_FALSE(InputFile::open("/dev/zero"));
}

TEST_CASE("reads stop at the end of a file", "[file]") {
  TempDirectory directory;
  std::ofstream(directory / "f") << "0123456789";
  Result<InputFile> file = InputFile::open(directory / "f");
  REQUIRE(file);
  char buffer[16];
  CHECK(file->read(6, buffer, 4));
  CHECK(std::memcmp(buffer, "6789", 4) == 0);
  Status status = file->read(6, buffer, 5);
  REQUIRE_FALSE(status);
  CHECK(status.error().code == "file.truncated");
  CHECK_FALSE(readFile(directory / "f", 9));
  CHECK(*readFile(directory / "f") == "0123456789");
}

TEST_CASE("hashes match XXH64 and notice every byte of small files", "[file]") {
  CHECK(hashBytes("", 0) == 0xef46db3751d8e999u);
  CHECK(hashBytes("a", 1) == 0xd24ec4f1a98c6e5bu);
  CHECK(hashBytes("Nobody inspects the spammish repetition", 39) ==
        0xfbcea83c8a378bf1u);
  TempDirectory directory;
  std::string content(3 << 20, 'x');
  std::ofstream(directory / "f") << content;
  uint64_t before = *hashFile(directory / "f");
  content[2'500'000] = 'y';
  std::ofstream(directory / "f") << content;
  CHECK(*hashFile(directory / "f") != before);
}

TEST_CASE("a large sparse file hashes quickly, by samples", "[file]") {
  TempDirectory directory;
  std::string path = directory / "big";
  std::ofstream(path) << "head";
  fs::resize_file(path, 20ull << 30);
  Result<uint64_t> hash = hashFile(path);
  REQUIRE(hash);
  fs::resize_file(path, (20ull << 30) + 1);
  CHECK(*hashFile(path) != *hash);
}

TEST_CASE("a file appears whole or not at all", "[file]") {
  TempDirectory directory;
  std::string path = directory / "out";
  {
    Result<AtomicFile> file = AtomicFile::create(path);
    REQUIRE(file);
    REQUIRE(file->write("half"));
  }
  CHECK(directory.numEntries() == 0);
  REQUIRE(writeFileAtomically(path, "whole"));
  CHECK(*readFile(path) == "whole");
  REQUIRE(writeFileAtomically(path, "again", /*executable=*/true));
  CHECK((fs::status(path).permissions() & fs::perms::owner_exec) !=
        fs::perms::none);
  CHECK(directory.numEntries() == 1);
  CHECK_FALSE(writeFileAtomically(directory.str(), "x"));
  CHECK_FALSE(writeFileAtomically(directory / "no/such/folder", "x"));
}

TEST_CASE("a full disk and a size limit are errors", "[file]") {
  Status full = writeFileAtomically("/dev/full", "x");
  REQUIRE_FALSE(full);
  CHECK(full.error().exit == ExitCode::InvalidInput);
  CHECK_THAT(full.error().str(), Catch::Contains("No space left"));

  TempDirectory directory;
  struct rlimit before, limit;
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  limit = before;
  limit.rlim_cur = 4096;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  Status status =
      writeFileAtomically(directory / "out", std::string(8192, 'x'));
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  REQUIRE_FALSE(status);
  CHECK_THAT(status.error().str(), Catch::Contains("File too large"));
  CHECK(directory.numEntries() == 0);
}
