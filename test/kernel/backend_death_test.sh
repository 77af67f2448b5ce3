#!/bin/bash
# A backend dies while something else is wrong: its clients hear of it, those that wait for an answer and those that ask.
# Meanwhile the daemon is stopped, so that nothing is repaired before they have heard.
#
# With a destination the kernel forgets its connections, because net.ipv4.vs.expire_nodest_conn is 1 (from 5.9 on at once,
# by a work of its own; kube-proxy sets it too). What the backend says is translated no more then, and a client hears of
# its end only by the answer to what it sends. So for these hands there is no test of clients that wait.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

vip=10.96.60.4

lives() { mortal=$(in_pod web-3 "$traffic" serve web-3 --tcp 8081 --background) && background+=("$mortal"); }
slice() { endpoints mortal http 8081 "$1" | replace mortal-endpoints.yaml; }
held_up() { kill -STOP "$pid"; }
goes_on() { kill -CONT "$pid"; }

nothing_wrong() { true; }
daemon_down() {
  stop KILL
  true
}
ipvs_flushed() { held_up && ipvsadm -C && within 60 forgotten; }
server_deleted() { held_up && ipvsadm -D -t $vip:80 && within 60 forgotten; }
destination_deleted() { held_up && ipvsadm -d -t $vip:80 -r 10.244.1.13:8081 && within 60 forgotten; }
forgotten() { ! grep -q ' 0AF4010D 1F91 ESTABLISHED' /proc/net/ip_vs_conn; }
address_gone() { held_up && ip addr del $vip/32 dev kube-ipvs0; }
set_flushed() { held_up && ipset flush KUBE-CLUSTER-IP; }
repaired() {
  if [ -z "$pid" ]; then start; else goes_on; fi
}

# between_requests: it has answered all, and says goodbye (FIN, sent until it is acknowledged). in_mid_request: data waits
# that it has not read (RST, sent once).
between_requests() { kill -STOP "$started" && within 60 all_answered; }
all_answered() { [ "$(in_pod web-3 ss -Htn 'sport = :8081' | awk '$2 == 0 && $3 == 0' | wc -l)" = 3 ]; }
in_mid_request() { kill -STOP "$mortal" && within 60 data_waits; }
# Of one at least: it may have answered the others of that round already.
data_waits() { [ "$(in_pod web-3 ss -Htn 'sport = :8081' | awk '$2 > 0' | wc -l)" -ge 1 ]; }

clients_hear() { # WRONG WHEN
  run clients ip netns exec client "$traffic" hold $vip 80 --count 3 --interval 100 --timeout 60000
  within 60 file_says clients '^3 open' && file_says clients '^3 from web-3$' || return 1
  $2 && $1 && kill -KILL "$mortal" && kill -CONT "$started" || return 1
  within 90 all_heard || { in_pod client ss -Htno; return 1; }
  kill -TERM "$started"
  wait "$started"
  cat "$work/clients"
  not file_says clients 'no answer in time'
}
all_heard() { [ "$(grep -c '^broken in round' "$work/clients")" = 3 ]; }

# The Service goes over to web-1 and back.
another_serves() {
  slice 10.244.1.11
  repaired
  within 60 answers web-1 in_pod client "$traffic" request tcp $vip 80 || return 1
  lives && slice 10.244.1.13 && within 60 answers web-3 in_pod client "$traffic" request tcp $vip 80
}

must "the node" topology_up
must "the backend" lives
background+=("$(in_pod web-1 "$traffic" serve web-1 --tcp 8081 --background)")
config 'ipvsd: {auditPeriod: 1s, rulesAuditPeriod: 1s}'
sample node
service mortal $vip | replace mortal.yaml
# So that not the last virtual server is deleted, which for the kernel is a flush.
service other 10.96.60.5 | replace other.yaml
slice 10.244.1.13
start
must "the VIPs" within 60 has_address $vip
must "the first sync" within 60 synced

for wrong in nothing_wrong daemon_down address_gone set_flushed server_deleted destination_deleted ipvs_flushed; do
  check "a backend dies between requests, ${wrong//_/ }: all clients hear of it" clients_hear $wrong between_requests
  must "another in its place" another_serves
  [[ $wrong =~ deleted|ipvs ]] && continue
  check "a backend dies in mid request, ${wrong//_/ }: all clients hear of it" clients_hear $wrong in_mid_request
  must "another in its place" another_serves
done
finish
