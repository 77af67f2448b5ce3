#!/bin/bash
# While many Services are written for the first time, those that serve already change, and /healthz answers.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

services=30000
must "the node" topology_up
must "the backends" serve_pods
# No audit of what is compared, and no line about it.
config 'ipvsd: {auditPeriod: 24h, rulesAuditPeriod: 1h}'
sample node

# default/kubernetes is written first; the rest, in one JSON List, have an endpoint each.
make_objects() {
  service kubernetes 10.96.0.1 >"$manifests/kubernetes.yaml"
  endpoints kubernetes http 8080 10.244.1.11 >"$manifests/kubernetes-endpoints.yaml"
  /usr/bin/python3 - "$services" >"$manifests/rest.json" <<'PYTHON'
import json, sys
items = []
for n in range(int(sys.argv[1])):
    name, address = f"app-{n}", f"10.97.{n // 250}.{n % 250 + 1}"
    items.append({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
                  "spec": {"clusterIP": address, "clusterIPs": [address], "ipFamilies": ["IPv4"],
                           "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}]}})
    items.append({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                  "metadata": {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": name}},
                  "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
                  "endpoints": [{"addresses": [f"10.244.{2 + n // 250}.{n % 250 + 1}"],
                                 "conditions": {"ready": True}, "nodeName": "other"}]})
json.dump({"apiVersion": "v1", "kind": "List", "items": items}, sys.stdout)
PYTHON
}
must "the objects" make_objects

servers() { grep -cE '^(TCP|UDP|SCTP) ' /proc/net/ip_vs; }
request() { in_pod client "$traffic" request tcp 10.96.0.1 80 --quiet; }
# Asks until there is the file "enough"; a line for each answer.
ask_health() {
  until [ -e "$work/enough" ]; do
    curl -s -o /dev/null --max-time 5 -w '%{http_code}\n' http://127.0.0.1:10256/healthz
    pause
  done
}

start
must "the first Service serves" within 120 answers '1 from web-1' request
run health ask_health
prober=$started
endpoints kubernetes http 8080 10.244.1.12 | replace kubernetes-endpoints.yaml
check "its endpoint changes" within 60 answers '1 from web-2' request
written=$(servers)
echo "figure: $written of $((services + 1)) virtual servers stood when the change was seen"
check "before the rest is written" test "$written" -lt "$((services + 1))"
check "the first sync" within 120 synced
touch "$work/enough"
wait "$prober"
all_healthy() { cat "$work/health" && [ "$(sort -u "$work/health")" = 200 ]; }
check "/healthz answered all the time" all_healthy
check "all of it is there" test "$(servers)" = $((services + 1))
check "no warning" not says ' (warning|error) '
finish
