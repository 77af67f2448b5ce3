#!/bin/bash
# kube-ipvsd --check: a node on which all is well, then each thing broken in turn; and that it changes nothing.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

must "the node" node_up
config
sample node solo
said=$work/said
# preflight STATUS OPTION...: runs --check and expects this status.
preflight() {
  local expected=$1 status
  shift
  "$daemon" --check "$@" >"$said" 2>"$work/complaints"
  status=$?
  cat "$said" "$work/complaints"
  [ $status = "$expected" ]
}
mentions() { grep -qE -e "$1" "$said"; }
remedy() { grep -qE -e "-> .*$1" "$said"; }
# on_a_node [OPTION...]: with the configuration and the manifests of this test.
on_a_node() { preflight "$1" --config "$config" --manifests "$manifests" "${@:2}"; }

# --- nothing wrong, nothing touched -----------------------------------------------------------------------------------

kernel_state() {
  ipvsadm -Sn
  ipset save
  ip -br addr
  saved_rules
  sysctl -a 2>/dev/null | grep -E '^net\.ipv4\.(vs|ip_forward|conf\.all)'
}
modprobe -a ip_vs nf_conntrack
kernel_state >"$work/before"
rmmod ip_vs_wlc 2>/dev/null
check "status 0 on a node without problems" on_a_node 0
check "it names the kernel" mentions "^ok +kernel +$(uname -r)"
check "it says what will be set" mentions '^note +sysctl +net\.ipv4\.vs\.conntrack is 0, will be set to 1$'
check "it counts" mentions '^0 problems, [0-9]+ warnings?$'
unchanged() { diff "$work/before" <(kernel_state); }
check "it has changed nothing" unchanged
check "no scheduler module was loaded" not grep -q '^ip_vs_wlc ' /proc/modules

valid_json() {
  /usr/bin/python3 - "$said" <<'PYTHON'
import json, sys
report = json.load(open(sys.argv[1]))
assert report["result"] in ("ok", "note", "warning"), report["result"]
assert report["problems"] == 0 and report["version"]
assert all(set(f) == {"severity", "subject", "text", "remedy"} for f in report["findings"])
assert len(report["findings"]) > 8
PYTHON
}
check "-o json: status 0" on_a_node 0 -o json
check "-o json: one document" valid_json

# --- the configuration ------------------------------------------------------------------------------------------------

cat >"$work/kube-proxy.yaml" <<'YAML'
apiVersion: v1
kind: ConfigMap
metadata: {name: kube-proxy, namespace: kube-system}
data:
  config.conf: |-
    apiVersion: kubeproxy.config.k8s.io/v1alpha1
    kind: KubeProxyConfiguration
    mode: ipvs
    hostnameOverride: lab-node
    featureGates: {SomeGate: true}
    ipvs: {scheduler: wlc, syncPeriod: 10s}
    iptables: {localhostNodePorts: false}
  kubeconfig.conf: "kind: Config"
YAML
check "a ConfigMap: status 0" preflight 0 --config "$work/kube-proxy.yaml" --manifests "$manifests"
check "a ConfigMap: names what has no effect" mentions 'kube-proxy\.yaml\[config\.conf\]:5: featureGates: has no effect'
check "a ConfigMap: and the other one" mentions 'iptables\.localhostNodePorts: has no effect'
check "a ConfigMap: names what is done otherwise" mentions '^note .*ipvs\.syncPeriod is 10s'
check "a ConfigMap: the daemon itself does not take it" \
  not "$daemon" --config "$work/kube-proxy.yaml" --manifests "$manifests" --once
sed 's/mode: ipvs/mode: iptables/; s/featureGates: .*/featureGatez: {}/' "$work/kube-proxy.yaml" >"$work/wrong.yaml"
check "a wrong one: status 1" preflight 1 --config "$work/wrong.yaml" --manifests "$manifests"
check "a wrong one: the mode" mentions '^PROBLEM .*mode: expected ipvs'
check "a wrong one: the unknown field and what it may be" mentions '^PROBLEM .*featureGatez.*did you mean featureGates'
check "a file that is not there: status 1" preflight 1 --config "$work/none" --manifests "$manifests"

# --- the kernel -------------------------------------------------------------------------------------------------------

# Service CIDRs for VIPs by route.
config 'ipvsd: {serviceAddresses: route}'
check "route without Service CIDRs: status 1" on_a_node 1
check "route without Service CIDRs: says so" mentions '^PROBLEM +service cidr +.*there is no API server to ask'
config 'ipvsd: {serviceAddresses: route, serviceCIDRs: [192.168.0.0/16]}'
check "a wrong Service CIDR: status 0" on_a_node 0
check "a wrong Service CIDR: says so" mentions '^warning +service cidr +Service CIDR 192\.168\.0\.0/16 gets no local route: '
config 'ipvsd: {serviceAddresses: route, serviceCIDRs: [10.96.0.0/16, "fd00:10:96::/112"]}'
check "right Service CIDRs: status 0" on_a_node 0
check "right Service CIDRs: says so" mentions '^ok +service cidr +VIPs are local by routes to 10\.96\.0\.0/16 and fd00:10:96::/112'

