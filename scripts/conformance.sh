#!/bin/bash
# Runs conformance scenarios against build/daemon/kube-ipvsd on a kernel with IPVS, each in a fresh network namespace.
#
#   scripts/conformance.sh [--health] [--route] [DIR...]
#     DIR       a scenario folder, or one with scenarios below it (default: ../shared/conformance, then
#               test/conformance/scenarios; the environment's SHARED_DIR may stand for ../shared)
#     --health  the answers of the health ports too
#     --route   with ipvsd.serviceAddresses: route, which must make no other difference than that to the addresses
#
# Prints a line each, what differed, and "N passed, N failed". IPVSD_BINARY replaces the daemon.
set -u
root=$(realpath "$(dirname "$(realpath "$0")")/..")

# Inside: one scenario after another, from a list of folders.
if [ "${1:-}" = --inside ]; then
  passed=0
  failed=0
  while read -r -u 3 scenario; do
    if unshare -n -m sh -c 'mount -t sysfs sysfs /sys && mount -t tmpfs tmpfs /run && ip link set lo up && exec "$@"' \
      scenario timeout -k 5 300 /usr/bin/python3 -B "$root/test/conformance/run.py" "$scenario"; then
      passed=$((passed + 1))
    else
      failed=$((failed + 1))
    fi
  done 3<"$2"
  echo "$passed passed, $failed failed"
  [ $failed = 0 ]
  exit
fi

while :; do
  case ${1:-} in
    --health) export IPVSD_CONFORMANCE_HEALTH=1 ;;
    --route) export IPVSD_CONFORMANCE_ROUTE=1 ;;
    --*) echo "scripts/conformance.sh: unknown option $1" >&2; exit 2 ;;
    *) break ;;
  esac
  shift
done
if [ $# = 0 ]; then
  for folder in "${SHARED_DIR:-$root/../shared}/conformance" "$root/test/conformance/scenarios"; do
    if [ -d "$folder" ]; then
      set -- "$@" "$folder"
    else
      echo "skipped: $folder is not there"
    fi
  done
fi

list=$(mktemp) || exit 1
trap 'rm -f "$list"' EXIT
for folder; do
  [ -d "$folder" ] || { echo "scripts/conformance.sh: no folder $folder" >&2; exit 1; }
  find "$(realpath "$folder")" -name config.yaml -printf '%h\n' | sort
done | while read -r scenario; do
  [ -d "$scenario/expected" ] && echo "$scenario"
done >"$list"

if [ ! -s "$list" ]; then
  echo "skipped: no scenarios"
  echo "0 passed, 0 failed"
  exit 0
fi
binary=$(realpath -m "${IPVSD_BINARY:-$root/build/daemon/kube-ipvsd}")
if [ ! -x "$binary" ]; then
  echo "scripts/conformance.sh: $binary is not there: run scripts/build.sh" >&2
  exit 1
fi
IPVSD_BINARY=$binary "$root/scripts/vm" -m 2048M -t 3600 "$root/scripts/conformance.sh" --inside "$list"
