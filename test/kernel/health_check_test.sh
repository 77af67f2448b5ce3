#!/bin/bash
# healthCheckNodePort: what a load balancer outside the node is told about a Service, in both families, through a
# firewall that lets in nothing else; and what follows endpoints, Services, addresses and the Node.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

# ask ADDRESS PORT [PATH]: the whole answer, asked from outside. cat, because bash reads a socket byte by byte.
ask() {
  # shellcheck disable=SC2016
  in_pod outside timeout 5 bash -c '{ printf "GET %s HTTP/1.1\r\nHost: node\r\n\r\n" "$3" >&3 && cat <&3; } 3<>"/dev/tcp/$1/$2"' \
    ask "$1" "$2" "${3:-/}" 2>/dev/null | tr -d '\r'
}
# told ADDRESS STATUS COUNT: the answer of the health check, all of its lines.
told() {
  local answer
  answer=$(ask "$1" "${4:-32000}")
  echo "$answer"
  grep -qx "HTTP/1.1 $2 .*" <<<"$answer" && grep -qx "Content-Type: application/json" <<<"$answer" &&
    grep -qx "X-Content-Type-Options: nosniff" <<<"$answer" &&
    grep -qx "X-Load-Balancing-Endpoint-Weight: $3" <<<"$answer" &&
    [ "$(sed '1,/^$/d' <<<"$answer")" = $'{\n\t"service": {\n\t\t"namespace": "default",\n\t\t"name": "web"\n\t},\n\t"localEndpoints": '"$3"$',\n\t"serviceProxyHealthy": true\n}' ]
}
refused() { [ -z "$(ask "$1" "${2:-32000}")" ]; }
health() { grep -qx "HTTP/1.1 $2 .*" <<<"$(ask 192.168.77.2 10256 "$1")"; }

# web_service PORT: dual stack, Local, with that health check.
web_service() {
  replace web.yaml <<YAML
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  healthCheckNodePort: $1
  clusterIP: 10.96.20.1
  clusterIPs: [10.96.20.1, "fd00:10:96::20"]
  ipFamilies: [IPv4, IPv6]
  ports: [{name: http, protocol: TCP, port: 80, targetPort: 8080, nodePort: 30080}]
status: {loadBalancer: {ingress: [{ip: 203.0.113.50}]}}
YAML
}
# web_slice FAMILY [ENDPOINT...]: each "ADDRESS NODE READY TERMINATING".
web_slice() {
  local family=$1 endpoint list=
  shift
  for endpoint; do
    # shellcheck disable=SC2086
    set -- $endpoint
    list+="${list:+, }{addresses: [\"$1\"], nodeName: $2, conditions: {ready: $3, serving: true, terminating: $4}}"
  done
  replace "web-$family.yaml" <<YAML
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-${family,,}, namespace: default, labels: {kubernetes.io/service-name: web}}
addressType: $family
ports: [{name: http, protocol: TCP, port: 8080}]
endpoints: [$list]
YAML
}

must "the node" node_up
in_pod outside ip route add 203.0.113.0/24 via 192.168.77.2
config
sample node
web_service 32000
web_slice IPv4 "10.244.1.11 lab-node true false" "10.244.1.12 lab-node true false" "10.244.2.1 elsewhere true false"
web_slice IPv6 "fd00:10:244:1::11 lab-node true false"
# Nothing gets in that a rule does not let in; the neighbour discovery of IPv6 has to.
iptables -P INPUT DROP
ip6tables -P INPUT DROP
ip6tables -A INPUT -p icmpv6 -j ACCEPT
iptables -A INPUT -i lo -j ACCEPT
iptables -A INPUT -p tcp --dport 10256 -j ACCEPT
start
must "the first sync" within 30 synced

check "IPv4: two local endpoints" within 10 told 192.168.77.2 200 2
check "IPv6: one" within 10 told fd00:77::2 200 1
check "through the load balancer's address too" told 203.0.113.50 200 2
check "the port is in the sets of both families" \
  sh -c 'ipset test KUBE-HEALTH-CHECK-NODE-PORT 32000 && ipset test KUBE-6-HEALTH-CHECK-NODE-PORT 32000'
