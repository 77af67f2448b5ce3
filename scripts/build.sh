#!/bin/sh
# Release build into build/: build/daemon/kube-ipvsd and build/ctl/kube-ipvsctl; of the named ninja targets only, if any.
set -eu
cd "$(dirname "$(realpath "$0")")/.."
[ -f build/build.ninja ] || meson setup build --buildtype=release
exec ninja -C build "$@"
