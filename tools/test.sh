#!/usr/bin/env bash
# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# Installs what is missing, builds everything and runs every test there is:
# the layering rules, the Catch2 programs, the lit tests, the pytest ones and,
# for a while, the fuzzers.
# Its last line is `N passed, N failed, N skipped`; it exits with 0 only if
# tests ran and none failed.
#
#   tools/test.sh                    build/ci: optimised, with assertions
#   tools/test.sh --preset asan      any preset of CMakePresets.json
#   tools/test.sh --no-setup         take the machine as it is
#   tools/test.sh --only lit,unit    some of: layering unit lit pytest fuzz
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD

usage() { sed -n '5,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

preset=ci
setup=yes
only=layering,unit,lit,pytest,fuzz
while (($#)); do
  case $1 in
  --preset) preset=${2:?--preset needs a name} && shift ;;
  --only) only=${2:?--only needs a list of suites} && shift ;;
  --no-setup) setup=no ;;
  -h | --help) usage && exit 0 ;;
  *) echo "test.sh: unknown option '$1' (try --help)" >&2 && exit 1 ;;
  esac
  shift
done

build=$root/build/$preset
results=$build/test-results
python=$root/.venv/bin/python3
jobs=$(nproc)

say() { printf '\n=== %s (%dm%02ds)\n' "$*" $((SECONDS / 60)) $((SECONDS % 60)); }

# Ends the run before any test could: that is a failure, and counted as one.
give_up() {
  printf '\ntest.sh: %s\n\n0 passed, 1 failed, 0 skipped\n' "$*"
  exit 1
}

wanted() { [[ ,$only, == *,$1,* ]]; }

# Runs a suite. What it found it writes to $results/NAME.xml, in the format that
# the second argument names; how it ended goes beside it.
run_suite() {
  local name=$1 format=$2 limit=$3
  shift 3
  say "$name"
  timeout --kill-after=10 "$limit" "$@" </dev/null
  echo "$format $?" >"$results/$name.status"
}

if [[ $setup == yes ]]; then
  say "setup"
  bash tools/setup.sh --export || give_up "tools/setup.sh failed"
fi

say "build of the preset '$preset'"
cmake --preset "$preset" || give_up "the configuration failed"
cmake --build "$build" -- -k 0 || give_up "the build failed"

if wanted fuzz; then
  say "build of the fuzzers"
  cmake --preset fuzz || give_up "the configuration of the fuzzers failed"
  cmake --build build/fuzz --target fuzzers -- -k 0 ||
    give_up "the build of the fuzzers failed"
fi

rm -rf "$results"
mkdir -p "$results"
export PARTITA_BUILD_DIR=$build PARTITA_PYTHON=$python
export PYTHONPATH=$root/python${PYTHONPATH:+:$PYTHONPATH}

if wanted layering; then
  run_suite layering junit 60 \
    "$python" tools/check-layering.py --xunit "$results/layering.xml"
fi

if wanted unit; then
  while read -r program; do
    [[ -n $program ]] || continue
    name=$(basename "$program")
    run_suite "$name" catch 900 "$program" -r xml -o "$results/$name.xml"
  done <"$build/unittests.txt"
fi

if wanted lit && [[ -n $(find test -name '*.mlir' -o -name '*.test') ]]; then
  run_suite lit junit 1800 .venv/bin/lit -v -j "$jobs" --no-progress-bar \
    --timeout 300 --xunit-xml-output "$results/lit.xml" "$build/test"
fi

if wanted pytest && [[ -n $(find test/python -name 'test_*.py' 2>/dev/null) ]]; then
  run_suite pytest junit 3000 "$python" -m pytest -q -p no:cacheprovider \
    --durations 10 --junitxml "$results/pytest.xml" test/python
fi

if wanted fuzz; then
  run_suite fuzz junit 900 tools/fuzz.sh --no-build --repeatable \
    --junit "$results/fuzz.xml"
fi

say "results"
exec "$python" tools/test-report.py "$results"
