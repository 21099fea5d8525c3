//===- Inputs.cpp - Tensors for a program's inputs ------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Inputs.h"
#include "Compare.h"
#include "partita/Runtime/RandomInputs.h"
#include "partita/Support/Npy.h"
#include <filesystem>

using namespace partita;
using namespace partita::tool;
using runtime::PortInfo;

std::string tool::tensorFileName(const std::string &name) {
  std::string file = name;
  for (char &c : file)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' &&
        c != '-')
      c = '_';
  if (file.empty() || file[0] == '.')
    file = "_" + file;
  return file + ".npy";
}

Result<std::vector<HostTensor>>
tool::makeInputs(const std::vector<PortInfo> &ports,
                 const std::map<std::string, std::string> &given,
                 uint64_t seed) {
  std::vector<HostTensor> tensors;
  std::map<std::string, std::string> unused = given;
  std::string names;
  for (size_t i = 0; i < ports.size(); ++i) {
    const PortInfo &port = ports[i];
    names += (names.empty() ? "" : ", ") + port.name;
    auto it = unused.find(port.name);
    if (it == unused.end()) {
      PARTITA_TRY(HostTensor made, runtime::randomInput(port, seed, i));
      tensors.push_back(std::move(made));
      continue;
    }
    PARTITA_TRY(HostTensor tensor, readNpyAs(it->second, port.dtype));
    if (tensor.dtype() != port.dtype || tensor.shape() != port.shape)
      return makeError(
          ExitCode::InvalidInput, "input.type", "input '" + port.name + "'",
          it->second + " holds " + std::string(dtypeName(tensor.dtype())) +
              shapeText(tensor.shape()) + ", and the model takes " +
              std::string(dtypeName(port.dtype)) + shapeText(port.shape),
          "python3 -m partita.inputs makes inputs that fit");
    tensors.push_back(std::move(tensor));
    unused.erase(it);
  }
  if (!unused.empty())
    return makeError(ExitCode::InvalidInput, "input.name",
                     "--input " + unused.begin()->first,
                     "the model has no such input", "its inputs are: " + names);
  return tensors;
}

Status tool::writeTensors(const std::string &folder,
                          const std::vector<PortInfo> &ports,
                          const std::vector<HostTensor> &tensors) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error)
    return makeError(ExitCode::InvalidInput, "output.folder", folder,
                     "cannot be made: " + error.message(),
                     "name a folder in one that exists and can be written");
  for (size_t i = 0; i < ports.size(); ++i)
    PARTITA_CHECK(
        writeNpy(folder + "/" + tensorFileName(ports[i].name), tensors[i]));
  return ok();
}

Result<std::map<std::string, std::string>>
tool::parseGivenInputs(const std::vector<std::string> &items) {
  std::map<std::string, std::string> given;
  for (const std::string &item : items) {
    size_t equals = item.rfind('=');
    if (equals == std::string::npos || equals == 0 ||
        equals + 1 == item.size() ||
        !given.emplace(item.substr(0, equals), item.substr(equals + 1)).second)
      return makeError(ExitCode::Usage, "usage.input", "--input " + item,
                       "is not NAME=FILE.npy, each name once",
                       "write --input x=x.npy --input y=y.npy");
  }
  return given;
}
