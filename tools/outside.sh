#!/usr/bin/env bash
# What others do with the crates, outside the workspace and against the packed crates: the README's first program, on the
# small test model, and examples/embedding with its tests.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}"
"$root/tools/package.sh" >/dev/null
outside=$(mktemp -d)
trap 'rm -rf "$outside"' EXIT

mkdir "$outside/packed"
for crate in "$CARGO_TARGET_DIR"/package/*.crate; do
    tar -xzf "$crate" -C "$outside/packed"
done
crate=$outside/embedding
cp -r "$root/examples/embedding" "$crate"
awk '/^```rust/ { inside = 1; next } /^```/ && inside { exit } inside' "$root/README.md" |
    sed -e "s|Vision-CAIR/LongVU_Qwen2_7B|$root/tests/golden/checkpoint/longvu_qwen|" \
        -e "s|clip.mp4|$root/tests/golden/videos/video3.mp4|" >"$crate/src/main.rs"
{
    # As it would stand in somebody's manifest, with the packed crates in the registry's place.
    sed -E 's/^(longvu|longvu-server) = .*/\1 = "0.1.0"/' "$root/examples/embedding/Cargo.toml"
    echo
    echo "[patch.crates-io]"
    for packed in "$outside"/packed/*; do
        name=$(basename "$packed")
        echo "${name%-[0-9]*} = { path = \"$packed\" }"
    done
    # Not used: they ask for the features that the program's dependencies ask for, so that nothing below is built again.
    printf '\n[dependencies.%s]\nversion = "*"\ndefault-features = false\nfeatures = [%s]\n' burn '"optim"' ctrlc '"termination"' \
        num-complex '"std"' twox-hash '"xxhash64"'
    printf '\n[dependencies.indicatif]\nversion = "*"\n\n'
    # The workspace's versions and profile, so that its artefacts serve here too.
    sed -n '/^\[profile\.dev\]/,/^\[package\]/{/^\[package\]/d;p}' "$root/Cargo.toml"
} >"$crate/Cargo.toml"
cp "$root/Cargo.lock" "$crate/"

export LONGVU_TEST_VIDEOS=$root/tests/golden/videos
cd "$crate"
# The untrained model writes control characters, which are not for a terminal.
answer=$(cargo run --quiet --bin embedding | LC_ALL=C tr -d '\000-\037\177')
if [ -z "$answer" ]; then
    echo "outside: the README's program answered nothing" >&2
    exit 1
fi
echo "outside: the README's program builds and answers: $answer"
cargo test --quiet
