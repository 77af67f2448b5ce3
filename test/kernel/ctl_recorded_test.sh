#!/bin/bash
# kube-ipvsctl top, watch, status, dump --raw and ui on a node as kube-proxy left it: the recorded outcome of some
# conformance scenarios, loaded with the usual programs. No daemon.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh
ctl=$PWD/build/ctl/kube-ipvsctl
recorded=${SHARED_DIR:-../shared}/conformance
[ -x "$ctl" ] || { echo "skipped: no $ctl"; exit 77; }
[ -d "$recorded" ] || { echo "skipped: no recorded scenarios in $recorded"; exit 77; }
must "the node" node_up

# With the names of the scenario's objects.
named() {
  local command=$1
  shift
  "$ctl" "$command" --socket "$work/none.sock" --manifests "$manifests" --config "$scenario/config.yaml" "$@"
}
# What is wanted of top and of the page: a line for each Service with its virtual servers, and for each endpoint.
of_files() {
  /usr/bin/python3 - "$1" "$scenario/expected/ipvs.txt" <<'PYTHON'
import collections, json, sys

names = {}
for one in json.load(open(sys.argv[1]))["items"]:
    if one["kind"] != "Service": continue
    spec, name = one["spec"], one["metadata"]["namespace"] + "/" + one["metadata"]["name"]
    ingress = (one.get("status", {}).get("loadBalancer") or {}).get("ingress") or []
    for port in spec.get("ports", []):
        for address in spec.get("clusterIPs", []) + spec.get("externalIPs", []) + [i["ip"] for i in ingress if "ip" in i]:
            names[address, str(port["port"]), port["protocol"]] = name
        if "nodePort" in port: names["", str(port["nodePort"]), port["protocol"]] = name
protocols = {"-t": "TCP", "-u": "UDP", "--sctp-service": "SCTP"}
servers, weights = collections.defaultdict(set), {}
for line in open(sys.argv[2]):
    verb, option, socket, *rest = line.split()
    address, port = socket.rsplit(":", 1)
    protocol = protocols[option]
    name = names.get((address.strip("[]"), port, protocol)) or names["", port, protocol]
    servers[name].add(f"{socket}/{protocol}")
    if verb == "-a":
        key = name, rest[rest.index("-r") + 1]
        weights[key] = max(weights.get(key, 0), int(rest[rest.index("-w") + 1]))
for name, found in servers.items(): print(name, *sorted(found))
for key, weight in weights.items(): print(*key, "weight", weight)
PYTHON
}
of_answers() {
  /usr/bin/python3 -c '
import json, sys
for line in sys.stdin:
    for service in json.loads(line)["services"]:
        if "endpoints" not in service or sys.argv[1] == "all": print(service["name"], *sorted(service["virtualServers"]))
        for one in service.get("endpoints", []): print(service["name"], one["name"], "weight", one["weight"])' "$1" | LC_ALL=C sort
}
top_is_right() {
  named top --once --endpoints -o json >"$work/top" || return 1
  diff "$work/wanted" <(of_answers all <"$work/top")
}
# Without names a virtual server is its own Service.
top_without_names() {
  diff <(sed -n 's/ weight .*//; t; p' "$work/wanted" | grep / | tr ' ' '\n' | grep -E '/(TCP|UDP|SCTP)$' | LC_ALL=C sort) \
    <("$ctl" top --socket "$work/none.sock" --once -o json | /usr/bin/python3 -c '
import json, sys
for service in json.load(sys.stdin)["services"]: print(service["name"])' | LC_ALL=C sort)
}

# tells STATUS TEXT CMD...: the command ends with STATUS and prints a line that matches TEXT.
tells() {
  local wanted=$1 text=$2 said status
  shift 2
  said=$("$@" 2>&1)
  status=$?
  echo "$said"
  [ $status = "$wanted" ] && grep -qE -e "$text" <<<"$said"
}

# The values that dump --raw decodes, beside those of the recorded files.
attribute() { sed -n "s/.* $1 .* \([^ ]*\)\$/\1/p" "$work/raw"; }
raw_is_right() {
  local expected=$scenario/expected
  "$ctl" dump --raw >"$work/raw" || return 1
  ! grep -i -e malformed -e unknown "$work/raw" || return 1
  diff <(sed -n 's/^-a.* -r \[\?\([^] ]*\)\]\?:[0-9]* .*/\1/p' "$expected/ipvs.txt" | LC_ALL=C sort) \
    <(attribute IPVS_DEST_ATTR_ADDR | LC_ALL=C sort) || return 1
  diff <(sed 's,/.*,,' "$expected/addresses.txt" | LC_ALL=C sort) \
    <(attribute IFA_ADDRESS | LC_ALL=C sort) || return 1
  [ "$(grep -c '^answer, .*IPVS IPVS_CMD_NEW_SERVICE$' "$work/raw")" = "$(grep -c '^-A' "$expected/ipvs.txt")" ] &&
    [ "$(grep -c '    IPSET_ATTR_DATA' "$work/raw")" = "$(grep -c ^add "$expected/ipset.txt")" ]
}

# watch_tells DETAILS CMD...: what CMD does to the kernel is one line, and all of it.
watch_tells() {
  local details=$1 status
  shift
  rm -f "$work/watch" # or what the one before said would do
  run watch timeout 30 "$ctl" watch --socket "$work/none.sock" -o json -i 0.2 --count 1
  within 20 file_says watch 'watching' || return 1
  "$@" || return 1
  wait "$started"
  status=$?
  cat "$work/watch"
  [ $status = 0 ] && [ "$(grep -c '^{' "$work/watch")" = 1 ] && file_says watch "$details"
}

page_at() { curl -sS "http://127.0.0.1:18080/api/$1"; }
page_is_right() {
  local name
  page_at services >"$work/answer" || return 1
  diff <(grep -v ' weight ' "$work/wanted") <(of_answers all <"$work/answer") || return 1
  for name in $(sed 's/ .*//' "$work/wanted" | sort -u); do page_at "endpoints?service=$name"; done >"$work/answer"
  cat "$work/answer"
  diff "$work/wanted" <(of_answers all <"$work/answer")
}
page_without_daemon() {
  [ "$(curl -s -o "$work/status" -w '%{http_code}' http://127.0.0.1:18080/api/status)" = 404 ] &&
    grep -q 'no kube-ipvsd answers' "$work/status"
}

for scenario in "$recorded"/{03-loadbalancer,11-dual-stack,12-sctp}; do
  name=$(basename "$scenario")
  cp "$scenario/served.json" "$manifests/served.json" || exit 1
  must "$name: loaded" test/kernel/lay_down.sh "$scenario"
  of_files "$scenario/served.json" | LC_ALL=C sort >"$work/wanted"
  check "$name: something is wanted" grep -q ' weight ' "$work/wanted"
  check "$name: top has the Services, their virtual servers and endpoints" top_is_right
  check "$name: top without names" top_without_names
  check "$name: raw has the recorded values" raw_is_right
  check "$name: status says that there is no daemon" tells 2 "no kube-ipvsd answers on $work/none.sock" \
    "$ctl" status --socket "$work/none.sock"
  # Not by the function, whose end would not be the program's.
  run page "$ctl" ui --socket "$work/none.sock" --manifests "$manifests" --config "$scenario/config.yaml" \
    --listen 127.0.0.1:18080
  must "$name: the page is served" within 20 file_says page '^http://127.0.0.1:18080/$'
  check "$name: the page's Services and endpoints" page_is_right
  check "$name: the page knows that there is no daemon" page_without_daemon
  kill "$started"
  wait "$started"
  check "$name: watch tells a weight" \
    watch_tells '"changed","kind":"destination","object":"10.96.0.1:443/TCP -> 192.168.77.1:6443".*"details":"weight 1 -> weight 7"' \
    ipvsadm -e -t 10.96.0.1:443 -r 192.168.77.1:6443 -m -w 7
  check "$name: watch tells an address that goes" \
    watch_tells '"removed","kind":"address","object":"10.96.0.1 on kube-ipvs0"' ip addr del 10.96.0.1/32 dev kube-ipvs0
  test/kernel/lay_down.sh --clear
done
# Beyond the loopback address: a token, which the page's data asks for.
run page "$ctl" ui --socket "$work/none.sock" --listen 192.168.77.2:18080
must "the page is served to others" within 20 file_says page '^http://192.168.77.2:18080/\?token=[0-9a-f]{32}$'
token=$(sed 's/.*=//' "$work/page")
from_outside() { ip netns exec outside curl -s -o /dev/null -w '%{http_code}' "$@" http://192.168.77.2:18080/api/services; }
gets() { [ "$(from_outside "${@:2}")" = "$1" ]; }
check "outside: without the token" gets 401
check "outside: with another" gets 401 -H "Authorization: Bearer ${token//[0-7]/8}"
check "outside: with the token" gets 200 -H "Authorization: Bearer $token"
kill "$started"
finish
