#!/usr/bin/env bash
# Debian's unstable suite in a folder beside the system: its LLVM is what CubeCL links, its Mesa computes Vulkan in software,
# and its FFmpeg is the newest. Needs root. Of the system it changes nothing but that `debootstrap` is installed.
#
#   tools/debian.sh prepare          makes the folder, 4 GB and some minutes, or completes it
#   tools/debian.sh run COMMAND…     runs a command there, in this checkout; what it builds goes to `debian` in the target folder
#
# LONGVU_DEBIAN names another folder, DEBIAN_ARCHIVE another archive than the system's.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
folder=${LONGVU_DEBIAN:-${XDG_CACHE_HOME:-$HOME/.cache}/longvu/debian}
target=${CARGO_TARGET_DIR:-$root/target}/debian
llvm=23
packages=(
    ca-certificates gcc g++ make git pkg-config python3 "libclang-$llvm-dev" "llvm-$llvm-dev" "libpolly-$llvm-dev"
    libz3-dev libzstd-dev libxml2-dev zlib1g-dev
    libavcodec-dev libavformat-dev libavutil-dev libswscale-dev ffmpeg
    mesa-vulkan-drivers libvulkan1
    rustc libstd-rust-dev-wasm32 lld binaryen
)

fail() {
    echo "$1" >&2
    exit 1
}

[ "$(id -u)" -eq 0 ] || fail "$0 needs root, to make a folder with a system in it and to run commands there"

# The system's own archive.
archive() {
    [ -z "${DEBIAN_ARCHIVE:-}" ] || { echo "$DEBIAN_ARCHIVE"; return; }
    { cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null || true; } |
        sed -nE 's/^URIs: *([^ ]+).*/\1/p; s/^deb +(\[[^]]*\] *)?([^ ]+\/debian\/?) .*/\2/p' | head -1
}

prepare() {
    local from wanted
    wanted=$(sha256sum "$root/tools/debian.sh")
    [ "$(cat "$folder/.longvu" 2>/dev/null)" != "$wanted" ] || return 0
    from=$(archive)
    [ -n "$from" ] || fail "no Debian archive is named in /etc/apt; name one with DEBIAN_ARCHIVE"
    command -v debootstrap >/dev/null || { apt-get update -q && apt-get install -qy --no-install-recommends debootstrap; } >&2
    if [ ! -e "$folder/etc/debian_version" ]; then
        rm -rf --one-file-system "$folder.part"
        mkdir -p "$folder.part"
        # What it mounts goes with it, also when it is killed.
        # shellcheck disable=SC2086
        unshare --mount --propagation private debootstrap --variant=minbase ${DEBOOTSTRAP_FLAGS:-} sid "$folder.part" "$from" >&2
        mv "$folder.part" "$folder"
    fi
    # A mirror that stands still, a snapshot say, serves lists whose date of expiry has passed; their signatures hold all the same.
    inside / bash -c "apt-get update -q -o Acquire::Check-Valid-Until=false && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends ${packages[*]}" >&2
    # CubeCL's build script takes LLVM from here when it finds it, and downloads it otherwise. `llvm-config` names z3 by its path,
    # which becomes a library of that name.
    inside / bash -c "
        mkdir -p /root/.local/share/tracel
        ln -sfn /usr/lib/llvm-$llvm /root/.local/share/tracel/tracel-llvm-23.1.0-4
        touch /usr/lib/llvm-$llvm/.tracel-llvm-installed
        ln -sf libz3.so /usr/lib/x86_64-linux-gnu/liblibz3.so"
    echo "$wanted" >"$folder/.longvu"
}

# Runs a command in a folder of the other system. Mounts are this process's own, and go with it.
inside() {
    local place=$1
    shift
    cp /etc/resolv.conf /etc/hosts "$folder/etc/"
    FOLDER=$folder PLACE=$place ROOT=$root TARGET=$target CARGO=${CARGO_HOME:-$HOME/.cargo} RUSTUP=${RUSTUP_HOME:-$HOME/.rustup} \
        LLVM=$llvm unshare --mount --propagation private bash -c '
        set -e
        mkdir -p "$TARGET" "$FOLDER"/{longvu,target,cargo,rustup}
        mount -t proc proc "$FOLDER/proc"
        mount --rbind /sys "$FOLDER/sys"
        mount --rbind /dev "$FOLDER/dev"
        mount --bind "$ROOT" "$FOLDER/longvu"
        mount --bind "$TARGET" "$FOLDER/target"
        [ ! -d "$CARGO" ] || mount --bind "$CARGO" "$FOLDER/cargo"
        [ ! -d "$RUSTUP" ] || mount --bind "$RUSTUP" "$FOLDER/rustup"
        exec chroot "$FOLDER" env HOME=/root CARGO_HOME=/cargo RUSTUP_HOME=/rustup CARGO_TARGET_DIR=/target \
            PATH=/cargo/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin LIBCLANG_PATH="/usr/lib/llvm-$LLVM/lib" \
            VK_DRIVER_FILES=/usr/share/vulkan/icd.d/lvp_icd.json \
            bash -c "cd \"\$0\" && exec \"\$@\"" "$PLACE" "$@"' bash "$@"
}

case ${1:-} in
prepare) prepare ;;
run)
    shift
    prepare
    inside /longvu "$@"
    ;;
*) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" && exit 2 ;;
esac
