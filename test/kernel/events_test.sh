#!/bin/bash
# Events: what the daemon tells the API server about Services and the Node; and that it asks for nothing that
# kube-proxy's ClusterRole (system:node-proxier) does not grant.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

url=http://127.0.0.1:6443
api() { curl -sS --max-time 20 --fail-with-body "$@"; }
create() { api -X POST -H 'Content-Type: application/json' --data-binary @- "$url$1"; }
services=/api/v1/namespaces/default/services
slices=/apis/discovery.k8s.io/v1/namespaces/default/endpointslices

# event KIND NAME TYPE REASON ACTION NOTE-PATTERN: there is exactly one such Event, from us.
event() {
  api "$url/_events" | /usr/bin/python3 -c '
import json, re, sys
kind, name, type_, reason, action, note = sys.argv[1:]
events = json.load(sys.stdin)
found = [e for e in events if e["reason"] == reason and e["regarding"]["kind"] == kind and e["regarding"]["name"] == name]
print(json.dumps(events, indent=1))
sys.exit(not (len(found) == 1 and found[0]["type"] == type_ and found[0]["action"] == action and
              re.search(note, found[0]["note"]) and found[0]["reportingController"] == "kube-ipvsd" and
              found[0]["reportingInstance"] == "kube-ipvsd-lab-node" and found[0]["regarding"]["uid"]))' "$@"
}
# service NAME CLUSTER-IP [REST-OF-SPEC]
api_service() {
  create "$services" <<JSON
{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "$1", "namespace": "default"},
 "spec": {"clusterIP": "$2", "clusterIPs": ["$2"], "ipFamilies": ["IPv4"], "ports": [{"port": 80, "protocol": "TCP"}]${3:+, $3}}}
JSON
}
start_with_api() {
  "$daemon" --config "$config" --master "$url" "$@" >>"$log" 2>&1 </dev/null &
  pid=$!
}

must "the node" node_up
run server "$PWD/build/test/fake/fake-api-server" --port 6443
must "the API server" within 30 file_says server '^http://'
create /api/v1/nodes >/dev/null <<'JSON'
{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "lab-node"}, "spec": {},
 "status": {"addresses": [{"type": "InternalIP", "address": "192.168.77.2"}]}}
JSON

# An address that the node does not have: told, and the end of the process if it is to be.
config 'bindAddressHardFail: true' 'healthzBindAddress: 192.0.2.1:10256'
start_with_api
wait "$pid"
check "bindAddressHardFail ends the process with status 1" test $? = 1
pid=
check "and says why" says 'error listen on 192\.0\.2\.1:10256: '
check "also to the API server" \
  event Node lab-node Warning FailedToStartProxierHealthcheck StartKubeProxy 'listen on 192\.0\.2\.1:10256'
config 'bindAddressHardFail: true' 'metricsBindAddress: 192.0.2.1:10249'
start_with_api
wait "$pid"
check "the same for the metrics" test $? = 1
pid=
check "with its own reason" event Node lab-node Warning FailedToStartMetricServer StartKubeProxy 'listen on 192\.0\.2\.1:10249'

must "a read-only /sys" mount -o remount,ro /sys
config 'healthzBindAddress: 192.168.77.3:10256'
sed -i 's/^conntrack:.*/conntrack: {maxPerCore: 4000000}/' "$config"
api_service web 10.96.30.1 '"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 32000' >/dev/null
/usr/bin/python3 -c 'import socket, signal
holder = socket.socket(); holder.bind(("0.0.0.0", 32000)); holder.listen(); signal.pause()' &
background+=($!)
must "the port is held" within 10 sh -c "ss -Hltn 'sport = 32000' | grep -q ."
start_with_api
must "the first sync" within 30 synced
check "the start" within 10 event Node lab-node Normal Starting StartKubeProxy 'kube-ipvsd'
check "a read-only /sys, where the hash table is too small" \
  within 10 event Node lab-node Warning readOnlySysFS StartKubeProxy 'conntrack hash table has [0-9]+ buckets and should have 1000000'
check "a healthCheckNodePort that another has" \
  within 10 event Service web Warning FailedToStartServiceHealthcheck Listen 'listen on 0\.0\.0\.0:32000: another process'
check "a health server without its address does not keep Services from being served" has_address 10.96.30.1
ip addr add 192.168.77.3/24 dev eth0
listening() { ss -Hltn "src $1" | grep -q .; }
check "and it starts when the address is there" within 20 listening 192.168.77.3:10256

api_service late 10.96.30.2 '"externalIPs": ["203.0.113.60"]' >/dev/null
api_service later 10.96.30.3 '"externalIPs": ["203.0.113.60"]' >/dev/null
check "two Services want one address: the loser is told" \
  within 10 event Service later Warning FrontendConflict ProgramService '203\.0\.113\.60:80/TCP: .*default/late keeps it'
create "$slices" >/dev/null <<'JSON'
{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
 "metadata": {"name": "web-4", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
 "endpoints": [{"addresses": ["10.244.1.11"]}, {"addresses": ["fd00:10:244:1::11"]}]}
JSON
check "an endpoint of another family than its slice" \
  within 10 event Service web Warning KubeProxyIncorrectIPVersion GatherEndpoints 'endpoint fd00:10:244:1::11 of Service default/web'
check "the other endpoint is served" within 10 serving -t 10.96.30.1:80 1

# nothing_ungranted: each request of the daemon is one that the role grants.
nothing_ungranted() {
  api "$url/_log" | /usr/bin/python3 -c '
import json, re, sys
granted = [("GET", r"/api/v1/(services|nodes)\?.*"), ("GET", r"/apis/discovery\.k8s\.io/v1/endpointslices\?.*"),
           ("POST", r"/apis/events\.k8s\.io/v1/namespaces/[^/]+/events"),
           ("PATCH", r"/apis/events\.k8s\.io/v1/namespaces/[^/]+/events/[^/]+")]
ours = [r for r in json.load(sys.stdin) if r["userAgent"].startswith("kube-ipvsd")]
other = [r for r in ours if not any(r["method"] == m and re.fullmatch(t, r["target"]) for m, t in granted)]
print(other)
sys.exit(bool(other) or len(ours) < 10)'
}
check "nothing is asked that the role of kube-proxy does not grant" nothing_ungranted
check "SIGTERM ends the daemon with status 0" stop
finish
