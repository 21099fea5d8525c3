//===- ThreadSanitizerDefaults.cpp - TSan beside uninstrumented libraries -===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// oneDNN is not instrumented: how its threads share its cache of primitives is
// not seen, only that they do. And tests fork a process that has threads: the
// child runs a model. The sanitizer asks these functions; TSAN_OPTIONS in the
// environment comes after them.
//
//===----------------------------------------------------------------------===//

extern "C" const char *__tsan_default_options();
extern "C" const char *__tsan_default_suppressions();

extern "C" __attribute__((used, visibility("default"))) const char *
__tsan_default_options() {
  return "die_after_fork=0";
}

extern "C" __attribute__((used, visibility("default"))) const char *
__tsan_default_suppressions() {
  return "race:libdnnl.so\n";
}
