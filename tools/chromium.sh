#!/usr/bin/env bash
# Prints the path of a Chromium, which root on Debian gets if there is none; nothing where it cannot be had, with a word about
# that on stderr. CHROMIUM names another one: tools/chromium.sh FOLDER, where a log may go
set -euo pipefail
find_chromium() {
    command -v chromium || command -v chromium-browser || command -v google-chrome || true
}
chromium=${CHROMIUM:-$(find_chromium)}
if [ -z "$chromium" ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    mkdir -p "$1"
    if { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends chromium; } >"$1/apt.log" 2>&1; then
        chromium=$(find_chromium)
    else
        echo "skipped: chromium cannot be installed: $(tail -1 "$1/apt.log")" >&2
        exit 0
    fi
fi
[ -n "$chromium" ] || echo "skipped: no chromium here; install it, or name one with CHROMIUM" >&2
echo "$chromium"
