#!/bin/bash
# A node that lacks ip6tables serves IPv4 alone, says so, and touches nothing of IPv6; one that lacks iptables ends.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

must "the node" topology_up
must "the backends" serve_pods
config 'ipvsd: {auditPeriod: 1s}'
sample node web solo
for family in ip ip6; do
  mkdir "$work/$family"
  ln -s "$(command -v ${family}tables-legacy)"{,-save,-restore} "$work/$family/"
done
# What has its turn without ip6tables: a Service that goes, and one that comes.
late() {
  service late 10.96.10.60 | sed 's/clusterIPs: .*/clusterIPs: [10.96.10.60, "fd00:10:96::60"]/
    s/ipFamilies: .*/ipFamilies: [IPv4, IPv6]/'
  echo ---
  endpoints late http 8080 10.244.1.11
}
of_ipv6() {
  ipvsadm -Sn | grep -F '[' | sort
  ipset save | grep -F KUBE-6- | sort
  ip -6 -o addr show dev kube-ipvs0 | awk '{ print $4 }' | sort
  ip6tables-legacy-save | grep -e '^-A' -e '^:KUBE' | sed 's/ \[[0-9:]*\]$//'
}

start
must "both families" within 30 has_server -t '[fd00:10:96::2]:80'
must "their addresses" within 30 has_address fd00:10:96::2
must "the daemon ends" stop
of_ipv6 >"$work/before"
rm "$manifests/solo.yaml"
late >"$manifests/late.yaml"
: >"$log"

PATH=$work/ip start
check "without ip6tables it serves IPv4" within 30 has_address 10.96.10.60
check "which answers" answers 'web-1 ' in_pod client "$traffic" request tcp 10.96.10.60 80
check "the log says what is missing" says 'warning .*ip6tables.*: no IPv6 Services on this node'
check "what goes, goes" within 10 not has_server -t 10.96.10.2:80
audited() { [ "$(metric kube_ipvsd_audits_total)" -ge 1 ]; }
check "an audit" within 30 audited
check "nothing of IPv6 came, went or changed" diff "$work/before" <(of_ipv6)
check "nothing fails" test "$(metric kube_ipvsd_dirty_objects)" = 0
check "SIGTERM ends it with status 0" stop

start
check "with ip6tables again IPv6 catches up" within 30 has_server -t '[fd00:10:96::60]:80'
check "in both directions" within 30 not has_server -t '[fd00:10:96::2]:80'
check "and without its address" within 10 not has_address fd00:10:96::2
stop

ipvsadm -Sn | sort >"$work/servers"
without_ipv4() { PATH=$work/ip6 "$daemon" --config "$config" --manifests "$manifests" >"$work/said" 2>&1 </dev/null; }
without_ipv4
check "without iptables it ends with status 1" test $? = 1
check "and says what is missing" file_says said 'error .*iptables.*apt install iptables'
check "and has touched nothing" diff "$work/servers" <(ipvsadm -Sn | sort)
finish
