//===- Empty.cpp - What a precompiled header is built with ----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// CMake builds a precompiled header as part of a target, and a target needs a
// source file. This is it: all its content is the precompiled header.
//
//===----------------------------------------------------------------------===//
