#!/bin/bash
# Who reaches what, and as whom: pods, node processes, the outside and a pod on another node, in both families. Source ranges,
# masquerading, affinity, ports of the node behind VIPs, and endpoints that terminate.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

# Another node beyond the outside, with a pod at 10.244.2.21 and fd00:10:244:2::21.
other_node_up() {
  ip netns add far &&
    ip link add far0 netns outside type veth peer name eth0 netns far &&
    ip -n outside -batch - <<'OUTSIDE' && ip -n far -batch - <<'FAR' &&
addr add 192.168.78.1/24 dev far0
addr add fd00:78::1/64 dev far0 nodad
link set far0 up
route add 10.244.2.0/24 via 192.168.78.2
route add fd00:10:244:2::/64 via fd00:78::2
addr add 198.51.100.7/32 dev lo
route add 10.244.1.0/24 via 192.168.77.2
route add fd00:10:244:1::/64 via fd00:77::2
route add 203.0.113.0/24 via 192.168.77.2
route add 10.96.0.0/16 via 192.168.77.2
route add fd00:203::/64 via fd00:77::2
route add fd00:10:96::/64 via fd00:77::2
OUTSIDE
link set lo up
addr add 192.168.78.2/24 dev eth0
addr add fd00:78::2/64 dev eth0 nodad
addr add 10.244.2.21/32 dev lo
addr add fd00:10:244:2::21/128 dev lo nodad
link set eth0 up
route add default via 192.168.78.1
route add default via fd00:78::1
FAR
    in_pod outside sysctl -q net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 &&
    background+=("$(in_pod far "$traffic" serve far-1 --tcp 8080 --v6 --background)")
}
must "the node" topology_up
must "the other node" other_node_up
must "the backends" serve_pods

