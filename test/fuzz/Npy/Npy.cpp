//===- Npy.cpp - Any bytes as an array ------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Inputs of programs, and what verify compares with. What is read is no larger
// than the file, and reads again after it was written.
//
//===----------------------------------------------------------------------===//

#include "partita/Support/Npy.h"
#include "partita/Support/File.h"
#include "test/fuzz/Fuzz.h"
#include <cstring>

using namespace partita;

static bool sameBytes(const HostTensor &a, const HostTensor &b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::memcmp(a.data(), b.data(), a.numBytes()) == 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static fuzz::ScratchFolder folder;
  std::string path = folder.write("array.npy", data, size);
  auto tensor = readNpy(path);
  if (!tensor) {
    fuzz::expectUsersError(tensor.error());
    return 0;
  }
  if (size_t(tensor->numBytes()) > size)
    fuzz::finding("more bytes than the file has");
  std::string text = npyHeader(tensor->dtype(), tensor->shape());
  text.append(reinterpret_cast<const char *>(tensor->data()),
              size_t(tensor->numBytes()));
  auto again = readNpy(folder.write("again.npy", text.data(), text.size()));
  if (!again || !sameBytes(*tensor, *again))
    fuzz::finding("not read as written");
  return 0;
}
