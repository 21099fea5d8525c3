//===- AddressSanitizerDefaults.cpp - ASan beside an uninstrumented LLVM --===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// LLVM's bump allocators poison and unpoison their memory in inline functions.
// The LLVM dylib is not instrumented, so its own copies of these functions do
// not: memory poisoned by our code and handed out by the dylib's would be
// reported at its first use. The sanitizer asks this function for its defaults;
// ASAN_OPTIONS in the environment overrides them.
//
//===----------------------------------------------------------------------===//

extern "C" const char *__asan_default_options();

extern "C" __attribute__((used, visibility("default"))) const char *
__asan_default_options() {
  return "allow_user_poisoning=0:detect_stack_use_after_return=1";
}
