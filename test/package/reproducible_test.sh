#!/bin/bash
# The package is built twice, in two folders and without a compiler cache: both are the same, byte for byte.
#   test/package/reproducible_test.sh [DEB]    DEB: one that scripts/deb.sh built of these files already
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
export CCACHE_DISABLE=1
first=${1:-}
if [ -z "$first" ]; then first=$(scripts/deb.sh "$work/first") || { echo "0 passed, 1 failed"; exit 1; }; fi
mkdir -p "$work/a/folder/elsewhere"
second=$(TMPDIR=$work/a/folder/elsewhere scripts/deb.sh "$work/second") || { echo "0 passed, 1 failed"; exit 1; }
sha256sum "$first" "$second"
if cmp "$first" "$second"; then
  echo "ok: two builds are the same"
  echo "1 passed, 0 failed"
else
  for deb in "$first" "$second"; do dpkg-deb --fsys-tarfile "$deb" | tar -tv --full-time >"$work/list-$(basename "$(dirname "$deb")")"; done
  diff "$work"/list-*
  echo "FAILED: two builds differ"
  echo "0 passed, 1 failed"
  exit 1
fi
