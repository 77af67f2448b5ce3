#!/bin/bash
# externalTrafficPolicy Local: who comes from outside the cluster meets this node's endpoints only and is seen under its
# own address; pods and processes of the node meet all of them at the same address.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

must "the node" topology_up
must "the backends" serve_pods
config 'ipvsd: {auditPeriod: 1s, rulesAuditPeriod: 1s}'
sample node

# edge POLICY NODE-OF-web-1 CONDITIONS-OF-web-1: web-2 and web-3 are another node's. In both families.
edge() {
  cat <<YAML
apiVersion: v1
kind: Service
metadata: {name: edge, namespace: default}
spec:
  type: LoadBalancer
  externalTrafficPolicy: $1
  clusterIP: 10.96.10.6
  clusterIPs: [10.96.10.6, "fd00:10:96::6"]
  ipFamilies: [IPv4, IPv6]
  externalIPs: [203.0.113.41]
  ports:
    - {name: http, protocol: TCP, port: 80, targetPort: 8080, nodePort: 30086}
    - {name: dns, protocol: UDP, port: 53, targetPort: 5353, nodePort: 30053}
status: {loadBalancer: {ingress: [{ip: 203.0.113.40}, {ip: "2001:db8:113::40"}]}}
YAML
  local family prefix
  for family in 4 6; do
    [ $family = 4 ] && prefix=10.244.1. || prefix=fd00:10:244:1::
    cat <<YAML
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: edge-$family, namespace: default, labels: {kubernetes.io/service-name: edge}}
addressType: IPv$family
ports: [{name: http, protocol: TCP, port: 8080}, {name: dns, protocol: UDP, port: 5353}]
endpoints:
  - {addresses: ["${prefix}11"], conditions: {$3}, nodeName: $2}
  - {addresses: ["${prefix}12"], conditions: {ready: true}, nodeName: other-node}
  - {addresses: ["${prefix}13"], conditions: {ready: true}, nodeName: other-node}
YAML
  done
}
ready='ready: true'
edge Local lab-node "$ready" | replace edge.yaml
start
must "the VIPs" within 30 has_address 203.0.113.40
must "the first sync" within 30 synced
in_pod outside ip route add 203.0.113.0/24 via 192.168.77.2
in_pod outside ip -6 route add 2001:db8:113::/48 via fd00:77::2

client() { in_pod client "$traffic" "$@"; }
outside() { in_pod outside "$traffic" "$@"; }
all_local() { outside request "$@" --count 6 --quiet | tee /dev/stderr | grep -qx '6 from web-1'; }

for place in 'tcp 203.0.113.40 80' 'tcp 203.0.113.41 80' 'tcp 192.168.77.2 30086' 'udp 203.0.113.40 53' \
  'udp 192.168.77.2 30053' 'tcp 2001:db8:113::40 80' 'tcp fd00:77::2 30086' 'udp 2001:db8:113::40 53'; do
  # shellcheck disable=SC2086
  check "from outside only the local endpoint: $place" all_local $place
  # shellcheck disable=SC2086
  check "from a pod all endpoints: $place" each 1 client request $place
  # shellcheck disable=SC2086
  check "from the node all endpoints: $place" each 1 "$traffic" request $place
done
check "an outside client is seen under its own address" \
  answers 'web-1 192\.168\.77\.1:' outside request tcp 203.0.113.40 80
check "and at the NodePort" answers 'web-1 192\.168\.77\.1:' outside request tcp 192.168.77.2 30086
check "and in IPv6" answers 'web-1 \[fd00:77::1\]:' outside request tcp 2001:db8:113::40 80
check "a pod, too" answers 'web-. 10\.244\.1\.100:' client request tcp 203.0.113.40 80
check "the ClusterIP holds all endpoints" each 1 client request tcp 10.96.10.6 80

