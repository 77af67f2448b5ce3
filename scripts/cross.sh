#!/bin/bash
# Builds all of it for arm64 on an amd64 machine, and runs the unit and golden tests by QEMU's user mode.
#   scripts/cross.sh [FOLDER [TARGET...]]    FOLDER (default build-arm64): the build, and in FOLDER/root what it needs
# Of the named ninja targets only, if any. Root, and Debian's package archive within reach. Compiler and libraries go into a
# root file system of their own (some 2 GB, made once), so that the machine's packages stay as they are. Ends with
# "N passed, N failed". CROSS_OPTIONS: further words for "meson setup".
set -eu
cd "$(dirname "$(realpath "$0")")/.."
source=$PWD
out=$(realpath -m "${1:-build-arm64}")
[ $# = 0 ] || shift
root=$out/root

# The libraries are those that the package is built with, for arm64; headers alone are of no architecture.
packages="g++-aarch64-linux-gnu meson ninja-build pkg-config cmake qemu-user-static ca-certificates python3-yaml"
for package in $(grep -oE '\b[a-z0-9+-]+-dev\b' debian/control) catch2; do
  case $(apt-cache show --no-all-versions "$package" | sed -n 's/^Architecture: //p' | head -n 1) in
    all) packages+=" $package" ;;
    *) packages+=" $package:arm64" ;;
  esac
done
mkdir -p "$out/build"
if [ ! -e "$out/root.made" ]; then
  rm -rf "$root"
  mmdebstrap --quiet --variant=apt --architectures=amd64,arm64 --include="${packages// /,}" bookworm "$root"
  touch "$out/root.made"
fi

# In that root, where the source is seen read-only.
inside() {
  unshare -m sh -c '
    root=$1 out=$2 source=$3
    shift 3
    mkdir -p "$root/source" "$root/build"
    mount --bind "$source" "$root/source" && mount -o remount,bind,ro "$root/source" &&
      mount --bind "$out/build" "$root/build" && mount --bind /proc "$root/proc" && mount --bind /dev "$root/dev" &&
      exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"' \
    sh "$root" "$out" "$source" "$@" </dev/null
}
# shellcheck disable=SC2086 # words
[ -e "$out/build/build.ninja" ] || inside meson setup --buildtype=release \
  -Drevision="$(git describe --always --dirty --abbrev=12 '--exclude=*')" --cross-file /source/packaging/aarch64.ini \
  ${CROSS_OPTIONS:-} /build /source
inside ninja -C /build "$@"
inside aarch64-linux-gnu-readelf -h /build/daemon/kube-ipvsd | grep -q 'Machine: *AArch64'
inside qemu-aarch64-static /build/daemon/kube-ipvsd --version

# Tests that are programs of their own, as far as they were built; scripts would run the others without QEMU.
tests=$(inside meson introspect --tests /build | python3 -c '
import json, os, sys
out = sys.argv[1]
for test in json.load(sys.stdin):
    suites = {suite.split(":")[-1] for suite in test["suite"]}
    program = next((word for word in test["cmd"] if word.startswith("/build/test/")), "")
    if suites & {"unit", "golden"} and program and os.path.exists(out + program):
        print(test["name"])' "$out")
rm -f "$out/build/meson-logs/testlog.json"
# Without one: QEMU makes of vfork a fork, so that posix_spawn does not tell that there is no such program.
not_here='~a node without iptables is told what to install'
echo "not run: $not_here"
# shellcheck disable=SC2086 # one word per test
inside meson test -C /build --no-rebuild --print-errorlogs --timeout-multiplier 20 --test-args "'$not_here'" $tests || true
/usr/bin/python3 scripts/tally.py "$out/build/meson-logs/testlog.json"
