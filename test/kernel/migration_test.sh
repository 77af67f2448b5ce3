#!/bin/bash
# docs/migration.md, block by block: the state of a real kube-proxy is laid into the kernel, 200 connections are opened,
# and the node changes over and back. kubectl and helm are stand-ins that refuse what the real ones would
# (test/docs/standin.py), and the test does what the DaemonSet controller would do on this one node; everything below them
# is real.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

shared=${SHARED_DIR:-$PWD/../shared}
recorded=$shared/conformance/01-clusterip
if [ ! -d "$recorded" ]; then
  echo "skipped: no recordings of kube-proxy in $shared"
  echo "0 passed, 0 failed"
  exit 0
fi
doc=$PWD/docs/migration.md
vip=10.96.10.1

# --- the node as kube-proxy left it -----------------------------------------------------------------------------------

# The endpoints of the recording: one pod of this node, two elsewhere, both of which are namespace "outside" here.
endpoints_up() {
  pod_up local 10 && ip -n outside -batch - <<'OUTSIDE'
addr add 10.244.2.10/32 dev lo
addr add 10.244.3.10/32 dev lo
route add 10.244.1.0/24 via 192.168.77.2
OUTSIDE
}
must "the node" topology_up
must "the endpoints" endpoints_up
for backend in "local near 8080" "outside far 8080" "outside farther 8081"; do
  read -r where name port <<<"$backend"
  background+=("$(in_pod "$where" "$traffic" serve "$name" --tcp "$port" --background)")
done

lay_state() {
  local line
  modprobe -a ip_vs dummy ip_set || return 1
  ip link add kube-ipvs0 type dummy &&
    sed 's/^/addr add /; s/$/ dev kube-ipvs0/' "$recorded/expected/addresses.txt" | ip -batch - &&
    ipset restore <"$recorded/expected/ipset.txt" && ipvsadm --restore <"$recorded/expected/ipvs.txt" &&
    iptables-legacy-restore <"$recorded/expected/iptables.txt" &&
    ip6tables-legacy-restore <"$recorded/expected/ip6tables.txt" || return 1
  while IFS= read -r line; do
    sysctl -q -w "${line// /}" || return 1
  done < <(grep -E 'vs\.|ip_forward' "$recorded/expected/sysctl.txt")
}
must "kube-proxy's state is laid" lay_state

# Whoever answers as kube-proxy does, and nothing else of it: what it would write is checked by hand below.
cat >"$work/kube-proxy" <<'PYTHON'
import http.server, sys, threading
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ipvs" if self.path == "/proxyMode" else b"{}")
    def log_message(self, *_):
        pass
class Server(http.server.HTTPServer):
    allow_reuse_address = True
servers = []
import time
for port in (10249, 10256):
    # Like kube-proxy, it tries again while another has the port.
    while True:
        try:
            servers.append(Server(("127.0.0.1", port), Answer))
            break
        except OSError:
            time.sleep(0.2)
