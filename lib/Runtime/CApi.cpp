//===- CApi.cpp - C interface of compiled models --------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Conversions between the C structures and Session. No exception passes.
//
//===----------------------------------------------------------------------===//

#include "Session.h"
#include <cstdlib>
#include <cstring>

using namespace partita;
using namespace partita::runtime;

struct partita_session {
  std::unique_ptr<Session> session;
};

static int report(const Error &error, char **message) {
  if (message)
    *message = ::strdup(error.str().c_str());
  return static_cast<int>(error.exit);
}

/// Runs `fn`, a Status, and turns whatever it throws into an error.
template <typename Fn> static int guarded(char **message, Fn fn) {
  if (message)
    *message = nullptr;
  try {
    Status status = fn();
    return status ? 0 : report(status.error(), message);
  } catch (const std::bad_alloc &) {
    return report(makeError(ExitCode::DistributedFault, "run.memory", "session",
                            "out of memory"),
                  message);
  } catch (const std::exception &e) {
    return report(
        makeError(ExitCode::Internal, "run.exception", "session", e.what()),
        message);
  }
}

int partita_create(const partita_module *module, const partita_options *options,
                   partita_session **session, char **message) {
  return guarded(message, [&]() -> Status {
    SessionOptions chosen;
    if (options) {
      if (options->weights_dir)
        chosen.weightsDirectory = options->weights_dir;
      if (options->timeout_seconds > 0)
        chosen.timeoutSeconds = options->timeout_seconds;
      chosen.checkArena = options->check_arena != 0;
      chosen.pin = options->pin_threads != 0;
      chosen.skipWeightCheck = options->skip_weight_check != 0;
    }
    PARTITA_TRY(std::unique_ptr<Session> made,
                Session::create(*module, chosen));
    *session = new partita_session{std::move(made)};
    return ok();
  });
}

static Result<std::vector<NamedTensor>> convert(const partita_tensor *tensors,
                                                size_t count) {
  std::vector<NamedTensor> result;
  for (size_t i = 0; i < count; ++i) {
    const partita_tensor &t = tensors[i];
    auto refuse = [&](std::string message) {
      return makeError(ExitCode::InvalidInput, "run.tensor",
                       t.name ? t.name : "tensor", std::move(message));
    };
    if (!t.name || !t.dtype || t.rank < 0 || (t.rank > 0 && !t.shape))
      return refuse("is not described completely");
    std::optional<DType> dtype = parseDType(t.dtype);
    if (!dtype)
      return refuse(std::string("has unknown element type '") + t.dtype + "'");
    std::vector<int64_t> shape(t.shape, t.shape + t.rank);
    std::optional<int64_t> elements = checkedNumElements(shape);
    if (!elements ||
        static_cast<uint64_t>(*elements) != t.bytes / dtypeSize(*dtype))
      return refuse("has " + std::to_string(t.bytes) +
                    " bytes, which does not fit its shape");
    if (!t.data && *elements > 0)
      return refuse("has no data");
    result.push_back(
        {t.name, *dtype, std::move(shape), static_cast<std::byte *>(t.data)});
  }
  return result;
}

int partita_run(partita_session *session, const char *entry,
                const partita_tensor *inputs, size_t num_inputs,
                const partita_tensor *outputs, size_t num_outputs,
                char **message) {
  return guarded(message, [&]() -> Status {
    PARTITA_TRY(std::vector<NamedTensor> in, convert(inputs, num_inputs));
    PARTITA_TRY(std::vector<NamedTensor> out, convert(outputs, num_outputs));
    return session->session->run(entry ? entry : "step", in, out);
  });
}

void partita_destroy(partita_session *session) { delete session; }

void partita_free(char *message) { std::free(message); }
