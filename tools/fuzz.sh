#!/usr/bin/env bash
# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# Builds the fuzzers of test/fuzz, gives them their seeds and runs each for some
# time. Exits with 1 on a finding, and says where the input lies that shows it and
# how to run it again.
#
#   tools/fuzz.sh                    every target for 60 seconds
#   tools/fuzz.sh --seconds 1200     for another time
#   tools/fuzz.sh --target Import    one target (again for more than one)
#   tools/fuzz.sh --jobs 1           targets at a time; as many as processors
#   tools/fuzz.sh --repeatable       so many inputs, and the same ones each time
#   tools/fuzz.sh --junit FILE       writes the results there, too
#   tools/fuzz.sh --no-build         takes the fuzzers that are there
#
# What the fuzzers learn is kept in build/fuzz/corpus, their findings and logs in
# build/fuzz/findings. A finding that was mended belongs in
# test/fuzz/crashers/TARGET, which every run and test_hostile_files.py repeat.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() { sed -n '5,21s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }
die() { echo "fuzz.sh: $*" >&2 && exit 1; }

seconds=60
targets=()
jobs=$(nproc)
repeatable=no
junit=
build=yes
while (($#)); do
  case $1 in
  --seconds) seconds=${2:?--seconds needs a number} && shift ;;
  --target) targets+=("${2:?--target needs a name}") && shift ;;
  --jobs) jobs=${2:?--jobs needs a number} && shift ;;
  --repeatable) repeatable=yes ;;
  --junit) junit=${2:?--junit needs a file} && shift ;;
  --no-build) build=no ;;
  -h | --help) usage && exit 0 ;;
  *) die "unknown option '$1' (try --help)" ;;
  esac
  shift
done

known=()
for folder in test/fuzz/*/CMakeLists.txt; do
  known+=("$(basename "$(dirname "$folder")")")
done
((${#targets[@]})) || targets=("${known[@]}")
for target in "${targets[@]}"; do
  [[ -d test/fuzz/$target ]] || die "there is no target '$target', only ${known[*]}"
done

if [[ $build == yes ]]; then
  cmake --preset fuzz || die "the configuration failed"
  cmake --build build/fuzz --target fuzzers || die "the build failed"
fi

#===------------------------------------------------------------------------===#
# Seeds
#===------------------------------------------------------------------------===#

findings=build/fuzz/findings
seeds=build/fuzz/seeds
mkdir -p "$findings"
if [[ test/fuzz/seeds.py -nt $seeds/.made ]]; then
  rm -rf "$seeds"
  PYTHONPATH=python .venv/bin/python3 test/fuzz/seeds.py "$seeds" ||
    die "the seeds cannot be made"
  touch "$seeds/.made"
fi

# Readers take paths: their files are in memory where there is such a place.
scratch=$(mktemp -d -p "$([[ -w /dev/shm ]] && echo /dev/shm || echo /tmp)")
trap 'rm -rf "$scratch"' EXIT
export TMPDIR=$scratch
export ASAN_SYMBOLIZER_PATH=${ASAN_SYMBOLIZER_PATH:-/usr/lib/llvm-22/bin/llvm-symbolizer}

#===------------------------------------------------------------------------===#
# Runs
#===------------------------------------------------------------------------===#

limits=(-timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=1024)

# Longer inputs are slower and show little more.
longest() {
  case $1 in
  Import) echo 8192 ;;
  Topology) echo 512 ;;
  Instance) echo 1024 ;;
  *) echo 4096 ;;
  esac
}

# What takes most of a minute on one processor. A change that has nothing to do
# with what is found must not fail because a fuzzer was lucky.
enough() {
  case $1 in
  Import) echo 30000 ;;
  Topology) echo 250000 ;;
  PlanFile) echo 150000 ;;
  Instance) echo 10000 ;;
  Certificate) echo 300000 ;;
  *) echo 1000000 ;;
  esac
}

# Runs a target; its exit code lies in $findings/TARGET.status afterwards.
fuzz() {
  local target=$1 corpus=build/fuzz/corpus/$1 extra=() code
  mkdir -p "$corpus"
  [[ -d test/fuzz/crashers/$target ]] && extra=("test/fuzz/crashers/$target")
  if [[ $repeatable == yes ]]; then
    corpus=$scratch/$target
    mkdir "$corpus"
    extra+=(-seed=1 "-runs=$(enough "$target")")
  fi
  timeout --kill-after=10 $((seconds + 300)) \
    "build/fuzz/fuzzers/Fuzz$target" "${limits[@]}" \
    -max_total_time="$seconds" -max_len="$(longest "$target")" \
    -artifact_prefix="$findings/$target-" -print_final_stats=1 \
    "$corpus" "$seeds/$target" "${extra[@]}" \
    >"$findings/$target.log" 2>&1 </dev/null
  code=$?
  echo $code >"$findings/$target.status"
  report "$target" $code
}

# One line for a target that found nothing, what is needed for one that did.
report() {
  local target=$1 code=$2 log=$findings/$1.log input
  if ((code == 0)); then
    echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") runs," \
      "$(grep -o 'cov: [0-9]*' "$log" | tail -n 1 | cut -d' ' -f2) edges, no finding"
    return
  fi
  input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
  echo "$target: FINDING (exit code $code), see $log"
  grep -m 1 -E '^SUMMARY|^finding|ERROR: ' "$log"
  [[ -z $input ]] || echo "  again: build/fuzz/fuzzers/Fuzz$target ${limits[*]} $input"
}

rm -f "$findings"/*.status
for target in "${targets[@]}"; do
  while (($(jobs -rp | wc -l) >= jobs)); do
    wait -n
  done
  fuzz "$target" &
done
wait

#===------------------------------------------------------------------------===#
# Results
#===------------------------------------------------------------------------===#

failed=0
cases=
for target in "${targets[@]}"; do
  code=$(cat "$findings/$target.status" 2>/dev/null || echo none)
  failure=
  if [[ $code != 0 ]]; then
    failed=1
    failure="<failure message=\"a finding (exit code $code)\"/>"
  fi
  cases+="<testcase classname=\"fuzz\" name=\"$target\">$failure</testcase>"
done
[[ -z $junit ]] || echo "<testsuite name=\"fuzz\">$cases</testsuite>" >"$junit"
exit $failed
