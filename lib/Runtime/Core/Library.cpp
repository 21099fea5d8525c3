//===- Library.cpp - The table of library calls ---------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Callees by name, and the helpers that every family uses.
//
//===----------------------------------------------------------------------===//

#include "LibraryImpl.h"

using namespace partita;
using namespace partita::runtime;

static CallTable makeTable() {
  CallTable table;
  addAttentionCalls(table);
  addConvolutionCalls(table);
  addCopyCalls(table);
  addIndexedCalls(table);
  addMatmulCalls(table);
  addMatrixCalls(table);
  addPoolingCalls(table);
  addRecurrentCalls(table);
  addResamplingCalls(table);
  addRopeCalls(table);
  addSamplingCalls(table);
  addSelectionCalls(table);
  addShardCalls(table);
  addTextCalls(table);
  addTrainingCalls(table);
  return table;
}

static const CallImpl *findCallee(const std::string &name) {
  static const CallTable table = makeTable();
  auto found = table.find(name);
  return found == table.end() ? nullptr : &found->second;
}

static Error unknownCallee(const Command &call) {
  return makeError(ExitCode::Unsupported, "library.unknown", call.id,
                   "this runtime has no '" + call.callee + "'",
                   "compile the model again with this version");
}

Result<int64_t> partita::runtime::workspaceBytes(const Command &call,
                                                 int threads) {
  const CallImpl *impl = findCallee(call.callee);
  if (!impl)
    return unknownCallee(call);
  return impl->workspace(call, threads);
}

Result<int64_t> partita::runtime::packedBytes(const Command &call,
                                              int threads) {
  const CallImpl *impl = findCallee(call.callee);
  if (!impl)
    return unknownCallee(call);
  if (!impl->packed)
    return callError(call, "packs no weight");
  return impl->packed(call, threads);
}

Result<std::unique_ptr<PreparedCall>>
partita::runtime::prepareCall(const Command &call,
                              const PrepareContext &context) {
  const CallImpl *impl = findCallee(call.callee);
  if (!impl)
    return unknownCallee(call);
  return impl->prepare(call, context);
}

//===----------------------------------------------------------------------===//
// Helpers
//===----------------------------------------------------------------------===//

/// The attribute as T, or null.
template <typename T>
static const T *findAttr(const Command &call, const char *name) {
  auto found = call.attrs.find(name);
  return found == call.attrs.end() ? nullptr : std::get_if<T>(&found->second);
}

double partita::runtime::doubleAttr(const Command &call, const char *name,
                                    double otherwise) {
  if (auto *doubles = findAttr<std::vector<double>>(call, name))
    return doubles->empty() ? otherwise : doubles->front();
  if (auto *ints = findAttr<std::vector<int64_t>>(call, name))
    return ints->empty() ? otherwise : static_cast<double>(ints->front());
  return otherwise;
}

int64_t partita::runtime::intAttr(const Command &call, const char *name,
                                  int64_t otherwise) {
  if (auto *ints = findAttr<std::vector<int64_t>>(call, name))
    return ints->empty() ? otherwise : ints->front();
  return otherwise;
}

std::string partita::runtime::stringAttr(const Command &call,
                                         const char *name) {
  auto *text = findAttr<std::string>(call, name);
  return text ? *text : std::string();
}

std::vector<int64_t> partita::runtime::intsAttr(const Command &call,
                                                const char *name) {
  auto *ints = findAttr<std::vector<int64_t>>(call, name);
  return ints ? *ints : std::vector<int64_t>();
}

std::string partita::runtime::describeCall(const Command &call) {
  std::string text = call.callee + " '" + call.id + "'";
  return call.nodes.empty() ? text : text + " (" + call.nodes + ")";
}

Error partita::runtime::callError(const Command &call, std::string message) {
  return makeError(ExitCode::Unsupported, "library.call", describeCall(call),
                   std::move(message),
                   "the library does not compute this: check the shapes and "
                   "attributes of the operation");
}

Status partita::runtime::checkCounts(const Command &call, size_t operands,
                                     size_t results) {
  if (call.operands.size() < operands || call.results.size() < results)
    return callError(call, "needs " + std::to_string(operands) +
                               " operands and " + std::to_string(results) +
                               " results");
  return ok();
}

