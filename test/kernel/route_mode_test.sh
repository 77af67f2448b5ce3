#!/bin/bash
# ipvsd.serviceAddresses: route. The VIPs of a Service CIDR are local by one route: the same traffic as with addresses,
# nothing behind what no Service has, and a change of mode under way that no connection notices.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

must "the node" topology_up
must "the backends" serve_pods
bind() { config 'ipvsd: {auditPeriod: 1s, rulesAuditPeriod: 1s}'; }
route() {
  config 'ipvsd: {auditPeriod: 1s, rulesAuditPeriod: 1s, serviceAddresses: route, serviceCIDRs: [10.96.0.0/16, "fd00:10:96::/112"]}'
}
routes() {
  ip route show table local proto 107
  ip -6 route show table local proto 107
}
routed() { [ "$(routes | wc -l)" = 2 ]; }
not_routed() { [ -z "$(routes)" ]; }
# The addresses of kube-ipvs0 are these.
bound() {
  local found
  found=$(ip -o addr show dev kube-ipvs0 | awk '$4 != "127.107.0.1/32" { print $4 }' | sort | tr '\n' ' ')
  [ "${found% }" = "$*" ]
}
closed() { iptables-save -t filter | grep -qF -e '-A KUBE-IPVS-FILTER -d 10.96.0.0/16 '; }
not_closed() { ! closed; }

route
sample node web solo sticky edge
dry_run() { "$daemon" --config "$config" --manifests "$manifests" --dry-run >"$work/plan" </dev/null; }
check "--dry-run" dry_run
check "--dry-run says the routes" file_says plan '^add local route 10\.96\.0\.0/16 src 192\.168\.77\.2$'
check "--dry-run binds what is outside the CIDRs alone" \
  test "$(grep -c '^add address' "$work/plan")" = "$(grep -cE '^add address 203\.0\.113\.(10|20|30)$' "$work/plan")"

start
must "the first sync" within 30 synced
check "one route in each family" routed
check "the routes bear the node's addresses" test "$(routes | grep -cE 'src (192\.168\.77\.2|fd00:77::2) ')" = 2
check "only the VIPs outside the CIDRs are bound" bound 203.0.113.10/32 203.0.113.20/32 203.0.113.30/32
check "the CIDR is closed but for what the sets let through" closed
source_is() { ip route get "$1" | grep -qF " src $2 "; }
check "a node process connects from the node's address" source_is 10.96.10.1 192.168.77.2
check "and in IPv6" source_is fd00:10:96::1 fd00:77::2
. test/kernel/service_traffic.sh

background+=("$("$traffic" serve host --udp 9998 --v6 --background)")
# refused CMD...: an answer comes at once, and it is a refusal.
refused() {
  "$@" --timeout 5000 2>&1 | tee "$work/refusal"
  [ "${PIPESTATUS[0]}" = 1 ] && grep -qi refused "$work/refusal"
}
for origin in client outside; do
  [ $origin = client ] || must "a way to the CIDR from outside" in_pod outside ip route add 10.96.0.0/16 via 192.168.77.2
  check "a port of the node does not answer on an unowned address, from $origin" \
    unreachable in_pod $origin "$traffic" request tcp 10.96.99.99 9999
  check "nor over UDP" unreachable in_pod $origin "$traffic" request udp 10.96.99.99 9998
  check "a node port does not answer there" unreachable in_pod $origin "$traffic" request tcp 10.96.99.99 30080
  check "ping to an unowned address fails, from $origin" not in_pod $origin ping -c 1 -W 1 10.96.99.99
  check "ping to a VIP fails, as with bound ones, from $origin" not in_pod $origin ping -c 1 -W 1 10.96.10.1
done
check "a port of the node does not answer on an unowned address, from the node" \
  unreachable "$traffic" request tcp 10.96.99.99 9999
