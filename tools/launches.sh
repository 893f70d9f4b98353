#!/usr/bin/env bash
# Counts what a GPU is asked to do: kernels launched, and compiled, for a frame, for a prompt and for a token of the built-in
# model. CubeCL's log is counted, of runs that differ in one number.
#
#   tools/launches.sh PROGRAM DEVICE [DTYPE]      PROGRAM is the example gpu_work, built with the device's feature
set -euo pipefail
program=$(realpath "$1") device=$2 dtype=${3:-f32}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >cubecl.toml <<'TOML'
[profiling]
logger = { level = "minimal", file = "launched" }
[compilation]
logger = { level = "basic", file = "compiled" }
[autotune]
level = "minimal"
TOML

# Lines of the log of a run. The first fills the caches on disk, so that the second launches nothing to find the fastest kernel.
run() {
    "$program" "$device" "$dtype" "$@" >/dev/null
    rm -f launched
    "$program" "$device" "$dtype" "$@" >/dev/null
    cp launched "launched-$1-$2-$3"
    wc -l <launched
}
count() {
    local more less
    more=$(run "$2" "$3" "$4") less=$(run "$5" "$6" "$7")
    echo "$1: $(((more - less) / $8)) launches"
    diff <(sort "launched-$2-$3-$4" | uniq -c | sort -rn) <(sort "launched-$5-$6-$7" | uniq -c | sort -rn) | head "-${SHOW:-0}" || true
}
count "a token" 0 64 24 0 64 8 16
count "a position of a prompt" 0 64 1 0 32 1 32
count "a frame" 24 0 0 8 0 0 16
