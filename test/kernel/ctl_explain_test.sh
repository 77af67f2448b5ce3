#!/bin/bash
# kube-ipvsctl explain: broken situations, each with its true cause, and healthy ones, in which nothing is wrong. First
# those that the Services bring about, with the daemon; then a kernel that somebody tampered with, without it.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh
ctl=$PWD/build/ctl/kube-ipvsctl
socket=$work/ctl.sock

must "the node" topology_up
must "the backends" serve_pods web-1
config "ipvsd: {ctlSocket: $socket, auditPeriod: 3600s, rulesAuditPeriod: 3600s}" \
  "nodePortAddresses: [192.168.77.0/24]"

# slice NAME ENDPOINT...: port http 8080 of Service NAME; each endpoint as in YAML.
slice() {
  local name=$1 list
  shift
  printf -v list '%s, ' "$@"
  cat <<YAML
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: $name-4, namespace: default, labels: {kubernetes.io/service-name: $name}}
addressType: IPv4
ports: [{name: http, protocol: TCP, port: ${port:-8080}}]
endpoints: [${list%, }]
YAML
}
here='{addresses: [10.244.1.11], conditions: {ready: true}, nodeName: lab-node}'
there='{addresses: [10.244.2.21], conditions: {ready: true}, nodeName: other-node}'
unready='{addresses: [10.244.1.12], conditions: {ready: false}, nodeName: lab-node}'
leaving='{addresses: [10.244.1.12], conditions: {ready: false, serving: true, terminating: true}, nodeName: lab-node}'
left='{addresses: [10.244.1.12], conditions: {ready: false, serving: false, terminating: true}, nodeName: lab-node}'
hinted_here='{addresses: [10.244.1.11], conditions: {ready: true}, nodeName: lab-node, hints: {forZones: [{name: zone-a}]}}'
hinted_there='{addresses: [10.244.2.21], conditions: {ready: true}, nodeName: other-node, hints: {forZones: [{name: zone-b}]}}'

sample web edge
sed 's/{name: lab-node}/{name: lab-node, labels: {topology.kubernetes.io\/zone: zone-a}}/' "$samples/node.yaml" |
  replace node.yaml
{ service unready 10.96.20.1 && slice unready "$unready"; } | replace unready.yaml
{ service partly 10.96.20.2 && slice partly "$here" "$unready"; } | replace partly.yaml
{ service leaving 10.96.20.3 && slice leaving "$here" "$leaving"; } | replace leaving.yaml
{ service left 10.96.20.4 && slice left "$left"; } | replace left.yaml
service empty 10.96.20.5 | replace empty.yaml
{ service inside 10.96.20.6 "internalTrafficPolicy: Local" && slice inside "$there"; } | replace inside.yaml
{ service hinted 10.96.20.7 && slice hinted "$hinted_here" "$hinted_there"; } | replace hinted.yaml
{ service drain 10.96.20.8 && slice drain "$here"; } | replace drain.yaml
{ service silent 10.96.20.9 && port=8081 slice silent "$here"; } | replace silent.yaml
{ service older 10.96.20.10 "externalIPs: [203.0.113.70]" && slice older "$here"; } |
  sed 's/{name: older, n/{name: older, creationTimestamp: "2024-01-01T00:00:00Z", n/' | replace older.yaml
{ service younger 10.96.20.11 "externalIPs: [203.0.113.70]" && slice younger "$here"; } |
  sed 's/{name: younger, n/{name: younger, creationTimestamp: "2025-01-01T00:00:00Z", n/' | replace younger.yaml
{ service outlocal 10.96.20.12 "type: LoadBalancer" "externalTrafficPolicy: Local" &&
  echo 'status: {loadBalancer: {ingress: [{ip: 203.0.113.80}]}}' && slice outlocal "$there"; } | replace outlocal.yaml
{ service alone 10.96.20.13 && slice alone "$here"; } | replace alone.yaml
{ service headless None && slice headless "$here"; } | sed 's/clusterIPs: .*/clusterIPs: [None]/' | replace headless.yaml
{ service elsewhere 10.96.20.14 && slice elsewhere "$here"; } |
  sed 's/{name: elsewhere, n/{name: elsewhere, labels: {service.kubernetes.io\/service-proxy-name: other}, n/' |
  replace elsewhere.yaml

