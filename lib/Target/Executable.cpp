//===- Executable.cpp - Object file, link, package ------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The program is written as an object file of its own: the serialised table in
// read-only data, a table of kernel addresses, and a main that passes both to
// the runtime. It is linked with the kernels against the runtime's shared
// library, which is put beside the executable, in OUT.d, with the libraries
// that it needs: the executable finds them by $ORIGIN.
//
//===----------------------------------------------------------------------===//

#include "partita/Support/File.h"
#include "partita/Support/Transient.h"
#include "partita/Target/Target.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/TargetParser/Host.h"
#include <dlfcn.h>
#include <filesystem>
#include <link.h>

using namespace partita;
namespace fs = std::filesystem;

//===----------------------------------------------------------------------===//
// The object file
//===----------------------------------------------------------------------===//

static std::unique_ptr<llvm::Module>
makeModule(llvm::LLVMContext &context, const runtime::Program &program) {
  auto module = std::make_unique<llvm::Module>("partita", context);
  llvm::IRBuilder<> builder(context);
  llvm::Type *ptr = builder.getPtrTy();
  auto constant = [&](llvm::Constant *value, const char *name) {
    auto *global = new llvm::GlobalVariable(
        *module, value->getType(), /*isConstant=*/true,
        llvm::GlobalValue::PrivateLinkage, value, name);
    global->setAlignment(llvm::Align(64));
    return global;
  };
  std::vector<std::byte> bytes = runtime::serialize(program);
  auto *data = llvm::ConstantDataArray::getString(
      context,
      llvm::StringRef(reinterpret_cast<const char *>(bytes.data()),
                      bytes.size()),
      /*AddNull=*/false);
  auto *kernelType = llvm::FunctionType::get(builder.getVoidTy(), {ptr, ptr},
                                             /*isVarArg=*/false);
  std::vector<llvm::Constant *> kernels;
  for (const std::string &name : program.kernelNames)
    kernels.push_back(llvm::Function::Create(
        kernelType, llvm::GlobalValue::ExternalLinkage, name, *module));
  auto *table = llvm::ConstantArray::get(
      llvm::ArrayType::get(ptr, kernels.size()), kernels);
  auto *description = llvm::ConstantStruct::getAnon(
      {constant(data, "program"), builder.getInt64(bytes.size()),
       constant(table, "kernels"), builder.getInt64(kernels.size())});
  auto *global = constant(description, "module");
  // int main(int argc, char **argv) { return partita_main(argc, argv, &m); }
  llvm::Type *i32 = builder.getInt32Ty();
  auto *runtimeMain = llvm::Function::Create(
      llvm::FunctionType::get(i32, {i32, ptr, ptr}, false),
      llvm::GlobalValue::ExternalLinkage, "partita_main", *module);
  auto *main = llvm::Function::Create(
      llvm::FunctionType::get(i32, {i32, ptr}, false),
      llvm::GlobalValue::ExternalLinkage, "main", *module);
  builder.SetInsertPoint(llvm::BasicBlock::Create(context, "", main));
  builder.CreateRet(builder.CreateCall(
      runtimeMain, {main->getArg(0), main->getArg(1), global}));
  return module;
}

static Status emitObject(const runtime::Program &program,
                         const std::string &path) {
  auto fail = [&](const std::string &what) {
    return makeError(ExitCode::Internal, "target.object", path, what);
  };
  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter();
  llvm::Triple triple(llvm::sys::getDefaultTargetTriple());
  std::string message;
  const llvm::Target *target =
      llvm::TargetRegistry::lookupTarget(triple, message);
  if (!target)
    return fail(message);
  std::unique_ptr<llvm::TargetMachine> machine(
      target->createTargetMachine(triple, "x86-64", "", {}, llvm::Reloc::PIC_));
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> module = makeModule(context, program);
  module->setTargetTriple(triple);
  module->setDataLayout(machine->createDataLayout());
  std::error_code error;
  llvm::raw_fd_ostream stream(path, error);
  if (error)
    return makeError(ExitCode::InvalidInput, "target.write", path,
                     error.message(), "choose a writable place with space");
  llvm::legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, stream, nullptr,
                                   llvm::CodeGenFileType::ObjectFile))
    return fail("the target cannot emit object files");
  passes.run(*module);
  stream.close();
  if (stream.has_error()) {
    std::string what = stream.error().message();
    stream.clear_error();
    return makeError(ExitCode::InvalidInput, "target.write", path, what,
                     "choose a writable place with space");
  }
  return ok();
}

