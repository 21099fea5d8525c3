//===- CountAllocations.cpp - What the process really allocates -----------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// malloc and its relatives, defined in the shared library, come before glibc's
// for the whole process; they call glibc's own (__libc_malloc) and count what
// malloc_usable_size says. Not counting costs one load and one branch. Under a
// sanitizer, which defines the same functions, nothing is counted.
//
//===----------------------------------------------------------------------===//

#include "CountAllocations.h"
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <malloc.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||     \
    __has_feature(memory_sanitizer)
#define PARTITA_NO_MALLOC_HOOKS
#endif
#endif
#ifndef __GLIBC__
#define PARTITA_NO_MALLOC_HOOKS
#endif

static std::atomic<int64_t> inUse{0}, peak{0};
// 0: not yet known, 1: no, 2: yes. Read from the environment on first use,
// which is before any constructor runs.
static std::atomic<int> state{0};

static bool counting() {
  int known = state.load(std::memory_order_relaxed);
  if (known == 0) {
    const char *value = ::secure_getenv("PARTITA_COUNT_ALLOCATIONS");
    known = value && value[0] == '1' ? 2 : 1;
    state.store(known, std::memory_order_relaxed);
  }
  return known == 2;
}

static void add(int64_t bytes) {
  int64_t now = inUse.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  int64_t seen = peak.load(std::memory_order_relaxed);
  while (now > seen &&
         !peak.compare_exchange_weak(seen, now, std::memory_order_relaxed))
    ;
}

bool partita::runtime::countsAllocations() {
#ifdef PARTITA_NO_MALLOC_HOOKS
  return false;
#else
  return counting();
#endif
}

void partita::runtime::countAllocation(int64_t bytes) {
  if (counting())
    add(bytes);
}

int64_t partita::runtime::countedPeakBytes() {
  return countsAllocations() ? peak.load() : 0;
}

#ifndef PARTITA_NO_MALLOC_HOOKS
extern "C" {
void *__libc_malloc(size_t);
void __libc_free(void *);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

static void *counted(void *memory) {
  if (memory && counting())
    add(static_cast<int64_t>(malloc_usable_size(memory)));
  return memory;
}

void *malloc(size_t size) { return counted(__libc_malloc(size)); }

void *calloc(size_t count, size_t size) {
  return counted(__libc_calloc(count, size));
}

void free(void *memory) {
  if (memory && counting())
    add(-static_cast<int64_t>(malloc_usable_size(memory)));
  __libc_free(memory);
}

void *realloc(void *memory, size_t size) {
  if (!counting())
    return __libc_realloc(memory, size);
  int64_t before = memory ? malloc_usable_size(memory) : 0;
  void *result = __libc_realloc(memory, size);
  if (result)
    add(static_cast<int64_t>(malloc_usable_size(result)) - before);
  else if (size == 0)
    add(-before);
  return result;
}

void *memalign(size_t alignment, size_t size) {
  return counted(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size) {
  return counted(__libc_memalign(alignment, size));
}

int posix_memalign(void **result, size_t alignment, size_t size) {
  if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0 ||
      alignment == 0)
    return EINVAL;
  void *memory = __libc_memalign(alignment, size);
  if (!memory)
    return ENOMEM;
  *result = counted(memory);
  return 0;
}
} // extern "C"
#endif
