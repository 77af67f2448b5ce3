#!/bin/bash
# The ground the other tests stand on: with IPVS set by hand, the kernel, topology.sh and traffic carry requests of
# every protocol, both families and all origins. Where this fails, no other kernel test means anything.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/topology.sh
traffic=$PWD/build/test/kernel/traffic
failed=0

# check NAME CMD...: three requests, each answered by another backend.
check() {
  local name=$1 answers
  shift
  if answers=$("$@" --count 3 --quiet) && [ "$(grep -c '^1 from web-' <<<"$answers")" = 3 ]; then
    echo "ok: $name"
  else
    printf 'FAILED: %s: %s\n%s\n' "$name" "$*" "$answers"
    failed=1
  fi
}

# virtual_server OPTION SOCKET PREFIX SUFFIX: balanced to the three pods.
virtual_server() {
  ipvsadm -A "$1" "$2" -s rr && for last in 11 12 13; do
    ipvsadm -a "$1" "$2" -r "$3$last$4" -m || return 1
  done
}

topology_up || exit 1
modprobe ip_vs
echo 1 >/proc/sys/net/ipv4/vs/conntrack || exit 1
for name in web-1 web-2 web-3; do
  in_pod "$name" "$traffic" serve "$name" --tcp 8080 --udp 5353 --sctp 9000 --v6 --background >/dev/null || exit 1
done
ip link add kube-ipvs0 type dummy && ip addr add 10.96.10.1/32 dev kube-ipvs0 &&
  ip addr add fd00:10:96::1/128 dev kube-ipvs0 nodad &&
  virtual_server -t 10.96.10.1:80 10.244.1. :8080 &&
  virtual_server -u 10.96.10.1:53 10.244.1. :5353 &&
  virtual_server --sctp-service 10.96.10.1:90 10.244.1. :9000 &&
  virtual_server -t '[fd00:10:96::1]:80' '[fd00:10:244:1::' ']:8080' &&
  virtual_server -t 192.168.77.2:30080 10.244.1. :8080 || exit 1
# Whoever is not a pod is masqueraded, and so is a pod that meets itself.
iptables -t nat -A POSTROUTING -m ipvs --ipvs ! -s 10.244.1.100 -j MASQUERADE || exit 1

check "TCP from a pod" in_pod client "$traffic" request tcp 10.96.10.1 80
check "UDP from a pod" in_pod client "$traffic" request udp 10.96.10.1 53
check "SCTP from a pod" in_pod client "$traffic" request sctp 10.96.10.1 90
check "IPv6 from a pod" in_pod client "$traffic" request tcp fd00:10:96::1 80
check "from a backend, itself among the three" in_pod web-1 "$traffic" request tcp 10.96.10.1 80
check "from the node" "$traffic" request tcp 10.96.10.1 80
check "from outside" in_pod outside "$traffic" request tcp 192.168.77.2 30080
if in_pod client "$traffic" hold 10.96.10.1 80 --count 30 --rounds 2 --interval 1 >/dev/null; then
  echo "ok: held connections"
else
  echo "FAILED: held connections"
  failed=1
fi
exit $failed
