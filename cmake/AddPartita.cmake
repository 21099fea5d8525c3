# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# All build policy: flags, precompiled headers, and the functions by which a
# folder declares its one target. A folder's CMakeLists.txt calls one of
#
#   add_partita_library         a static library            lib/X
#   add_partita_shared_library  a shared library            lib/Runtime
#   add_partita_dialect         a dialect and its TableGen  dialects/x
#   add_partita_tool            a program in bin/           tools/x
#   add_partita_unittest        a Catch2 program            test/unit/X
#   add_partita_fuzzer          a libFuzzer program         test/fuzz/X
#
# and sets no flag and no include directory itself.
#
# Why one precompiled header serves everything that uses MLIR: parsing MLIR's
# headers takes 9 to 13 s a file, reading them precompiled 1 s. Clang accepts a
# precompiled header only from identical flags, so no target may have its own.

include_guard(GLOBAL)

if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang" OR
   NOT CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 22)
  message(FATAL_ERROR "Partita is built with clang++-22, not with "
    "${CMAKE_CXX_COMPILER}: configure with `cmake --preset dev`.")
endif()

#===----------------------------------------------------------------------===#
# Options
#===----------------------------------------------------------------------===#

option(PARTITA_ASSERTIONS "Assertions in Partita's own code" ON)
option(PARTITA_WERROR "Treat warnings as errors" OFF)
option(PARTITA_PCH "Use the shared precompiled headers" ON)
option(PARTITA_CCACHE "Compile through ccache" ON)
set(PARTITA_SANITIZE "" CACHE STRING
  "Sanitizers, separated by commas: address,undefined, or thread; with fuzzer-no-link, \
the fuzzers can be built as well")

#===----------------------------------------------------------------------===#
# Flags, the same for every file
#===----------------------------------------------------------------------===#

set(CMAKE_CXX_STANDARD 20) # 23 does not work with libstdc++ 12.
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# What a build type means. -g1 keeps line tables, which is what a backtrace
# needs. NDEBUG follows PARTITA_ASSERTIONS instead of the build type.
foreach(language C CXX)
  set(CMAKE_${language}_FLAGS_DEBUG "-O0 -g")
  set(CMAKE_${language}_FLAGS_RELWITHDEBINFO "-O1 -g1")
  set(CMAKE_${language}_FLAGS_RELEASE "-O2")
endforeach()
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

# -fPIC everywhere by hand, not through POSITION_INDEPENDENT_CODE: that one
# gives programs -fPIE, with which the shared precompiled header does not match.
add_compile_options(
  -fPIC -fvisibility-inlines-hidden
  -Wall -Wextra -Werror=return-type
  -Wno-unused-parameter -Wno-missing-field-initializers
  -Wno-missing-designated-field-initializers)
add_link_options(-fuse-ld=lld)

if(PARTITA_WERROR)
  add_compile_options(-Werror)
endif()
if(NOT PARTITA_ASSERTIONS)
  add_compile_definitions(NDEBUG)
endif()

if(PARTITA_SANITIZE)
  add_compile_options(-fsanitize=${PARTITA_SANITIZE}
    -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${PARTITA_SANITIZE})
endif()

# ccache and precompiled headers: without the first flag the header's time is
# part of it, and each rebuild of it would miss for everything.
add_compile_options("SHELL:-Xclang -fno-pch-timestamp")
find_program(PARTITA_CCACHE_PROGRAM ccache)
if(PARTITA_CCACHE AND PARTITA_CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER env
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
    ${PARTITA_CCACHE_PROGRAM})
  set(CMAKE_C_COMPILER_LAUNCHER "${CMAKE_CXX_COMPILER_LAUNCHER}")
endif()

set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")

# "dialects/nn/NN.h" is found from the root and "partita/Support/X.h" from
# include/; what TableGen generates lies in the build folder under the same
# names as its sources, so "dialects/nn/NN.h.inc" is found as well.
include_directories(
  "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/include"
  "${PROJECT_BINARY_DIR}" "${PROJECT_BINARY_DIR}/include")

#===----------------------------------------------------------------------===#
# Precompiled headers
#===----------------------------------------------------------------------===#

# Clang takes a precompiled header only with the optimisation level that it was
# built with, so there are four: of Std.h and of MLIR.h, each plain and at -O3.
# One that no target uses is not built. A target needs a source file, so each
# has one without content.
foreach(header Std MLIR)
  foreach(level "" Optimized)
    set(pch Partita${header}PCH${level})
    add_library(${pch} OBJECT EXCLUDE_FROM_ALL
      "${PROJECT_SOURCE_DIR}/cmake/pch/Empty.cpp")
    target_precompile_headers(${pch} PRIVATE
      "${PROJECT_SOURCE_DIR}/cmake/pch/${header}.h")
    if(header STREQUAL "MLIR")
      target_link_libraries(${pch} PRIVATE PartitaMLIR)
    endif()
    if(level)
      target_compile_options(${pch} PRIVATE -O3)
    endif()
  endforeach()
