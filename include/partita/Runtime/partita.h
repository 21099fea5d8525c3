/*===- partita.h - C interface of compiled models --------------*- C -*-===*\
|*
|* Part of the Partita project, under the Apache License v2.0 with LLVM
|* Exceptions.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*
|*===--------------------------------------------------------------------===*|
|*
|* Create a session from a compiled module, run it, destroy it. An emitted
|* executable's own main is built on these calls.
|*
\*===--------------------------------------------------------------------===*/

#ifndef PARTITA_RUNTIME_PARTITA_H
#define PARTITA_RUNTIME_PARTITA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A generated kernel. buffers: one address per operand and result; offsets:
 *  one first index per shard offset of the command. */
typedef void (*partita_kernel)(void *const *buffers, const int64_t *offsets);

/** What the compiler emits into the executable. */
typedef struct partita_module {
  const void *program;
  uint64_t program_size;
  const partita_kernel *kernels;
  uint64_t num_kernels;
} partita_module;

typedef struct partita_session partita_session;

typedef struct partita_options {
  const char *weights_dir;    /**< null: where the model was compiled from */
  double timeout_seconds;     /**< of every wait; 0: the default, 30 */
  int32_t check_arena;        /**< fill dead slices with NaN */
  int32_t pin_threads;        /**< bind each rank to cores of its own */
  int32_t skip_weight_check;  /**< do not compare the weight files' hashes */
} partita_options;

/** A dense row-major tensor in the caller's memory. */
typedef struct partita_tensor {
  const char *name;
  const char *dtype;          /**< "f32", "i64", ... */
  int64_t rank;
  const int64_t *shape;
  void *data;
  uint64_t bytes;
} partita_tensor;

/** Loads weights and runs init on every rank. `options` may be null. Returns 0 and a session, or an
 *  exit code and a message (free it with partita_free). */
int partita_create(const partita_module *module, const partita_options *options,
                   partita_session **session, char **message);

/** Runs an entry point ("step"). Inputs and outputs are matched by name;
 *  every input must be given, outputs may be a subset. */
int partita_run(partita_session *session, const char *entry,
                const partita_tensor *inputs, size_t num_inputs,
                const partita_tensor *outputs, size_t num_outputs,
                char **message);

/** After a rank hung, its thread and memory stay behind. */
void partita_destroy(partita_session *session);
void partita_free(char *message);

/** The command line of an emitted executable. */
int partita_main(int argc, char **argv, const partita_module *module);

#ifdef __cplusplus
}
#endif

#endif /* PARTITA_RUNTIME_PARTITA_H */