check "nor in IPv6, from a pod" unreachable in_pod client "$traffic" request tcp fd00:10:96::9999 9999
check "nor from the node" unreachable "$traffic" request tcp fd00:10:96::9999 9999
check "nor over UDP" unreachable in_pod client "$traffic" request udp fd00:10:96::9999 9998
check "ping, IPv6, fails" not in_pod client ping -6 -c 1 -W 1 fd00:10:96::9999
check "an unowned address is refused, not dropped" \
  bash -c "$(printf '%q ' ip netns exec client ping -c 1 -W 2 10.96.99.99) | grep -qi 'unreachable'"

# A new Service costs no address, and a deleted one's VIP is closed at once.
service late 10.96.30.1 >"$manifests/late.yaml"
endpoints late http 8080 10.244.1.13 >"$manifests/late-endpoints.yaml"
check "a new Service is served" within 20 answers '1 from web-3' in_pod client "$traffic" request tcp 10.96.30.1 80
rm "$manifests/late.yaml" "$manifests/late-endpoints.yaml"
check "a deleted one is not" within 20 unreachable in_pod client "$traffic" request tcp 10.96.30.1 80
check "no address came with it" bound 203.0.113.10/32 203.0.113.20/32 203.0.113.30/32

# Drift, and what is not ours.
ip route add local 10.97.0.0/16 dev kube-ipvs0 table local
foreign_stays() { ip route show table local | grep -q '^local 10.97.0.0/16 dev kube-ipvs0'; }
ip route del local 10.96.0.0/16 dev kube-ipvs0 table local
check "a removed route comes back" within 10 routed
ip -6 route del local fd00:10:96::/112 dev kube-ipvs0 table local
check "in IPv6, too" within 10 routed
check "which is counted" within 10 test "$(metric 'kube_ipvsd_drift_repaired_total{object="route"}')" = 2
ip link set kube-ipvs0 down
check "a link that was set down is set up" within 10 routed
check "and nothing was bound meanwhile that is not outside" bound 203.0.113.10/32 203.0.113.20/32 203.0.113.30/32
ip route replace local 10.96.0.0/16 dev kube-ipvs0 table local proto 107 metric 107
check "an altered route is put right by the audit" within 20 source_is 10.96.10.1 192.168.77.2
ip link del kube-ipvs0
check "a removed link comes back with its routes" within 20 routed
check "and the VIPs" within 20 bound 203.0.113.10/32 203.0.113.20/32 203.0.113.30/32
ip route add local 10.97.0.0/16 dev kube-ipvs0 table local
check "and serves" each 1 in_pod client "$traffic" request tcp 10.96.10.1 80

# Without its last address a link loses its IPv4 routes, and the kernel says nothing.
cp "$manifests/edge.yaml" "$work/edge.yaml"
drift() { metric 'kube_ipvsd_drift_repaired_total{object="route"}'; }
before=$(drift)
no_more_drift() { [ "$(drift)" = "$before" ]; }
rm "$manifests/edge.yaml"
check "no VIP outside the CIDRs is left" within 20 bound
check "the routes do not go with them" routed
check "nor is one missed for a moment" no_more_drift
ip addr flush dev kube-ipvs0 scope host
check "a flushed link gets its route again" within 10 routed
ip route add local 10.97.0.0/16 dev kube-ipvs0 table local # went with the address, too
replace edge.yaml <"$work/edge.yaml"
check "and the VIPs are back" within 20 bound 203.0.113.10/32 203.0.113.20/32 203.0.113.30/32

if [ -x "$PWD/build/ctl/kube-ipvsctl" ]; then
  ctl() { "$PWD/build/ctl/kube-ipvsctl" "$@"; }
  ctl_offline() { ctl "$@" --config "$config" --manifests "$manifests"; }
  no_difference() { ctl_offline diff; }
  check "diff sees no difference" no_difference
  explains() { ctl_offline explain 10.96.10.1:80 --from 10.244.1.100 | tee "$work/explained" | grep -q 'by route 10.96.0.0/16 on kube-ipvs0'; }
  check "explain says why the VIP is local" explains
  check "and finds no fault" not file_says explained 'not bound'
  dumps() { ctl dump -o json >"$work/dump.json" && grep -q '10.96.0.0/16' "$work/dump.json"; }
  check "dump shows the route" dumps
