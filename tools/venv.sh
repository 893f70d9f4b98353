#!/usr/bin/env bash
# Prints a virtual environment in a folder that has some Python packages, made if need be; nothing where they cannot be had,
# with a word about that on stderr: tools/venv.sh FOLDER PACKAGE…
set -euo pipefail
work=$1
shift

if ! command -v python3 >/dev/null; then
    echo "skipped: python3 is not installed" >&2
    exit 0
fi
# Another list of packages is another environment; half of one is none.
name=$(printf '%s\n' "$@" "$(python3 --version)" | cksum | cut -d' ' -f1)
venv=$work/venv-$name
if [ ! -e "$venv/complete" ]; then
    rm -rf "$work"/venv*
    mkdir -p "$work"
    pip=("$venv/bin/pip" install --quiet --disable-pip-version-check)
    if ! { python3 -m venv "$venv" && "${pip[@]}" "$@"; } >"$work/pip.log" 2>&1; then
        echo "skipped: the Python packages cannot be had: $(grep -v '^$' "$work/pip.log" | tail -1)" >&2
        exit 0
    fi
    touch "$venv/complete"
fi
echo "$venv"
