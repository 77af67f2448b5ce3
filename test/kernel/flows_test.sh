#!/bin/bash
# UDP clients that keep to one source port: connection tracking must not tie them to what a Service was before.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

must "the node" topology_up
must "the backends" serve_pods
config
sample node solo
start
must "the VIPs" within 30 has_address 10.96.10.2
must "the first sync" within 30 synced

# names [PORT-LINE...]: a Service of both families with these ports and an external address.
names() {
  cat <<'YAML'
apiVersion: v1
kind: Service
metadata: {name: names, namespace: default}
spec:
  type: NodePort
  clusterIP: 10.96.40.1
  clusterIPs: [10.96.40.1, "fd00:10:96::40"]
  ipFamilies: [IPv4, IPv6]
  externalIPs: [203.0.113.40]
  ports:
YAML
  printf '  - {protocol: UDP, targetPort: 5353, %s}\n' "$@"
}
names_serve() {
  local family=$1 last
  shift
  echo '---'
  cat <<YAML
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: names-$family, namespace: default, labels: {kubernetes.io/service-name: names}}
addressType: $family
ports: [{name: dns, protocol: UDP, port: 5353}, {name: alt, protocol: UDP, port: 5353}]
endpoints:
YAML
  for last; do
    case $family in
      IPv4) echo "- {addresses: [10.244.1.$last], conditions: {ready: true}, nodeName: lab-node}" ;;
      IPv6) echo "- {addresses: [\"fd00:10:244:1::$last\"], conditions: {ready: true}, nodeName: lab-node}" ;;
    esac
  done
}
endpoints_are() { { names_serve IPv4 "$@" && names_serve IPv6 "$@"; } | replace names-endpoints.yaml; }
dns='name: dns, port: 53, nodePort: 30053'
alt='name: alt, port: 54'

# udp NAME NAMESPACE ADDRESS PORT SOURCE-PORT: asks on and on from one port.
udp() { run "$1" ip netns exec "$2" "$traffic" request udp "$3" "$4" --source-port "$5" --count 100000 --interval 20 --timeout 1000; }
udp pod client 10.96.40.1 53 4000
udp six client fd00:10:96::40 53 4000
udp outside outside 192.168.77.2 30053 4001
# An entry from before there is anything to balance: answered, if at all, by the address itself.
untranslated() { conntrack -L -p udp -f "$1" 2>/dev/null | grep -E "dst=$2 sport=$4 dport=$3 .*src=$2 "; }
must "the kernel remembers a client of a VIP to come" within 20 untranslated ipv4 10.96.40.1 53 4000
must "one over IPv6" within 20 untranslated ipv6 fd00:10:96::40 53 4000
must "and one of a node port to come" within 20 untranslated ipv4 192.168.77.2 30053 4001
# Whatever the clients do, these stay as they are.
stale() {
  conntrack -I -p udp -s 198.51.100.7 -d "$1" --sport "$3" --dport "$2" -r "${4:-$1}" -q 198.51.100.7 \
    --reply-port-src "${5:-$2}" --reply-port-dst "$3" --timeout 900
}
flow() { conntrack -L -p udp --orig-dst "$1" --orig-port-dst "$2" -o id 2>/dev/null | grep -E "src=198\.51\.100\.7 .* sport=$3 "; }
must "an untranslated entry of the ClusterIP" stale 10.96.40.1 53 7001
must "one of its other port" stale 10.96.40.1 54 7002
must "one of the external address" stale 203.0.113.40 53 7003
must "one of a port that is no Service's" stale 10.96.40.1 55 7004

names "$dns" "$alt" >"$manifests/names.yaml"
endpoints_are 11
check "a client from before the VIP is served" within 20 file_says pod '^web-1 10\.244\.1\.100:4000$'
check "over IPv6, too" within 20 file_says six '^web-1 \[fd00:10:244:1::100\]:4000$'
check "one from before the node port, masqueraded as new ones are" within 20 file_says outside '^web-1 10\.244\.1\.1:'
check "untranslated entries go: ClusterIP" within 20 not flow 10.96.40.1 53 7001
check "its other port" within 20 not flow 10.96.40.1 54 7002
check "external address" within 20 not flow 203.0.113.40 53 7003
check "but not those of a port that is no Service's" flow 10.96.40.1 55 7004

