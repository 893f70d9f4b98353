#!/usr/bin/env bash
# Installs what the build needs beside Rust: FFmpeg's headers, libclang for the bindings, and the `ffmpeg` program, with
# which tests make their videos. `tools/deps.sh backends` adds Mesa's software renderers.
set -euo pipefail

packages=(gcc libc6-dev make pkg-config libclang-dev libavcodec-dev libavformat-dev libavutil-dev libswscale-dev ffmpeg)
if [ "${1:-}" = backends ]; then
    packages+=(libegl1 libgl1-mesa-dri libegl-mesa0 libgles2)
fi

if ! command -v apt-get >/dev/null; then
    if command -v pkg-config >/dev/null && pkg-config --exists libavcodec libavformat libswscale; then
        exit 0
    fi
    cat >&2 <<'TEXT'
FFmpeg's development files were not found. Install FFmpeg 5.1 or later with headers, clang, and pkg-config:
  Fedora   sudo dnf install ffmpeg-devel clang-devel pkgconf-pkg-config   (ffmpeg-devel is in RPM Fusion)
  Arch     sudo pacman -S ffmpeg clang pkgconf
  macOS    brew install ffmpeg llvm pkgconf
  Windows  build in WSL with a Debian or Ubuntu, where this script does it
TEXT
    exit 1
fi

missing=()
for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" = "ii " ] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo)
    if ! command -v sudo >/dev/null; then
        echo "Run as root: apt-get install ${missing[*]}" >&2
        exit 1
    fi
fi
echo "Installing ${missing[*]}"
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"
