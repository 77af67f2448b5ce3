#!/bin/bash
# kube-ipvsctl with the names of ten thousand Services of ten pods each, from the daemon's socket: what the names take.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh
ctl=$PWD/build/ctl/kube-ipvsctl
socket=$work/ctl.sock
services=10000
must "the node" node_up
config "ipvsd: {ctlSocket: $socket, auditPeriod: 24h, rulesAuditPeriod: 1h}"

make_objects() {
  api_objects "$services" "$manifests" <<'PYTHON'
count, folder = int(sys.argv[1]), sys.argv[2]
def named(n):
    service, endpoint_slice = app(n, 10)
    for e, endpoint in enumerate(endpoint_slice["endpoints"]):
        endpoint["targetRef"] = {"kind": "Pod", "name": f"app-{n}-6d5f9c7b8-{n:05}{e}"}
    return service, endpoint_slice
for part in range(0, count, 1000):
    write(list_of([one for n in range(part, part + 1000) for one in named(n)]), f"{folder}/part-{part}.json")
PYTHON
}
must "the objects" make_objects
sample node
start
must "the first sync" within 240 synced
all_there() { [ "$(wc -l </proc/net/ip_vs)" -ge $((11 * services)) ]; }
must "all of it is in the kernel" within 60 all_there

# with_memory FILE CMD...: its output in FILE, its memory in KiB printed.
with_memory() {
  /usr/bin/python3 -c '
import resource, subprocess, sys
subprocess.run(sys.argv[2:], check=True, stdout=open(sys.argv[1], "w"))
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' "$@"
}
# within_memory LIMIT FILE CMD...
within_memory() {
  local limit=$1 found
  shift
  found=$(with_memory "$@") || return 1
  echo "figure: $found KiB: ${*:2}" | tee -a "$work/figures"
  [ "$found" -le "$limit" ]
}
check "dump -o json in at most 64 MiB" within_memory $((64 << 10)) "$work/dump.json" "$ctl" dump --socket "$socket" -o json
check "dump in at most 64 MiB" within_memory $((64 << 10)) "$work/dump" "$ctl" dump --socket "$socket"
check "top in at most 64 MiB" within_memory $((64 << 10)) "$work/top" "$ctl" top --socket "$socket" --once -n 5
named() {
  /usr/bin/python3 - "$work/dump.json" "$services" <<'PYTHON'
import json, sys
servers = [s for s in json.load(open(sys.argv[1]))["virtualServers"] if s.get("service", {}).get("name", "").startswith("app-")]
pods = sum(d["pod"]["name"].startswith(s["service"]["name"] + "-6d") for s in servers for d in s["destinations"])
print(len(servers), pods)
sys.exit((len(servers), pods) != (int(sys.argv[2]), 10 * int(sys.argv[2])))
PYTHON
}
check "every virtual server has its Service, every destination its pod" named
cat "$work/figures"
finish
