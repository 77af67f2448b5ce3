#!/bin/bash
# kube-ipvsctl dump of ten thousand virtual servers with ten destinations each: what it asks of the kernel and of memory.
# Times are printed beside the bare netlink dump of the same run, and not judged.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
ctl=build/ctl/kube-ipvsctl
bare=build/test/kernel/bare_dump
[ -x $ctl ] && [ -x $bare ] || { echo "skipped: no $ctl or $bare"; exit 77; }
servers=10000
passed=0
failed=0

# at_most NAME LIMIT FOUND
at_most() {
  if [ "${3:-0}" -le "$2" ]; then
    echo "ok: $1: $3, at most $2"
    passed=$((passed + 1))
  else
    echo "FAILED: $1: $3, at most $2"
    failed=$((failed + 1))
  fi
}
exactly() {
  if [ "$2" = "$3" ]; then
    echo "ok: $1"
    passed=$((passed + 1))
  else
    echo "FAILED: $1: expected $2, found $3"
    failed=$((failed + 1))
  fi
}
# milliseconds CMD...: in $took
milliseconds() {
  local from=$EPOCHREALTIME to
  "$@" >/dev/null || { echo "FAILED: $*"; failed=$((failed + 1)); }
  to=$EPOCHREALTIME
  took=$(((${to/[.,]/} - ${from/[.,]/}) / 1000))
}

/usr/bin/python3 - $servers >/run/rules <<'PYTHON'
import sys
for n in range(int(sys.argv[1])):
    address = f"10.96.{n // 250}.{n % 250 + 1}:80"
    print(f"-A -t {address} -s rr")
    for e in range(10):
        print(f"-a -t {address} -r 10.244.{n % 250}.{e + 1}:8080 -m -w 1")
PYTHON
ipvsadm -R </run/rules || exit 1

exactly "every virtual server and destination" $((11 * servers)) "$($ctl dump -o ipvsadm | wc -l)"
exactly "the same as ipvsadm" "$(ipvsadm -Sn | sort | md5sum)" "$($ctl dump -o ipvsadm | sort | md5sum)"

# Sends and receives that concern netlink, and all system calls. A dump's end is received with its entries.
strace -c -o /run/counts $ctl dump -o json >/dev/null
calls() { awk -v name="$1" '$NF == name { print $4 }' /run/counts; }
at_most "requests" $((servers + 100)) "$(calls sendto)"
at_most "receives" $((servers + 200)) "$(calls recvmmsg)"
at_most "system calls" $((2 * servers + 3000)) "$(calls total)"

for format in table json; do
  memory=$(/usr/bin/python3 -c '
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' $ctl dump -o $format)
  at_most "KiB of memory as $format" $((64 << 10)) "$memory"
done

# A look of top asks for the virtual servers, and for the destinations of what is unfolded only.
strace -c -o /run/counts $ctl top --once -n 1 --endpoints >/dev/null
at_most "requests of top" 60 "$(calls sendto)"
at_most "system calls of top" 1500 "$(calls total)"

# What a refresh costs: 20 looks of one process on a terminal, apart from what starting takes.
/usr/bin/python3 - $ctl <<'PYTHON'
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
print(f"figure: top, live, a look every 2 s: {100 * used / took:.1f} % of a core")
os.write(terminal, b"q")
while True:
    try:
        if not os.read(terminal, 65536): break
    except OSError:
        break
os.waitpid(pid, 0)
PYTHON

for run in 1 2 3; do
  read -r _ found micros < <($bare)
  exactly "the floor found every destination" $((10 * servers)) "$found"
  echo "figure: run $run: the bare netlink dump: $((micros / 1000)) ms"
  for format in table json ipvsadm; do
    milliseconds $ctl dump -o $format
    echo "figure: run $run: kube-ipvsctl dump -o $format: $took ms, $((took * 100000 / micros)) % of the floor"
  done
done
milliseconds ipvsadm -Ln
echo "figure: ipvsadm -Ln: $took ms"

echo "$passed passed, $failed failed"
[ $failed = 0 ]
