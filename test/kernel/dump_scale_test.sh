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

read -r _ found _ < <($bare)
exactly "the floor found every destination" $((10 * servers)) "$found"
BENCH_TURNS=3 bench/dump.sh $servers 2>&1 >/dev/null | sed 's/^/figure: /'

echo "$passed passed, $failed failed"
[ $failed = 0 ]