marked() { ipvsadm -Sn | grep -c -e '^-A -f'; }
marks_are() { [ "$(marked)" = "$1" ]; }
check "one virtual server by mark for each port and family" marks_are 4
check "the marks are in their set" test "$(ipset list KUBE-IPVSD-MARKS -o save | grep -c '^add')" = 2

# Other people's bits: the packet falls back to the ordinary virtual server, and is counted.
foreign_bits() {
  local program
  for program in iptables ip6tables; do
    $program -t mangle "$1" PREROUTING -i eth0 -p tcp --dport 80 -j MARK --set-xmark 0x800000/0x800000 || return 1
  done
}
counted() { [ "$(metric "kube_ipvsd_foreign_mark_packets_total{family=\"$1\"}")" -ge "$2" ]; }
check "nothing counted yet, in either family" not eval 'counted IPv4 1 || counted IPv6 1'
must "foreign bits" foreign_bits -I
check "a packet with foreign bits falls back to all endpoints" \
  bash -c "ip netns exec outside $traffic request tcp 203.0.113.40 80 --count 6 --quiet --timeout 500 |
    grep -q 'from web-[23]'"
check "and is counted" within 10 counted IPv4 6
check "in its family only" not counted IPv6 1
outside request tcp 2001:db8:113::40 80 --count 2 --quiet --timeout 500 >"$work/output"
check "in IPv6, too" within 10 counted IPv6 2
counted_before=$(metric 'kube_ipvsd_foreign_mark_packets_total{family="IPv4"}')
must "somebody empties the chain" iptables -t mangle -F KUBE-IPVSD-OUTSIDE
marking() { iptables-save -t mangle | grep -q -e '--map-mark'; }
check "the rules are written again" within 10 marking
check "the metric stays where it was" counted IPv4 "$counted_before"
outside request tcp 203.0.113.40 80 --count 1 --quiet --timeout 500 >"$work/output"
check "and goes on from there" within 10 counted IPv4 $((counted_before + 1))
check "but not twice" not counted IPv4 $((counted_before * 2))
must "no foreign bits" foreign_bits -D

state() { { ipvsadm -Sn; ipset save; } | sort; }
state >"$work/before"
entries_before=$(ipset list KUBE-IPVSD-OUTSIDE -o save | grep -c '^add')
check "SIGTERM" stop
start
must "the first sync after a restart" within 30 synced
check "a restart keeps every mark" diff "$work/before" <(state)
check "and writes nothing" test "$(metrics | awk '/^kube_ipvsd_operations_total/ { n += $2 } END { print n + 0 }')" = 0
stop KILL
start
must "the first sync after a crash" within 30 synced
check "a crash keeps every mark" diff "$work/before" <(state)

edge Local lab-node 'ready: false, serving: true, terminating: true' | replace edge.yaml
check "a local endpoint that only terminates leaves the others to the pods" \
  within 10 bash -c "ipvsadm -Sn | grep -c -e '-a -t 203.0.113.40:80 .* -w 1' | grep -qx 2"
check "and serves outside clients until it is gone" all_local tcp 203.0.113.40 80

edge Local other-node "$ready" | replace edge.yaml
local_gone() { ! ipvsadm -Sn | grep -e '^-a -f' | grep -vq -e '-w 0'; }
check "without a local endpoint" within 10 local_gone
refused() { "$@" | tee /dev/stderr | grep -q 'failed: Connection refused'; }
check "outside clients are refused at once" refused outside request tcp 203.0.113.40 80 --count 1
check "at the NodePort, too" refused outside request tcp 192.168.77.2 30086 --count 1
check "in IPv6, too" refused outside request tcp 2001:db8:113::40 80 --count 1
check "a UDP client, too" refused outside request udp 203.0.113.40 53 --count 1
check "pods are served" each 1 client request tcp 203.0.113.40 80
check "the node is served" each 1 "$traffic" request tcp 203.0.113.40 80

edge Local lab-node "$ready" | replace edge.yaml
check "the local endpoint comes back" within 10 all_local tcp 203.0.113.40 80

# The policy changes under an open connection.
run held ip netns exec outside "$traffic" hold 203.0.113.40 80 --count 20 --interval 50
holder=$started
must "open connections from outside" within 10 file_says held 'from web-1'
edge Cluster lab-node "$ready" | replace edge.yaml
unmarked() { [ "$(ipset list KUBE-IPVSD-OUTSIDE -o save | grep -c '^add')" = 0 ]; }
check "with policy Cluster nobody is marked" within 10 unmarked
check "and outside clients meet all endpoints" each 1 outside request tcp 203.0.113.40 80
in_use() { ipvsadm -Ln | awk '/^FWM/ { marked = 1 } /^(TCP|UDP)/ { marked = 0 } marked && $1 == "->" && $5 == 20 { n++ } END { exit n != 1 }'; }
check "the virtual server by mark waits for its connections" in_use
kill -TERM "$holder"
wait "$holder"
held_status=$?
check "the connections lived through it" test "$held_status" = 0
check "no connection broke" file_says held ' 0 broken'
# A connection that ended lingers for two minutes in the kernel; nobody waits for that here.
edge Local lab-node "$ready" | replace edge.yaml
check "back to Local" within 10 all_local tcp 203.0.113.40 80
must "somebody empties the set" ipset flush KUBE-IPVSD-OUTSIDE
entries_are() { [ "$(ipset list KUBE-IPVSD-OUTSIDE -o save | grep -c '^add')" = "$1" ]; }
check "the audit repairs it" within 20 entries_are "$entries_before"

rm "$manifests/edge.yaml"
check "the Service goes" within 10 not has_address 203.0.113.40
warns_of_drift_only() { ! grep -E ' (warning|error) ' "$log" | grep -v 'somebody else changed what is ours'; }
check "no warning but that somebody else was at work" warns_of_drift_only
check "the daemon ends" stop
"$daemon" --config "$config" --cleanup >>"$log" 2>&1
check "--cleanup leaves no virtual server" test -z "$(ipvsadm -Sn)"
check "--cleanup leaves no set" test -z "$(ipset list -n)"
check "--cleanup leaves no chain" not bash -c 'iptables-save | grep KUBE-IPVSD'

# A mask with room for one mark in each family.
config 'ipvsd: {auditPeriod: 1s, rulesAuditPeriod: 1s, externalMarkMask: "0x100000"}'
edge Local lab-node "$ready" | replace edge.yaml
: >"$log"
start
must "the first sync with one mark" within 30 synced
check "one port has it in each family" marks_are 2
without_mark() { [ "$(metric "kube_ipvsd_unmarked_service_ports{family=\"$1\"}")" = "$2" ]; }
check "the other one shows in the metric" without_mark IPv4 1
check "in IPv6, too" without_mark IPv6 1
audits_done() { [ "$(metric kube_ipvsd_audits_total)" -ge 2 ]; }
check "it is tried again" within 30 audits_done
told_once() { [ "$(grep -c 'Service default/edge: no mark is left' "$log")" = 1 ]; }
check "the log names the Service once" told_once
edge Cluster lab-node "$ready" | replace edge.yaml
check "who wants no mark lacks none" within 10 without_mark IPv4 0
stop

# Without a detector nobody is known to be outside.
config 'clusterCIDR: ""'
sed -i '/^clusterCIDR: 10/d' "$config"
edge Local lab-node "$ready" | replace edge.yaml
start
must "the first sync without a detector" within 30 synced
check "without clusterCIDR there are no marks" marks_are 0
check "outside clients meet the local endpoint" all_local tcp 203.0.113.40 80
check "and so do pods, as with kube-proxy" answers '3 from web-1' client request tcp 203.0.113.40 80 --count 3
check "the log says so" says 'externalTrafficPolicy'
finish
