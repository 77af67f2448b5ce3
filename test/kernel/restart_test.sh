#!/bin/bash
# A restart is invisible to traffic, however the daemon ended; what changed meanwhile is caught up with.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

must "the node" topology_up
must "the backends" serve_pods
config
sample node web solo sticky edge
start
must "the VIPs" within 30 has_address 10.96.10.5
must "the first sync" within 30 synced

run cluster-ip ip netns exec client "$traffic" hold 10.96.10.1 80 --count 200 --interval 1000 --timeout 10000
cluster_ip=$started
run node-port ip netns exec outside "$traffic" hold 192.168.77.2 30080 --count 200 --interval 1000 --timeout 10000
node_port=$started
must "200 connections through the ClusterIP" within 60 file_says cluster-ip '^200 open'
must "200 connections through the node port" within 60 file_says node-port '^200 open'

# Connections that each virtual server and destination has taken: they start from 0 where one is made anew.
counters() { ipvsadm -Ln --stats --exact | awk '{ print $1, $2, $3 }'; }
counted() { [ "$(counters | awk '$2 == "10.96.10.1:80" || $2 == "192.168.77.2:30080" { sum += $3 } END { print sum }')" = 400 ]; }
must "the kernel counted them" within 20 counted
kernel_state() {
  ipvsadm -Sn
  counters
  ipset save
  ip -br addr
  saved_rules
}
same_state() {
  kernel_state >"$work/after"
  diff "$work/before" "$work/after"
}
# No operation on the kernel's objects, done or failed.
wrote_nothing() {
  metrics >"$work/metrics" || return 1
  grep '^kube_ipvsd_operations_total' "$work/metrics" || return 1
  ! grep '^kube_ipvsd_operations_total.* [1-9]' "$work/metrics"
}
kernel_state >"$work/before"
run monitor ip -o monitor link address
monitored() {
  ip addr add 192.0.2.77/32 dev lo && ip addr del 192.0.2.77/32 dev lo
  file_says monitor '192\.0\.2\.77'
}
# It listens once it has seen an address that has nothing to do with us.
must "the monitor listens" within 10 monitored

# restart_after SIGNAL: twice the same, whichever way it ended.
restart_after() {
  local signal=$1
  stop "$signal"
  check "$signal: the kernel's state stays" same_state
  : >"$log"
  start
  check "$signal: the next one starts and sees all" within 30 synced
  check "$signal: it writes nothing" wrote_nothing
  check "$signal: tables, sets, rules and counters are as before" same_state
}
restart_after TERM
restart_after KILL
check "no address came or went in kube-ipvs0" not file_says monitor kube-ipvs0
check "no warning" not says ' (warning|error) '

intact() {
  kill -TERM "$1" && wait "$1"
  cat "$work/$2"
  file_says "$2" '^200 of 200 connections intact after [0-9]+ rounds, 0 broken$'
}
check "200 connections through the ClusterIP outlived both" intact $cluster_ip cluster-ip
check "200 connections through the node port outlived both" intact $node_port node-port

# Objects change while nobody looks.
stop
rm "$manifests/sticky.yaml"
sed -i 's/nodePort: 30080/nodePort: 30081/' "$manifests/web.yaml"
sed -i 's/10\.244\.1\.11\]/10.244.1.12]/' "$manifests/solo.yaml"
service late 10.96.30.1 >"$manifests/late.yaml"
endpoints late http 8080 10.244.1.13 >"$manifests/late-endpoints.yaml"
must "a stale VIP is left" has_address 10.96.10.3
start
check "changed while down: a new Service is served" within 30 serving -t 10.96.30.1:80 1
check "changed while down: its VIP comes, and the monitor sees it" within 20 file_says monitor 'kube-ipvs0.*10\.96\.30\.1'
check "changed while down: a deleted Service's VIP goes" within 20 not has_address 10.96.10.3
check "changed while down: and its virtual server" within 20 not has_server -t 10.96.10.3:80
no_entry_of() { ! ipset save | grep -F " $1"; }
check "changed while down: and its set entries" within 20 no_entry_of 10.96.10.3
check "changed while down: the former node port goes" within 20 not has_server -t 192.168.77.2:30080
check "changed while down: the new node port answers" each 1 in_pod outside "$traffic" request tcp 192.168.77.2 30081
check "changed while down: the new endpoint answers" \
  answers '1 from web-2' in_pod client "$traffic" request tcp 10.96.10.2 80
check "changed while down: the former endpoint takes nothing" serving -t 10.96.10.2:80 1
finish
