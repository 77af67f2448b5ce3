#!/bin/bash
# The kernel suite: every meson test of suite "kernel" in build/, then every *_test.sh of this folder, each in a
# network namespace of its own on a kernel with IPVS (one boot for all).
#   test/kernel/run.sh [NAME...]    only those whose name contains one of the words
# Ends with "N passed, N failed". A test's exit status 77 means skipped: named, not counted.
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
  scripts/vm -m 2048M -t 1200 test/kernel/run.sh --inside "$list" "$@"
  exit
fi

list=$2
shift 2
passed=0
failed=0
skipped=

wanted() {
  local name=$1 word
  shift
  [ $# = 0 ] && return 0
  for word; do
    case $name in *"$word"*) return 0 ;; esac
  done
  return 1
}

# Adds the cases of one test: from Catch2's closing line if it prints one, else one.
tally() {
  local name=$1 status=$2 log=$3 good bad
  if [ "$status" = 77 ]; then
    skipped="$skipped $name"
    return
  fi
  good=$(sed -nE 's/^All tests passed \(.* in ([0-9]+) test cases?\)/\1/p; s/^test cases:.* ([0-9]+) passed.*/\1/p' \
    "$log" | tail -n 1)
  bad=$(sed -nE 's/^test cases:.* ([0-9]+) failed.*/\1/p' "$log" | tail -n 1)
  if [ "$status" = 0 ]; then
    passed=$((passed + ${good:-1}))
  else
    passed=$((passed + ${good:-0}))
    failed=$((failed + ${bad:-1}))
    echo "FAILED: $name (status $status)"
  fi
}

log=$(mktemp)
while IFS=$'\t' read -r -u 3 name command; do
  wanted "$name" "$@" || continue
  echo "-- $name"
  timeout -k 5 300 unshare -n -m sh -c "mount -t sysfs sysfs /sys; ip link set lo up; exec $command" >"$log" 2>&1
  status=$?
  cat "$log"
  tally "$name" $status "$log"
done 3<"$list"
[ -n "$skipped" ] && echo "skipped, not counted:$skipped"
[ $((passed + failed)) = 0 ] && echo "skipped: no tests in this suite"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
