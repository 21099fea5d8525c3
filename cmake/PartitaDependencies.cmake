# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# Finds every library that Partita uses, in one place, so that a missing one is
# named at configuration and with the command that installs it. Targets that
# the rest of the build links:
#
#   PartitaMLIR               the dylibs MLIR and LLVM, and nothing static
#   PartitaONNX               ONNX's C++ library and protobuf
#   DNNL::dnnl                oneDNN
#   CLI11::CLI11              command lines
#   nlohmann_json::nlohmann_json
#   Catch2::Catch2WithMain    through add_partita_unittest only
#   PartitaYAML               libyaml
#   PartitaAllocator          mimalloc in place of malloc, where it is installed
#   PartitaGloo               Gloo; PARTITA_HAVE_GLOO says whether it was found
#   PartitaMPI                MPI; the same with PARTITA_HAVE_MPI

include_guard(GLOBAL)

set(PARTITA_LLVM_PREFIX "/usr/lib/llvm-22" CACHE PATH
  "Where LLVM and MLIR 22 are installed")
set(PARTITA_DEPS_DIR "${PROJECT_SOURCE_DIR}/build/deps" CACHE PATH
  "Where tools/setup.sh puts what it builds from source")
set(PARTITA_PYTHON "${PROJECT_SOURCE_DIR}/.venv/bin/python3" CACHE FILEPATH
  "The Python of the virtual environment that tools/setup.sh makes")
set(PARTITA_LIT "${PROJECT_SOURCE_DIR}/.venv/bin/lit" CACHE FILEPATH
  "lit, which Debian's LLVM does not carry, from the same environment")

set(partita_setup_hint "run `bash tools/setup.sh`, which installs it")

find_package(MLIR CONFIG QUIET NO_DEFAULT_PATH
  PATHS "${PARTITA_LLVM_PREFIX}/lib/cmake/mlir")
if(NOT MLIR_FOUND OR NOT LLVM_VERSION_MAJOR EQUAL 22)
  message(FATAL_ERROR "MLIR 22 is not in ${PARTITA_LLVM_PREFIX}: "
    "${partita_setup_hint}.")
endif()

# A static LLVM or MLIR archive ahead of the dylib links without a word and
# gives two copies of MLIR that do not know each other's types. All of it comes
# from the two dylibs, so these are the only names that anything may link.
add_library(PartitaMLIR INTERFACE)
target_include_directories(PartitaMLIR SYSTEM INTERFACE
  ${MLIR_INCLUDE_DIRS} ${LLVM_INCLUDE_DIRS})
separate_arguments(partita_llvm_definitions NATIVE_COMMAND "${LLVM_DEFINITIONS}")
target_compile_definitions(PartitaMLIR INTERFACE ${partita_llvm_definitions})
target_link_libraries(PartitaMLIR INTERFACE MLIR LLVM)

# Debian's own configuration of oneDNN wants OpenCL's headers, which its CPU
# engine does not need.
find_path(PARTITA_DNNL_INCLUDE_DIR oneapi/dnnl/dnnl.hpp)
find_library(PARTITA_DNNL_LIBRARY dnnl)
if(NOT PARTITA_DNNL_INCLUDE_DIR OR NOT PARTITA_DNNL_LIBRARY)
  message(FATAL_ERROR "oneDNN is missing: ${partita_setup_hint}.")
endif()
add_library(DNNL::dnnl SHARED IMPORTED GLOBAL)
set_target_properties(DNNL::dnnl PROPERTIES
  IMPORTED_LOCATION "${PARTITA_DNNL_LIBRARY}"
  INTERFACE_INCLUDE_DIRECTORIES "${PARTITA_DNNL_INCLUDE_DIR}")

find_path(PARTITA_YAML_INCLUDE_DIR yaml.h)
find_library(PARTITA_YAML_LIBRARY yaml)
if(NOT PARTITA_YAML_INCLUDE_DIR OR NOT PARTITA_YAML_LIBRARY)
  message(FATAL_ERROR "libyaml is missing: ${partita_setup_hint}.")
endif()
add_library(PartitaYAML INTERFACE)
target_link_libraries(PartitaYAML INTERFACE "${PARTITA_YAML_LIBRARY}")

# Compiling is a third allocation, and mimalloc does that faster; a build
# without it is complete. A sanitizer brings an allocator of its own.
find_library(PARTITA_MIMALLOC_LIBRARY mimalloc)
add_library(PartitaAllocator INTERFACE)
if(PARTITA_MIMALLOC_LIBRARY AND NOT PARTITA_SANITIZE)
  target_link_libraries(PartitaAllocator INTERFACE "${PARTITA_MIMALLOC_LIBRARY}")
endif()

# Messages between processes. Without it ranks are threads of one process.
# Debian's own configuration names no link library but this one.
find_path(PARTITA_GLOO_INCLUDE_DIR gloo/transport/tcp/device.h)
find_library(PARTITA_GLOO_LIBRARY gloo)
if(PARTITA_GLOO_INCLUDE_DIR AND PARTITA_GLOO_LIBRARY)
  set(PARTITA_HAVE_GLOO ON)
  add_library(PartitaGloo INTERFACE)
  target_include_directories(PartitaGloo SYSTEM INTERFACE
    "${PARTITA_GLOO_INCLUDE_DIR}")
  target_link_libraries(PartitaGloo INTERFACE "${PARTITA_GLOO_LIBRARY}")
else()
  set(PARTITA_HAVE_GLOO OFF)
  message(STATUS "Gloo is missing: built without --communicator gloo "
    "(apt-get install libgloo-dev)")
endif()

# Another way for messages. MPI's own target brings flags, and with those no
# precompiled header fits.
find_package(MPI QUIET COMPONENTS C)
if(MPI_C_FOUND)
  set(PARTITA_HAVE_MPI ON)
  add_library(PartitaMPI INTERFACE)
  target_include_directories(PartitaMPI SYSTEM INTERFACE ${MPI_C_INCLUDE_DIRS})
  target_link_libraries(PartitaMPI INTERFACE ${MPI_C_LIBRARIES})
else()
  set(PARTITA_HAVE_MPI OFF)
  message(STATUS "MPI is missing: built without --communicator mpi "
    "(apt-get install libopenmpi-dev)")
endif()

find_package(Threads REQUIRED)
foreach(dependency CLI11 nlohmann_json Catch2 Protobuf)
  find_package(${dependency} QUIET)
  if(NOT ${dependency}_FOUND)
    message(FATAL_ERROR "${dependency} is missing: ${partita_setup_hint}.")
  endif()
endforeach()

find_package(ONNX 1.23 CONFIG QUIET NO_DEFAULT_PATH
  PATHS "${PARTITA_DEPS_DIR}/onnx/lib/cmake/ONNX")
if(NOT ONNX_FOUND)
  message(FATAL_ERROR "ONNX's C++ library is not in ${PARTITA_DEPS_DIR}/onnx: "
    "${partita_setup_hint}.")
endif()
add_library(PartitaONNX INTERFACE)
target_link_libraries(PartitaONNX INTERFACE ONNX::onnx protobuf::libprotobuf)
