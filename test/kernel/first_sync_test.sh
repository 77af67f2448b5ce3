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
  api_objects "$services" >"$manifests/rest.json" <<'PYTHON'
write(list_of([one for n in range(int(sys.argv[1])) for one in app(n, 1)]))
PYTHON
}
must "the objects" make_objects

bound() { ip -o addr show dev kube-ipvs0 | wc -l; }
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
written=$(bound)
echo "figure: $written of $((services + 1)) addresses were bound when the change was seen"
check "before the rest is written" test "$written" -lt "$((services + 1))"
check "the first sync" within 120 synced
touch "$work/enough"
wait "$prober"
all_healthy() { cat "$work/health" && [ "$(sort -u "$work/health")" = 200 ]; }
check "/healthz answered all the time" all_healthy
# The kernel leaves some out of a listing while it removes virtual servers of another network namespace.
all_there() { [ "$(bound)" = $((services + 1)) ] && [ "$(ipvsadm -Sn | grep -c -e '^-A')" = $((services + 1)) ]; }
check "all of it is there" within 60 all_there
check "no warning" not says ' (warning|error) '
finish
