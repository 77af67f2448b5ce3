#!/bin/bash
# Least power: given all of root's rights, the daemon keeps two capabilities and passes on no more, does all that it is
# for with these, leaves no core file, and answers root alone on its socket.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

must "the node" topology_up
config
sample node web

# What the programs that it runs may do.
mkdir "$work/bin"
cat >"$work/bin/iptables-legacy-restore" <<WRAPPER
#!/bin/sh
grep -E '^(Cap|NoNewPrivs)' /proc/self/status >>$work/child
exec $(command -v iptables-legacy-restore) "\$@"
WRAPPER
chmod +x "$work/bin/iptables-legacy-restore"
# A kube-proxy of another network namespace, as of a cluster in containers.
mkdir "$work/other" && cp "$(command -v sleep)" "$work/other/kube-proxy"
run stranger unshare -n "$work/other/kube-proxy" 600

export PATH=$work/bin:$PATH
ulimit -c unlimited
start
must "it serves" within 30 serving -t 10.96.10.1:80 3
must "the first sync" within 20 synced

admin_and_raw=0000000000003000 # 1 << 12 | 1 << 13
none=0000000000000000
holds() {
  cat "$1"
  [ "$(grep -cx "CapPrm:	$admin_and_raw" "$1")" = "$2" ] && [ "$(grep -cx "CapEff:	$admin_and_raw" "$1")" = "$2" ] &&
    [ "$(grep -cx "CapBnd:	$admin_and_raw" "$1")" = "$2" ] && [ "$(grep -cx "CapInh:	$none" "$1")" = "$2" ] &&
    [ "$(grep -cx "CapAmb:	$none" "$1")" = "$2" ] && [ "$(grep -cx "NoNewPrivs:	1" "$1")" = "$2" ]
}
cat /proc/"$pid"/task/*/status >"$work/threads"
threads=$(grep -c ^Tgid: "$work/threads")
check "it has several threads" test "$threads" -ge 5
check "each has NET_ADMIN and NET_RAW, and gains nothing" holds "$work/threads" "$threads"
# Those of the start, which find out the backend, come before that.
: >"$work/child"
iptables -t nat -F KUBE-SERVICES
config 'ipvsd: {rulesAuditPeriod: 1s}'
check "it ends with its new configuration" within 30 not alive
wait "$pid"
start
check "rules that somebody flushed are back" within 30 sh -c 'iptables -t nat -S KUBE-SERVICES | grep -q -e -A'
check "and it serves" within 30 synced
: >"$work/child"
iptables -t nat -F KUBE-SERVICES
check "again, while it serves" within 30 sh -c 'iptables -t nat -S KUBE-SERVICES | grep -q -e -A'
check "the programs that it runs have no more" holds "$work/child" "$(grep -c ^CapPrm: "$work/child")"

# With no more than that it does what it is for; a kube-proxy elsewhere is nobody's concern.
check "a kube-proxy of another network namespace is no reason to wait" not says kube-proxy
serve_pods
check "traffic" each 2 in_pod outside "$traffic" request tcp 192.168.77.2 30080
replace web.yaml <"$samples/solo.yaml"
check "a change" within 30 serving -t 10.96.10.2:80 1
check "and what is gone goes" within 30 not has_server -t 10.96.10.1:80
ip link del kube-ipvs0
check "the link is made anew" within 30 has_address 10.96.10.2
check "nothing was refused" not says 'denied|EPERM|EACCES'

# The ctl socket.
socket=/run/kube-ipvsd/ctl.sock
check "the socket is root's alone" test "$(stat -c '%a %u %g %F' $socket)" = "600 0 0 socket"
check "its folder is" test "$(stat -c '%a %u' /run/kube-ipvsd)" = "700 0"
ctl() { "$PWD/build/ctl/kube-ipvsctl" status; }
check "root is answered" ctl
as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all "$@"; }
cat >"$work/ask.py" <<'PYTHON'
import socket, sys
client = socket.socket(socket.AF_UNIX)
try:
    client.connect("/run/kube-ipvsd/ctl.sock")
except PermissionError:
    sys.exit("no access")
try:
    client.sendall(b"GET /v1/status HTTP/1.1\r\n\r\n")
except BrokenPipeError:
    pass  # it did not wait for the request
print(client.makefile("rb").read().decode())
PYTHON
chmod 755 "$work" && chmod 644 "$work/ask.py"
check "another user does not get to it" sh -c "setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all \
  /usr/bin/python3 $work/ask.py 2>&1 | grep -qx 'no access'"
chmod 755 /run/kube-ipvsd && chmod 666 $socket
refused() {
  as_nobody /usr/bin/python3 "$work/ask.py" >"$work/said" 2>&1
  cat "$work/said"
  file_says said '^HTTP/1.1 403 ' && file_says said 'only root is answered here' && not file_says said services
}
check "and where somebody opened it, he is refused by who he is" refused

# Cores. What the kernel would write shows the second process.
cores=$work/cores
mkdir -p "$cores" && chmod 777 "$cores"
pattern=$(cat /proc/sys/kernel/core_pattern)
must "where cores go" sh -c "echo $cores/core.%e >/proc/sys/kernel/core_pattern"
(sh -c 'kill -SEGV $$'; true) 2>/dev/null
check "others leave a core" test -s "$cores/core.sh"
kill -SEGV "$pid"
wait "$pid" 2>/dev/null
check "a crash" test $? = 139
printf '%s' "$pattern" >/proc/sys/kernel/core_pattern
pid=
the_other() { ls "$cores" && [ "$(ls "$cores")" = core.sh ]; }
check "leaves none of the daemon" the_other
finish
