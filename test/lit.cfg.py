# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# How lit runs the .mlir and .test files under test/. They find our programs as
# %partita, %partita-opt and %partita-lsp-server, LLVM's (FileCheck, not,
# split-file, count) on PATH, and the virtual environment's Python as %python.
#
# Features, for REQUIRES and UNSUPPORTED: asan, assertions.

import os

import lit.formats

config.name = "Partita"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["Inputs", "python", "unit"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.partita_build_dir, "test")

bin_dir = os.path.join(config.partita_build_dir, "bin")

# lit replaces in this order, and a name is a prefix of the longer ones.
for tool in ("partita-lsp-server", "partita-opt", "partita"):
    config.substitutions.append((f"%{tool}", os.path.join(bin_dir, tool)))
config.substitutions.append(("%python", config.partita_python))
config.substitutions.append(("%source-dir", config.partita_source_dir))
config.substitutions.append(("%build-dir", config.partita_build_dir))

config.environment["PATH"] = os.pathsep.join(
    [bin_dir, config.llvm_tools_dir, os.environ.get("PATH", "")]
)
config.environment["PARTITA_BUILD_DIR"] = config.partita_build_dir
config.environment["PARTITA_PYTHON"] = config.partita_python
config.environment["PYTHONPATH"] = os.path.join(
    config.partita_source_dir, "python"
)
# FileCheck shows the lines around a mismatch.
config.environment["FILECHECK_OPTS"] = "--dump-input-filter=annotation-full"

for variable in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
    if variable in os.environ:
        config.environment[variable] = os.environ[variable]
config.environment["ASAN_SYMBOLIZER_PATH"] = os.path.join(
    config.llvm_tools_dir, "llvm-symbolizer"
)

if "address" in config.partita_sanitize:
    config.available_features.add("asan")
if config.partita_assertions == "ON":
    config.available_features.add("assertions")