# frontends NAME N ENDPOINT-4 ENDPOINT-6 [SPEC-LINE...]: a dual-stack Service at every kind of address, all of them ending in N.
frontends() {
  local name=$1 n=$2 four=$3 six=$4
  shift 4
  cat <<YAML
apiVersion: v1
kind: Service
metadata: {name: $name, namespace: default}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.$n
  clusterIPs: [10.96.0.$n, "fd00:10:96::$n"]
  ipFamilies: [IPv4, IPv6]
  externalIPs: [203.0.113.1$n, "fd00:203::1$n"]
  ports: [{name: http, protocol: TCP, port: 80, nodePort: 300$n}]
$(printf '  %s\n' "$@")
status: {loadBalancer: {ingress: [{ip: 203.0.113.$n}, {ip: "fd00:203::$n"}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: $name-4, namespace: default, labels: {kubernetes.io/service-name: $name}}
addressType: IPv4
ports: [{name: http, protocol: TCP, port: 8080}]
endpoints: [$four]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: $name-6, namespace: default, labels: {kubernetes.io/service-name: $name}}
addressType: IPv6
ports: [{name: http, protocol: TCP, port: 8080}]
endpoints: [$six]
YAML
}
here() { echo "{addresses: [\"$1\"], conditions: {ready: ${2:-true}, serving: true, terminating: ${3:-false}}, nodeName: lab-node}"; }
there() { echo "{addresses: [\"$1\"], conditions: {ready: true}, nodeName: other-node}"; }
near_four=$(here 10.244.1.11) near_six=$(here fd00:10:244:1::11)

frontends near 21 "$near_four" "$near_six" >"$manifests/near.yaml"
frontends far 22 "$(there 10.244.2.21)" "$(there fd00:10:244:2::21)" >"$manifests/far.yaml"
frontends for-pods 23 "$near_four" "$near_six" 'loadBalancerSourceRanges: [10.244.1.100/32, "fd00:10:244:1::100/128"]' >"$manifests/pods.yaml"
frontends for-node 24 "$near_four" "$near_six" 'loadBalancerSourceRanges: [192.168.77.2/32, "fd00:77::2/128"]' >"$manifests/node.yaml"
frontends for-outside 25 "$near_four" "$near_six" 'loadBalancerSourceRanges: [192.168.77.1/32, "fd00:77::1/128"]' >"$manifests/outside.yaml"
frontends for-all 26 "$near_four" "$near_six" 'loadBalancerSourceRanges: [0.0.0.0/0, "::/0"]' >"$manifests/all.yaml"
frontends sticky 27 "$near_four, $(here 10.244.1.12), $(here 10.244.1.13)" \
  "$near_six, $(here fd00:10:244:1::12), $(here fd00:10:244:1::13)" 'sessionAffinity: ClientIP' >"$manifests/sticky.yaml"
both="$near_four, $(here 10.244.1.12)"
frontends ending 28 "$both" "$near_six" >"$manifests/ending.yaml"
cp "$samples/node.yaml" "$manifests/lab-node.yaml"
config
start
must "the VIPs" within 30 has_address 203.0.113.28
must "the first sync" within 30 synced

from_pod() { in_pod client "$traffic" request tcp "$@"; }
from_outside() { in_pod outside "$traffic" request tcp "$@"; }
from_node() { "$traffic" request tcp "$@"; }

# The backend prints whom it sees; masqueraded is the node's address on the way there.
check "ClusterIP, pod: its own address" answers 'web-1 10\.244\.1\.100:' from_pod 10.96.0.21 80
check "ClusterIP, pod, to another node: its own address" answers 'far-1 10\.244\.1\.100:' from_pod 10.96.0.22 80
check "ClusterIP, pod, IPv6, to another node: its own address" answers 'far-1 \[fd00:10:244:1::100\]:' from_pod fd00:10:96::22 80
check "ClusterIP, node, to another node: the node's, not the VIP" answers 'far-1 192\.168\.77\.2:' from_node 10.96.0.22 80
check "ClusterIP, node, IPv6, to another node" answers 'far-1 \[fd00:77::2\]:' from_node fd00:10:96::22 80
check "ClusterIP, node, to its own pod" answers 'web-1 10\.244\.1\.1:' from_node 10.96.0.21 80
check "ClusterIP, outside: masqueraded" answers 'web-1 10\.244\.1\.1:' from_outside 10.96.0.21 80
check "ClusterIP, outside, IPv6: masqueraded" answers 'web-1 \[fd00:10:244:1::1\]:' from_outside fd00:10:96::21 80
check "ClusterIP, outside, to another node: masqueraded" answers 'far-1 192\.168\.77\.2:' from_outside 10.96.0.22 80
for n in 4 6; do
  if [ $n = 4 ]; then
    near_via='10\.244\.1\.1' far_via='192\.168\.77\.2' lb=203.0.113. node=192.168.77.2
  else
    near_via='\[fd00:10:244:1::1\]' far_via='\[fd00:77::2\]' lb=fd00:203:: node=fd00:77::2
  fi
  check "NodePort, IPv$n, outside, to another node and back" answers "far-1 $far_via:" from_outside $node 30022
  check "NodePort, IPv$n, outside: masqueraded" answers "web-1 $near_via:" from_outside $node 30021
  check "NodePort, IPv$n, pod: masqueraded" answers "web-1 $near_via:" from_pod $node 30021
  check "NodePort, IPv$n, node, to another node" answers "far-1 $far_via:" from_node $node 30022
  check "LoadBalancer, IPv$n, outside, to another node: masqueraded" answers "far-1 $far_via:" from_outside ${lb}22 80
  check "LoadBalancer, IPv$n, node, to another node: masqueraded" answers "far-1 $far_via:" from_node ${lb}22 80
  check "external IP, IPv$n, outside, to another node: masqueraded" answers "far-1 $far_via:" from_outside ${lb}122 80
  check "external IP, IPv$n, node, to another node: masqueraded" answers "far-1 $far_via:" from_node ${lb}122 80

  check "hairpin, IPv$n, through the LoadBalancer address" answers "web-1 $near_via:" in_pod web-1 "$traffic" request tcp ${lb}21 80
  check "hairpin, IPv$n, through the node port" answers "web-1 $near_via:" in_pod web-1 "$traffic" request tcp $node 30021

  check "source ranges, IPv$n: the pod's let the pod in" answers 'web-1 ' from_pod ${lb}23 80
  check "source ranges, IPv$n: and keep another pod out" unreachable in_pod web-3 "$traffic" request tcp ${lb}23 80
  check "source ranges, IPv$n: and the outside" unreachable from_outside ${lb}23 80
  check "source ranges, IPv$n: the node's let its processes in" answers 'web-1 ' from_node ${lb}24 80
  check "source ranges, IPv$n: and keep the pod out" unreachable from_pod ${lb}24 80
  check "source ranges, IPv$n: and the outside" unreachable from_outside ${lb}24 80
  check "source ranges, IPv$n: the outside's let it in" answers 'web-1 ' from_outside ${lb}25 80
  check "source ranges, IPv$n: and keep the pod out" unreachable from_pod ${lb}25 80
  check "source ranges, IPv$n: the pod's keep node processes out" unreachable from_node ${lb}23 80
  check "source ranges, IPv$n: and so do the outside's" unreachable from_node ${lb}25 80
  check "source ranges, IPv$n: of length 0 let the outside in" answers 'web-1 ' from_outside ${lb}26 80
  check "source ranges, IPv$n: and the pod" answers 'web-1 ' from_pod ${lb}26 80
  check "source ranges, IPv$n: and the node" answers 'web-1 ' from_node ${lb}26 80
  check "source ranges, IPv$n: the external IP is not restricted" answers 'web-1 ' from_outside ${lb}123 80
  check "source ranges, IPv$n: nor the node port" answers 'web-1 ' from_outside $node 30025
done
in_pod outside ip route change 203.0.113.0/24 via 192.168.77.2 src 198.51.100.7
check "source ranges: another address of the outside is kept out" unreachable from_outside 203.0.113.25 80
in_pod outside ip route change 203.0.113.0/24 via 192.168.77.2

# all_from_one CMD...: six requests are answered by one backend; its name is left in $one.
all_from_one() {
  one=$("$@" --count 6 --quiet) && echo "$one" && [[ $one =~ ^6\ from\ (web-.) ]] && one=${BASH_REMATCH[1]}
}
check "affinity: a pod stays with one backend" all_from_one from_pod 10.96.0.27 80
check "affinity, IPv6: a pod stays with one backend" all_from_one from_pod fd00:10:96::27 80
check "affinity: the outside, through the node port" all_from_one from_outside 192.168.77.2 30027
first=$one
in_pod outside ip route add 192.168.77.2/32 dev eth0 src 198.51.100.7
check "affinity: another client of the outside" all_from_one from_outside 192.168.77.2 30027
check "affinity: has another backend" test "$one" != "$first"
check "affinity, IPv6: the outside, through the LoadBalancer address" all_from_one from_outside fd00:203::27 80

background+=("$("$traffic" serve host --tcp 9999 --v6 --background)")
check "a port of the node answers on the node's addresses" answers 'host ' from_outside fd00:77::2 9999
for address in 10.96.0.21 203.0.113.21 203.0.113.121 fd00:10:96::21 fd00:203::21 fd00:203::121; do
  check "a port of the node does not answer at $address, outside" unreachable from_outside $address 9999
  check "a port of the node does not answer at $address, pod" unreachable from_pod $address 9999
done

# Endpoints that terminate.
run pods ip netns exec client "$traffic" hold 10.96.0.28 80 --count 20 --interval 200 --timeout 5000 --reset
pods=$started
run outside ip netns exec outside "$traffic" hold 203.0.113.28 80 --count 20 --interval 200 --timeout 5000 --reset
outside=$started
must "twenty connections from a pod" within 20 file_says pods '^20 open'
must "twenty connections from outside" within 20 file_says outside '^20 open'
check "both backends have some" file_says pods '^10 from web-1'
frontends ending 28 "$(here 10.244.1.11 false true), $(here 10.244.1.12)" "$near_six" | replace ending.yaml
check "a terminating endpoint takes no new connections" within 20 serving -t 10.96.0.28:80 1
check "and stays for those that it has" destination 10.96.0.28:80 10.244.1.11:8080 '-w 0'
check "new ones go elsewhere, pod" answers '6 from web-2' from_pod 10.96.0.28 80 --count 6
check "new ones go elsewhere, outside" answers '6 from web-2' from_outside 203.0.113.28 80 --count 6
frontends ending 28 "$(here 10.244.1.12)" "$near_six" | replace ending.yaml
service marker 10.96.0.99 | replace marker.yaml
must "the slice without it is read" within 20 has_server -t 10.96.0.99:80
intact() {
  kill -TERM "$1" && wait "$1"
  cat "$work/$2"
  file_says "$2" '^20 of 20 connections intact after [0-9]+ rounds, 0 broken$'
}
check "the pod's connections were served out" intact $pods pods
check "and the outside's" intact $outside outside
check "then it goes" within 60 not destination 10.96.0.28:80 10.244.1.11:8080 ''
frontends ending 28 "$(here 10.244.1.11 false true), $(here 10.244.1.12 false true)" "$near_six" | replace ending.yaml
check "where all terminate, all serve" within 20 serving -t 10.96.0.28:80 2
check "and answer" answers '3 from web-1' from_pod 10.96.0.28 80 --count 6

check "nothing was tried again" test "$(metric kube_ipvsd_retries_total)" = 0
check "no warning" not says ' (warning|error) '
finish
