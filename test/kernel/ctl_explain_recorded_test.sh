#!/bin/bash
# kube-ipvsctl explain and diff on a node as kube-proxy left it: the recorded outcome of each conformance scenario, loaded
# with the usual programs, and the objects as the API server served them. No daemon.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh
ctl=$PWD/build/ctl/kube-ipvsctl
recorded=${SHARED_DIR:-../shared}/conformance
[ -x "$ctl" ] || { echo "skipped: no $ctl"; exit 77; }
[ -d "$recorded" ] || { echo "skipped: no recorded scenarios in $recorded"; exit 77; }
must "the node" node_up
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding # which kube-proxy leaves to others

lay_down() { test/kernel/lay_down.sh "$scenario" "$step"; }
clear_up() {
  test/kernel/lay_down.sh --clear
  ip link delete eth9 2>/dev/null
}

# json COMMAND ARGUMENT...: of kube-ipvsctl, by the scenario's objects.
json() {
  local command=$1
  shift
  "$ctl" "$command" --socket "$work/none.sock" --manifests "$manifests" --config "$scenario/config.yaml" -o json "$@"
}
# Every Service: what has backends has no fault; what has none is told why.
healthy() {
  local service
  for service in $(/usr/bin/python3 -c 'import json, sys
for one in json.load(open(sys.argv[1]))["items"]:
    if one["kind"] == "Service": print(one["metadata"]["namespace"] + "/" + one["metadata"]["name"])' "$served"); do
    json explain "$service" >"$work/explained"
    [ $? -le 1 ] || return 1
    /usr/bin/python3 - "$work/explained" "$service" <<'PYTHON' || return 1
import json, sys

# kube-proxy heeds an annotation where the hints alone decide here (test/conformance/deviations.txt).
if sys.argv[2] == "default/plain": sys.exit(0)
# Not for want of anything that this node could do.
OF_THE_SERVICE = {"no-endpoints", "no-ready-endpoint", "no-local-endpoint", "headless-service", "ignored-service"}
wrong = 0
for one in json.load(open(sys.argv[1]))["explanations"]:
    if one["likelyFault"] and one["likelyFault"] not in OF_THE_SERVICE:
        wrong = 1
        print(sys.argv[2], one["target"], json.dumps(one["faults"]))
sys.exit(wrong)
PYTHON
  done
}
# broken CAUSE BREAK: explains Service default/kubernetes with something broken.
broken() {
  local found
  eval "$2" || return 1
  found=$(json explain 10.96.0.1:443 | /usr/bin/python3 -c 'import json, sys
print(json.load(sys.stdin)["explanations"][0]["likelyFault"])')
  echo "found $found, not $1"
  [ "$found" = "$1" ]
}
# anew: the scenario's state once more.
anew() {
  clear_up
  lay_down
}
# Every virtual server that is there is also wanted, and the other way round.
same_servers() {
  json diff >"$work/differences"
  [ $? -le 1 ] && ! grep -q -A1 '"kind": "virtual server"' "$work/differences"
}

for scenario in "$recorded"/*/; do
  scenario=${scenario%/}
  name=$(basename "$scenario")
  step=$(find "$scenario/expected" -mindepth 1 -maxdepth 1 -name '[0-9]*' -printf '%f\n' | sort | tail -n 1)
  served=$(ls "$scenario"/served/[0-9]*.json 2>/dev/null | tail -n 1)
  [ -n "$served" ] || served=$scenario/served.json
  cp "$served" "$manifests/served.json"
  [ ! -e "$scenario/setup.sh" ] || sh "$scenario/setup.sh"
  if ! lay_down; then
    check "$name: loaded" false
    clear_up
    continue
  fi
  check "$name: what has backends has no fault" healthy
  case $name in
    # Local endpoints by mark; NodePorts of a family without a CIDR of its own (test/conformance/deviations.txt).
    06-* | 15-*) ;;
    *) check "$name: the same virtual servers are wanted" same_servers ;;
  esac
  case $name in
    11-*)
      check "$name: address removed" broken address-missing "ip addr del 10.96.0.1/32 dev kube-ipvs0"
      anew
      check "$name: set entry removed" broken set-entry-missing "ipset del KUBE-CLUSTER-IP 10.96.0.1,tcp:443"
      anew
      check "$name: chain flushed" broken rules-missing "iptables -t nat -F KUBE-MARK-MASQ"
      anew
      check "$name: jump removed" broken rules-missing \
        "iptables -t nat -D POSTROUTING -m comment --comment 'kubernetes postrouting rules' -j KUBE-POSTROUTING"
      anew
      check "$name: virtual server removed" broken virtual-server-missing "ipvsadm -D -t 10.96.0.1:443"
      anew
      check "$name: destination removed" broken destination-missing \
        "ipvsadm -d -t 10.96.0.1:443 -r 192.168.77.1:6443"
      anew
      check "$name: weight 0 everywhere" broken zero-weight \
        "ipvsadm -e -t 10.96.0.1:443 -r 192.168.77.1:6443 -m -w 0"
      anew
      check "$name: sysctl off" broken sysctl "echo 0 >/proc/sys/net/ipv4/vs/conntrack"
      anew
      check "$name: kube-ipvs0 missing" broken link-missing "ip link del kube-ipvs0"
      ;;
  esac
  clear_up
done
finish
