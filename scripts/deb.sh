#!/bin/bash
# Builds the Debian package of the files that git tracks, for the machine's architecture, into the folder FOLDER (default
# build-deb/), and prints its path.
#   scripts/deb.sh [--programs BUILD] [FOLDER]
# With --programs they are not compiled: the package is made around those of BUILD, a release build of these files. That
# is enough to test how it is put together and what it does, and seconds instead of minutes; it is nothing to publish.
# Without, the same files give the same package, byte for byte: its time is SOURCE_DATE_EPOCH, by default that of the last commit.
set -eu
if [ "${1:-}" = --programs ]; then
  IPVSD_PROGRAMS=$(realpath "$2")
  export IPVSD_PROGRAMS
  shift 2
fi
cd "$(dirname "$(realpath "$0")")/.."
mkdir -p "${1:-build-deb}"
out=$(realpath "${1:-build-deb}")

version=$(sed -n "s/^  version: '\(.*\)',$/\1/p" meson.build)
[ -n "$version" ] || { echo "scripts/deb.sh: no version in meson.build" >&2; exit 1; }
IPVSD_REVISION=$(git describe --always --dirty --abbrev=12 '--exclude=*')
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH IPVSD_REVISION

# A copy, so that nothing of another build and nothing untracked gets in.
job=$(mktemp -d)
trap 'rm -rf "$job"' EXIT
source=$job/kube-ipvsd-$version
mkdir -p "$source"
git ls-files -z | xargs -0 tar -c | tar -x -C "$source"
cat >"$source/debian/changelog" <<CHANGELOG
kube-ipvsd ($version) unstable; urgency=medium

  * Built from git $IPVSD_REVISION. What is new: CHANGELOG.md.

 -- kube-ipvsd developers <developers@kube-ipvsd.example>  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
CHANGELOG

cd "$source"
# dpkg-buildpackage gives the build a home folder that does not exist.
[ -z "${CCACHE_DIR:-}" ] && [ -d "$HOME/.cache/ccache" ] && export CCACHE_DIR=$HOME/.cache/ccache
DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS:-} nocheck noautodbgsym" dpkg-buildpackage -b -us -uc -d >"$out/build.log" 2>&1 || {
  tail -n 40 "$out/build.log" >&2
  exit 1
}
cp ../kube-ipvsd_"$version"_*.deb "$out/"
echo "$out/kube-ipvsd_${version}_$(dpkg-architecture -qDEB_HOST_ARCH).deb"