# wire NAME CLUSTER-IP PROTOCOL PORT BACKEND: a Service on port 53 of that protocol with one endpoint.
wire() {
  cat <<YAML
apiVersion: v1
kind: Service
metadata: {name: $1, namespace: default}
spec:
  clusterIP: $2
  clusterIPs: [$2]
  ipFamilies: [IPv4]
  ports: [{name: wire, protocol: $3, port: 53, targetPort: $4}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: $1-4, namespace: default, labels: {kubernetes.io/service-name: $1}}
addressType: IPv4
ports: [{name: wire, protocol: $3, port: $4}]
endpoints: [{addresses: [$5], conditions: {ready: true}, nodeName: lab-node}]
YAML
}
wire udp 10.96.20.30 UDP 5353 10.244.1.11 | replace udp.yaml
wire udp-closed 10.96.20.31 UDP 5354 10.244.1.11 | replace udp-closed.yaml
wire udp-silent 10.96.20.32 UDP 5355 10.244.1.11 | replace udp-silent.yaml
wire sctp 10.96.20.33 SCTP 9000 10.244.1.11 | replace sctp.yaml
wire sctp-closed 10.96.20.34 SCTP 9001 10.244.1.11 | replace sctp-closed.yaml
wire gone 10.96.20.35 TCP 8080 10.244.1.99 | replace gone.yaml
# Takes datagrams and says nothing.
run quiet in_pod web-1 /usr/bin/python3 -c '
import signal, socket
taken = socket.socket(type=socket.SOCK_DGRAM)
taken.bind(("10.244.1.11", 5355))
print("bound", flush=True)
signal.pause()'
must "a backend that keeps silent" within 20 file_says quiet bound