config 'ipvs: {scheduler: nosuch}'
check "a scheduler that the kernel lacks: status 1" on_a_node 1
check "a scheduler that the kernel lacks: says so" mentions '^PROBLEM +scheduler +this kernel has no nosuch'
check "a scheduler that the kernel lacks: names those it has" remedy 'ipvs\.scheduler to one of .*wlc'
config

in_private_mounts() { unshare -m sh -c "$1; exec \"\$@\"" sh "${@:2}"; }
hidden() { in_private_mounts "$1" "$daemon" --check --config "$config" --manifests "$manifests" >"$said" 2>&1; }
without_a_module() {
  local dep
  dep=/lib/modules/$(uname -r)/modules.dep
  grep -v 'ip_set_bitmap_port' "$dep" >"$work/modules.dep"
  rmmod ip_set_bitmap_port 2>/dev/null
  hidden "mount --bind $work/modules.dep $dep"
  [ $? = 1 ]
}
check "a module that the kernel lacks: status 1" without_a_module
check "a module that the kernel lacks: named" mentions '^PROBLEM +module +this kernel has no ip_set_bitmap_port'
no_modules() { hidden 'mount -t tmpfs tmpfs /lib/modules'; }
check "no /lib/modules, as in a container: status 0" no_modules
check "no /lib/modules: what cannot be known" mentions "^warning +modules +not loaded, and no list of this kernel's modules: .*(dummy|ip_set_bitmap_port)"
read_only_sysctls() {
  hidden 'mount -t proc proc /proc && mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys'
  [ $? = 1 ]
}
check "read-only sysctls: status 1" read_only_sysctls
check "read-only sysctls: named" mentions '^PROBLEM +sysctl +net\.ipv4\.vs\.conntrack is 0 and cannot be set from here; must be 1'
check "read-only sysctls: with the command" remedy 'sysctl -w net\.ipv4\.vs\.conntrack=1'
no_iptables() {
  mkdir -p "$work/bin" && ln -sf "$(command -v true)" "$work/bin/"
  PATH=$work/bin on_a_node 1
}
check "no iptables: status 1" no_iptables
check "no iptables: both families" mentions '^PROBLEM +iptables IPv4 +no backend to use .*not installed'
check "no iptables: IPv6 is only a warning" mentions '^warning +iptables IPv6 +no backend to use'
iptables-legacy -t nat -N KUBE-SVC-ABC
check "chains of iptables mode: status 0" on_a_node 0
check "chains of iptables mode: said, with the remedy" remedy 'kube-proxy --cleanup'
iptables-legacy -t nat -X KUBE-SVC-ABC

powerless() { setpriv --bounding-set -net_admin "$daemon" --check --config "$config" --manifests "$manifests" >"$said" 2>&1; }
check "without CAP_NET_ADMIN: status 1" not powerless
check "without CAP_NET_ADMIN: says so" mentions '^PROBLEM +rights +no CAP_NET_ADMIN'

# --- others, addresses ------------------------------------------------------------------------------------------------

cat >"$work/answer" <<'PYTHON'
import http.server
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ipvs")
http.server.HTTPServer(("127.0.0.1", 10249), Answer).serve_forever()
PYTHON
run kube-proxy.log /usr/bin/python3 "$work/answer"
kube_proxy=$started
must "the stand-in for kube-proxy listens" within 30 sh -c "ss -Hltn 'sport = 10249' | grep -q ."
check "beside kube-proxy: status 0" on_a_node 0
check "beside kube-proxy: it will be waited for" mentions '^warning +proxy +127\.0\.0\.1:10249 answers \(proxyMode ipvs\): kube-ipvsd waits'
kill "$kube_proxy"
wait "$kube_proxy" 2>/dev/null
cp "$(command -v sleep)" "$work/kube-router"
run router "$work/kube-router" 600
router=$started
must "a process of that name runs" within 10 grep -qx kube-router "/proc/$router/comm"
check "beside kube-router: status 1" on_a_node 1
check "beside kube-router: named" mentions "^PROBLEM +proxy +kube-router runs here \\(process $router\\)"
kill "$router"
wait "$router" 2>/dev/null

service clash 192.168.77.2 >"$manifests/clash.yaml"
check "a ClusterIP that is the node's: status 1" on_a_node 1
check "a ClusterIP that is the node's: named" \
  mentions '^PROBLEM +address +192\.168\.77\.2 is the ClusterIP of Service default/clash and an address of eth0'
