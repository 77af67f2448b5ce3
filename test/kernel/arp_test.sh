#!/bin/bash
# Who answers for a VIP on the link: as with kube-proxy every link, with ipvs.strictARP none but that of the VIP.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

must "the node" topology_up
must "the backend" serve_pods web-1
sample node solo
vip=10.96.10.2
in_pod outside ip route add $vip/32 dev eth0
# asked ADDRESS: somebody on the link answers for it.
asked() {
  in_pod outside ip neigh flush dev eth0
  in_pod outside "$traffic" request tcp "$1" 80 --count 1 --timeout 1500
  in_pod outside ip neigh show "$1" | tee /dev/stderr | grep -q lladdr
}
served() { in_pod outside "$traffic" request tcp $vip 80 --count 1 --timeout 1500 | grep -q '^web-1 '; }

config
start
must "the VIP" within 30 has_address $vip
check "by default the node answers for a VIP on every link" within 10 asked $vip
check "and serves who asks so" within 10 served
check "the daemon ends" stop

config 'ipvs: {strictARP: true}'
start
must "the first sync" within 30 synced
check "with strictARP it does not answer" not asked $vip
check "but for its own address it does" asked 192.168.77.2
in_pod outside ip route replace $vip/32 via 192.168.77.2
check "and serves who is routed to it" within 10 served
check "no warning" not says ' (warning|error) '
finish
