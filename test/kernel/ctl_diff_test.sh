#!/bin/bash
# kube-ipvsctl status and diff, beside the daemon and without one.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh
ctl=$PWD/build/ctl/kube-ipvsctl
socket=$work/ctl.sock

must "the node" topology_up
config "ipvsd: {ctlSocket: $socket, auditPeriod: 3600s, rulesAuditPeriod: 3600s}"
sample node web edge

ctl() {
  local command=$1
  shift
  "$ctl" "$command" --socket "$socket" "$@"
}
# ends STATUS CMD...
ends() {
  local wanted=$1
  shift
  "$@"
  local status=$?
  [ $status = "$wanted" ] || { echo "status $status, not $wanted"; return 1; }
}
# tells STATUS TEXT CMD...: the command ends with STATUS and prints a line that matches TEXT.
tells() {
  local wanted=$1 text=$2 said
  shift 2
  said=$("$@" 2>&1)
  local status=$?
  echo "$said"
  [ $status = "$wanted" ] && grep -qE -e "$text" <<<"$said"
}
offline() { "$ctl" diff --manifests "$manifests" --config "$config" "$@"; }
same_lines() { diff <(ctl diff | sort) <(offline | sort); }
field() { ctl status -o json | /usr/bin/python3 -c "import json, sys; status = json.load(sys.stdin); print($1)"; }
# field_is VALUE EXPRESSION
field_is() { [ "$(field "$2")" = "$1" ]; }

check "status without a daemon" tells 2 "no kube-ipvsd answers on $socket: is it running" ctl status
check "diff without a daemon says so" tells 2 "no kube-ipvsd answers" ctl diff
check "diff of manifests on a node where nothing is yet" tells 1 'missing  *virtual server 10\.96\.10\.1:80/TCP' offline

start
must "the VIPs" within 30 has_address 10.96.10.1
must "the first sync" within 30 synced
check "status is healthy" within 20 tells 0 'node lab-node.*healthy' ctl status
check "the socket is root's alone" test "$(stat -c '%a %u' "$socket")" = "600 0"
check "another user is refused" tells 2 "only root" setpriv --reuid nobody --clear-groups "$ctl" status --socket "$socket"
check "status counts the Services" field_is 3 'status["services"]'
check "status knows the source" field_is True 'status["sources"][0]["synced"] and status["sources"][0]["connected"]'
check "no difference, by the daemon's objects" ends 0 ctl diff
check "no difference, by manifests" ends 0 offline

ip addr del 10.96.10.1/32 dev kube-ipvs0 # the daemon sees this one and puts it back
must "the address is back" within 10 has_address 10.96.10.1
check "drift is counted" within 10 field_is 1 'status["drift"]["addresses"]'

ipvsadm -D -t 203.0.113.10:80
ipvsadm -d -t 10.96.10.1:80 -r 10.244.1.11:8080
ipvsadm -e -t 10.96.10.1:80 -r 10.244.1.12:8080 -m -w 7
ipvsadm -a -t 10.96.10.1:80 -r 10.244.1.99:8080 -m
ipset del KUBE-CLUSTER-IP 10.96.10.1,udp:53
ipset add KUBE-CLUSTER-IP 10.96.99.99,udp:53
iptables -F KUBE-MARK-MASQ -t nat 2>/dev/null || iptables-legacy -t nat -F KUBE-MARK-MASQ
echo 0 >/proc/sys/net/ipv4/vs/conntrack
check "virtual server" tells 1 'missing  *virtual server 203\.0\.113\.10:80/TCP scheduler rr \(default/' ctl diff
check "destination that is not there" tells 1 'missing  *destination 10\.244\.1\.11:8080 of 10\.96\.10\.1:80/TCP weight 1' ctl diff
check "weight" tells 1 'differs  *destination 10\.244\.1\.12:8080 of .* weight 7, wanted weight 1' ctl diff
check "destination that nobody wants" tells 1 'unwanted destination 10\.244\.1\.99:8080' ctl diff
check "set entry" tells 1 'missing  *set entry KUBE-CLUSTER-IP 10\.96\.10\.1,udp:53 \(default/web' ctl diff
check "set entry that nobody wants" tells 1 'unwanted set entry KUBE-CLUSTER-IP 10\.96\.99\.99,udp:53' ctl diff
check "rule" tells 1 'missing  *rule IPv4 nat/KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000' ctl diff
check "sysctl" tells 1 'differs  *sysctl net\.ipv4\.vs\.conntrack 0, wanted 1' ctl diff
check "JSON" tells 1 '"kind": "destination"' ctl diff -o json
check "the same without the daemon's help" same_lines

must "the objects, as the daemon has them" curl -sf --unix-socket "$socket" -o "$work/objects.json" http://daemon/v1/objects
stop
rm -f "$socket"
check "without the daemon" tells 1 'differs  *sysctl' offline

# The same by an API server.
mkdir "$work/tls"
run api "$PWD/build/test/fake/fake-api-server" --port 6443 --token secret --tls-dir "$work/tls" --load "$work/objects.json"
must "the API server" within 30 file_says api '^https://'
by_api() {
  local command=$1
  shift
  "$ctl" "$command" --kubeconfig "$work/tls/kubeconfig" --config "$config" --socket "$socket" "$@"
}
same_by_api() { diff <(offline | sort) <(by_api diff | sort); }
check "by the API server, without the daemon" tells 1 'missing  *virtual server 203\.0\.113\.10:80/TCP' by_api diff
check "the same differences as by manifests" same_by_api
check "explain by the API server: a fault" tells 1 'virtual-server-missing' by_api explain 203.0.113.10:80
check "explain by the API server: whose it is" tells 1 'service +default/edge' by_api explain 203.0.113.10:80
check "explain by the API server: a Service by name" tells 1 'destination-missing' by_api explain default/web
check "explain by the API server: no such Service" tells 1 'the API server of .* knows no Service default/nobody' \
  by_api explain default/nobody
check "names by the API server" tells 0 '^10\.96\.10\.1:80/TCP +default/web:http ' by_api dump
once_more() { "$daemon" --config "$config" --manifests "$manifests" --once >>"$log" 2>&1; }
must "all of it repaired" once_more
check "no difference, by the API server" ends 0 by_api diff
check "nothing wrong, by the API server" tells 0 'nothing wrong found' by_api explain 10.96.10.1:80
sed 's/token: .*/token: wrong/' "$work/tls/kubeconfig" >"$work/tls/wrong"
check "a token that is refused" tells 2 'Unauthorized|401' "$ctl" diff --kubeconfig "$work/tls/wrong" --config "$config"
kill "$started"
check "an API server that is gone" tells 2 'no complete list' by_api diff
check "a kubeconfig that is not there" tells 2 'no-such-file' "$ctl" explain 10.96.10.1:80 --kubeconfig "$work/no-such-file"

check "manifests that are not there" tells 2 'no-such-folder' "$ctl" diff --manifests "$work/no-such-folder"
finish
