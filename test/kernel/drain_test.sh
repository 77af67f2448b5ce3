#!/bin/bash
# Endpoints leave while connections are open: these end when they end, over TCP and SCTP, across a restart, or at the
# deadline if there is one.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

must "the node" topology_up
must "the backends" serve_pods
config
sample node
cat >"$manifests/queue.yaml" <<'YAML'
apiVersion: v1
kind: Service
metadata: {name: queue, namespace: default}
spec:
  clusterIP: 10.96.50.1
  clusterIPs: [10.96.50.1]
  ipFamilies: [IPv4]
  ports:
  - {name: http, protocol: TCP, port: 80, targetPort: 8080}
  - {name: sigtran, protocol: SCTP, port: 90, targetPort: 9000}
YAML
# queue_has LAST...: these pods are endpoints of both ports.
queue_has() {
  local last list=
  for last; do list+="${list:+, }{addresses: [10.244.1.$last], conditions: {ready: true}, nodeName: lab-node}"; done
  replace queue-endpoints.yaml <<YAML
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: queue-4, namespace: default, labels: {kubernetes.io/service-name: queue}}
addressType: IPv4
ports: [{name: http, protocol: TCP, port: 8080}, {name: sigtran, protocol: SCTP, port: 9000}]
endpoints: [$list]
YAML
}
queue_has 11 12
start
must "the VIP" within 30 has_address 10.96.50.1
must "the first sync" within 30 synced

tcp=10.96.50.1:80
# SCTP virtual servers as ipvsadm -S prints them; destination() of lib.sh knows TCP.
destination_of() { ipvsadm -Sn | grep -qE -e "-a $1 $2 -r $3 .*$4"; }
on_tcp() { destination_of -t $tcp "10.244.1.$1:8080" "$2"; }
on_sctp() { destination_of --sctp-service 10.96.50.1:90 "10.244.1.$1:9000" "$2"; }
on_both() { on_tcp "$@" && on_sctp "$@"; }
# connections PORT: active and inactive ones of pod 12.
connections() { ipvsadm -Ln | awk -v real="10.244.1.12:$1" '$1 == "->" && $2 == real { print $5 + $6 }'; }
removals() { metric 'kube_ipvsd_operations_total{object="destination",result="ok",verb="remove"}'; }
# hold NAME OPTION...: two connections, one to each pod.
hold() {
  local name=$1
  shift
  run "$name" ip netns exec client "$traffic" hold "$@" --count 2 --interval 100 --reset
  within 20 file_says "$name" '^2 open' && file_says "$name" '^1 from web-1$' && file_says "$name" '^1 from web-2$'
}
# ends NAME PID BROKEN: ends the connections; so many of the two had broken.
ends() {
  kill -TERM "$2"
  wait "$2"
  cat "$work/$1"
  file_says "$1" "^$((2 - $3)) of 2 connections intact after [0-9]+ rounds, $3 broken$"
}

must "TCP connections" hold tcp 10.96.50.1 80
held_tcp=$started
must "SCTP connections" hold sctp 10.96.50.1 90 --over-sctp
held_sctp=$started
queue_has 11
check "an endpoint with open connections goes to weight 0, TCP and SCTP" within 20 on_both 12 '-w 0$'
check "it holds its TCP connection" test "$(connections 8080)" -ge 1
check "and its SCTP connection" test "$(connections 9000)" -ge 1
check "new TCP connections go elsewhere" \
  answers '4 from web-1' in_pod client "$traffic" request tcp 10.96.50.1 80 --count 4 --quiet
check "new SCTP connections go elsewhere" \
  answers '4 from web-1' in_pod client "$traffic" request sctp 10.96.50.1 90 --count 4 --quiet

before=$(removals)
queue_has 11 12
check "an endpoint that returns has its weight back" within 20 on_both 12 '-w 1$'
check "by an update, not by removing it" test "$before" = "$(removals)"
check "with its TCP connection" test "$(connections 8080)" -ge 1
check "and its SCTP connection" test "$(connections 9000)" -ge 1

# A client that uses one source port again and again: its new connection looks like its old one.
from_one_port() { in_pod client "$traffic" request tcp 10.96.50.1 80 --source-port 4100 --reset --timeout 10000 --quiet; }
met() { from_one_port | grep -oE 'web-[12]$'; }
first_met_by_2() { [ "$(met)" = web-2 ]; }
must "a connection from this port to web-2" within 20 first_met_by_2
queue_has 11
must "web-2 leaves again" within 20 on_both 12 '-w 0$'
check "the kernel remembers the connection of this port" grep -q ' 1004 .* 0AF4010C 1F90 ' /proc/net/ip_vs_conn
check "its port used again, the client is not sent to the endpoint that drains" answers '1 from web-1' from_one_port

# A restart: what drains is known by its weight.
stop KILL
start
must "the first sync" within 30 synced
check "restarted, the endpoint still drains" on_both 12 '-w 0$'
check "and holds its TCP connection" test "$(connections 8080)" -ge 1
check "and its SCTP connection" test "$(connections 9000)" -ge 1
check "no TCP connection broke" ends tcp "$held_tcp" 0
check "no SCTP connection broke" ends sctp "$held_sctp" 0
check "closed, the endpoint goes: TCP" within 60 not on_tcp 12 ''
check "closed, the endpoint goes: SCTP" within 60 not on_sctp 12 ''
check "the one that stays is untouched" on_both 11 '-w 1$'

# A deadline.
must "the daemon ends" stop
config 'ipvsd: {drainTimeout: 3s}'
queue_has 11 12
start
must "the endpoint is back" within 30 on_both 12 '-w 1$'
must "TCP connections" hold tcp-cut 10.96.50.1 80
held_tcp=$started
must "SCTP connections" hold sctp-cut 10.96.50.1 90 --over-sctp
held_sctp=$started
queue_has 11
must "it drains, or is gone already" within 20 not on_tcp 12 '-w 1$'
check "drainTimeout: the endpoint goes although its TCP connection is open" within 30 not on_tcp 12 ''
check "and although its SCTP connection is" within 30 not on_sctp 12 ''
check "that TCP connection breaks, and no other" ends tcp-cut "$held_tcp" 1
check "that SCTP connection breaks, and no other" ends sctp-cut "$held_sctp" 1
check "no warning" not says ' (warning|error) '
finish
