#!/bin/bash
# From a fresh machine to real traffic balanced through a ClusterIP and a NodePort, by kube-ipvsd on a real kernel.
# Root, no argument: installs the packages, builds, and shows a node in miniature (test/kernel/topology.sh) with the
# manifests of docs/demo. Non-zero if anything shown is not as said.
set -u
cd "$(dirname "$(realpath "$0")")/.." || exit 1

if [ "${1:-}" != --inside ]; then
  echo "Packages and build (some minutes the first time) ..."
  if ! log=$({ scripts/deps.sh &&
    scripts/build.sh daemon/kube-ipvsd ctl/kube-ipvsctl test/kernel/traffic; } 2>&1); then
    echo "$log" >&2
    exit 1
  fi
  exec scripts/vm -t 300 scripts/demo.sh --inside
fi

daemon=${IPVSD_BINARY:-build/daemon/kube-ipvsd}
ctl=${IPVSD_CTL:-build/ctl/kube-ipvsctl}
traffic=$PWD/build/test/kernel/traffic
work=$(mktemp -d -p /run demo.XXXXXX)
manifests=$work/manifests
pid=

say() {
  printf '\n# %s\n' "$*"
}

# Shows a command as a reader would type it, then its output.
show() {
  printf '$ %s\n' "${*//$PWD\//}"
  "$@" | sed 's/^/  /'
  return "${PIPESTATUS[0]}"
}

not_as_said() {
  echo
  echo "NOT AS SAID: $*"
  if [ -e "$work/log" ]; then
    echo "kube-ipvsd's last words:"
    tail -n 20 "$work/log"
  fi
  exit 1
}

# until_true SECONDS WHAT CMD...: waits for the command to succeed.
until_true() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    [ $SECONDS -lt "$deadline" ] || not_as_said "$what"
    sleep 0.1
  done
}

has_address() { ip -o addr show dev kube-ipvs0 2>/dev/null | grep -qF " $1/32 "; }
lacks_address() { ! has_address "$1"; }

# serving PROTOCOL SOCKET COUNT: so many destinations take new connections.
serving() {
  [ "$(ipvsadm -Sn | grep -F -e "-a $1 $2 " | grep -cv -e '-w 0')" = "$3" ]
}

# balanced WHERE CMD...: six requests, answered twice by each backend.
balanced() {
  local where=$1
  shift
  show "$@" --count 6 | tee "$work/answers" || not_as_said "a request $where failed"
  for name in web-1 web-2 web-3; do
    grep -qx "  2 from $name" "$work/answers" || not_as_said "$name did not answer twice $where"
  done
}

finish() {
  [ -z "$pid" ] || kill "$pid" 2>/dev/null
  rm -rf "$work"
}
trap finish EXIT
set -o pipefail

. test/kernel/topology.sh
say "A node with three backend pods (web-1, web-2, web-3) and a client pod on its bridge, and a machine outside."
topology_up || not_as_said "the node could not be made"
for name in web-1 web-2 web-3; do
  in_pod "$name" "$traffic" serve "$name" --tcp 8080 --udp 5353 --v6 --background >/dev/null ||
    not_as_said "$name does not listen"
done
show ip -br -4 addr

say "kube-ipvsd starts on a folder of manifests: Service web (10.96.10.1:80, node port 30080), Service dns (10.96.10.53:53/UDP)."
cp -r docs/demo/manifests "$manifests"
show ls "$manifests"
"$daemon" --config docs/demo/config.yaml --manifests "$manifests" >"$work/log" 2>&1 </dev/null &
pid=$!
until_true 20 "the VIP of web did not come" has_address 10.96.10.1
until_true 20 "web does not have three destinations" serving -t 10.96.10.1:80 3
until_true 20 "the node port does not have three destinations" serving -t 192.168.77.2:30080 3
until_true 20 "dns does not have three destinations" serving -u 10.96.10.53:53 3
until_true 20 "the VIP of dns did not come" has_address 10.96.10.53

say "The kernel now has the VIPs and the virtual servers:"
show ip -br -4 addr show dev kube-ipvs0
show ipvsadm -Ln

say "Six requests from the client pod to the VIP; each backend says its name and whom it sees:"
balanced "from the client pod" ip netns exec client "$traffic" request tcp 10.96.10.1 80

say "Six from the node itself:"
balanced "from the node" "$traffic" request tcp 10.96.10.1 80

say "Six from outside, through the node port:"
balanced "from outside" ip netns exec outside "$traffic" request tcp 192.168.77.2 30080

say "Six datagrams to the UDP Service:"
balanced "over UDP" ip netns exec client "$traffic" request udp 10.96.10.53 53

say "The same state, as kube-ipvsctl shows it:"
show "$ctl" dump || not_as_said "kube-ipvsctl dump failed"

say "While the client keeps sending requests, web-3 leaves the EndpointSlice."
ip netns exec client "$traffic" request tcp 10.96.10.1 80 --count 100000 --interval 5 >"$work/load" &
load=$!
until_true 20 "web-3 gets no requests" grep -q '^web-3' "$work/load"
cp docs/demo/changes/web-endpoints.yaml "$work/changed"
mv "$work/changed" "$manifests/web-endpoints.yaml"
until_true 20 "web-3 still gets connections" serving -t 10.96.10.1:80 2
until_true 20 "web-3 still gets connections of the node port" serving -t 192.168.77.2:30080 2
show ip netns exec client "$traffic" request tcp 10.96.10.1 80 --count 6 | tee "$work/answers" ||
  not_as_said "a request failed after web-3 had left"
if grep -q 'from web-3' "$work/answers"; then not_as_said "web-3 still answers"; fi
kill "$load"
wait "$load"
status=$?
echo "Meanwhile:"
grep -E '^([0-9]|failed:)' "$work/load" | sed 's/^/  /'
[ $status = 0 ] || not_as_said "requests failed while web-3 left"

say "Service web is deleted: its VIP and node port are gone, dns stays."
rm "$manifests/web.yaml" "$manifests/web-endpoints.yaml"
until_true 20 "the VIP of web is still there" lacks_address 10.96.10.1
until_true 20 "web's virtual servers are still there" sh -c '! ipvsadm -Sn | grep -qE "10.96.10.1:80|:30080"'
show ip -br -4 addr show dev kube-ipvs0
show ipvsadm -Ln
if show ip netns exec client "$traffic" request tcp 10.96.10.1 80 --timeout 500; then
  not_as_said "the VIP of web still answers"
fi
if show ip netns exec outside "$traffic" request tcp 192.168.77.2 30080 --timeout 500; then
  not_as_said "the node port still answers"
fi
balanced "over UDP" ip netns exec client "$traffic" request udp 10.96.10.53 53

kill -0 "$pid" 2>/dev/null || not_as_said "kube-ipvsd did not stay alive"
say "All as said."
