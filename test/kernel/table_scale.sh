#!/bin/bash
# A table of 500,000 destinations: how long a cold start, a change, a restart and a dump take, and how much memory. No
# part of the suite; where scripts/vm boots a machine, it needs memory:
#   scripts/vm -m 6144M -t 3600 test/kernel/table_scale.sh [SERVICES [ENDPOINTS]]    (default 5000 of 100)
# Each figure is a line; ends with "N passed, N failed".
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

services=${1:-5000}
endpoints=${2:-100}
must "the node" node_up
config 'ipvsd: {auditPeriod: 24h, rulesAuditPeriod: 1h, ctlSocket: '"$work"'/ctl.sock}'
sample node

# Files of a hundred Services each; the first slice in one of its own, and as it is after the change beside them.
make_objects() {
  api_objects "$services" "$endpoints" "$manifests" <<'PYTHON'
count, endpoints, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
for part in range(0, count, 100):
    items = [one for n in range(part, min(part + 100, count)) for one in app(n, endpoints)]
    if part == 0:
        first = items.pop(1)
        write(first, f"{folder}/first.json")
        first["endpoints"][0]["addresses"] = ["10.244.1.11"]
        write(first, f"{folder}/../changed.json")
    write(list_of(items), f"{folder}/part-{part // 100}.json")
PYTHON
}
must "the objects" make_objects

now() { echo "${EPOCHREALTIME/[.,]/}"; }
# since MICROSECONDS: seconds from then on.
since() {
  local took=$(($(now) - $1))
  printf '%d.%02d s' $((took / 1000000)) $((took / 10000 % 100))
}
memory() { awk -v name="$1:" '$1 == name { printf "%d MiB", $2 / 1024 }' "/proc/$pid/status"; }

free=$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)
began=$(now)
start
must "the cold start" within 1800 synced
echo "figure: cold start of $services Services with $((services * endpoints)) endpoints: $(since "$began")"
echo "figure: the daemon's memory: $(memory VmRSS), at most $(memory VmHWM)"
own=$(awk '$1 == "VmRSS:" { print $2 }' "/proc/$pid/status")
echo "figure: the kernel's memory: about $(((free - $(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo) - own) / 1024)) MiB"
no_trouble() { [ "$(metric kube_ipvsd_dirty_objects)" = 0 ] && ! says ' (warning|error) '; }
check "nothing failed" no_trouble

first() { ipvsadm -Ln -t 10.97.0.1:80 | grep -qF -e "$1"; }
began=$(now)
replace first.json <"$work/changed.json"
check "an endpoint comes" within 60 first '-> 10.244.1.11:8080'
echo "figure: from the changed file to the kernel: $(since "$began")"
check "the former one goes" within 60 not first '-> 10.128.0.1:8080'

for format in ipvsadm json; do
  began=$(now)
  most=$(/usr/bin/python3 -c '
import resource, subprocess, sys
with open(sys.argv[1], "w") as out:
    subprocess.run(sys.argv[2:], check=True, stdout=out)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10)' "$work/dump" build/ctl/kube-ipvsctl dump -o $format --socket "$work/ctl.sock")
  echo "figure: kube-ipvsctl dump -o $format: $(since "$began"), $most MiB"
  [ $format != ipvsadm ] || check "every destination is there" test "$(grep -c -e '^-a' "$work/dump")" = $((services * endpoints))
done

stop
began=$(now)
start
check "a restart" within 1800 synced
echo "figure: restart with all of it there: $(since "$began"), $(memory VmHWM)"
wrote_nothing() { ! metrics | grep '^kube_ipvsd_operations_total.* [1-9]'; }
check "it writes nothing" wrote_nothing
stop
finish
