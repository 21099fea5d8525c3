//===- Inputs.h - Tensors for a program's inputs ---------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// `verify` and `bench` feed several programs with the same inputs, so the
// inputs are files: NAME.npy, where every character of NAME outside A-Z a-z 0-9
// . _ - is an underscore, as the Python package and the executables have it.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOOLS_PARTITA_INPUTS_H
#define PARTITA_TOOLS_PARTITA_INPUTS_H

#include "partita/Runtime/Program.h"
#include "partita/Support/HostTensor.h"
#include <map>

namespace partita::tool {

/// "a/b:0" -> "a_b_0.npy".
std::string tensorFileName(const std::string &name);

/// A tensor for each input: `given` names .npy files, the others are
/// what an executable makes of `--random-inputs seed`.
/// Errors: exit code 2 for a file that names no input or holds another type or
/// shape.
Result<std::vector<HostTensor>>
makeInputs(const std::vector<runtime::PortInfo> &ports,
           const std::map<std::string, std::string> &given, uint64_t seed);

/// Writes `tensors` into `folder`, which is made if there is none.
Status writeTensors(const std::string &folder,
                    const std::vector<runtime::PortInfo> &ports,
                    const std::vector<HostTensor> &tensors);

/// Parses NAME=FILE items. Errors: exit code 1.
Result<std::map<std::string, std::string>>
parseGivenInputs(const std::vector<std::string> &items);

} // namespace partita::tool

#endif // PARTITA_TOOLS_PARTITA_INPUTS_H
