#!/bin/bash
# One writer per node: beside another proxy the daemon waits, writing nothing, and takes over when that has ended.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

must "the node" node_up
config
sample node solo
writes_nothing() {
  not ip link show kube-ipvs0 && [ -z "$(ipvsadm -Sn)" ] && [ -z "$(ipset list -n)" ] &&
    not grep KUBE <(iptables-save; ip6tables-save)
}

# An answer as kube-proxy's on the port where it always is.
cat >"$work/kube-proxy" <<'PYTHON'
import http.server
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"iptables")
http.server.HTTPServer(("127.0.0.1", 10249), Answer).serve_forever()
PYTHON
run kube-proxy.log /usr/bin/python3 "$work/kube-proxy"
kube_proxy=$started
must "the stand-in for kube-proxy listens" within 30 sh -c "ss -Hltn 'sport = 10249' | grep -q ."
start
check "beside kube-proxy: waits and says why" \
  within 30 says 'warning 127\.0\.0\.1:10249 answers \(proxyMode iptables\): waiting, writing nothing'
check "beside kube-proxy: writes nothing" writes_nothing
kill $kube_proxy
check "takes over when kube-proxy has ended" within 30 serving -t 10.96.10.2:80 1
check "all of it" within 20 synced

first=$pid
: >"$log"
start
check "a second kube-ipvsd waits and says why" \
  within 30 says 'warning another kube-ipvsd runs in this network namespace: waiting, writing nothing'
sample web
check "meanwhile the first one goes on" within 30 serving -t 10.96.10.1:80 3
second_wrote_nothing() { not says 'serves node lab-node' && [ "$(grep -c . "$log")" = 1 ]; }
check "and the second one stays silent" second_wrote_nothing
"$daemon" --config "$config" --cleanup >"$work/cleanup" 2>&1
check "--cleanup refuses beside a living one" test $? = 1
check "and says why" file_says cleanup 'error another kube-ipvsd runs in this network namespace: end it before --cleanup'
check "and has removed nothing" serving -t 10.96.10.1:80 3
ipvsadm -Sn >"$work/before"
kill -KILL "$first"
wait "$first" 2>/dev/null
check "the second one takes over when the first has been killed" within 30 says 'serves node lab-node'
check "and finds everything in place" within 20 synced
check "and changes nothing" diff "$work/before" <(ipvsadm -Sn)
rm "$manifests/web.yaml"
check "and follows what comes" within 30 not has_server -t 10.96.10.1:80

# A kube-proxy that starts while we serve. Its ports are ours already, so that it shows by its process.
sample web
must "serves again" within 30 serving -t 10.96.10.1:80 3
cp "$(command -v sleep)" "$work/kube-proxy-process"
mkdir "$work/bin" && mv "$work/kube-proxy-process" "$work/bin/kube-proxy"
run process "$work/bin/kube-proxy" 600
process=$started
: >"$log"
check "a kube-proxy beside us is noticed" within 30 says "warning kube-proxy runs here \\(process $process\\): writing nothing more"
check "the metric says so" test "$(metric kube_ipvsd_other_proxy)" = 1
operations() { metrics | grep '^kube_ipvsd_operations_total'; }
operations >"$work/operations"
ipvsadm -D -t 10.96.10.1:80
ip addr del 10.96.10.2/32 dev kube-ipvs0
sed -i 's/10\.96\.10\.2/10.96.10.222/' "$manifests/solo.yaml"
change_seen() { [ "$(metric 'kube_ipvsd_watch_events_total{resource="services"}')" -gt "$1" ]; }
events=$(metric 'kube_ipvsd_watch_events_total{resource="services"}')
sed -i 's/10\.96\.10\.222/10.96.10.223/' "$manifests/solo.yaml"
check "changes are seen meanwhile" within 30 change_seen "$events"
check "and nothing is written" diff "$work/operations" <(operations)
kill "$process"
wait "$process" 2>/dev/null
check "it is noticed that kube-proxy has ended" within 30 says 'info the other proxy has ended'
check "what was changed meanwhile arrives" within 30 has_server -t 10.96.10.223:80
check "what was removed meanwhile is back" within 30 serving -t 10.96.10.1:80 3
check "what is wanted no more goes" within 30 not has_address 10.96.10.2
check "the metric is 0 again" test "$(metric kube_ipvsd_other_proxy)" = 0
rm "$manifests/web.yaml"
check "it goes on as before" within 30 not has_server -t 10.96.10.1:80

# One that waits can be told to end.
first=$pid
: >"$log"
start
must "waits again" within 30 says 'waiting, writing nothing'
check "SIGTERM ends one that waits, with status 0" stop
pid=$first
finish
