#!/bin/bash
# Lays down in the present network namespace what a kube-proxy in ipvs mode left there, from the expected/ files of a
# recorded scenario: sets and rules, virtual servers, kube-ipvs0 with its addresses, sysctls. Or clears all of that up.
#
#   test/kernel/lay_down.sh SCENARIO [STEP]
#   test/kernel/lay_down.sh --clear
set -eu

clear_up() {
  local program table
  set +e
  ipvsadm -C
  for program in iptables ip6tables; do
    for table in nat filter mangle; do $program -t $table -F && $program -t $table -X; done
  done
  ipset destroy
  ip link delete kube-ipvs0
  exit 0
} 2>/dev/null

[ "$1" != --clear ] || clear_up
left=$1/expected${2:+/$2}

ipset restore <"$left/ipset.txt"
iptables-restore --noflush <"$left/iptables.txt"
ip6tables-restore --noflush <"$left/ip6tables.txt"
ipvsadm -R <"$left/ipvs.txt"
ip link add kube-ipvs0 type dummy
sed 's/.*/addr add & dev kube-ipvs0/' "$left/addresses.txt" | ip -batch -
# Last: those of IPVS are there once it is loaded. Not every one is there in a namespace.
while read -r name _ value; do
  [ ! -e "/proc/sys/${name//.//}" ] || echo "$value" >"/proc/sys/${name//.//}"
done <"$left/sysctl.txt"