fi

# A restart finds everything in place.
wrote_nothing() {
  metrics >"$work/metrics" || return 1
  ! grep '^kube_ipvsd_operations_total.* [1-9]' "$work/metrics"
}
stop
start
check "a restart sees all" within 30 synced
check "and writes nothing" wrote_nothing

# hold NAME VIP COUNT: so many connections of a pod, in the file NAME, and twenty of the node, in NAME-node.
declare -A holders counts
hold() {
  run "$1" ip netns exec client "$traffic" hold "$2" 80 --count "$3" --interval 200 --timeout 10000
  holders[$1]=$started counts[$1]=$3
  run "$1-node" "$traffic" hold "$2" 80 --count 20 --interval 200 --timeout 10000
  holders[$1-node]=$started counts[$1-node]=20
}
held() {
  local name
  for name; do file_says "$name" "^${counts[$name]} open" && file_says "$name-node" '^20 open' || return 1; done
}

# Live from one mode to the other, and back.
hold four 10.96.10.1 50
hold six fd00:10:96::1 20
must "connections from pod and node" within 60 held four six

switch_to() {
  stop
  "$1"
  start
  within 30 synced
}
check "to bind: it starts" switch_to bind
check "to bind: the VIPs are addresses" within 20 has_address 10.96.10.5
check "to bind: and of IPv6" within 20 has_address fd00:10:96::1
check "to bind: the routes go" within 20 not_routed
no_anchor() { ! has_address 127.107.0.1; }
check "to bind: and what held them" within 5 no_anchor
check "to bind: then their rules" within 20 not_closed
check "to bind: new connections" each 1 in_pod client "$traffic" request tcp 10.96.10.1 80
check "to bind: what is not ours stays" foreign_stays
killed_before_it_went() {
  ip addr add 127.107.0.1/32 dev kube-ipvs0 scope host
  stop KILL
  start
  within 30 synced
}
check "to bind: a daemon that is killed leaves what held them" killed_before_it_went
check "to bind: the next one removes it" within 10 no_anchor
check "to bind: and nothing that is not ours" foreign_stays

hold bound 10.96.10.2 20
must "more connections, from VIPs as sources" within 60 held bound

check "to route: it starts" switch_to route
check "to route: the routes come" within 20 routed
check "to route: the addresses go" within 20 bound 203.0.113.10/32 203.0.113.20/32 203.0.113.30/32
check "to route: new connections" each 1 in_pod client "$traffic" request tcp 10.96.10.1 80
check "to route: from the node" each 1 "$traffic" request tcp 10.96.10.1 80
check "to bind again" switch_to bind
check "to bind again: the VIPs are addresses" within 20 has_address 10.96.10.5
check "to bind again: the routes go" within 20 not_routed
check "to route again" switch_to route
check "to route again: the routes come" within 20 routed
check "to route again: the addresses go" within 20 bound 203.0.113.10/32 203.0.113.20/32 203.0.113.30/32

intact() {
  # Another round after the last change.
  pause && kill -TERM "${holders[$1]}" && wait "${holders[$1]}"
  cat "$work/$1"
  file_says "$1" "^${counts[$1]} of ${counts[$1]} connections intact after [0-9]+ rounds, 0 broken\$"
}
check "connections of a pod outlived all four" intact four
check "of the node" intact four-node
check "of a pod, IPv6" intact six
check "of the node, IPv6" intact six-node
check "of a pod, from bound days" intact bound
check "of the node, from bound days" intact bound-node

