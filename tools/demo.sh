#!/usr/bin/env bash
# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# Shows Partita at work on a real model: MiniLM, which turns sentences into
# vectors, with its published weights. Installs what is missing, builds, compiles
# the model for 1, 2 and 4 ranks (whole, tensor parallel, and data and tensor
# parallel), embeds the same sentences with each, and compares with ONNX Runtime.
# Exits with 0 only if all agree to 1e-4.
#
#   tools/demo.sh                    build/release
#   tools/demo.sh --preset dev       any preset of CMakePresets.json
#   tools/demo.sh --no-setup         take the machine as it is
#   tools/demo.sh --no-build         take the build as it is
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD

usage() { sed -n '5,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

preset=release setup=yes build=yes
while (($#)); do
  case $1 in
  --preset) preset=${2:?--preset needs a name} && shift ;;
  --no-setup) setup=no ;;
  --no-build) build=no ;;
  -h | --help) usage && exit 0 ;;
  *) echo "demo.sh: unknown option '$1' (try --help)" >&2 && exit 1 ;;
  esac
  shift
done

tolerance=1e-4
sequence=32
python=$root/.venv/bin/python3
partita=$root/build/$preset/bin/partita
work=$root/build/demo
export PYTHONPATH=$root/python${PYTHONPATH:+:$PYTHONPATH} PARTITA_PYTHON=$python

say() { printf '\n=== %s\n' "$*"; }
fail() { printf '\nVERDICT: the demo failed: %s\n' "$*" && exit 1; }
trap 'fail "line $LINENO exited with $?"' ERR

if [[ $setup == yes ]]; then
  say "Installing what is missing"
  bash tools/setup.sh
fi
if [[ $build == yes ]]; then
  say "Building the compiler and its runtime ($preset)"
  [[ -f build/$preset/build.ninja ]] || cmake --preset "$preset" >/dev/null
  cmake --build "build/$preset" --target partita partita_runtime
fi

rm -rf "$work"
mkdir -p "$work"
cat >"$work/sentences.txt" <<'SENTENCES'
A man is eating food.
Someone is having a meal.
The stock market fell sharply today.
Shares dropped in heavy trading.
A cheetah is chasing its prey across the savanna.
A big cat runs after an antelope.
The violinist played a slow melody.
Music filled the concert hall.
SENTENCES
sentences=$(wc -l <"$work/sentences.txt")

say "MiniLM: $sentences sentences of at most $sequence tokens"
"$python" -m partita.zoo export minilm -o "$work/minilm.onnx"
"$python" -m partita.minilm tokenise "$work/sentences.txt" \
  --sequence "$sequence" -o "$work/inputs"
inputs=()
for file in "$work"/inputs/*.npy; do
  inputs+=(--input "$(basename "$file" .npy)=$file")
done

say "ONNX Runtime, the reference"
"$python" -m partita.reference "$work/minilm.onnx" --inputs "$work/inputs" \
  --outputs "$work/reference"
"$python" -m partita.minilm embed --inputs "$work/inputs" \
  --outputs "$work/reference" -o "$work/reference.npy"
echo "done"

agreements=()
for split in "1 dp=1" "2 tp=2" "4 dp=2,tp=2"; do
  read -r ranks mesh <<<"$split"
  say "Partita on $ranks rank(s), mesh $mesh"
  out=$work/minilm-$ranks
  "$partita" compile "$work/minilm.onnx" --topology "cpu:$ranks" \
    --mesh "$mesh" --dim "batch=$sentences" --dim "sequence=$sequence" -o "$out"
  "$out" "${inputs[@]}" --output-dir "$work/outputs-$ranks"
  "$python" -m partita.minilm embed --inputs "$work/inputs" \
    --outputs "$work/outputs-$ranks" -o "$work/embeddings-$ranks.npy"
  verdict=$("$python" -m partita.minilm compare "$work/embeddings-$ranks.npy" \
    "$work/reference.npy" --tolerance "$tolerance") ||
    fail "on $ranks ranks, MiniLM does not agree with ONNX Runtime"
  echo "$verdict"
  agreements+=("$(printf '%s rank(s), mesh %-10s  %s' "$ranks" "$mesh:" "$verdict")")
done

say "Each sentence with the one most like it (cosine), as embedded on 4 ranks"
"$python" -m partita.minilm similar "$work/sentences.txt" \
  "$work/embeddings-4.npy"

say "VERDICT: MiniLM gives the same embeddings whole and split"
printf '  %s\n' "${agreements[@]}"
echo "  The executables are $work/minilm-{1,2,4}."
