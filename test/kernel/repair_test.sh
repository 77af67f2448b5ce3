#!/bin/bash
# Foreign hands in what is ours: noticed, and repaired.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

must "the node" node_up
config 'ipvsd: {auditPeriod: 1s, rulesAuditPeriod: 1s}'
sample node web solo sticky edge
start
must "the VIPs" within 30 has_address 10.96.10.5
must "the first sync" within 30 synced
repaired() { [ "$(metric "kube_ipvsd_drift_repaired_total{object=\"$1\"}")" -ge "$2" ]; }

ip addr del 10.96.10.1/32 dev kube-ipvs0
check "a VIP that was removed comes back" within 20 has_address 10.96.10.1
check "and is counted as repaired" within 20 repaired address 1
ip addr del fd00:10:96::1/128 dev kube-ipvs0
check "an IPv6 VIP too" within 20 has_address fd00:10:96::1
ip addr flush dev kube-ipvs0
all_addresses() {
  local address
  for address in 10.96.10.1 10.96.10.2 10.96.10.3 10.96.10.4 10.96.10.5 203.0.113.10 203.0.113.20 203.0.113.30 \
    fd00:10:96::1 fd00:10:96::2; do
    has_address $address || { echo "no $address"; return 1; }
  done
}
check "all VIPs that were flushed come back" within 20 all_addresses
ip link del kube-ipvs0
check "kube-ipvs0 that was deleted is there again with all VIPs" within 20 all_addresses
check "and says so" says 'warning kube-ipvs0 or a set had been removed and is made anew'
is_dummy() { ip -d link show kube-ipvs0 | grep -qw dummy; }
check "and it is a dummy" is_dummy
ip addr add 192.0.2.99/32 dev kube-ipvs0
ip addr del 10.96.10.2/32 dev kube-ipvs0
must "the next repair" within 20 has_address 10.96.10.2
check "a foreign address on kube-ipvs0 stays" has_address 192.0.2.99

ipvsadm -D -t 10.96.10.1:80
check "a virtual server that was deleted comes back with its destinations" within 30 serving -t 10.96.10.1:80 3
check "and is counted as repaired" within 20 repaired virtual_server 1
ipvsadm -d -t 10.96.10.1:80 -r 10.244.1.12:8080
check "a destination that was deleted comes back" within 30 serving -t 10.96.10.1:80 3
ipvsadm -e -t 10.96.10.1:80 -r 10.244.1.12:8080 -m -w 9
check "a weight that was changed is set right" within 30 destination 10.96.10.1:80 10.244.1.12:8080 '-w 1$'
ipvsadm -E -t 10.96.10.1:80 -s wlc
scheduler_is() { ipvsadm -Sn | grep -qF -e "-A $1 $2 -s $3"; }
check "a scheduler that was changed is set right" within 30 scheduler_is -t 10.96.10.1:80 rr
ipvsadm -C
check "all virtual servers that were flushed come back" within 30 serving -t 10.96.10.4:80 3
check "those of IPv6 too" within 30 serving -t '[fd00:10:96::1]:80' 3
check "those of UDP too" within 30 serving -u 10.96.10.1:53 3

ipset del KUBE-CLUSTER-IP 10.96.10.1,tcp:80
check "a set entry that was deleted comes back" within 60 ipset test KUBE-CLUSTER-IP 10.96.10.1,tcp:80
ipset add KUBE-CLUSTER-IP 10.96.77.7,tcp:77
check "a set entry that was added goes" within 60 not ipset test KUBE-CLUSTER-IP 10.96.77.7,tcp:77
check "set entries are counted as repaired" within 20 repaired set_entry 1
ipset flush KUBE-6-IPVS-IPS
check "a set that was flushed is filled" within 60 ipset test KUBE-6-IPVS-IPS fd00:10:96::2

saved_rules >"$work/rules"
same_rules() { diff "$work/rules" <(saved_rules); }
iptables -t nat -F
check "nat that was flushed comes back" within 30 same_rules
iptables -F && ip6tables -t nat -F && ip6tables -F
check "filter, and IPv6's tables, too" within 30 same_rules
iptables -t nat -I KUBE-SERVICES -j RETURN
check "a rule that was put into a chain of ours goes" within 30 same_rules
iptables -t nat -D KUBE-POSTROUTING 1
check "a rule that was deleted comes back" within 30 same_rules

audits_pass() { [ "$(metric kube_ipvsd_audits_total)" -gt "$1" ]; }
drift() { metrics | grep '^kube_ipvsd_drift_repaired_total'; }
within 60 audits_pass "$(metric kube_ipvsd_audits_total)"
drift >"$work/drift"
check "another pass" within 60 audits_pass "$(metric kube_ipvsd_audits_total)"
check "finds nothing more to repair" diff "$work/drift" <(drift)
check "nothing waits to be tried again" test "$(metric kube_ipvsd_dirty_objects)" = 0
check "the daemon lives" alive
finish