# A CIDR that would take an address of the node from it.
stop
config 'ipvsd: {serviceAddresses: route, serviceCIDRs: [10.96.0.0/16, 192.168.0.0/16]}'
: >"$log"
start
check "a CIDR with an address of the node in it gets no route" within 30 says '192\.168\.0\.0/16 gets no local route: 192\.168\.77\.2 of eth0 is in it'
must "the next sync" within 30 synced
check "the other one does" within 20 test "$(ip route show table local proto 107 | wc -l)" = 1
check "and the one that is wanted no more goes" within 20 test -z "$(ip -6 route show table local proto 107)"
check "its VIPs are bound" within 20 has_address fd00:10:96::1
stop

# ServiceCIDR objects that come and go while it runs.
config 'ipvsd: {auditPeriod: 1s, rulesAuditPeriod: 1s, serviceAddresses: route}'
objects() {
  api_objects <<'PYTHON'
cidr = {"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "kubernetes"},
        "spec": {"cidrs": ["10.96.0.0/16"]}}
write(list_of([node(), cidr, *service("old", "10.96.10.2", ["10.244.1.11"]), *service("new", "10.98.10.2", ["10.244.1.11"])]))
PYTHON
}
objects >"$work/objects.json"
run api "$PWD/build/test/fake/fake-api-server" --port 6443 --load "$work/objects.json"
must "the API server" within 30 file_says api '^http://'
start_with_api() {
  : >"$log"
  "$daemon" --config "$config" --master http://127.0.0.1:6443 >>"$log" 2>&1 </dev/null &
  pid=$!
}
cidrs=http://127.0.0.1:6443/apis/networking.k8s.io/v1/servicecidrs
add_cidr() {
  curl -sS --fail-with-body --max-time 20 -H 'Content-Type: application/json' "$cidrs" --data \
    '{"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "more"}, "spec": {"cidrs": ["10.98.0.0/16"]}}'
}
remove_cidr() { curl -sS --fail-with-body --max-time 20 -X DELETE "$cidrs/more"; }
# As whoever keeps it running does.
started_again() {
  within 30 not alive || return
  wait "$pid"
  local status=$?
  cat "$log"
  [ $status = 1 ] && says 'the cluster has other Service CIDRs: ended' && start_with_api && within 30 synced
}
routes_to() { [ "$(ip route show table local proto 107 | awk '{ print $2 }' | sort | tr '\n' ' ')" = "$* " ]; }
start_with_api
must "a sync from the API server" within 30 synced
check "the VIP of no Service CIDR is bound, the other is not" within 20 bound 10.98.10.2/32
check "one route" within 20 routes_to 10.96.0.0/16
hold more 10.98.10.2 20
must "connections to it" within 60 held more
must "a ServiceCIDR object" add_cidr
check "a new Service CIDR: started again" started_again
check "a new Service CIDR: has a route" within 20 routes_to 10.96.0.0/16 10.98.0.0/16
check "a new Service CIDR: its VIP is unbound" within 20 bound
check "a new Service CIDR: new connections" answers '1 from web-1' in_pod client "$traffic" request tcp 10.98.10.2 80
must "the object goes" remove_cidr
check "a removed one: started again" started_again
check "a removed one: its VIP is bound" within 20 bound 10.98.10.2/32
check "a removed one: its route is gone" within 20 routes_to 10.96.0.0/16
check "its connections have not noticed" intact more
check "nor those of the node" intact more-node
check "and it goes on" alive
stop

config 'ipvsd: {serviceAddresses: route, serviceCIDRs: [10.96.0.0/16]}'
check "no CIDRs with manifests: a message" bash -c "
  sed -i 's/serviceCIDRs: .*}/}/' '$config'
  ! '$daemon' --config '$config' --manifests '$manifests' --once >'$work/refused' 2>&1 </dev/null &&
    grep -q 'ipvsd.serviceCIDRs' '$work/refused'"

cleanup() { "$daemon" --config "$config" --cleanup >"$log" 2>&1 </dev/null; }
check "--cleanup" cleanup
check "--cleanup leaves no route" not_routed
check "--cleanup leaves no link" not ip link show kube-ipvs0
check "--cleanup leaves no rule" not_closed
finish
