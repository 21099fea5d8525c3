//===- Fabric.cpp - Loading a communication library -----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Plugins lie beside the runtime's library and stay loaded.
//
//===----------------------------------------------------------------------===//

#include "Fabric.h"
#include <dlfcn.h>

using namespace partita;
using namespace partita::runtime;

/// "DIR/" of the library that this function is in.
static std::string ownFolder() {
  Dl_info info{};
  if (!::dladdr(reinterpret_cast<void *>(&ownFolder), &info) || !info.dli_fname)
    return "";
  std::string path = info.dli_fname;
  return path.substr(0, path.rfind('/') + 1);
}

Result<std::unique_ptr<Fabric>>
partita::runtime::makeFabric(const std::string &communicator,
                             const FabricOptions &options) {
  std::string path = ownFolder() + "libpartita_" + communicator + ".so";
  auto refuse = [&](const char *why) {
    return makeError(ExitCode::Unsupported, "run.communicator",
                     "--communicator " + communicator,
                     std::string("cannot be loaded: ") + (why ? why : path),
                     "--communicator threads needs nothing; else build Partita "
                     "with that library and compile the model again");
  };
  void *library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return refuse(::dlerror());
  using Get = MakeFabric *();
  auto get = reinterpret_cast<Get *>(::dlsym(library, "partita_fabric"));
  if (!get)
    return refuse(::dlerror());
  return (*get())(options);
}
