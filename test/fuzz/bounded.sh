#!/bin/bash
# Runs a libFuzzer target for a bounded number of inputs, on a copy of its corpus: bounded.sh TARGET CORPUS [RUNS]
set -u
target=$(realpath "$1") || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cp -r "$2" "$work/corpus" && cd "$work" || exit 1
"$target" -runs="${3:-200000}" -max_total_time=60 -max_len=4096 -print_final_stats=1 corpus >log 2>&1
status=$?
tail -n 20 log
[ $status = 0 ] || for crash in crash-* leak-* timeout-* oom-*; do [ -e "$crash" ] && base64 "$crash"; done
exit $status
