#!/usr/bin/env bash
# Tests a backend: tools/backends.sh ndarray|webgpu|vulkan|cubecl-cpu|cuda-link [TEST…]
#
# Golden cases on the device, all or those whose tests are named, and `longvu doctor` with 50 questions to the built-in model.
# Backends that want newer packages than a stable system has run in the folder of tools/debian.sh, of one build.
set -euo pipefail
cd "$(dirname "$0")/.."
backend=${1:-}
tests=("${@:2}")

in_debian() {
    [ -n "${LONGVU_IN_DEBIAN:-}" ] || exec tools/debian.sh run env LONGVU_IN_DEBIAN=1 tools/backends.sh "$backend" ${tests[@]+"${tests[@]}"}
    features=vulkan,cuda,cubecl-cpu
}

examine() {
    local device=$1
    # Neither names a package: both then mean one set of features, and burn is built once.
    LONGVU_TEST_DEVICE=$device cargo test --test golden --features "$features" -- --nocapture --test-threads=1 ${tests[@]+"${tests[@]}"}
    cargo run --bin longvu --features "$features" -- doctor --device "$device" --small --questions "${QUESTIONS:-50}"
}

case $backend in
ndarray)
    features=ndarray
    examine ndarray
    ;;
webgpu)
    # With Vulkan hidden, wgpu falls back to OpenGL on Mesa's software renderer.
    tools/deps.sh backends
    features=webgpu
    # Whole videos take too long there.
    tests+=(--skip run::)
    export VK_ICD_FILENAMES=/x VK_DRIVER_FILES=/x
    examine wgpu:0
    ;;
vulkan)
    in_debian
    export CUBECL_AUTOTUNE_LEVEL=minimal
    examine vulkan:0
    ;;
cubecl-cpu)
    in_debian
    # Whole videos take too long there, too: every size compiles kernels of its own. So does trying many.
    tests+=(--skip run:: --skip fastv)
    export CUBECL_AUTOTUNE_LEVEL=minimal
    examine cubecl-cpu
    ;;
cuda-link)
    # Without an adapter the program has to link, to run, and to say that there is none.
    in_debian
    cargo build --bin longvu --features "$features"
    program=${CARGO_TARGET_DIR:-target}/debug/longvu
    "$program" devices
    if said=$("$program" doctor --device cuda:0 2>&1); then
        echo "cuda:0 was found: examine it with longvu doctor" && exit 1
    fi
    echo "$said"
    grep -q "no cuda adapter was found" <<<"$said"
    ;;
*)
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
    exit 2
    ;;
esac
