#!/bin/bash
# --hand-over: what kube-proxy does not know goes, what it takes over stays, and no connection breaks, of those through a
# virtual server by mark either.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

must "the node" topology_up
must "the backends" serve_pods
config 'ipvsd: {auditPeriod: 1s, rulesAuditPeriod: 1s}'
sample node web

# local NAME NUMBER: a Service of policy Local in both families; web-1 is on this node, web-2 is not.
local_service() {
  cat <<YAML
apiVersion: v1
kind: Service
metadata: {name: $1, namespace: default}
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  clusterIP: 10.96.10.$2
  clusterIPs: [10.96.10.$2, "fd00:10:96::$2"]
  ipFamilies: [IPv4, IPv6]
  ports: [{name: http, protocol: TCP, port: 80, targetPort: 8080}]
status: {loadBalancer: {ingress: [{ip: 203.0.113.$2}, {ip: "2001:db8:113::$2"}]}}
YAML
  local family prefix
  for family in 4 6; do
    [ $family = 4 ] && prefix=10.244.1. || prefix=fd00:10:244:1::
    cat <<YAML
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: $1-$family, namespace: default, labels: {kubernetes.io/service-name: $1}}
addressType: IPv$family
ports: [{name: http, protocol: TCP, port: 8080}]
endpoints:
  - {addresses: ["${prefix}11"], conditions: {ready: true}, nodeName: lab-node}
  - {addresses: ["${prefix}12"], conditions: {ready: true}, nodeName: other-node}
YAML
  done
}
local_service held 50 >"$manifests/held.yaml"
local_service idle 51 >"$manifests/idle.yaml"
# Somebody else's: a virtual server by a mark that is in no set of ours, a chain in table mangle, a set.
foreign_up() {
  ipvsadm -A -f 7 -s rr && ipset create KUBE-NOT-OURS hash:ip && iptables -t mangle -N FOREIGN &&
    iptables -t mangle -A PREROUTING -p tcp --dport 23 -j FOREIGN
}
must "foreign objects" foreign_up
start
must "the first sync" within 30 synced
must "the VIPs" within 30 has_address 203.0.113.51
in_pod outside ip route add 203.0.113.0/24 via 192.168.77.2
in_pod outside ip -6 route add 2001:db8:113::/48 via fd00:77::2

marked() { ipvsadm -Sn | grep -c -e '^-A -f'; }
marks_are() { [ "$(marked)" = "$1" ]; }
check "a virtual server by mark for each Service and family, and the foreign one" marks_are 5
run marked ip netns exec outside "$traffic" hold 203.0.113.50 80 --count 20 --interval 50
marked_holder=$started
run plain ip netns exec client "$traffic" hold 203.0.113.50 80 --count 20 --interval 50
plain_holder=$started
must "connections from outside" within 10 file_says marked 'from web-1'
must "connections of a pod" within 10 file_says plain '^20 open'

# What kube-proxy takes over: all but our own rules, sets and virtual servers by mark.
taken_over() {
  ipvsadm -Sn | grep -vE -e '^-[Aa] -f' | sort
  ipset save | grep -vE '^(create|add) KUBE-(6-)?IPVSD-' | sort
  ip -br addr show dev kube-ipvs0
  saved_rules | grep -v KUBE-IPVSD
}
taken_over >"$work/before"
same_state() { diff "$work/before" <(taken_over); }
hand_over() { "$daemon" --config "$config" --hand-over >"$work/said" 2>&1 </dev/null; }

ipvsadm -Sn | sort >"$work/servers"
check "refused while kube-ipvsd runs" not hand_over
check "which it says" file_says said 'another kube-ipvsd runs .*: end it before --hand-over'
check "and touches nothing" diff "$work/servers" <(ipvsadm -Sn | sort)
check "the daemon ends" stop

check "it hands over" hand_over
check "removed is what has no connections" file_says said 'ready for kube-proxy: .* 3 virtual servers by mark'
check "it says what stays" file_says said '1 virtual servers by mark stay for the 20 connections'
check "the virtual server with connections stays, and the foreign one" marks_are 2
check "the set that names it stays" test "$(ipset list KUBE-IPVSD-MARKS -o save | grep -c '^add')" = 1
check "no other set of ours stays" test "$(ipset list -n | grep -c IPVSD)" = 1
no_rules() { not grep KUBE-IPVSD <(iptables-save; ip6tables-save); }
check "no rule of ours stays in table mangle" no_rules
check "what kube-proxy takes over is as it was" same_state
check "an outside client now meets what a pod meets" \
  bash -c "ip netns exec outside $traffic request tcp 203.0.113.51 80 --count 6 --quiet --timeout 500 | grep -q 'from web-2'"
check "once more" hand_over
check "changes nothing" marks_are 2
check "and says so" file_says said 'ready for kube-proxy: .* 0 virtual servers by mark'
check "what kube-proxy takes over is still as it was" same_state

ended() {
  kill -TERM "$1"
  wait "$1"
}
check "the connections from outside lived through it" ended "$marked_holder"
check "none of them broke" file_says marked ' 0 broken'
check "a pod's, too" ended "$plain_holder"
check "none of those broke" file_says plain ' 0 broken'
# Ended connections linger for two minutes in the kernel, and count until then.
all_gone() { hand_over && not file_says said 'stay for'; }
check "when the connections have ended, the rest goes" within 180 all_gone
check "but for the foreign one" marks_are 1
check "and all our sets" not eval 'ipset list -n | grep IPVSD'
check "what kube-proxy takes over is as it was to the end" same_state

start
check "kube-ipvsd comes back" within 30 synced
check "and has its marks again" within 10 marks_are 5
all_local() { in_pod outside "$traffic" request tcp 203.0.113.50 80 --count 6 --quiet | grep -qx '6 from web-1'; }
check "which lead outside clients to the local endpoint" within 10 all_local
check "without a warning" not says ' (warning|error) '
stop
check "a node where nothing is left" "$daemon" --config "$config" --cleanup
check "is ready as well" hand_over
finish
