#!/bin/bash
# Runs the benchmarks, or those whose names begin with NAME: a JSON line per figure on standard output (name, where, n,
# value, unit, floor, ratio), the same for people on standard error.
#
#   scripts/bench.sh [NAME]      decode, pure, cold_start, cold_start_api, cold_start_changes, change, rollout, idle, memory,
#                                churn, observe, dump
#
# "outside" is beside a kernel that acknowledges at once: our own cost, in CPU time. "vm" is on a real kernel
# (scripts/vm), with the floor of the same run beside it; each on a fresh machine, because removed destinations slow later
# ones. BENCH_REPEAT (default 4) such pairs are run, and the quickest of each kind counts: other work on the machine only
# ever adds. So do threads that wake each other across the CPUs of a virtual machine: each program keeps to one.
# BENCH_SIZES (default "1000 5000 10000 20000 50000") are the numbers of Services of cold_start; BENCH_IDLE_SECONDS
# (default 660) is how long idle looks on: two passes of the audit and more. At the end it says which bounds are missed,
# with status 1 if any is.
set -eu -o pipefail
cd "$(dirname "$(realpath "$0")")/.."
wanted=${1:-}
repeat=${BENCH_REPEAT:-4}
idle_seconds=${BENCH_IDLE_SECONDS:-660}
sizes=${BENCH_SIZES:-1000 5000 10000 20000 50000}
scripts/build.sh bench/kube-ipvsd-bench bench/kube-ipvsd-bench-vm >&2

lists=$(mktemp -d "${TMPDIR:-/tmp}/bench.XXXXXX")
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$lists"' EXIT
last_cpu=$(taskset -cp $$ | sed "s/.*[ ,-]//")
inside=build/bench/kube-ipvsd-bench-vm

chosen() { [[ $1 == "$wanted"* ]]; }

# of SERVICES ENDPOINTS [--udp]: the options of a cluster of that size; its lists are written at the first use.
of() {
  local directory=$lists/$1x$2${3:-}
  options=(--services "$1" --endpoints "$2" --lists "$directory" ${3:-})
  [ -d "$directory" ] && return
  mkdir "$directory"
  outside write_lists "${options[@]}"
}

outside() { taskset -c "$last_cpu" build/bench/kube-ipvsd-bench "$@"; }

in_vm() { scripts/vm -m 3000M -t "$((idle_seconds + 600))" "$inside" "$@"; }

# Is $1 less than $2?
is_less() { [ "$(jq -n "$1 < $2")" = true ]; }

first_figure() { head -n 1 "$1" | jq .value; }

# quicker NAME COMMAND...: runs a benchmark; $lists/best.NAME has what the quickest of that name said, by its first figure.
quicker() {
  local best=$lists/best.$1
  shift
  if ! "$@" >"$lists/one" 2>"$lists/one.said"; then
    cat "$lists/one.said" >&2
    return 1
  fi
  if [ -f "$best" ] && ! is_less "$(first_figure "$lists/one")" "$(first_figure "$best")"; then return; fi
  mv "$lists/one" "$best"
  mv "$lists/one.said" "$best.said"
}

say_quickest() {
  cat "$lists/best.$1"
  cat "$lists/best.$1.said" >&2
}

# For people: the first of the figures on standard input, whose ratio is to be at most $1.
say_ratio() {
  jq -sr --argjson most "$1" '.[0] |
    "\(.name) \(.where) n=\(.n): \(.value) \(.unit), floor \(.floor), ratio \(.ratio * 1000 | round / 1000)  " +
    "at most \($most): \(if .ratio <= $most then "met" else "MISSED" end)"' >&2
}

# say_beside NAME FLOOR MOST: the quickest NAME, its first figure beside the quickest FLOOR.
say_beside() {
  jq -sc --argjson floor "$(first_figure "$lists/best.$2")" '.[0] |= (.floor = $floor | .ratio = .value / $floor) | .[]' \
    "$lists/best.$1" | tee >(say_ratio "$3")
  tail -n +2 "$lists/best.$1.said" >&2
}

