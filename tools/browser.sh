#!/usr/bin/env bash
# Tests of the page in a headless Chromium, against `longvu serve` with the built-in model. Playwright's package goes to a
# virtual environment, and drives the system's Chromium. Arguments go to `python -m unittest`; LONGVU_TEST_SCREENSHOTS
# names a folder for pictures.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
work=$target/browser
packages=(playwright==1.65.2)

skip() {
    echo "skipped: $1"
    exit 0
}

command -v python3 >/dev/null || skip "python3 is not installed"
find_chromium() {
    command -v chromium || command -v chromium-browser || command -v google-chrome || true
}
chromium=${CHROMIUM:-$(find_chromium)}
if [ -z "$chromium" ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    mkdir -p "$work"
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends chromium; } \
        >"$work/apt.log" 2>&1 || skip "chromium cannot be installed: $(tail -1 "$work/apt.log")"
    chromium=$(find_chromium)
fi
[ -n "$chromium" ] || skip "no chromium here; install it, or name one with CHROMIUM"

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
