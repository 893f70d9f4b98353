#!/usr/bin/env bash
# OpenAI's Python client against `longvu serve` with the built-in model: the example, and tests of what the server does with
# that client. Python packages go to a virtual environment. Arguments go to `python -m unittest`.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
work=$target/clients
packages=(openai==3.57.0)

venv=$(tools/venv.sh "$work" "${packages[@]}")
[ -n "$venv" ] || exit 0

cargo build --quiet --bins --example videos
videos=$work/videos
if [ ! -e "$videos/list.jsonl" ] || [ ! -e "$videos/long/list.jsonl" ]; then
    "$target/debug/examples/videos" "$videos/long" 1 120 128 >/dev/null
    "$target/debug/examples/videos" "$videos" 3 6 128 >/dev/null
fi

export LONGVU_TEST_PROGRAM=$target/debug/longvu LONGVU_TEST_VIDEOS=$videos
# With random weights: it writes many tokens, where the miniature says a word.
export LONGVU_TEST_MODEL=$PWD/tests/golden/checkpoint/longvu_qwen
export PATH=$venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1
# Nothing between the client and the server.
unset OPENAI_BASE_URL OPENAI_API_KEY OPENAI_ORG_ID OPENAI_PROJECT_ID http_proxy HTTP_PROXY all_proxy ALL_PROXY
cd examples/openai_client/tests
if [ $# -gt 0 ]; then
    python -m unittest "$@"
else
    python -m unittest discover --verbose
fi