service clash 10.96.9.9 'externalIPs: [192.168.77.2]' >"$manifests/clash.yaml"
check "an external IP that is the node's: status 0" on_a_node 0
check "an external IP that is the node's: a warning" mentions '^warning +address +192\.168\.77\.2 is an externalIP'
check "VIPs on every interface: a warning" mentions '^warning +arp +ipvs\.strictARP is false'
config 'ipvs: {strictARP: true}'
check "strictARP: status 0" on_a_node 0
check "strictARP: no such warning" mentions '^ok +arp'
check "strictARP: the settings to come" mentions '^note +sysctl +net\.ipv4\.conf\.all\.arp_announce is 0, will be set to 2'
config
echo nonsense >"$manifests/clash.yaml"
check "a manifest that cannot be read: a warning" on_a_node 0
check "a manifest that cannot be read: named" mentions '^warning +object +.*clash\.yaml'
rm "$manifests/clash.yaml"

start
must "a daemon serves" within 30 synced
check "beside a kube-ipvsd: status 0" on_a_node 0
check "beside a kube-ipvsd: says so" mentions '^warning +proxy +a kube-ipvsd runs here already'
check "beside a kube-ipvsd: that one is not disturbed" serving -t 10.96.10.2:80 1
check "a daemon that serves is stopped" stop
on_a_served_node() {
  on_a_node 0 && mentions '^ok +sysctls +([0-9]+) of \1 are right' && ! mentions '^note +sysctl'
}
check "where a daemon has served, the settings are right" on_a_served_node

# --- the API server ---------------------------------------------------------------------------------------------------

mkdir "$work/tls"
ip addr add 10.96.0.1/32 dev lo
cat >"$work/objects.json" <<'JSON'
{"apiVersion": "v1", "kind": "List", "items": [
 {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "lab-node"}},
 {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kubernetes", "namespace": "default"},
  "spec": {"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"], "ipFamilies": ["IPv4"],
           "ports": [{"name": "https", "protocol": "TCP", "port": 443}]}}]}
JSON
run server "$PWD/build/test/fake/fake-api-server" --host 10.96.0.1 --port 6443 --token right --tls-dir "$work/tls" --load "$work/objects.json"
must "the API server" within 30 file_says server '^https://'
against_api() { preflight "$1" --config "$config" --kubeconfig "$work/tls/kubeconfig" "${@:2}"; }
control() { curl -sS --max-time 20 --fail-with-body --cacert "$work/tls/ca.crt" -H 'Authorization: Bearer right' -X POST --data '' "https://10.96.0.1:6443/_control/$1"; }
# The stand-in listens on an address of this node that is also a Service's.
check "an API server: asked, and its Services read" against_api 1
check "an API server: all may be read" mentions '^ok +access +https://10\.96\.0\.1:6443 lets us list and watch'
check "an API server: a Service's address that is the node's" mentions '^PROBLEM +address +10\.96\.0\.1 is the ClusterIP of Service default/kubernetes'
check "an API server: reached through its own VIP" mentions '^warning +api server +https://10\.96\.0\.1:6443 is the ClusterIP'
check "an API server: the Node is there" not mentions '^warning +node'
check "a Node of another name" against_api 1 --hostname-override other-node
check "a Node of another name: says so" mentions '^warning +node +there is no Node other-node'
control 'forbid?verb=watch&resource=endpointslices' >"$work/control"
check "a right that is missing: status 1" against_api 1
check "a right that is missing: named" mentions '^PROBLEM +access +watch endpointslices: status 403'
check "a right that is missing: how to get it" remedy 'grant watch on endpointslices'
check "the other rights are not complained about" not mentions 'access +(list|watch) (services|nodes)'
control allow >"$work/control"
control 'forbid?verb=patch&resource=events' >"$work/control"
# Status 1 is for the Service's address, as before.
check "Events that may not be recorded" against_api 1
check "Events that may not be recorded: a warning" mentions '^warning +access +patch events: status 403'
check "Events that may not be recorded: how to get them" remedy 'grant patch on events of events\.k8s\.io'
check "Events that may not be recorded: the verb that may be used is not complained about" not mentions 'access +create events'
check "Events that may not be recorded: the rest is read all the same" mentions '^ok +access .* lets us list and watch'
no_event() { [ "$(curl -sS --max-time 20 --fail-with-body --cacert "$work/tls/ca.crt" -H 'Authorization: Bearer right' https://10.96.0.1:6443/_events)" = '[]' ]; }
check "and --check has recorded none" no_event
control allow >"$work/control"
sed -i 's/token: .*/token: wrong/' "$work/tls/kubeconfig"
check "a wrong token: status 1" against_api 1
check "a wrong token: said" mentions '^PROBLEM +access +list services: status 401'
config 'clientConnection: {kubeconfig: /var/lib/kube-proxy/kubeconfig.conf}'
check "a kubeconfig that is only in the Pod: status 0" preflight 0 --config "$config"
check "a kubeconfig that is only in the Pod: said" mentions '^warning +access +not checked.*kubeconfig\.conf'
finish