# explain ARGUMENT...: by the daemon, or, when it is gone, by the manifests.
explain() {
  if [ -n "$pid" ]; then
    "$ctl" explain --socket "$socket" "$@"
  else
    "$ctl" explain --socket "$socket" --manifests "$manifests" --config "$config" "$@"
  fi
}
blind() { "$ctl" explain --socket "$work/none.sock" "$@"; } # the kernel alone
# named CAUSE COMMAND ARGUMENT...: the likely fault of the first explanation that has one; "none" for none.
named() {
  local wanted=$1 command=$2 found
  shift 2
  found=$($command "$@" -o json | /usr/bin/python3 -c 'import json, sys
faults = [one["likelyFault"] for one in json.load(sys.stdin)["explanations"] if one["likelyFault"]]
print(faults[0] if faults else "none")')
  [ "$found" = "$wanted" ] && return
  echo "found $found, not $wanted"
  $command "$@"
  return 1
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
program() {
  if iptables-legacy-save 2>/dev/null | grep -q KUBE-; then iptables-legacy "$@"; else iptables "$@"; fi
}

check "no daemon: a Service's name needs one" tells 2 "needs the daemon, --manifests" blind default/web
check "nonsense" tells 2 "accepted are ADDRESS:PORT" blind nonsense

start
must "the VIPs" within 30 has_address 10.96.20.13
must "the first sync" within 30 synced
# Traffic to the edge's addresses from outside is let in by these.
check "healthy: a ClusterIP" named none explain 10.96.10.1:80
check "healthy: the words" tells 0 "nothing wrong found" explain 10.96.10.1:80/tcp
check "healthy: from a pod" named none explain 10.96.10.1:80 --from 10.244.1.100
check "healthy: from the node" named none explain 10.96.10.1:80 --from 192.168.77.2
check "healthy: UDP, found by itself" tells 0 "10\.96\.10\.1:53/UDP" explain 10.96.10.1:53
check "healthy: SCTP" named none explain 10.96.10.1:90/sctp
check "healthy: IPv6" named none explain "[fd00:10:96::1]:80"
check "healthy: NodePort" named none explain 192.168.77.2:30080
check "healthy: load balancer" named none explain 203.0.113.10:80
check "healthy: external IP" named none explain 203.0.113.20:80
check "healthy: the whole Service" named none explain default/web
check "healthy: the way is told" tells 0 "KUBE-CLUSTER-IP 10\.96\.10\.1,tcp:80" explain 10.96.10.1:80
check "healthy: masqueraded from outside" tells 0 "masquerade +yes" explain 192.168.77.2:30080
check "healthy: not masqueraded from a pod" tells 0 "masquerade +no" explain 10.96.10.1:80 --from 10.244.1.100
check "healthy: a backend that answers" named none explain default/alone --probe

check "endpoint not ready" named no-ready-endpoint explain default/unready
check "one of two not ready: the reason" tells 0 "10\.244\.1\.12:8080 +out +not ready" explain default/partly
check "terminating beside a ready one: the reason" tells 0 "10\.244\.1\.12:8080 +out +terminating" explain default/leaving
check "terminating and not serving" named no-ready-endpoint explain default/left
check "no endpoints" named no-endpoints explain default/empty
check "internalTrafficPolicy Local without a local endpoint" named no-local-endpoint explain default/inside
check "the endpoint's reason there" tells 1 "traffic policy Local" explain default/inside
check "externalTrafficPolicy Local without a local endpoint" named no-local-endpoint explain 203.0.113.80:80
check "which does not concern pods" named none explain 203.0.113.80:80 --from 10.244.1.100
check "hint to another zone: the reason" tells 0 "10\.244\.2\.21:8080 +out +other zone by hint: for zone zone-b" \
  explain default/hinted
check "source range excludes the client" named source-range explain 203.0.113.30:80 --from 192.168.77.1
check "source range includes the client" named none explain 203.0.113.30:80 --from 198.51.100.7
check "source range, client not known" tells 0 "if the client's address is in it" explain 203.0.113.30:80
check "conflict of two Services" named conflict-lost explain default/younger
check "conflict: the winner is well" tells 0 "conflict: default/younger:http wants" explain 203.0.113.70:80
check "NodePort on an excluded address" named node-port-excluded explain 10.244.1.1:30080
check "NodePort on loopback" named node-port-excluded explain 127.0.0.1:30080
check "no port by that number" named no-such-port explain 10.96.10.1:81
check "an address of nobody" named unknown-address explain 10.96.250.1:80
check "no such Service" named no-such-service explain default/nobody
check "headless" named headless-service explain default/headless
check "another proxy's Service" named ignored-service explain default/elsewhere
check "backend not answering" named backend-not-answering explain default/silent --probe
check "which shows by --probe only" named none explain default/silent

check "UDP backend that replies" tells 0 "10\.244\.1\.11:5353 +in .*; answers$" explain default/udp --probe
check "UDP backend where nobody listens" named backend-not-answering explain default/udp-closed --probe
check "UDP backend that says nothing: no verdict" tells 0 "10\.244\.1\.11:5355 +in .*; cannot tell: no reply" explain default/udp-silent --probe
check "UDP backend that says nothing: why" tells 0 "note +one backend did not reply .* no sign of a fault, nor of health" explain default/udp-silent --probe
check "SCTP backend that answers" tells 0 "10\.244\.1\.11:9000 +in .*; answers$" explain default/sctp --probe
check "SCTP backend where nobody listens" named backend-not-answering explain default/sctp-closed --probe
check "SCTP: it refuses" tells 1 "10\.244\.1\.11:9001 +in .*; refuses$" explain default/sctp-closed --probe
check "TCP backend where nobody listens: it refuses" tells 1 "10\.244\.1\.11:8081 +in .*; refuses$" explain default/silent --probe
check "TCP backend whose address nobody has" tells 1 "10\.244\.1\.99:8080 +in .*; (does not answer|is not reachable)$" explain default/gone --probe
ipvsadm -A -t 10.9.9.9:80 -s rr
check "foreign virtual server" named foreign-virtual-server explain 10.9.9.9:80
ipvsadm -D -t 10.9.9.9:80

exec {held}<>/dev/tcp/10.96.20.8/80 || check "a connection to hold" false
{ service drain 10.96.20.8 && slice drain "$unready"; } | replace drain.yaml
check "drained: the cause" within 10 named no-ready-endpoint explain default/drain
check "drained: the connections" tells 1 "10\.244\.1\.11:8080 +out +not an endpoint: draining with 1 connection;" \
  explain default/drain
exec {held}>&-

stop
check "the daemon is gone: said, and no fault" tells 0 "no kube-ipvsd answers" explain 10.96.10.1:80

# tampered CAUSE BREAK REPAIR ARGUMENT...: explains before, while and after.
tampered() {
  local cause=$1 break=$2 repair=$3
  shift 3
  check "$cause: $break" broken "$cause" "$break" "$repair" "$@"
}
broken() {
  local cause=$1 break=$2 repair=$3 status=0
  shift 3
  eval "$break" || return 1
  named "$cause" explain "$@" || status=1
  eval "$repair" || return 1
  named none explain "$@" || { echo "after the repair"; status=1; }
  return $status
}
vip=10.96.20.13
backend=10.244.1.11:8080
tampered address-missing "ip addr del $vip/32 dev kube-ipvs0" "ip addr add $vip/32 dev kube-ipvs0" $vip:80
tampered address-on-other-link "ip addr del $vip/32 dev kube-ipvs0; ip addr add $vip/32 dev cni0" \
  "ip addr del $vip/32 dev cni0; ip addr add $vip/32 dev kube-ipvs0" $vip:80
tampered set-entry-missing "ipset del KUBE-CLUSTER-IP $vip,tcp:80" "ipset add KUBE-CLUSTER-IP $vip,tcp:80" $vip:80
tampered set-entry-missing "ipset del KUBE-NODE-PORT-TCP 30080" "ipset add KUBE-NODE-PORT-TCP 30080" 192.168.77.2:30080
tampered set-entry-missing "ipset del KUBE-LOAD-BALANCER-FW 203.0.113.30,tcp:80" \
  "ipset add KUBE-LOAD-BALANCER-FW 203.0.113.30,tcp:80" 203.0.113.30:80
tampered set-entry-missing "ipset del KUBE-LOAD-BALANCER-SOURCE-CIDR 203.0.113.30,tcp:80,198.51.100.0/24" \
  "ipset add KUBE-LOAD-BALANCER-SOURCE-CIDR 203.0.113.30,tcp:80,198.51.100.0/24" 203.0.113.30:80 --from 198.51.100.7
tampered rules-missing "program -t nat -F KUBE-MARK-MASQ" \
  "program -t nat -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000" 192.168.77.2:30080
jump="-m comment --comment 'kubernetes service portals' -j KUBE-SERVICES"
tampered rules-missing "program -t nat -D PREROUTING $jump" "program -t nat -I PREROUTING $jump" 203.0.113.10:80
jump="-m comment --comment 'kubernetes postrouting rules' -j KUBE-POSTROUTING"
tampered rules-missing "program -t nat -D POSTROUTING $jump" "program -t nat -I POSTROUTING $jump" 203.0.113.20:80
tampered virtual-server-missing "ipvsadm -D -t $vip:80" "ipvsadm -A -t $vip:80 -s rr; ipvsadm -a -t $vip:80 -r $backend -m" $vip:80
tampered virtual-server-differs "ipvsadm -E -t $vip:80 -s wlc" "ipvsadm -E -t $vip:80 -s rr" $vip:80
tampered destination-missing "ipvsadm -d -t $vip:80 -r $backend" "ipvsadm -a -t $vip:80 -r $backend -m" $vip:80
tampered zero-weight "ipvsadm -e -t $vip:80 -r $backend -m -w 0" "ipvsadm -e -t $vip:80 -r $backend -m -w 1" $vip:80
tampered destination-unwanted "ipvsadm -a -t $vip:80 -r 10.244.1.99:8080 -m" \
  "ipvsadm -d -t $vip:80 -r 10.244.1.99:8080" $vip:80
tampered sysctl "echo 0 >/proc/sys/net/ipv4/vs/conntrack" "echo 1 >/proc/sys/net/ipv4/vs/conntrack" $vip:80
tampered sysctl "echo 0 >/proc/sys/net/ipv4/ip_forward" "echo 1 >/proc/sys/net/ipv4/ip_forward" $vip:80

cp "$config" "$work/rr.yaml"
echo "ipvs: {scheduler: nonesuch}" >>"$config"
ipvsadm -D -t $vip:80
check "scheduler module missing" named scheduler-missing explain $vip:80
cp "$work/rr.yaml" "$config"
ipvsadm -A -t $vip:80 -s rr && ipvsadm -a -t $vip:80 -r $backend -m

# The kernel alone.
check "blind: healthy" named none blind $vip:80
check "blind: it says that names are not known" tells 0 "the Services are not known" blind $vip:80
ip addr del $vip/32 dev kube-ipvs0
check "blind: address removed" named address-missing blind $vip:80
ip addr add $vip/32 dev kube-ipvs0
ipset del KUBE-CLUSTER-IP $vip,tcp:80
check "blind: set entry removed" named set-entry-missing blind $vip:80
ipset add KUBE-CLUSTER-IP $vip,tcp:80
ipvsadm -e -t $vip:80 -r $backend -m -w 0
check "blind: weight 0 everywhere" named zero-weight blind $vip:80
ipvsadm -e -t $vip:80 -r $backend -m -w 1
ipvsadm -D -t $vip:80
check "blind: virtual server removed" named virtual-server-missing blind $vip:80
check "blind: no port by that number" named no-such-port blind 10.96.10.1:81
check "blind: source range" named source-range blind 203.0.113.30:80 --from 192.168.77.1

ip link del kube-ipvs0
check "kube-ipvs0 missing" named link-missing explain 10.96.10.1:80
check "another user is told to be root" tells 2 "needs root|sudo" setpriv --reuid nobody --clear-groups "$ctl" explain 10.96.10.1:80
finish
