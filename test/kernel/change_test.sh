#!/bin/bash
# Objects change while traffic flows: endpoints leave, drain and return, a Service goes.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

must "the node" topology_up
must "the backends" serve_pods
config
sample node solo sticky edge
service shop 10.96.20.1 'type: NodePort' | sed 's/port: 80,/port: 80, nodePort: 30200,/' >"$manifests/shop.yaml"
endpoints shop http 8080 10.244.1.11 10.244.1.12 10.244.1.13 >"$manifests/shop-endpoints.yaml"
# Nothing but held connections passes here: the kernel remembers one that ended as usual for two minutes.
service queue 10.96.20.2 >"$manifests/queue.yaml"
endpoints queue http 8080 10.244.1.11 10.244.1.12 10.244.1.13 >"$manifests/queue-endpoints.yaml"
start
must "the VIPs" within 30 has_address 10.96.20.2
must "the first sync" within 30 synced

shop=10.96.20.1:80
client() { in_pod client "$traffic" "$@"; }
queue=10.96.20.2:80
queue_has() { endpoints queue http 8080 "$@" | replace queue-endpoints.yaml; }
shop_has() { endpoints shop http 8080 "$@" | replace shop-endpoints.yaml; }
without_failure() {
  kill -TERM "$1" && wait "$1"
  local status=$?
  tail -n 4 "$work/$2"
  [ $status = 0 ] && grep -qx '0 failed' "$work/$2"
}

run requests ip netns exec client "$traffic" request tcp 10.96.20.1 80 --count 100000 --interval 2
requests=$started
run outside ip netns exec outside "$traffic" request tcp 192.168.77.2 30200 --count 100000 --interval 2
outside=$started
must "requests reach every backend" within 20 file_says requests '^web-3'

shop_has 10.244.1.11 10.244.1.12
check "an endpoint that leaves gets no new connections" within 20 serving -t $shop 2
check "neither through the node port" within 20 serving -t 192.168.77.2:30200 2
shop_has 10.244.1.13
check "all endpoints replaced" within 20 destination $shop 10.244.1.13:8080 '-w 1$'
check "the former ones are at weight 0" within 20 serving -t $shop 1
shop_has 10.244.1.11 10.244.1.12 10.244.1.13
check "all endpoints back" within 20 serving -t $shop 3
check "no request failed meanwhile, from a pod" without_failure $requests requests
check "no request failed meanwhile, from outside" without_failure $outside outside

# A connection through each of the three, then web-3 leaves.
run held ip netns exec client "$traffic" hold 10.96.20.2 80 --count 3 --interval 100 --reset
held=$started
must "the held connections" within 20 file_says held '^3 open'
connections() { ipvsadm -Ln | awk -v real="$1" '$1 == "TCP" { here = $2 == "10.96.20.2:80" } here && $2 == real { print $5 }'; }
queue_has 10.244.1.11 10.244.1.12
check "draining: weight 0" within 20 destination $queue 10.244.1.13:8080 '-w 0$'
check "draining: the open connection counts" test "$(connections 10.244.1.13:8080)" -ge 1
new_ones_go_elsewhere() {
  client request tcp 10.96.20.2 80 --count 6 --quiet >"$work/after" || return 1
  cat "$work/after"
  file_says after '^3 from web-1$' && file_says after '^3 from web-2$'
}
check "draining: new connections go elsewhere" new_ones_go_elsewhere
queue_has 10.244.1.11 10.244.1.12 10.244.1.13
check "an endpoint that returns while it drains has its weight back" \
  within 20 destination $queue 10.244.1.13:8080 '-w 1$'
check "and its connections, so it was not deleted" test "$(connections 10.244.1.13:8080)" -ge 1
queue_has 10.244.1.11 10.244.1.12
check "draining again" within 20 destination $queue 10.244.1.13:8080 '-w 0$'
connection_ends() {
  kill -TERM $held && wait $held
  cat "$work/held"
  file_says held '^3 of 3 connections intact after [0-9]+ rounds, 0 broken$'
}
check "the open connections outlived all of it" connection_ends

# While the kernel forgets the connection, a Service goes, and nothing else does.
kernel_state() {
  ipvsadm -Sn | grep -v -e '10\.96\.10\.3' -e '10\.96\.20\.2'
  ipset save | grep -v -e '10\.96\.10\.3'
  ip -o addr show dev kube-ipvs0 | grep -v -e '10\.96\.10\.3/'
  iptables-save | sed 's/^# .*//; s/\[[0-9:]*\]//'
}
kernel_state >"$work/before"
must "sticky is there" has_address 10.96.10.3
rm "$manifests/sticky.yaml"
check "Service deleted: its VIP goes" within 20 not has_address 10.96.10.3
check "Service deleted: its virtual server is gone" not has_server -t 10.96.10.3:80
no_entry_of() { ! ipset save | grep -F " $1"; }
check "Service deleted: its set entries go" within 20 no_entry_of 10.96.10.3
kernel_state >"$work/after"
check "Service deleted: all else is as it was" diff "$work/before" "$work/after"
check "Service deleted: the VIP does not answer" unreachable client request tcp 10.96.10.3 80
check "the others still do" each 1 client request tcp 10.96.10.4 80

check "drained: the destination is removed once its connection is forgotten" \
  within 60 not destination $queue 10.244.1.13:8080 ''
rm "$manifests/shop.yaml"
check "a Service with a node port goes, although its slice stays" within 20 not has_server -t 192.168.77.2:30200
no_node_port() { ! ipset test KUBE-NODE-PORT-TCP 30200; }
check "its node port leaves the set" within 20 no_node_port
check "no warning" not says ' (warning|error) '
finish
