#!/usr/bin/env bash
# Writes a checkpoint whose language model is fitted to int4 on a text, so that `--quantize int4` loses less:
# tools/int4.sh MODEL OUT TEXT… [--tokens N]. tools/int4.py says how. Python packages go to a virtual environment.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
packages=(--no-deps numpy==2.4.6 tokenizers==0.23.3)

venv=$("$root/tools/venv.sh" "$target/int4" "${packages[@]}")
[ -n "$venv" ] || exit 0
"$venv/bin/python" "$root/tools/int4.py" "$@"
