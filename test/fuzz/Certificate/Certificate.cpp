//===- Certificate.cpp - Any bytes as a proof -----------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The first line is an instance, the others a certificate. What is certified is
// at most the cost of everything that fits, whatever the certificate says.
//
//===----------------------------------------------------------------------===//

#include "partita/Certificate/Certificate.h"
#include "partita/Solve/Instance.h"
#include "test/fuzz/Fuzz.h"
#include <algorithm>
#include <vector>

using namespace partita;

/// The least cost of what fits, if there are few assignments; else zero.
static __int128 bruteForce(const solve::Instance &instance) {
  constexpr int64_t most = 1024;
  int64_t count = 1;
  for (int node = 0; node < instance.numNodes() && count <= most; ++node)
    count *= instance.numValues(node);
  if (count > most)
    return 0;
  __int128 best = solve::infinity;
  std::vector<int> values(instance.numNodes(), 0);
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i;
    for (int node = 0; node < instance.numNodes(); ++node) {
      values[node] = static_cast<int>(rest % instance.numValues(node));
      rest /= instance.numValues(node);
    }
    solve::Verdict verdict = solve::evaluate(instance, values);
    if (verdict.valid)
      best = std::min(best, verdict.cost);
  }
  return best;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static fuzz::ScratchFolder folder;
  const uint8_t *end = std::find(data, data + size, '\n');
  const uint8_t *rest = end == data + size ? end : end + 1;
  std::string problem = folder.write("instance.json", data, end - data),
              proof = folder.write("proof", rest, data + size - rest);
  auto checked = certificate::check(problem, proof);
  if (!checked) {
    fuzz::expectUsersError(checked.error());
    return 0;
  }
  auto instance = solve::readInstance(problem);
  if (!instance)
    return 0;
  __int128 least = bruteForce(*instance);
  if (least > 0 && checked->bound > least)
    fuzz::finding("a certified bound above the cost of what fits");
  return 0;
}