endforeach()

#===----------------------------------------------------------------------===#
# Declaring targets
#===----------------------------------------------------------------------===#

# Parses what all the functions below share into ARG_*. Without SOURCES, all
# the .cpp files of the folder are taken: a folder holds one target.
macro(partita_parse)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "MLIR;NO_PCH;OPTIMIZE"
    "${PARTITA_EXTRA_ONE_VALUE}" "SOURCES;LINK;${PARTITA_EXTRA_MULTI_VALUE}")
  if(ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "${CMAKE_CURRENT_FUNCTION}(${name}): unknown arguments "
      "${ARG_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT ARG_SOURCES)
    file(GLOB ARG_SOURCES CONFIGURE_DEPENDS "*.cpp")
  endif()
  if(NOT ARG_SOURCES)
    message(FATAL_ERROR "${CMAKE_CURRENT_FUNCTION}(${name}): "
      "${CMAKE_CURRENT_SOURCE_DIR} has no .cpp file")
  endif()
endmacro()

# Gives a target its libraries and the precompiled header that fits it.
function(partita_configure_target name visibility mlir no_pch optimize)
  target_link_libraries(${name} ${visibility} ${ARGN})
  set(pch PartitaStdPCH)
  if(mlir)
    set(pch PartitaMLIRPCH)
    target_link_libraries(${name} ${visibility} PartitaMLIR)
  endif()
  if(optimize)
    string(APPEND pch Optimized)
    # Kernels and the interpreter are too slow to test at -O1.
    target_compile_options(${name} PRIVATE -O3)
  endif()
  if(PARTITA_PCH AND NOT no_pch)
    target_precompile_headers(${name} REUSE_FROM ${pch})
  endif()
endfunction()

# add_partita_library(NAME [SOURCES file...] [LINK library...]
#                     [MLIR] [OPTIMIZE] [NO_PCH])
#
# A static library (its code is position independent). MLIR gives it the headers
# and dylibs of MLIR and LLVM; without it, it does not see them. OPTIMIZE
# compiles it with -O3 under every preset.
function(add_partita_library name)
  partita_parse(${ARGV})
  add_library(${name} STATIC ${ARG_SOURCES})
  partita_configure_target(${name} PUBLIC
    "${ARG_MLIR}" "${ARG_NO_PCH}" "${ARG_OPTIMIZE}" ${ARG_LINK})
endfunction()

# add_partita_shared_library(NAME [SOURCES file...] [LINK library...]
#                            [MLIR] [OPTIMIZE] [NO_PCH])
#
# A shared library in lib/, which finds the libraries beside it by $ORIGIN, and
# so do the libraries that it needs: that is what the old kind of tag is for.
function(add_partita_shared_library name)
  partita_parse(${ARGV})
  add_library(${name} SHARED ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES
    BUILD_RPATH "$ORIGIN" INSTALL_RPATH "$ORIGIN")
  target_link_options(${name} PRIVATE -Wl,--disable-new-dtags)
  partita_configure_target(${name} PUBLIC
    "${ARG_MLIR}" "${ARG_NO_PCH}" "${ARG_OPTIMIZE}" ${ARG_LINK})
endfunction()

# add_partita_tool(NAME [SOURCES file...] [LINK library...] [MLIR] [NO_PCH])
#
# A program in bin/.
function(add_partita_tool name)
  partita_parse(${ARGV})
  add_executable(${name} ${ARG_SOURCES})
  partita_configure_target(${name} PRIVATE
    "${ARG_MLIR}" "${ARG_NO_PCH}" "${ARG_OPTIMIZE}" ${ARG_LINK})
  partita_add_sanitizer_defaults(${name})
endfunction()

# add_partita_unittest(NAME [SOURCES file...] [LINK library...] [MLIR])
#
# A Catch2 program in unittests/, named in unittests.txt, which tools/test.sh
# runs. Its files include <catch2/catch.hpp>; none has a main of its own.
function(add_partita_unittest name)
  partita_parse(${ARGV})
  add_executable(${name} ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/unittests")
  partita_configure_target(${name} PRIVATE
    "${ARG_MLIR}" "${ARG_NO_PCH}" "${ARG_OPTIMIZE}" ${ARG_LINK}
    Catch2::Catch2WithMain)
  partita_add_sanitizer_defaults(${name})
  set_property(GLOBAL APPEND PROPERTY PARTITA_UNITTESTS ${name})
endfunction()

# add_partita_fuzzer(NAME [SOURCES file...] [LINK library...] [MLIR])
#
# A libFuzzer program in fuzzers/, part of the target `fuzzers`. There is none
# unless the libraries count coverage: the preset `fuzz` has them do so, with the
# flags that all targets share.
function(add_partita_fuzzer name)
  if(NOT PARTITA_SANITIZE MATCHES "fuzzer-no-link")
    return()
  endif()
  partita_parse(${ARGV})
  add_executable(${name} EXCLUDE_FROM_ALL ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/fuzzers")
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  partita_configure_target(${name} PRIVATE
    "${ARG_MLIR}" "${ARG_NO_PCH}" "${ARG_OPTIMIZE}" ${ARG_LINK})
  partita_add_sanitizer_defaults(${name})
  if(NOT TARGET fuzzers)
    add_custom_target(fuzzers)
  endif()
  add_dependencies(fuzzers ${name})
endfunction()

# What sanitizers have to know of libraries that are not instrumented; the files
# say it.
function(partita_add_sanitizer_defaults name)
  foreach(sanitizer Address Thread)
    string(TOLOWER "${sanitizer}" lower)
    if(PARTITA_SANITIZE MATCHES "${lower}")
      set(file "${PROJECT_SOURCE_DIR}/cmake/${sanitizer}SanitizerDefaults.cpp")
      target_sources(${name} PRIVATE "${file}")
      set_source_files_properties("${file}"
        PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
    endif()
  endforeach()
endfunction()

#===----------------------------------------------------------------------===#
# TableGen
#===----------------------------------------------------------------------===#

# mlir-tblgen's output NAME from the file TD, with the given flags. Appends the
# file to `partita_generated` of the caller.
function(partita_tablegen td output)
  set(path "${CMAKE_CURRENT_BINARY_DIR}/${output}")
  add_custom_command(OUTPUT "${path}"
    COMMAND ${PARTITA_LLVM_PREFIX}/bin/mlir-tblgen ${ARGN}
      -I "${CMAKE_CURRENT_SOURCE_DIR}" -I "${PROJECT_SOURCE_DIR}"
      -I "${PROJECT_SOURCE_DIR}/include" -I "${MLIR_INCLUDE_DIRS}"
      "${CMAKE_CURRENT_SOURCE_DIR}/${td}"
      --write-if-changed -o "${path}" -d "${path}.d"
    MAIN_DEPENDENCY "${CMAKE_CURRENT_SOURCE_DIR}/${td}"
    DEPENDS ${PARTITA_LLVM_PREFIX}/bin/mlir-tblgen
    DEPFILE "${path}.d"
    COMMENT "Generating ${output}"
    VERBATIM)
  set(partita_generated ${partita_generated} "${path}" PARENT_SCOPE)
endfunction()

# Both halves, STEM.h.inc and STEM.cpp.inc, of what `what` generates.
macro(partita_tablegen_pair td stem what)
  partita_tablegen(${td} ${stem}.h.inc -gen-${what}-decls ${ARGN})
  partita_tablegen(${td} ${stem}.cpp.inc -gen-${what}-defs ${ARGN})
endmacro()

# The name of a generated file: that of the .td file, with `suffix` at its end
# unless it ends so by itself.
function(partita_stem td suffix result)
  get_filename_component(stem "${td}" NAME_WE)
  if(NOT stem MATCHES "${suffix}$")
    string(APPEND stem "${suffix}")
  endif()
  set(${result} "${stem}" PARENT_SCOPE)
endfunction()

# Declares the generation of whatever the ARG_* lists of the caller name, and
# leaves the files in its `partita_generated`.
macro(partita_tablegen_all)
  set(partita_generated)
  foreach(td IN LISTS ARG_OPS)
    partita_stem(${td} "" stem)
    partita_tablegen_pair(${td} ${stem} op)
  endforeach()
  foreach(td IN LISTS ARG_DIALECT)
    partita_stem(${td} Dialect stem)
    partita_tablegen_pair(${td} ${stem} dialect -dialect=${ARG_NAMESPACE})
  endforeach()
  foreach(td IN LISTS ARG_ATTRS)
    partita_stem(${td} Attrs stem)
    partita_tablegen_pair(${td} ${stem} attrdef
      -attrdefs-dialect=${ARG_NAMESPACE})
  endforeach()
  foreach(td IN LISTS ARG_TYPES)
    partita_stem(${td} Types stem)
    partita_tablegen_pair(${td} ${stem} typedef
      -typedefs-dialect=${ARG_NAMESPACE})
  endforeach()
  foreach(td IN LISTS ARG_ENUMS)
    partita_stem(${td} Enums stem)
    partita_tablegen_pair(${td} ${stem} enum)
  endforeach()
  foreach(kind op attr type)
    string(TOUPPER ${kind} upper)
    foreach(td IN LISTS ARG_${upper}_INTERFACES)
      partita_stem(${td} "" stem)
      partita_tablegen_pair(${td} ${stem} ${kind}-interface)
    endforeach()
  endforeach()
  foreach(td IN LISTS ARG_PASSES)
    partita_stem(${td} "" stem)
    get_filename_component(group "${CMAKE_CURRENT_SOURCE_DIR}" NAME)
    partita_tablegen(${td} ${stem}.h.inc -gen-pass-decls -name=${group})
  endforeach()
  foreach(td IN LISTS ARG_REWRITERS)
    partita_stem(${td} "" stem)
    partita_tablegen(${td} ${stem}.inc -gen-rewriters)
  endforeach()
endmacro()

# The lists that partita_tablegen_all reads.
set(PARTITA_TABLEGEN_LISTS OPS DIALECT ATTRS TYPES ENUMS OP_INTERFACES
  ATTR_INTERFACES TYPE_INTERFACES PASSES REWRITERS)

# add_partita_tablegen(NAME [PASSES td...] [REWRITERS td...] [OP_INTERFACES td...]
#                      [OPS td...] ... [NAMESPACE dialect])
#
# A target that generates the files, for a library that is no dialect: link the
# library to it, and whatever links the library finds them generated too. The
# passes are grouped under the folder's name.
function(add_partita_tablegen name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "NAMESPACE"
    "${PARTITA_TABLEGEN_LISTS}")
  partita_tablegen_all()
  add_custom_target(${name}Generate DEPENDS ${partita_generated})
  add_library(${name} INTERFACE)
  add_dependencies(${name} ${name}Generate)
endfunction()

# add_partita_dialect(NAME NAMESPACE dialect [DIALECT td] [OPS td...]
#                     [ATTRS td...] [TYPES td...] [ENUMS td...]
#                     [OP_INTERFACES td...] [ATTR_INTERFACES td...]
#                     [TYPE_INTERFACES td...] [PASSES td...] [REWRITERS td...]
#                     [SOURCES file...] [LINK library...])
#
# A static library with MLIR, and the files generated for it. dialects/nn/A.td
# gives "dialects/nn/S.h.inc" and "dialects/nn/S.cpp.inc", where S is
#
#   OPS, *_INTERFACES   A                (one pair for each family of operations)
#   DIALECT             ADialect, or A where it ends in Dialect
#   ATTRS TYPES ENUMS   AAttrs, ATypes, AEnums, or A where it ends so
#   PASSES              A                (S.h.inc alone)
#   REWRITERS           A                (S.inc alone)
function(add_partita_dialect name)
  set(PARTITA_EXTRA_ONE_VALUE NAMESPACE)
  set(PARTITA_EXTRA_MULTI_VALUE "${PARTITA_TABLEGEN_LISTS}")
  partita_parse(${ARGV})
  if(NOT ARG_NAMESPACE)
    message(FATAL_ERROR "add_partita_dialect(${name}): NAMESPACE is missing")
  endif()
  partita_tablegen_all()
  add_custom_target(${name}Generate DEPENDS ${partita_generated})
  add_library(${name} STATIC ${ARG_SOURCES})
  add_dependencies(${name} ${name}Generate)
  partita_configure_target(${name} PUBLIC ON
    "${ARG_NO_PCH}" "${ARG_OPTIMIZE}" ${ARG_LINK})
endfunction()

#===----------------------------------------------------------------------===#
# The tree
#===----------------------------------------------------------------------===#

# Adds every folder under the given ones that has a CMakeLists.txt, at any
# depth: a new folder is found by itself, and none calls add_subdirectory.
function(add_partita_directories)
  foreach(root ${ARGN})
    file(GLOB_RECURSE lists CONFIGURE_DEPENDS
      RELATIVE "${PROJECT_SOURCE_DIR}"
      "${PROJECT_SOURCE_DIR}/${root}/CMakeLists.txt")
    list(SORT lists)
    foreach(list ${lists})
      get_filename_component(directory "${list}" DIRECTORY)
      add_subdirectory("${directory}")
    endforeach()
  endforeach()
endfunction()

# Writes what the tests need to know of the finished tree.
function(partita_finish)
  get_property(unittests GLOBAL PROPERTY PARTITA_UNITTESTS)
  list(TRANSFORM unittests PREPEND "${PROJECT_BINARY_DIR}/unittests/"
    OUTPUT_VARIABLE paths)
  list(JOIN paths "\n" text)
  file(WRITE "${PROJECT_BINARY_DIR}/unittests.txt" "${text}\n")
  add_custom_target(partita-unittests DEPENDS ${unittests})
endfunction()