check "what no rule lets in stays out" refused 192.168.77.2 10249

web_slice IPv4 "10.244.1.11 lab-node true false" "10.244.1.12 lab-node false true" "10.244.2.1 elsewhere true false"
check "one that terminates does not count" within 10 told 192.168.77.2 200 1
web_slice IPv4 "10.244.2.1 elsewhere true false"
check "none: 503" within 10 told 192.168.77.2 503 0
check "the other family keeps its own" told fd00:77::2 200 1
no_local='kubeproxy_sync_proxy_rules_no_local_endpoints_total'
metric_is() { [ "$(metric "$1")" = "$2" ]; }
check "the gauge says so" within 10 metric_is "$no_local{ip_family=\"IPv4\",traffic_policy=\"external\"}" 1
check "of one family only" metric_is "$no_local{ip_family=\"IPv6\",traffic_policy=\"external\"}" 0
web_slice IPv4 "10.244.1.11 lab-node true false" "10.244.1.12 lab-node true false"
check "two again" within 10 told 192.168.77.2 200 2
check "and the gauge" within 10 metric_is "$no_local{ip_family=\"IPv4\",traffic_policy=\"external\"}" 0

# Somebody has the port that the Service moves to.
cat >"$work/holder" <<'PYTHON'
import socket
holder = socket.socket()
holder.bind(("0.0.0.0", 32001))
holder.listen()
holder.accept()
PYTHON
run holder.log /usr/bin/python3 "$work/holder"
holder=$started
must "the port is held" within 10 sh -c "ss -Hltn 'sport = 32001' | grep -q ."
web_service 32001
check "the port moves" within 10 told fd00:77::2 200 1 32001
check "the old one is closed" refused 192.168.77.2
check "a port that another has is told" \
  within 10 says 'health check of Service default/web: listen on 0\.0\.0\.0:32001: another process, or Service, has this port'
check "and counted" metric_is kube_ipvsd_health_check_services_failing 1
kill "$holder"
check "and had when it is free" within 20 told 192.168.77.2 200 2 32001
check "and told once" test "$(grep -c 'listen on 0.0.0.0:32001' "$log")" = 1

node_with() { sed "s/^spec:/spec:\n  $1/" "$samples/node.yaml" | replace node.yaml; }
check "the node is eligible" health /healthz 200
node_with 'taints: [{key: ToBeDeletedByClusterAutoscaler, effect: NoSchedule}]'
check "the autoscaler's taint: not eligible" within 10 health /healthz 503
check "but alive" health /livez 200
check "and the Service's health check does not mind" told 192.168.77.2 200 2 32001
sample node
check "without the taint: eligible again" within 10 health /healthz 200

rm "$manifests/web.yaml"
check "with the Service its port goes" within 10 refused 192.168.77.2 32001
check "in both families" refused fd00:77::2 32001
check "and its entries" not sh -c 'ipset test KUBE-HEALTH-CHECK-NODE-PORT 32001 || ipset test KUBE-6-HEALTH-CHECK-NODE-PORT 32001'
must "SIGTERM ends it" stop

# On the addresses that nodePortAddresses selects, as they come and go.
config 'nodePortAddresses: [192.168.78.0/24, "fd00:77::/64"]'
web_service 32000
start
must "the first sync" within 30 synced
check "a selected address answers" within 10 told fd00:77::2 200 1
check "another does not" refused 192.168.77.2
in_pod outside ip addr add 192.168.78.1/24 dev eth0
ip addr add 192.168.78.2/24 dev eth0
check "an address that comes answers" within 10 told 192.168.78.2 200 2
ip addr del 192.168.78.2/24 dev eth0
not_listening() { ! ss -Hltn "src $1" | grep -q .; }
check "one that goes is left" within 10 not_listening 192.168.78.2
check "no health check fails" metric_is kube_ipvsd_health_check_services_failing 0
check "the set entry does not depend on addresses" ipset test KUBE-HEALTH-CHECK-NODE-PORT 32000
check "SIGTERM ends the daemon with status 0" stop
finish