//===----------------------------------------------------------------------===//
// Libraries
//===----------------------------------------------------------------------===//

static constexpr const char *runtimeName = "libpartita_runtime.so";

/// The folder of libpartita_runtime.so: beside the running tool, or where
/// PARTITA_RUNTIME_DIR says.
static Result<fs::path> findRuntime() {
  std::vector<fs::path> folders;
  if (const char *dir = std::getenv("PARTITA_RUNTIME_DIR"))
    folders.push_back(dir);
  std::error_code error;
  fs::path self = fs::read_symlink("/proc/self/exe", error);
  folders.push_back(self.parent_path().parent_path() / "lib");
  for (const fs::path &folder : folders)
    if (fs::exists(folder / runtimeName, error))
      return folder / runtimeName;
  return makeError(ExitCode::Unsupported, "target.runtime", runtimeName,
                   "the runtime library is not in " + folders.back().string(),
                   "build the target partita_runtime, or set "
                   "PARTITA_RUNTIME_DIR to its folder");
}

/// What the runtime loads when ranks are processes; a build may lack them.
static constexpr const char *glooName = "libpartita_gloo.so";
static constexpr const char *mpiName = "libpartita_mpi.so";

/// The files of libraries that the runtime needs and a bare system lacks. The
/// compiler uses them too, or loads them here with the plugin, so the dynamic
/// linker has found them. MPI itself is not one of them: it belongs to a
/// machine and its launcher.
static std::vector<fs::path> findNeeded(const fs::path &folder) {
  std::vector<fs::path> found;
  if (::dlopen((folder / glooName).c_str(), RTLD_LAZY | RTLD_LOCAL))
    found.push_back(folder / glooName);
  std::error_code error;
  if (fs::exists(folder / mpiName, error))
    found.push_back(folder / mpiName);
  auto visit = [](dl_phdr_info *info, size_t, void *data) {
    std::string name = fs::path(info->dlpi_name).filename().string();
    for (const char *prefix :
         {"libdnnl.so", "libgomp.so", "libOpenCL.so", "libgloo.so",
          "libhiredis.so", "libibverbs.so", "libnl-3.so", "libnl-route-3.so"})
      if (name.rfind(prefix, 0) == 0)
        static_cast<std::vector<fs::path> *>(data)->push_back(info->dlpi_name);
    return 0;
  };
  dl_iterate_phdr(visit, &found);
  return found;
}

static Status copyInto(const fs::path &from, const fs::path &folder) {
  std::error_code error;
  fs::copy_file(from, folder / from.filename(),
                fs::copy_options::overwrite_existing, error);
  if (error)
    return makeError(ExitCode::InvalidInput, "target.write",
                     (folder / from.filename()).string(), error.message(),
                     "choose a writable place with space");
  return ok();
}

//===----------------------------------------------------------------------===//
// Link
//===----------------------------------------------------------------------===//

