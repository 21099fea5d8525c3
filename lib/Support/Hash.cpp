//===- Hash.cpp - Identifying bytes and files -----------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// XXH64 as published by Yann Collet: at memory speed, and the values must never
// change because executables carry them.
//
//===----------------------------------------------------------------------===//

#include "partita/Support/File.h"
#include <algorithm>
#include <cstring>

using namespace partita;

static constexpr uint64_t prime1 = 11400714785074694791u;
static constexpr uint64_t prime2 = 14029467366897019727u;
static constexpr uint64_t prime3 = 1609587929392839161u;
static constexpr uint64_t prime4 = 9650029242287828579u;
static constexpr uint64_t prime5 = 2870177450012600261u;

static uint64_t rotate(uint64_t x, int bits) {
  return (x << bits) | (x >> (64 - bits));
}

template <typename T> static T load(const unsigned char *from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

static uint64_t mixLane(uint64_t accumulator, uint64_t input) {
  return rotate(accumulator + input * prime2, 31) * prime1;
}

static uint64_t mergeLane(uint64_t hash, uint64_t lane) {
  return (hash ^ mixLane(0, lane)) * prime1 + prime4;
}

uint64_t partita::hashBytes(const void *data, size_t size, uint64_t seed) {
  auto *p = static_cast<const unsigned char *>(data);
  size_t left = size;
  uint64_t hash = seed + prime5;
  if (size >= 32) {
    uint64_t lanes[4] = {seed + prime1 + prime2, seed + prime2, seed,
                         seed - prime1};
    for (; left >= 32; left -= 32, p += 32)
      for (int i = 0; i < 4; ++i)
        lanes[i] = mixLane(lanes[i], load<uint64_t>(p + 8 * i));
    hash = rotate(lanes[0], 1) + rotate(lanes[1], 7) + rotate(lanes[2], 12) +
           rotate(lanes[3], 18);
    for (uint64_t lane : lanes)
      hash = mergeLane(hash, lane);
  }
  hash += size;
  for (; left >= 8; left -= 8, p += 8)
    hash = rotate(hash ^ mixLane(0, load<uint64_t>(p)), 27) * prime1 + prime4;
  if (left >= 4) {
    hash = rotate(hash ^ (load<uint32_t>(p) * prime1), 23) * prime2 + prime3;
    p += 4;
    left -= 4;
  }
  for (; left > 0; --left, ++p)
    hash = rotate(hash ^ (*p * prime5), 11) * prime1;
  hash = (hash ^ (hash >> 33)) * prime2;
  hash = (hash ^ (hash >> 29)) * prime3;
  return hash ^ (hash >> 32);
}

Result<uint64_t> partita::hashFile(const InputFile &file) {
  constexpr int64_t mib = 1 << 20, block = 64 << 10, samples = 64;
  int64_t size = file.size();
  uint64_t hash = hashBytes(&size, sizeof(size));
  std::vector<char> buffer(mib);
  auto add = [&](int64_t offset, int64_t count) -> Status {
    PARTITA_CHECK(file.read(offset, buffer.data(), count));
    hash = hashBytes(buffer.data(), count, hash);
    return ok();
  };
  if (size <= 64 * mib) {
    for (int64_t offset = 0; offset < size; offset += mib)
      PARTITA_CHECK(add(offset, std::min(mib, size - offset)));
    return hash;
  }
  PARTITA_CHECK(add(0, mib));
  PARTITA_CHECK(add(size - mib, mib));
  for (int64_t i = 0; i < samples; ++i) {
    // (size - block) / samples * i cannot overflow; blocks are 64-aligned.
    int64_t offset = (size - block) / samples * i / 64 * 64;
    PARTITA_CHECK(add(offset, block));
  }
  return hash;
}

Result<uint64_t> partita::hashFile(const std::string &path) {
  PARTITA_TRY(InputFile file, InputFile::open(path));
  return hashFile(file);
}
