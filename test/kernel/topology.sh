# One Kubernetes node in miniature, to be sourced on the test kernel (scripts/vm), in a network namespace without other
# interfaces, which becomes the node:
#
#   node      eth0 192.168.77.2/24, fd00:77::2/64; bridge cni0 10.244.1.1/24, fd00:10:244:1::1/64
#   pods      namespaces web-1, web-2, web-3, client at 10.244.1.11, .12, .13, .100 (fd00:10:244:1::11 ...) on the bridge
#   outside   namespace outside, 192.168.77.1 and fd00:77::1, on the other end of eth0; the node's default route
#
# Functions: node_up (eth0 alone), topology_up (all), in_pod NAME CMD...; both stop at the first error.
# shellcheck shell=bash

# node_up: eth0 with the addresses of lab-node, and whoever answers at the other end.
node_up() {
  ip netns add outside &&
    ip link add eth0 type veth peer name eth0 netns outside &&
    ip -batch - <<'NODE' && ip -n outside -batch - <<'OUTSIDE' && ip -batch - <<'ROUTES'
link set lo up
addr add 192.168.77.2/24 dev eth0
addr add fd00:77::2/64 dev eth0 nodad
link set eth0 up
NODE
link set lo up
addr add 192.168.77.1/24 dev eth0
addr add fd00:77::1/64 dev eth0 nodad
link set eth0 up
OUTSIDE
route add default via 192.168.77.1
route add default via fd00:77::1
ROUTES
}

# pod_up NAME LAST: a pod at 10.244.1.LAST and fd00:10:244:1::LAST.
pod_up() {
  local name=$1 last=$2
  ip netns add "$name" &&
    ip link add "veth-$name" type veth peer name eth0 netns "$name" &&
    # Hairpin: a pod may be balanced to itself.
    ip link set "veth-$name" master cni0 up &&
    ip link set "veth-$name" type bridge_slave hairpin on &&
    ip -n "$name" -batch - <<BATCH
link set lo up
addr add 10.244.1.$last/24 dev eth0
addr add fd00:10:244:1::$last/64 dev eth0 nodad
link set eth0 up
route add default via 10.244.1.1
route add default via fd00:10:244:1::1
BATCH
}

topology_up() {
  node_up || return 1
  # An answer from pod to pod stays on the bridge, where IPVS sees it only if the bridge calls the IP hooks.
  modprobe br_netfilter 2>/dev/null
  ip -batch - <<'BATCH' || return 1
link add cni0 type bridge
addr add 10.244.1.1/24 dev cni0
addr add fd00:10:244:1::1/64 dev cni0 nodad
link set cni0 up
BATCH
  echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables &&
    echo 1 >/proc/sys/net/bridge/bridge-nf-call-ip6tables &&
    echo 1 >/proc/sys/net/ipv4/ip_forward &&
    echo 1 >/proc/sys/net/ipv6/conf/all/forwarding || return 1
  pod_up web-1 11 && pod_up web-2 12 && pod_up web-3 13 && pod_up client 100
}

in_pod() {
  local name=$1
  shift
  ip netns exec "$name" "$@"
}