for server in servers[1:]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
servers[0].serve_forever()
PYTHON
kube_proxy=
start_kube_proxy() { run kube-proxy.log /usr/bin/python3 "$work/kube-proxy" && kube_proxy=$started; }
end_kube_proxy() {
  kill "$kube_proxy" && wait "$kube_proxy" 2>/dev/null
  kube_proxy=
}
answers_as_proxy() { [ "$(curl -s --max-time 5 http://127.0.0.1:10249/proxyMode)" = ipvs ] && curl -s --max-time 5 -o "$work/curl" http://127.0.0.1:10256/healthz; }
start_kube_proxy
must "kube-proxy's stand-in answers" within 30 answers_as_proxy

cp "$recorded/config.yaml" "$config"
cp "$recorded/objects.yaml" "$manifests/"
cp "$recorded/../base.yaml" "$manifests/"

# --- the stand-ins of kubectl and helm --------------------------------------------------------------------------------

mkdir "$work/bin" "$work/here"
ln -s "$daemon" "$work/bin/kube-ipvsd"
ln -s "$PWD/build/ctl/kube-ipvsctl" "$work/bin/"
ln -s "$PWD/charts" "$work/here/charts"
for name in kubectl helm; do ln -s "$PWD/test/docs/standin.py" "$work/bin/$name"; done
export STANDIN_CALLS=$work/calls STANDIN_OBJECTS=$work/objects.yaml STANDIN_EXEC=$work/exec
{
  printf '%s\n' 'apiVersion: v1' 'kind: ConfigMap' 'metadata: {name: kube-proxy, namespace: kube-system}' 'data:' \
    '  config.conf: |'
  sed 's/^/    /' "$recorded/config.yaml"
  printf '%s\n' --- 'apiVersion: apps/v1' 'kind: DaemonSet' 'metadata: {name: kube-proxy, namespace: kube-system}'
} >"$STANDIN_OBJECTS"
# In the pod the configuration is where the chart mounts it, and an API server takes the manifests' place.
cat >"$STANDIN_EXEC" <<EXEC
#!/bin/bash
[ "\$1" = kube-ipvsd ] || exec "\$@"
exec "\${@/#\/etc\/kube-ipvsd\/config\/config.yaml/$config}" --manifests "$manifests"
EXEC
chmod +x "$STANDIN_EXEC"

# block NAME: runs a block of the page, in a folder that has charts/, as a reader would.
ran=()
block() {
  ran+=("$1")
  /usr/bin/python3 test/docs/blocks.py "$doc" "$1" >"$work/block" || return 1
  (cd "$work/here" && PATH=$work/bin:$PATH NODE=lab-node bash -e -o pipefail "$work/block") >"$work/said" 2>&1 </dev/null
  local status=$?
  cat "$work/said"
  return $status
}

# --- 200 connections, and a steady stream of new ones -----------------------------------------------------------------

run held ip netns exec client "$traffic" hold $vip 80 --count 200 --interval 1000 --timeout 10000
held=$started
must "200 connections through the ClusterIP" within 60 file_says held '^200 open'
run stream ip netns exec client "$traffic" request tcp $vip 80 --count 1000000 --interval 20 --timeout 5000
stream=$started
must "new connections all the while" within 30 file_says stream '^near '
run monitor ip -o monitor link address
monitored() {
  ip addr add 192.0.2.77/32 dev lo && ip addr del 192.0.2.77/32 dev lo
  file_says monitor '192\.0\.2\.77'
}
must "the monitor listens" within 10 monitored
# Sets of our own (KUBE-IPVSD-*) come with us; kube-proxy neither knows nor minds them.
state() {
  ipvsadm -Sn | sort
  ipset save | grep -vE '^(create|add) KUBE-(6-)?IPVSD-' | sed 's/ \(hashsize\|bucketsize\|initval\) [^ ]*//g' | sort
  ip -o addr show dev kube-ipvs0 | awk '{ print $4 }' | grep -v '^fe80' | sort
}
state >"$work/before"
same_state() { diff "$work/before" <(state); }
more_in_stream() {
  local now
  now=$(wc -l <"$work/stream")
  [ "$now" -ge $((${stream_at:-0} + 20)) ]
}

# --- the page ---------------------------------------------------------------------------------------------------------

check "1: the ConfigMap is fetched" block configmap
check "1: --check finds no problem" block check
check "1: it reads the ConfigMap" file_says said 'kube-proxy\.yaml'
check "1: it says that kube-proxy will be waited for" file_says said '^warning +proxy +127\.0\.0\.1:10249 answers \(proxyMode ipvs\)'
check "2: kube-proxy's DaemonSet is patched" block patch
check "2: the chart is installed" block install
called() { grep -qxF -e "$1" "$work/calls"; }
check "2: for the nodes with the label" file_says calls '^helm install kube-ipvsd charts/kube-ipvsd .* --set nodeSelector\.service-proxy=kube-ipvsd$'
check "2: with kube-proxy's configuration" /usr/bin/python3 -c '
import sys, yaml
values = yaml.safe_load(open(sys.argv[1]))
assert values["config"]["mode"] == "ipvs", values
' "$work/here/values-config.yaml"

check "3: the node is labelled" block forth
check "3: with the label of the chart's nodes" called 'kubectl label node lab-node service-proxy=kube-ipvsd'
# The new pod may well start before the old one has ended.
start
check "3: kube-ipvsd waits beside kube-proxy" within 30 says 'answers \(proxyMode ipvs\): waiting, writing nothing'
check "3: the kernel is as it was" same_state
end_kube_proxy
check "3: kube-ipvsd takes over" within 60 synced
check "3: all of kube-proxy's state is as it was" same_state
check "3: no address came or went" not file_says monitor kube-ipvs0
check "3: --check in the pod finds no problem" block look
check "3: what the page looks at answers" block verify
check "3: the mode is ipvs" file_says said '^ipvs'
check "3: nothing is left to do" file_says said '^kube_ipvsd_dirty_objects 0$'
check "3: the virtual servers" block table
check "3: the dump shows the VIP" file_says said '10\.96\.10\.1:80/TCP'
stream_at=$(wc -l <"$work/stream")
check "3: new connections are served" within 30 more_in_stream
service late 10.96.10.99 >"$manifests/late.yaml"
check "3: what changes arrives" within 30 has_address 10.96.10.99
rm "$manifests/late.yaml"
check "3: and goes again" within 30 not has_address 10.96.10.99

# Back, kube-proxy starting while kube-ipvsd still lives.
check "4: the label is taken away" block back
start_kube_proxy
stop
check "4: kube-ipvsd has ended and left all as it was" same_state
check "4: kube-proxy answers" within 60 answers_as_proxy
check "4: what kube-proxy does not know is taken away" block handover
check "4: which it says" file_says said 'ready for kube-proxy: '
nothing_of_ours() {
  not grep KUBE-IPVSD <(iptables-legacy-save; ip6tables-legacy-save) && not grep IPVSD <(ipset list -n) &&
    not grep -e '^-A -f' <(ipvsadm -Sn)
}
check "4: nothing is left of it" nothing_of_ours
check "4: and everything else is as it was" same_state
# What kube-proxy does at its start: sets of its own parameters, its chains and jumps, its virtual servers.
sets_fit() { grep '^create' "$recorded/expected/ipset.txt" | ipset restore -exist; }
check "4: kube-proxy's sets are there with its parameters" sets_fit
check "4: kube-proxy's rules go over ours" iptables-legacy-restore --noflush <"$recorded/expected/iptables.txt"
check "4: its virtual servers are there to the last one" diff "$recorded/expected/ipvs.txt" <(ipvsadm -Sn | LC_ALL=C sort)
stream_at=$(wc -l <"$work/stream")
check "4: new connections are served" within 30 more_in_stream

# Once more, for good.
: >"$log"
check "5: all nodes are labelled" block all
end_kube_proxy
start
check "5: kube-ipvsd takes over again" within 60 synced
check "5: and finds all as it was" same_state
check "6: kube-proxy's DaemonSet is kept and removed" block remove
other_addresses() { grep kube-ipvs0 "$work/monitor" | grep -v 10.96.10.99; }
check "no other address came or went in all that time" not other_addresses

intact() {
  kill -TERM "$held" && wait "$held"
  cat "$work/held"
  file_says held '^200 of 200 connections intact after [0-9]+ rounds, 0 broken$'
}
check "200 connections outlived it, forth, back and forth" intact
all_served() {
  kill -TERM "$stream" && wait "$stream"
  tail -n 5 "$work/stream"
  file_says stream '^0 failed$'
}
check "and not one new connection failed" all_served

stop
check "the chart is removed" block uninstall
check "nothing remains of either" block cleanup
nothing_left() { not ip link show kube-ipvs0 && [ -z "$(ipvsadm -Sn)" ] && [ -z "$(ipset list -n)" ]; }
check "really nothing" nothing_left
every_block() { diff <(/usr/bin/python3 test/docs/blocks.py "$doc" | sort) <(printf '%s\n' "${ran[@]}" | sort); }
check "every block of the page was run" every_block
finish
