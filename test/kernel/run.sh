#!/bin/bash
# The kernel suite: every meson test of suite "kernel" in build/, then every *_test.sh of this folder, each in a
# network namespace of its own on a kernel with IPVS (one boot for all).
#   test/kernel/run.sh [NAME...]    only those whose name contains one of the words
# Ends with "N passed, N failed"; how it counts: scripts/tally.py.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1

if [ "${1:-}" != --inside ]; then
  [ -f build/build.ninja ] || { echo "test/kernel/run.sh: run scripts/build.sh first" >&2; exit 1; }
  list=$(mktemp) && out=$(mktemp -d) || exit 1
  trap 'rm -rf "$list" "$out"' EXIT
  meson introspect --tests build | python3 -c '
import json, shlex, sys
for test in json.load(sys.stdin):
    if any(suite.split(":")[-1] == "kernel" for suite in test["suite"]):
        environment = [f"{name}={value}" for name, value in test["env"].items()]
        print(test["name"], shlex.join(["env", *environment, *test["cmd"]]), sep="\t")
' >"$list"
  for script in test/kernel/*_test.sh; do
    [ -e "$script" ] && printf '%s\t%q\n' "$(basename "$script" .sh)" "$script" >>"$list"
  done
  scripts/vm -m 2048M -t 4500 test/kernel/run.sh --inside "$list" "$@"
  exit
fi

list=$2
shift 2
logs=$(mktemp -d) || exit 1

wanted() {
  local name=$1 word
  shift
  [ $# = 0 ] && return 0
  for word; do
    case $name in *"$word"*) return 0 ;; esac
  done
  return 1
}

number=0
while IFS=$'\t' read -r -u 3 name command; do
  wanted "$name" "$@" || continue
  number=$((number + 1))
  echo "-- $name"
  timeout -k 5 600 unshare -n -m sh -c "mount -t sysfs sysfs /sys; mount -t tmpfs tmpfs /run; ip link set lo up
    exec $command" 2>&1 | tee "$logs/$number"
  printf '%s\t%s\t%s\n' "$name" "${PIPESTATUS[0]}" "$logs/$number" >>"$logs/runs"
done 3<"$list"
touch "$logs/runs"
/usr/bin/python3 scripts/tally.py --runs "$logs/runs"