static Status link(const std::vector<std::string> &objects,
                   const fs::path &libraryFolder, const std::string &rpath,
                   const fs::path &out) {
  llvm::ErrorOr<std::string> driver = std::error_code();
  for (const char *name : {"clang-22", "clang", "cc"})
    if ((driver = llvm::sys::findProgramByName(name)))
      break;
  if (!driver)
    return makeError(ExitCode::Unsupported, "target.linker", "cc",
                     "no linker driver was found (clang-22, clang, cc)",
                     "apt-get install clang-22 lld-22");
  std::vector<std::string> args = {*driver};
  args.insert(args.end(), objects.begin(), objects.end());
  if (llvm::sys::findProgramByName("ld.lld-22") &&
      llvm::StringRef(*driver).contains("clang"))
    args.push_back("-fuse-ld=lld");
#if __has_feature(address_sanitizer)
  // The runtime is instrumented, so its process must be.
  args.push_back("-fsanitize=address,undefined");
#endif
  args.insert(args.end(),
              {"-L" + libraryFolder.string(), "-lpartita_runtime", "-lm",
               // A name may have commas.
               "-Xlinker", "-rpath", "-Xlinker", "$ORIGIN/" + rpath,
               "-Wl,--build-id=none", "-Wl,--allow-shlib-undefined", "-o",
               out.string()});
  std::vector<llvm::StringRef> refs(args.begin(), args.end());
  fs::path log = out.string() + ".log";
  std::optional<llvm::StringRef> redirects[] = {llvm::StringRef(""),
                                                llvm::StringRef(log.native()),
                                                llvm::StringRef(log.native())};
  std::string message;
  int code = llvm::sys::ExecuteAndWait(*driver, refs, std::nullopt, redirects,
                                       /*SecondsToWait=*/300,
                                       /*MemoryLimit=*/0, &message);
  if (code == 0)
    return ok();
  if (auto text = llvm::MemoryBuffer::getFile(log.native()))
    message += (*text)->getBuffer().take_front(2000).str();
  return makeError(ExitCode::InvalidInput, "target.link", out.string(),
                   "linking failed: " + message,
                   "is there space, and is the place writable?");
}

/// Puts finished files in place: the folder first, so that the executable never
/// stands without its libraries.
static Status publish(const fs::path &newExe, const fs::path &newDir,
                      const fs::path &exe, const fs::path &dir) {
  std::error_code error;
  fs::remove_all(dir, error);
  fs::rename(newDir, dir, error);
  if (!error)
    fs::rename(newExe, exe, error);
  if (error)
    return makeError(ExitCode::InvalidInput, "target.write", exe.string(),
                     error.message(), "choose a writable place");
  return ok();
}

Status partita::writeExecutable(const runtime::Program &program,
                                const std::vector<char> &kernelObject,
                                const std::string &out) {
  PARTITA_TRY(fs::path runtimeLibrary, findRuntime());
  fs::path exe = fs::absolute(out), dir = exe.string() + ".d";
  std::error_code error;
  if (fs::is_directory(exe, error) || exe.filename().empty() ||
      (fs::exists(exe, error) && !fs::is_regular_file(exe, error)))
    return makeError(ExitCode::InvalidInput, "target.write", out,
                     "this is not a place for an executable",
                     "name a new file or an old executable");
  // The folder will be replaced, so it must be one of ours.
  if (fs::exists(dir, error) && !fs::exists(dir / runtimeName, error) &&
      !(fs::is_directory(dir, error) && fs::is_empty(dir, error)))
    return makeError(ExitCode::InvalidInput, "target.write", dir.string(),
                     "is in the way: the libraries of " + out + " go there",
                     "choose another name for the executable");
  std::string unique = ".tmp" + std::to_string(getpid());
  fs::path work = exe.string() + unique;
  TransientPath transient(work.string());
  llvm::scope_exit cleanup([&] {
    std::error_code ignored;
    fs::remove_all(work, ignored);
  });
  // The folder that it goes to must be there: a mistyped path is not made true.
  fs::create_directory(work, error);
  if (!error)
    fs::create_directory(work / "lib", error);
  if (error)
    return makeError(ExitCode::InvalidInput, "target.write", out,
                     error.message(), "choose a writable place");
  PARTITA_CHECK(copyInto(runtimeLibrary, work / "lib"));
  for (const fs::path &library : findNeeded(runtimeLibrary.parent_path()))
    PARTITA_CHECK(copyInto(library, work / "lib"));
  std::vector<std::string> objects = {(work / "program.o").string()};
  PARTITA_CHECK(emitObject(program, objects[0]));
  if (!kernelObject.empty()) {
    objects.push_back((work / "kernels.o").string());
    PARTITA_CHECK(writeFileAtomically(
        objects[1], {kernelObject.data(), kernelObject.size()}));
  }
  PARTITA_CHECK(link(objects, work / "lib", dir.filename().string(),
                     work / "executable"));
  return publish(work / "executable", work / "lib", exe, dir);
}