Status partita::runtime::checkWorkspace(const Command &call, int64_t bytes) {
  int64_t have = call.workspace.empty() ? 0 : call.workspace[0].extentBytes();
  if (bytes <= have)
    return ok();
  return makeError(ExitCode::Unsupported, "library.workspace",
                   describeCall(call),
                   "needs " + std::to_string(bytes) +
                       " bytes of workspace on this machine and was compiled "
                       "with " +
                       std::to_string(have),
                   "compile the model on a machine with the same processor");
}

//===----------------------------------------------------------------------===//
// Strided loops
//===----------------------------------------------------------------------===//

bool LoopNest::empty() const {
  for (int64_t size : shape)
    if (size == 0)
      return true;
  return false;
}

LoopNest partita::runtime::coalesce(LoopNest nest) {
  LoopNest out;
  out.strides.resize(nest.strides.size());
  for (int d = 0; d < nest.rank(); ++d) {
    if (nest.shape[d] == 1)
      continue;
    bool merges = !out.shape.empty();
    for (size_t t = 0; merges && t < nest.strides.size(); ++t)
      merges = out.strides[t].back() == nest.strides[t][d] * nest.shape[d];
    if (merges) {
      out.shape.back() *= nest.shape[d];
      for (size_t t = 0; t < nest.strides.size(); ++t)
        out.strides[t].back() = nest.strides[t][d];
    } else {
      out.shape.push_back(nest.shape[d]);
      for (size_t t = 0; t < nest.strides.size(); ++t)
        out.strides[t].push_back(nest.strides[t][d]);
    }
  }
  return out;
}

//===----------------------------------------------------------------------===//
// Threads
//===----------------------------------------------------------------------===//

// OpenMP's entry points, declared here because the compiler's -fopenmp would
// bring a second OpenMP runtime beside the libgomp that oneDNN uses.
extern "C" {
void omp_set_num_threads(int);
int omp_get_max_threads(void);
int omp_get_thread_num(void);
int omp_get_num_threads(void);
void GOMP_parallel(void (*fn)(void *), void *data, unsigned threads,
                   unsigned flags);
}

void partita::runtime::setThreadCount(int threads) {
  omp_set_num_threads(threads);
}

ThreadCount::ThreadCount(int threads) : previous(omp_get_max_threads()) {
  if (previous != threads)
    omp_set_num_threads(threads);
}

ThreadCount::~ThreadCount() {
  if (omp_get_max_threads() != previous)
    omp_set_num_threads(previous);
}

/// Tells the thread sanitizer what libgomp, which is not instrumented, does
/// not: that what was written before `leave(x)` is seen after `enter(x)`.
#if __has_feature(thread_sanitizer)
extern "C" void __tsan_acquire(void *);
extern "C" void __tsan_release(void *);
static void enter(void *place) { __tsan_acquire(place); }
static void leave(void *place) { __tsan_release(place); }
#else
static void enter(void *) {}
static void leave(void *) {}
#endif

void partita::runtime::parallelRanges(int threads, int64_t count, void *context,
                                      void (*fn)(void *, int64_t, int64_t,
                                                 int)) {
  if (threads > count)
    threads = static_cast<int>(count);
  if (threads <= 1) {
    if (count > 0)
      fn(context, 0, count, 0);
    return;
  }
  struct Work {
    int64_t count;
    void *context;
    void (*fn)(void *, int64_t, int64_t, int);
  } work{count, context, fn};
  auto body = [](void *data) {
    enter(data);
    auto *work = static_cast<Work *>(data);
    int64_t part = omp_get_thread_num(), parts = omp_get_num_threads();
    int64_t share = work->count / parts, rest = work->count % parts;
    int64_t begin = part * share + std::min(part, rest);
    int64_t end = begin + share + (part < rest);
    if (begin < end)
      work->fn(work->context, begin, end, static_cast<int>(part));
    leave(data);
  };
  leave(&work);
  GOMP_parallel(body, &work, static_cast<unsigned>(threads), 0);
  enter(&work);
}
