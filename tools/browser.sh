#!/usr/bin/env bash
# Tests of the page in a headless Chromium, against `longvu serve` with the built-in model. Playwright's package goes to a
# virtual environment, and drives the system's Chromium. Arguments go to `python -m unittest`; LONGVU_TEST_SCREENSHOTS
# names a folder for pictures.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
work=$target/browser
packages=(playwright==1.65.2)

chromium=$(tools/chromium.sh "$work")
[ -n "$chromium" ] || exit 0

venv=$(tools/venv.sh "$work" "${packages[@]}")
[ -n "$venv" ] || exit 0

if [ -z "${LONGVU_TEST_PROGRAM:-}" ]; then
    cargo build --quiet --lib --bins
    export LONGVU_TEST_PROGRAM=$target/debug/longvu
fi
export CHROMIUM=$chromium PYTHONDONTWRITEBYTECODE=1
LONGVU_TEST_PROGRAM=$(realpath "$LONGVU_TEST_PROGRAM")
cd longvu-server/tests/browser
if [ $# -gt 0 ]; then
    "$venv/bin/python" -m unittest "$@"
else
    "$venv/bin/python" -m unittest discover --verbose
fi
