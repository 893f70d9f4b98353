#!/usr/bin/env bash
# The library for WebAssembly, where Rust has the target, or in the folder of tools/debian.sh, whose compiler has it.
#
#   tools/wasm.sh check      type-checks the library without FFmpeg and the Hub, for the processor and for WebGPU
#   tools/wasm.sh page       builds examples/browser into `browser-page` in the target folder: files for any web host
#   tools/wasm.sh test …     builds the page and tests it in a headless Chromium
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
target=${CARGO_TARGET_DIR:-$root/target}
triple=wasm32-unknown-unknown

has_target() {
    [ -d "$("${RUSTC:-rustc}" --print target-libdir --target "$triple" 2>/dev/null)" ]
}

# Cargo in examples/browser, for WebAssembly.
cargo_there() {
    if has_target; then
        (cd examples/browser && CARGO_TARGET_DIR=$target/wasm cargo "$@")
    elif [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        # Fetched outside: the other system may have no way to the registry.
        (cd examples/browser && cargo fetch --quiet --locked --target "$triple")
        # shellcheck disable=SC2016
        tools/debian.sh run env -u LIBCLANG_PATH CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld RUSTC=/usr/bin/rustc CARGO_NET_OFFLINE=true bash -c \
            'cd examples/browser && CARGO_TARGET_DIR=/target/wasm exec cargo "$@"' cargo "$@"
    else
        echo "skipped: rustc has no $triple here; rustup target add $triple"
        exit 0
    fi
}

check() {
    cargo_there check --locked
    cargo_there check --locked --no-default-features --features webgpu
}

# The tool that writes the JavaScript around a module must be of the version that the module was built with.
bindgen() {
    local version tools=$target/wasm-tools
    version=$(sed -n '/^name = "wasm-bindgen"$/{n;s/version = "\(.*\)"/\1/p}' examples/browser/Cargo.lock)
    if [ "$("$tools/bin/wasm-bindgen" --version 2>/dev/null)" != "wasm-bindgen $version" ]; then
        CARGO_TARGET_DIR=$target/wasm-tools/build cargo install --quiet --root "$tools" wasm-bindgen-cli --version "$version"
    fi
    "$tools/bin/wasm-bindgen" "$@"
}

page() {
    local out=$target/browser-page module
    cargo_there build --release --locked
    module=$target/wasm/$triple/release/longvu_browser.wasm
    [ -e "$module" ] || module=$target/debian/wasm/$triple/release/longvu_browser.wasm
    rm -rf "$out.part"
    mkdir -p "$out.part"
    cp examples/browser/www/* "$out.part/"
    bindgen --target web --no-typescript --out-dir "$out.part/pkg" "$module"
    rm -rf "$out"
    mv "$out.part" "$out"
    echo "$out: $(du -sh "$out" | cut -f1), $(tar -cz -C "$out" . | wc -c | numfmt --to=iec) compressed"
}

# The page in a headless Chromium; arguments go to `python -m unittest`.
test_page() {
    local work=$target/browser chromium venv
    chromium=$(tools/chromium.sh "$work")
    venv=$(tools/venv.sh "$work" playwright==1.65.2)
    [ -n "$chromium" ] && [ -n "$venv" ] || exit 0
    page
    if [ -z "${LONGVU_TEST_PROGRAM:-}" ]; then
        cargo build --quiet --lib --bins
        export LONGVU_TEST_PROGRAM=$target/debug/longvu
    fi
    export CHROMIUM=$chromium PYTHONDONTWRITEBYTECODE=1 LONGVU_TEST_PAGE=$target/browser-page
    cd examples/browser/tests
    if [ $# -gt 0 ]; then "$venv/bin/python" -m unittest "$@"; else "$venv/bin/python" -m unittest discover --verbose; fi
}

case ${1:-} in
check) check ;;
page) page ;;
test) test_page "${@:2}" ;;
*) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" && exit 2 ;;
esac
