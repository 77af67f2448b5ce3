#!/bin/bash
# Runs a libFuzzer target for some seconds from its seeds: bounded.sh TARGET SEEDS SECONDS [FOUND]
# New inputs that reach new code go to the folder FOUND, and are used from there the next time; without it they go with
# the run. An input that fails is printed, and stays in FOUND if there is one.
set -u
target=$1
seeds=$2
seconds=$3
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
found=${4:-$work}
mkdir -p "$found/corpus" || exit 1
"$target" -max_total_time="$seconds" -max_len=4096 -timeout=20 -print_final_stats=1 -artifact_prefix="$found/" \
  "$found/corpus" "$seeds" >"$work/log" 2>&1
status=$?
tail -n 20 "$work/log"
[ $status = 0 ] || for input in "$found"/{crash,leak,timeout,oom}-*; do
  [ -e "$input" ] && echo "$input:" && base64 "$input"
done
exit $status
