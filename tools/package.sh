#!/usr/bin/env bash
# Packs every crate as `cargo publish` would, and checks what is in the packages. With `verify`, also builds them.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
out=$CARGO_TARGET_DIR/package
limit=$((10 * 1024 * 1024))

verify=(--no-verify)
[ "${1:-}" = verify ] && verify=()
rm -f "$out"/*.crate
cargo package --workspace --exclude longvu-benches --allow-dirty --quiet "${verify[@]}"

for crate in "$out"/*.crate; do
    size=$(stat -c %s "$crate")
    name=$(basename "$crate" .crate)
    list=$(tar -tzf "$crate")
    printf '%-26s %8d bytes, %3d files\n' "$name" "$size" "$(wc -l <<<"$list")"
    if [ "$size" -ge "$limit" ]; then
        echo "$name is over $limit bytes" >&2
        exit 1
    fi
    # The built-in model is the only one, and the page's example the only video.
    if grep -vE '/models/miniature/|/src/page/example\.mp4$' <<<"$list" | grep -qE 'tests/golden|\.safetensors$|\.mp4$'; then
        echo "$name has golden data in it" >&2
        exit 1
    fi
    for file in README.md LICENSE-MIT LICENSE-APACHE; do
        if ! grep -q "^$name/$file$" <<<"$list"; then
            echo "$name lacks $file" >&2
            exit 1
        fi
    done
done
