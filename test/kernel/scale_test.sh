#!/bin/bash
# A thousand Services: how long the first sync takes, and that one change costs one change.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

services=1000
must "the node" node_up
# No audit and no check of the rules while a change is watched.
config 'ipvsd: {auditPeriod: 24h, rulesAuditPeriod: 1h}'

# One JSON List: Services with ten endpoints each; the first one's slice in a file of its own, to be changed.
make_objects() {
  api_objects "$services" "$manifests" <<'PYTHON'
count, folder = int(sys.argv[1]), sys.argv[2]
items = [one for n in range(count) for one in app(n, 10)]
first = items.pop(1)
write(list_of(items), f"{folder}/all.json")
write(first, f"{folder}/first.json")
first["endpoints"][0]["addresses"] = ["10.244.1.11"]
write(first, f"{folder}/../changed.json")
PYTHON
}
must "the objects" make_objects
sample node

once_in_time() {
  local from=$EPOCHREALTIME to
  "$daemon" --config "$config" --manifests "$manifests" --once >"$log" 2>&1 </dev/null || return 1
  to=$EPOCHREALTIME
  took=$(((${to/[.,]/} - ${from/[.,]/}) / 1000))
  [ $took -lt 10000 ]
}
check "--once with $services Services of ten endpoints ends within 10 s" once_in_time
echo "figure: first sync of $services Services with $((10 * services)) endpoints, whole process: $took ms"
all_there() {
  ipvsadm -Sn >"$work/table"
  [ "$(grep -c -e '^-A' "$work/table")" = $services ] && [ "$(grep -c -e '^-a' "$work/table")" = $((10 * services)) ] &&
    [ "$(ip -o addr show dev kube-ipvs0 | grep -c ' 10\.97\.')" = $services ]
}
check "all of it is in the kernel" all_there
check "again, with all of it there, within 10 s" once_in_time
echo "figure: the same with nothing to do: $took ms"
check "and changed nothing" diff "$work/table" <(ipvsadm -Sn)

start
must "the first sync" within 60 synced
quiet() { [ "$(metric kube_ipvsd_dirty_objects)" = 0 ]; }
must "nothing left to do" within 30 quiet
run strace strace -f -p "$pid" -o "$work/trace"
tracer=$started
must "strace watches" within 30 file_says strace 'attached'
replace first.json <"$work/changed.json"
check "one endpoint changes" within 20 destination 10.97.0.1:80 10.244.1.11:8080 '-w 1$'
drained() { [ "$(metric kube_ipvsd_draining_virtual_servers)" = 0 ]; }
check "the former endpoint is gone" within 20 not destination 10.97.0.1:80 10.128.0.1:8080 ''
must "nothing drains" within 20 drained
kill $tracer
wait $tracer 2>/dev/null
grep -E '^[0-9]+ +send(to|msg|mmsg)\(.*(NETLINK|nlmsg|genl)' "$work/trace" >"$work/netlink"
no_programs() { ! grep -E '^[0-9]+ +(execve|execveat|fork|vfork|clone|clone3)\(' "$work/trace"; }
check "the change started no program and no thread" no_programs
# IPVS's commands (linux/ip_vs.h): SET_DEST 6, NEW_DEST 5, DEL_DEST 7; 4 and 8 read a virtual server, its destinations.
writes() { grep -oE 'nlmsg_type=IPVS,[^"]*"\\x0[1-35-7]' "$work/netlink" | grep -oE '.$' | tr -d '\n'; }
check "the change is written once: the new one added, the former set to weight 0, then removed" test "$(writes)" = 567
# What the loop's thread called between two waits, when it wrote. What a lock may call, or a clock that has no system call
# of its own, is left out.
loop=$(awk '/nlmsg_type=IPVS/ { print $1; exit }' "$work/netlink")
turn_of_change() {
  awk -v loop="$loop" -v left_out="$1" '
    $1 != loop || $2 ~ /^<\.\.\./ { next }
    { sub(/\(.*/, "", $2) }
    $2 == "epoll_wait" && wrote { print turn; exit }
    $2 == "epoll_wait" { turn = ""; next }
    $2 == "sendto" { wrote = 1 }
    $2 !~ left_out { turn = turn $2 " " }' "$work/trace"
}
change_drain_removal="sendto recvmmsg sendto recvmmsg sendto recvmmsg "
turn=$(turn_of_change '^(futex|clock_gettime)$')
check "one turn of the loop: a send each for the change, for what its drain waits for, and for the removal" \
  test "$turn" = "$change_drain_removal"
clock=$(turn_of_change '^(futex|sendto|recvmmsg)$' | wc -w)
check "which looks at the clock three times at most" test "$clock" -le 3
no_dump() { ! grep -E 'nlmsg_type=IPVS,.*0x300,.*"\\x04|nlmsg_type=RTM_GET|IPSET_CMD_LIST' "$work/netlink"; }
check "no table was read as a whole" no_dump
only_these() {
  cut -c1-200 "$work/netlink"
  [ "$(grep -c . "$work/netlink")" = 3 ]
}
check "and nothing was sent besides" only_these
echo "figure: netlink sends for one endpoint replaced, its drain included: $(grep -c . "$work/netlink")"
check "the other Services are as they were" diff <(grep -v -F 10.97.0.1:80 "$work/table") <(ipvsadm -Sn | grep -v -F 10.97.0.1:80)
check "no warning" not says ' (warning|error) '
finish
