#!/bin/bash
# The seccomp profile of the chart: the daemon and all that it runs do their work under it, where any other system call
# would end the process; and what no such daemon needs is refused. Other tests run so with
# IPVSD_BINARY=$PWD/test/seccomp/filtered-daemon.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

filter=$PWD/test/seccomp/seccomp.py
applied() { /usr/bin/python3 -B "$filter" run "$@"; }
strict() { applied --kill "$@"; }
if ! strict true; then
  echo "skipped: no seccomp filters on this kernel, or no numbers of its system calls"
  exit 77
fi

# What it is for. With a filter that answers, as on a node, and with one that kills, as below.
refused() {
  applied "$@" >"$work/said" 2>&1
  local status=$?
  cat "$work/said"
  [ $status != 0 ]
}
check "no new namespaces, by unshare" refused unshare -n true
check "nor mounts" refused mount -t tmpfs tmpfs "$work"
check "nor modules" refused insmod /lib/modules/nothing.ko
check "nor other processes' memory" refused strace -p $$
killed() {
  (strict unshare -n true) 2>/dev/null
  [ $? = 159 ]
}
check "the strict filter kills" killed

must "the node" topology_up
serve_pods
daemon=$PWD/test/seccomp/filtered-daemon

# From an API server, over TLS, with Events, a health check port and a drain.
tls=$work/tls
mkdir "$tls"
url=https://127.0.0.1:6443
run server "$PWD/build/test/fake/fake-api-server" --port 6443 --tls-dir "$tls"
must "the API server" within 30 file_says server '^https://'
api() { curl -sS --max-time 20 --fail-with-body --cacert "$tls/ca.crt" "$@"; }
create() { api -X POST -H 'Content-Type: application/json' --data-binary @- "$url$1" >/dev/null; }
slices=/apis/discovery.k8s.io/v1/namespaces/default/endpointslices
create /api/v1/nodes <<'JSON'
{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "lab-node"}, "spec": {"podCIDR": "10.244.1.0/24"},
 "status": {"addresses": [{"type": "InternalIP", "address": "192.168.77.2"}]}}
JSON
create /api/v1/namespaces/default/services <<'JSON'
{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"},
 "spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 32000, "clusterIP": "10.96.20.1",
  "clusterIPs": ["10.96.20.1"], "ipFamilies": ["IPv4"], "ports": [
   {"name": "http", "port": 80, "targetPort": 8080, "nodePort": 30080, "protocol": "TCP"},
   {"name": "dns", "port": 53, "targetPort": 5353, "protocol": "UDP"}]}}
JSON
slice() { # RESOURCE-VERSION-less: the whole list of endpoints
  local address list=
  for address; do
    list+="${list:+, }{\"addresses\": [\"$address\"], \"conditions\": {\"ready\": true}, \"nodeName\": \"lab-node\"}"
  done
  cat <<JSON
{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
 "metadata": {"name": "web-4", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
 "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}, {"name": "dns", "port": 5353, "protocol": "UDP"}],
 "endpoints": [$list]}
JSON
}
slice 10.244.1.11 10.244.1.12 | create $slices
config "clientConnection: {kubeconfig: $tls/kubeconfig}" 'ipvsd: {rulesAuditPeriod: 1s, auditPeriod: 2s}'
"$daemon" --config "$config" --log-level debug >>"$log" 2>&1 </dev/null &
pid=$!
must "the first sync" within 60 synced
check "the filter is in force, in each thread" sh -c "! grep -L '^Seccomp:.2' /proc/$pid/task/*/status | grep ."
check "traffic" answers 'web-[12] ' in_pod client "$traffic" request tcp 10.96.20.1 80
check "UDP" answers 'web-[12] ' in_pod client "$traffic" request udp 10.96.20.1 53
check "the health check" within 20 sh -c 'curl -sS --max-time 5 http://192.168.77.2:32000/ | grep -q localEndpoints'
slice 10.244.1.11 10.244.1.13 | api -X PUT -H 'Content-Type: application/json' --data-binary @- "$url$slices/web-4" >/dev/null
check "a change" within 30 sh -c 'ipvsadm -Sn | grep -q 10.244.1.13:8080'
check "a flow of UDP follows" within 20 answers 'web-[13] ' in_pod client "$traffic" request udp 10.96.20.1 53
api -X POST --data '' "$url/_control/drop-watches" >/dev/null
iptables -t nat -F KUBE-SERVICES
ip link del kube-ipvs0
check "what others take away is back: rules" within 30 sh -c 'iptables -t nat -S KUBE-SERVICES | grep -q -e -A'
check "and the link" within 30 has_address 10.96.20.1
# The watches were dropped: until they are back, status says so and exits with 1.
must "the watches" within 60 "$PWD/build/ctl/kube-ipvsctl" status
for words in status "explain 10.96.20.1:80" "diff --kubeconfig $tls/kubeconfig --config $config" dump; do
  # shellcheck disable=SC2086
  check "kube-ipvsctl ${words%% *}, as within the container" strict "$PWD/build/ctl/kube-ipvsctl" $words
done
check "SIGTERM ends it with status 0" stop
check "an end by its own will, and none of its programs was killed" not says 'Bad system call|signal 31|exit status 159|status 159'

# From manifests, with VIPs by route; then everything that runs once.
config 'ipvsd: {serviceAddresses: route, serviceCIDRs: [10.96.0.0/16]}'
sample node web solo sticky
start
check "from manifests, VIPs by route" within 40 serving -t 10.96.10.1:80 3
check "all of it" within 20 synced
replace web.yaml <"$samples/edge.yaml"
check "a change of a manifest" within 30 not has_server -t 10.96.10.1:80
config 'ipvs: {scheduler: wlc}'
check "it ends when its configuration changes" within 30 not alive
wait "$pid"
check "with status 1, by its own will" test $? = 1
pid=
once() { "$daemon" --config "$config" --manifests "$manifests" "$@" </dev/null; }
check "--once" once --once
check "--dry-run" once --dry-run
check_runs() { once --check; [ $? -le 1 ]; }
check "--check" check_runs
check "--hand-over" "$daemon" --config "$config" --hand-over
check "--cleanup" "$daemon" --config "$config" --cleanup
finish
