#!/bin/bash
# What kube-ipvsctl takes beside the bare netlink dump (test/kernel/bare_dump.cpp) of the same run, in this network
# namespace, which it fills with COUNT virtual servers of ten destinations where it has none. Each program runs by turns,
# BENCH_TURNS times, and the quickest of each counts: other work on the machine only ever adds.
#   bench/dump.sh [COUNT]    JSON lines on standard output, as scripts/bench.sh; the same for people on standard error
set -eu
cd "$(dirname "$(realpath "$0")")/.."
count=${1:-10000}
turns=${BENCH_TURNS:-7}
ctl=build/ctl/kube-ipvsctl
bare=build/test/kernel/bare_dump

modprobe -q ip_vs || true
if [ "$(wc -l </proc/net/ip_vs)" -le 3 ]; then
  /usr/bin/python3 - "$count" <<'PYTHON' | ipvsadm -R
import sys
for n in range(int(sys.argv[1])):
    address = f"10.96.{n // 250}.{n % 250 + 1}:80"
    print(f"-A -t {address} -s rr")
    for e in range(10):
        print(f"-a -t {address} -r 10.244.{n % 250}.{e + 1}:8080 -m -w 1")
PYTHON
fi
# It is there wherever Services are served.
ip link show kube-ipvs0 >/dev/null 2>&1 || ip link add kube-ipvs0 type dummy

declare -A best
# quickest NAME CMD...: microseconds, in best[NAME].
quickest() {
  local name=$1 from=$EPOCHREALTIME to took
  shift
  "$@" >/dev/null
  to=$EPOCHREALTIME
  took=$((${to/[.,]/} - ${from/[.,]/}))
  [ "${best[$name]:-$took}" -lt $took ] || best[$name]=$took
}
# tell NAME VALUE UNIT FLOOR AT-MOST: the ratio is that of value to floor.
tell() {
  /usr/bin/python3 - "$count" "$@" <<'PYTHON'
import json, sys
n, name, value, unit, floor, limit = sys.argv[1:]
figure = {"name": name, "where": "vm", "n": int(n), "value": float(value), "unit": unit}
words = f"{name} vm n={n}: {value} {unit}"
if floor:
    figure |= {"floor": float(floor), "ratio": round(float(value) / float(floor), 2)}
    words += f", floor {floor} {unit}, ratio {figure['ratio']}"
print(json.dumps(figure), flush=True)
if limit:
    measured = float(value) / float(floor) if floor else float(value)
    words += f"  at most {limit}: " + ("met" if measured <= float(limit) else "MISSED")
print(words, file=sys.stderr)
PYTHON
}
seconds() { printf '%d.%03d' $(($1 / 1000000)) $(($1 / 1000 % 1000)); }

for ((turn = 0; turn < turns; ++turn)); do
  quickest bare $bare
  for format in json table ipvsadm; do quickest $format $ctl dump -o $format; done
done
quickest start $ctl --version
quickest ipvsadm-Ln ipvsadm -Ln
floor=$(seconds "${best[bare]}")
tell dump.floor "$floor" s "" ""
for format in json table ipvsadm; do tell dump.$format "$(seconds "${best[$format]}")" s "$floor" 2.5; done
tell dump.ipvsadm_program "$(seconds "${best[ipvsadm-Ln]}")" s "$floor" ""
tell dump.start_of_program "$(seconds "${best[start]}")" s "" ""

# A refresh of top, apart from what starting takes: 20 looks of one process on a terminal.
busy=$(/usr/bin/python3 - $ctl <<'PYTHON'
import os, pty, select, sys, time
def spent(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
pid, terminal = pty.fork()
if pid == 0:
    os.environ.update(TERM="xterm")
    os.execv(sys.argv[1], [sys.argv[1], "top"])
def drain(until):
    while time.monotonic() < until:
        if select.select([terminal], [], [], max(0, until - time.monotonic()))[0]:
            os.read(terminal, 65536)
drain(time.monotonic() + 5)
before, start = spent(pid), time.monotonic()
drain(start + 40)
used, took = spent(pid) - before, time.monotonic() - start
print(f"{100 * used / took:.1f}")
os.write(terminal, b"q")
while True:
    try:
        if not os.read(terminal, 65536): break
    except OSError:
        break
os.waitpid(pid, 0)
PYTHON
)
tell top.of_a_core "$busy" % "" 10
