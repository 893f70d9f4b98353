#!/usr/bin/env bash
# Builds and runs the README's first program in a crate outside the workspace, on the small test model.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
crate=$(mktemp -d)
trap 'rm -rf "$crate"' EXIT

mkdir "$crate/src"
cat >"$crate/Cargo.toml" <<TOML
[package]
name = "outside"
version = "0.0.0"
edition = "2024"
publish = false

[dependencies]
longvu = { path = "$root" }
# Not used: they ask for the features that the program's dependencies ask for, so that nothing below is built again.
burn = { version = "*", default-features = false, features = ["optim"] }
ctrlc = { version = "*", features = ["termination"] }
indicatif = "*"

[workspace]
$(sed -n '/^\[profile\.dev\]/,/^\[package\]/{/^\[package\]/d;p}' "$root/Cargo.toml")
TOML
# The workspace's versions and profile, so that its artefacts serve here too.
cp "$root/Cargo.lock" "$crate/"
awk '/^```rust/ { inside = 1; next } /^```/ && inside { exit } inside' "$root/README.md" |
    sed -e "s|Vision-CAIR/LongVU_Qwen2_7B|$root/tests/golden/checkpoint/longvu_qwen|" \
        -e "s|clip.mp4|$root/tests/golden/videos/video3.mp4|" >"$crate/src/main.rs"

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}"
cd "$crate"
cargo build --quiet
# The untrained model writes control characters, which are not for a terminal.
answer=$("$CARGO_TARGET_DIR/debug/outside" | LC_ALL=C tr -d '\000-\037\177')
if [ -z "$answer" ]; then
    echo "outside: the README's program answered nothing" >&2
    exit 1
fi
echo "outside: the README's program builds and answers: $answer"
