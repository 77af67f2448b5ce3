#!/bin/bash
# kube-ipvsctl dump, top, watch and completion with the daemon's names; dump --raw beside them.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh
ctl=$PWD/build/ctl/kube-ipvsctl
socket=$work/ctl.sock

must "the node" topology_up
config "ipvsd: {ctlSocket: $socket}"
sample node web edge
sed -i 's/{addresses: \[10.244.1.11\], /&targetRef: {kind: Pod, name: web-1-abcde}, /' "$manifests/web.yaml"
serve_pods
{
  service marked 10.96.10.60 "type: LoadBalancer" "externalTrafficPolicy: Local"
  echo 'status: {loadBalancer: {ingress: [{ip: 203.0.113.60}]}}'
  echo ---
  endpoints marked http 8080 10.244.1.11
} | replace marked.yaml
ctl() {
  local command=$1
  shift
  "$ctl" "$command" --socket "$socket" "$@"
}
# says_line TEXT CMD...: the command succeeds and prints a line that matches.
says_line() {
  local text=$1 said
  shift
  said=$("$@" 2>&1)
  local status=$?
  echo "$said"
  [ $status = 0 ] && grep -qE -e "$text" <<<"$said"
}
# prints TEXT CMD...: exactly that.
prints() {
  local text=$1
  shift
  diff <(echo "$text") <("$@")
}
servers() { ctl dump "$@" -o json | /usr/bin/python3 -c '
import json, sys
for s in json.load(sys.stdin)["virtualServers"]: print(s["address"], s["port"], s["protocol"], "{namespace}/{name}:{port}".format(**s["service"]))' | LC_ALL=C sort; }
same_as_ipvsadm() { diff <(ipvsadm -Sn | sort) <(ctl dump -o ipvsadm | sort); }

start
must "the VIPs" within 30 has_address 10.96.10.1
must "the first sync" within 30 synced
check "ipvsadm says the same" same_as_ipvsadm
check "a Service by its name: all of its virtual servers, no other" prints "10.244.1.1 30053 UDP default/web:dns
10.244.1.1 30080 TCP default/web:http
10.244.1.1 30090 SCTP default/web:sigtran
10.96.10.1 53 UDP default/web:dns
10.96.10.1 80 TCP default/web:http
10.96.10.1 90 SCTP default/web:sigtran
192.168.77.2 30053 UDP default/web:dns
192.168.77.2 30080 TCP default/web:http
192.168.77.2 30090 SCTP default/web:sigtran
fd00:10:244:1::1 30053 UDP default/web:dns
fd00:10:244:1::1 30080 TCP default/web:http
fd00:10:244:1::1 30090 SCTP default/web:sigtran
fd00:10:96::1 53 UDP default/web:dns
fd00:10:96::1 80 TCP default/web:http
fd00:10:96::1 90 SCTP default/web:sigtran
fd00:77::2 30053 UDP default/web:dns
fd00:77::2 30080 TCP default/web:http
fd00:77::2 30090 SCTP default/web:sigtran" servers default/web
check "one port of it, by the beginning of its name" prints "10.96.10.1 80 TCP default/web:http
fd00:10:96::1 80 TCP default/web:http" servers def/we:ht 80
check "its address and set entries" says_line '^  10\.96\.10\.1,tcp:80$' ctl dump default/web
check "no other address" not says_line '^  203\.0\.113\.10$' ctl dump default/web
check "names in the table" says_line '^10\.96\.10\.1:80/TCP +default/web:http +rr ' ctl dump
check "pods in the table" says_line '^  10\.244\.1\.11:8080 +web-1-abcde +masquerade ' ctl dump
check "the graph has the Service and the pod" says_line 'service default/web" -> "10\.96\.10\.1:80/TCP" \[label="http"\]' ctl dump -o dot
# Of externalTrafficPolicy Local: outside clients are led to it by a mark.
check "a virtual server by mark has the name" says_line '^fwmark [0-9]+ IPv4 +default/marked:http +rr ' ctl dump
by_mark() { ctl dump default/marked -o json | /usr/bin/python3 -c '
import json, sys
for s in json.load(sys.stdin)["virtualServers"]:
    if "fwmark" in s: print("{namespace}/{name}:{port}".format(**s["service"]), len(s["destinations"]))'; }
check "a virtual server by mark is selected with its Service" prints "default/marked:http 1" by_mark
check "the graph has it too" says_line 'service default/marked" -> "fwmark [0-9]+ IPv4" \[label="http"\]' ctl dump -o dot
check "in top it is its Service's" not says_line '^fwmark' ctl top --once
check "explain leads an outside client to it" says_line 'fwmark [0-9]+ IPv4 scheduler rr' ctl explain 203.0.113.60:80
check "the mark's name without a daemon" says_line '^fwmark [0-9]+ IPv4 +default/marked:http ' "$ctl" dump --manifests "$manifests" --config "$config"
check "names without a daemon" says_line '^10\.96\.10\.1:80/TCP +default/web:http ' "$ctl" dump --manifests "$manifests" --config "$config"
page() {
  run page "$ctl" ui --socket "$socket" --listen 127.0.0.1:18080
  must "the page is served" within 10 file_says page '^http://127.0.0.1:18080/$'
}
page
json_at() { curl -sf "http://127.0.0.1:18080/api/$1" | /usr/bin/python3 -c "import json, sys; body = json.load(sys.stdin); print($2)"; }
check "the page's Services" says_line 'default/web' json_at services '*[s["name"] for s in body["services"]]'
check "the page's endpoints" says_line '10.244.1.11:8080.*default/web-1-abcde' json_at 'endpoints?service=default/web' '[(e["name"], e.get("pod")) for e in body["services"][0]["endpoints"]]'
check "the page's daemon" says_line '^lab-node True$' json_at status 'body["node"], body["healthy"]'
check "the page itself" says_line '<title>kube-ipvs</title>' curl -sf http://127.0.0.1:18080/
kill "$started"
check "the page ends at a signal" within 10 not curl -s http://127.0.0.1:18080/
check "a name that nobody has" says_line 'no Service or namespace of this name.*such as default/' sh -c "! $ctl dump nobody --socket $socket"
schema() { ctl "$@" | /usr/bin/python3 -B test/unit/ctl_schema_check.py docs/schema/dump.schema.json; }
check "the schema, with names" schema dump --all -o json
check "completion knows the Services" says_line '^default/web$' ctl completion names
completes() {
  # shellcheck disable=SC1090
  (PATH=$PWD/build/ctl:$PATH && . <("$ctl" completion bash) && COMP_WORDS=(kube-ipvsctl "$@") &&
    COMP_CWORD=$# && _kube_ipvsctl && echo "${COMPREPLY[*]}")
}
check "bash completes commands" prints "dump diff" completes d
mkdir -p /run/kube-ipvsd && ln -sf "$socket" /run/kube-ipvsd/ctl.sock # where completion looks
check "bash completes a Service's name" prints "default/web" completes dump default/w
check "bash completes options" prints "--members --manifests" sh -c "echo $(completes dump --m)"
# Each line closes what it opens, escaped ones aside.
quotes_close() { "$ctl" completion fish | sed "s/\\\\'//g" | awk -F"'" '{ lines++ } NF % 2 == 0 { bad = 1; print } END { exit bad || !lines }'; }
check "fish gets whole quotes" quotes_close

# Traffic, until the kernel has counted it.
request() { ip netns exec client "$traffic" request tcp 10.96.10.1 80 --count 30 --quiet >/dev/null; }
busy() { request; ctl top --once -o json | /usr/bin/python3 -c '
import json, sys
services = json.load(sys.stdin)["services"]
sys.exit(not (services[0]["name"] == "default/web" and services[0]["connectionsPerSecond"] > 0))'; }
check "top has the busy Service first" within 20 busy
check "top of one look" says_line '^default/web +[0-9]+ ' ctl top --once
check "top unfolds endpoints" says_line '^  10\.244\.1\.11:8080 .*default/web-1-abcde$' ctl top --once --endpoints
top_schema() { ctl top --once --endpoints -o json | /usr/bin/python3 -B test/unit/ctl_schema_check.py docs/schema/top.schema.json; }
check "top's schema" top_schema
check "top needs a terminal" says_line 'top --once' sh -c "! $ctl top --socket $socket </dev/null"
# On a terminal of its own; each key goes in when what it acts on is on the screen.
live() {
  /usr/bin/python3 - "$ctl" "$socket" <<'PYTHON'
import os, pty, select, sys, time
pid, terminal = pty.fork()
if pid == 0:
    os.environ.update(TERM="xterm", COLUMNS="120")
    os.execv(sys.argv[1], [sys.argv[1], "top", "--socket", sys.argv[2]])
seen = b""
def wait_for(text):
    global seen
    deadline = time.monotonic() + 20
    while text not in seen:
        left = deadline - time.monotonic()
        assert left > 0 and select.select([terminal], [], [], left)[0], (text, seen)
        seen += os.read(terminal, 65536)
    seen = b""
wait_for(b"default/web")
os.write(terminal, b"/default/web\r ")
wait_for(b"10.244.1.12:8080")
os.write(terminal, b"h")
wait_for(b"unfold the endpoints")
os.write(terminal, b"xq")
wait_for(b"\033[?1049l")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PYTHON
}
check "top on a terminal: search, unfold, help, leave" live

run watch stdbuf -oL "$ctl" watch --socket "$socket" -i 0.2 -o json
watcher=$started
must "watch looks" within 20 file_says watch 'watching'
service late 10.96.10.77 | replace late.yaml
endpoints late http 8080 10.244.1.11 | sed 's/name: late-4/name: late-x/' | replace late-endpoints.yaml
check "watch tells the address at once" within 10 file_says watch '"added","kind":"address","object":"10.96.10.77 on kube-ipvs0"'
check "watch tells the virtual server" within 10 file_says watch '"added","kind":"virtual server","object":"10.96.10.77:80/TCP"'
check "watch tells the destination" within 10 file_says watch '"added","kind":"destination","object":"10.96.10.77:80/TCP -> 10.244.1.11:8080"'
check "watch tells the set entry" within 10 file_says watch '"added","kind":"set entry","object":"KUBE-CLUSTER-IP 10.96.10.77,tcp:80"'
ipvsadm -e -t 10.96.10.77:80 -r 10.244.1.11:8080 -m -w 7
check "watch tells a weight" within 10 file_says watch '"changed","kind":"destination".*"details":"weight 1 -> weight 7"'
mark=$(ctl dump default/marked -o ipvsadm | sed -n 's/^-A -f \([0-9]*\) .*/\1/p')
ipvsadm -E -f "$mark" -s wrr
check "watch names a virtual server by mark" within 10 file_says watch '"changed","kind":"virtual server","object":"fwmark [0-9]+ IPv4".*"name":"default/marked:http"'
rm "$manifests/late.yaml" "$manifests/late-endpoints.yaml"
check "watch tells what goes" within 20 file_says watch '"removed","kind":"virtual server","object":"10.96.10.77:80/TCP"'
check "watch tells addresses that go" within 10 file_says watch '"removed","kind":"address","object":"10.96.10.77 on kube-ipvs0"'
kill "$watcher"
lines_fit() { grep '^{' "$work/watch" | while read -r line; do
  /usr/bin/python3 -B test/unit/ctl_schema_check.py docs/schema/watch.schema.json <<<"$line" || exit 1
done; }
check "every line of it fits its schema" lines_fit

# Raw: live, and the same from the capture of it; each record that ipvsadm and ipset know is there.
check "raw shows a destination's message" says_line 'IPVS_DEST_ATTR_ADDR  .* 10\.244\.1\.11$' "$ctl" dump --raw
raw_counts() {
  local text
  text=$("$ctl" dump --raw) || return 1
  [ "$(grep -c '^answer, .*IPVS IPVS_CMD_NEW_SERVICE$' <<<"$text")" = "$(ipvsadm -Sn | grep -c -e '^-A')" ] || { echo "virtual servers"; return 1; }
  [ "$(grep -c ' IPVS_DEST_ATTR_ADDR ' <<<"$text")" = "$(ipvsadm -Sn | grep -c -e '^-a')" ] || { echo destinations; return 1; }
  [ "$(grep -c '^answer.*RTM_NEWADDR' <<<"$text")" = "$(ip -o addr show dev kube-ipvs0 | wc -l)" ] || { echo addresses; return 1; }
  [ "$(grep -c '      IPSET_ATTR_DATA\|    IPSET_ATTR_DATA' <<<"$text")" = "$(ipset save | grep -c '^add KUBE')" ] || { echo members; return 1; }
  ! grep -i malformed <<<"$text"
}
check "raw has every record" raw_counts
check "raw as a capture" "$ctl" dump --raw --write "$work/capture"
check "and read again" says_line 'IPSET_ATTR_SETNAME .* "KUBE-CLUSTER-IP"$' "$ctl" dump --raw --read "$work/capture"
none_malformed() { ! "$ctl" dump --raw --read "$work/capture" | grep -i -e malformed -e unknown; }
check "with nothing in it that is not understood" none_malformed
echo no >"$work/no"
check "a file that is no capture" says_line 'no capture|no netlink message' sh -c "! $ctl dump --raw --read $work/no"

must "the daemon ends" stop
check "without the daemon the dump goes on, without names" says_line '^10\.96\.10\.1:80/TCP +rr ' ctl dump
check "and says where names come from" says_line 'run kube-ipvsd, or say --manifests' sh -c "! $ctl dump default/web --socket $socket"
finish
