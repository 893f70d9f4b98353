#!/usr/bin/env bash
# Starts `longvu serve` with the built-in model on the loopback, and asks it from 1, 4, 16 and 64 clients at once. PROFILE=release
# takes, and makes, the release build. LOAD_SECONDS is how long each number of clients asks; arguments go to the example `load`.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}

cargo build --quiet --bins --examples
profile=${PROFILE:-debug}
if [ "$profile" = release ]; then
    cargo build --quiet --release --bins
fi
scratch=$(mktemp -d)
server=
finish() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$scratch"
}
trap finish EXIT
"$target/debug/examples/videos" "$scratch/videos" 1 6 128 >/dev/null

env -u LONGVU_MODEL TMPDIR="$scratch" "$target/$profile/longvu" serve --port 0 --metrics 2>"$scratch/log" &
server=$!
url=
until [ -n "$url" ]; do
    sleep 0.1
    if ! kill -0 "$server" 2>/dev/null; then
        cat "$scratch/log" >&2
        exit 1
    fi
    url=$(sed -nE 's|.*serving [^ ]+ at (http://[0-9.:]+).*|\1|p' "$scratch/log")
done
echo "The $profile build at $url, load of the machine $(cut -d' ' -f1 /proc/loadavg)"
echo
"$target/debug/examples/load" --url "$url" --pid "$server" --video "$scratch/videos/0000.mp4" \
    --seconds "${LOAD_SECONDS:-30}" "$@"