# follows NAME FROM TO: its answers changed once and for all, with few requests lost in between.
follows() {
  within 20 file_says "$1" "^$3 " || return 1
  awk -v from="$2" -v to="$3" '
    $1 == from { if (moved) back++; lost = 0 }
    $1 == to { moved++ }
    $1 == "failed:" && !moved { lost++ }
    END { print moved + 0, "moved,", back + 0, "back,", lost + 0, "lost"; exit !(moved && !back && lost <= 3) }
  ' "$work/$1"
}
# What connection tracking says of flows that IPVS knows nothing of: one that is right, and one that is not.
must "an entry that leads to the endpoint that stays" stale 10.96.40.1 53 7005 10.244.1.12 5353
must "and one that leads to the one that leaves" stale 10.96.40.1 53 7006 10.244.1.11 5353
must "one of the node port that leads there" stale 192.168.77.2 30053 7007 10.244.1.11 5353
endpoints_are 12
check "a client on one source port follows an endpoint change" follows pod web-1 web-2
check "over IPv6, too" follows six web-1 web-2
check "and through a node port" follows outside web-1 web-2
check "an entry that leads to an endpoint that left goes" within 20 not flow 10.96.40.1 53 7006
check "through the node port, too" within 20 not flow 192.168.77.2 30053 7007
check "one that leads to an endpoint that stays, stays" flow 10.96.40.1 53 7005

# A port goes, and its flows; those of the other port stay: the same entry, not one made anew.
must "a flow of the other port" answers '1 from web-2' in_pod client "$traffic" request udp 10.96.40.1 54 --source-port 4054
other_port() { conntrack -L -p udp --orig-dst 10.96.40.1 --orig-port-dst 54 -o id 2>/dev/null | grep -oE 'sport=4054 .* id=[0-9]+' | grep -oE 'id=[0-9]+'; }
must "connection tracking knows it" other_port
before=$(other_port)
must "an untranslated entry of the port that goes" stale 10.96.40.1 53 7008
must "one of the external address" stale 203.0.113.40 53 7009
must "one of the node port" stale 192.168.77.2 30053 7010
must "one of the port that stays" stale 10.96.40.1 54 7011 10.244.1.12 5353
names "$alt" | replace names.yaml
check "one UDP port deleted: its virtual server goes" within 20 not has_server -u 10.96.40.1:53
check "one UDP port deleted: its flows go" within 20 not flow 10.96.40.1 53 7008
check "those of its external address" within 20 not flow 203.0.113.40 53 7009
check "and those of its node port" within 20 not flow 192.168.77.2 30053 7010
check "the flows of the other port stay" test "$before" = "$(other_port)"
check "the ones that IPVS knows nothing of, too" flow 10.96.40.1 54 7011
check "the other port answers" answers '1 from web-2' in_pod client "$traffic" request udp 10.96.40.1 54 --source-port 4054

looks() { metric 'kubeproxy_conntrack_reconciler_sync_duration_seconds_count{ip_family="IPv4"}'; }
deleted() { metric 'kubeproxy_conntrack_reconciler_deleted_entries_total{ip_family="IPv4"}'; }
check "metrics: deleted entries" test "$(deleted)" -ge 9
before=$(looks)
endpoints later http 8080 10.244.1.12 >"$manifests/later-endpoints.yaml"
service later 10.96.40.2 >"$manifests/later.yaml"
must "a change of TCP alone" within 20 has_address 10.96.40.2
endpoints_are 12 13
must "an endpoint that comes" within 20 serving -u 10.96.40.1:54 2
check "what makes no flow stale makes no look at them" test "$before" = "$(looks)"

# What happened while nobody watched is caught up with.
must "the daemon ends" stop
must "an untranslated entry" stale 10.96.40.1 54 7012
must "one that leads to an endpoint" stale 10.96.40.1 54 7013 10.244.1.13 5353
start
check "after a restart, stale entries go" within 30 not flow 10.96.40.1 54 7012
check "and right ones stay" flow 10.96.40.1 54 7013
rm "$manifests/names.yaml"
check "Service deleted: its virtual servers go" within 20 not has_server -u 10.96.40.1:54
check "Service deleted: all its flows go" within 20 not flow 10.96.40.1 54 7013
check "but not those of a port that never was a Service's" flow 10.96.40.1 55 7004
check "no warning" not says ' (warning|error) '
finish