# All kinds and sizes by turns: what disturbs for a minute does not meet each run of one of them.
cold_start() {
  local size turn again
  for ((turn = 0; turn < repeat; ++turn)); do
    for size in $sizes; do
      of "$size" 10
      # What takes milliseconds is disturbed by less.
      for ((again = 0; again < (size < 5000 ? 5 : size < 50000 ? 2 : 1); ++again)); do
        quicker "outside.$size" outside cold_start "${options[@]}"
        quicker "floor.$size" in_vm floor_cold_start "${options[@]}"
        quicker "vm.$size" in_vm cold_start "${options[@]}"
        quicker "floor_routed.$size" in_vm floor_cold_start "${options[@]}" --routed
        quicker "vm_routed.$size" in_vm cold_start "${options[@]}" --routed
      done
    done
  done
  for size in $sizes; do say_quickest "outside.$size"; done
  for size in $sizes; do say_beside "vm.$size" "floor.$size" 1.15; done
  for size in $sizes; do say_beside "vm_routed.$size" "floor_routed.$size" 1.15; done
}

# From the stand-in, which has the lists and serves them over TLS.
cold_start_api() {
  scripts/build.sh test/fake/fake-api-server >&2
  local served=$lists/served
  mkdir -p "$served"
  mkfifo "$served/url"
  build/test/fake/fake-api-server --port 0 --tls-dir "$served" --load "$lists/$1x$2"/*.json >"$served/url" &
  server=$!
  read -r <"$served/url"
  outside cold_start_api "${options[@]}" --kubeconfig "$served/kubeconfig"
  kill "$server"
  wait "$server" || true
  server=
  rm -r "$served"
}

rollout_in_vm() {
  local turn
  for ((turn = 0; turn < repeat; ++turn)); do
    quicker floor_rollout in_vm floor_rollout "${options[@]}"
    quicker rollout in_vm rollout "${options[@]}"
  done
  say_beside rollout floor_rollout 3
}

run_chosen() {
  if chosen decode; then of 10000 10 && outside decode "${options[@]}"; fi
  if chosen pure; then of 10000 10 && outside pure "${options[@]}"; fi
  if chosen cold_start; then cold_start; fi
  if chosen cold_start_api; then
    for size in 1000 10000; do of "$size" 10 && cold_start_api "$size" 10; done
  fi
  if chosen cold_start_changes; then of 50000 10 && in_vm cold_start_changes "${options[@]}"; fi
  if chosen change; then
    # Of UDP outside, because the null kernel knows no connections to wait for.
    for size in 100 1000 10000 50000; do of "$size" 10 --udp && outside change "${options[@]}"; done | tee "$lists/change"
    jq -sc 'map(select(.name == "change.cpu")) | (map(select(.n == 100))[0].value) as $few | .[] | select(.n == 50000) |
      .name = "change.cpu_of_few" | .floor = $few | .ratio = .value / $few' "$lists/change" |
      tee >(say_ratio 1.5)
    for size in 100 1000 10000 50000; do of "$size" 10 && in_vm change "${options[@]}"; done
  fi
  if chosen rollout; then
    of 1000 10 --udp && outside rollout "${options[@]}"
    of 1000 10 && rollout_in_vm
  fi
  if chosen idle; then of 10000 10 && in_vm idle "${options[@]}" --seconds "$idle_seconds"; fi
  if chosen memory; then
    of 10000 10 --udp && outside memory "${options[@]}"
    of 50000 5 --udp && outside memory "${options[@]}"
  fi
  if chosen churn; then of 10000 10 --udp && outside churn "${options[@]}"; fi
  if chosen observe; then of 10000 10 && in_vm observe "${options[@]}"; fi
  if chosen dump; then
    scripts/build.sh ctl/kube-ipvsctl test/kernel/bare_dump >&2
    VM_ENV=BENCH_TURNS scripts/vm -m 1500M bench/dump.sh 10000
  fi
}

run_chosen 2> >(tee "$lists/said" >&2)
wait $!
if grep -q 'MISSED$' "$lists/said"; then
  echo "missed:" >&2
  grep 'MISSED$' "$lists/said" >&2
  exit 1
fi
echo "every bound is met" >&2
