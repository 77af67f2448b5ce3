#!/bin/bash
# Foreign hands beyond repair_test.sh: sets that are swapped or destroyed, virtual servers by mark, sysctls; and one that
# does its deed again and again. Each is repaired or left alone as docs/operations.md says, counted, and told once.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

must "the node" node_up
config 'ipvsd: {auditPeriod: 1s, rulesAuditPeriod: 1s}'
sample node web solo
service edge 10.96.10.6 'type: LoadBalancer' 'externalTrafficPolicy: Local' >"$manifests/edge.yaml"
echo 'status: {loadBalancer: {ingress: [{ip: 203.0.113.40}]}}' >>"$manifests/edge.yaml"
endpoints edge http 8080 10.244.1.11 10.244.1.12 >"$manifests/edge-endpoints.yaml"
# A virtual server by mark of somebody else, there before us, and a sysctl that is not as we need it.
ipvsadm -A -f 7 -s wlc && ipvsadm -a -f 7 -r 10.244.1.13:8080 -m
echo 0 >/proc/sys/net/ipv4/vs/expire_nodest_conn
start
must "the VIPs" within 30 has_address 203.0.113.40
must "the first sync" within 30 synced
sum() { metrics | awk -v name="$1" 'index($1, name) == 1 { sum += $2 } END { print sum + 0 }'; }
grown() { [ "$(sum "$1")" -gt "$2" ]; }
drift=kube_ipvsd_drift_repaired_total
lines() { grep -cE -e "$1" "$log"; }
marks() { ipvsadm -Sn | grep -e '-f ' | sort; }

check "nobody has changed anything yet" test "$(sum $drift)" = 0
check "and nothing is said of it" not says 'somebody else changed'

# Sets.
before=$(sum $drift)
ipset create stranger hash:ip,port && ipset add stranger 10.96.10.9,tcp:9 && ipset swap stranger KUBE-CLUSTER-IP
check "a set that was swapped has its entries again" within 30 ipset test KUBE-CLUSTER-IP 10.96.10.1,tcp:80
check "and the stranger's entry has gone from it" within 30 not ipset test KUBE-CLUSTER-IP 10.96.10.9,tcp:9
check "it is counted" within 20 grown $drift "$before"
check "and told, once" test "$(lines 'warning somebody else changed what is ours, and it is put right: [0-9]+ objects')" = 1
check "the other set, under its new name, is let alone" ipset test stranger 10.96.10.2,tcp:80
check "a set that rules refer to cannot be destroyed" not ipset destroy KUBE-NODE-PORT-TCP
before=$(sum $drift)
writes=$(sum kube_ipvsd_rules_writes_total)
# Another may have made the rule anew between the two.
destroyed() {
  iptables -t nat -F && iptables -t mangle -F && iptables -F && ipset destroy KUBE-NODE-PORT-TCP
}
must "a set is destroyed, after the rules" within 20 destroyed
check "the set is there again, with its entry" within 60 ipset test KUBE-NODE-PORT-TCP 30080
rules_refer() { iptables-save | grep -q 'match-set KUBE-NODE-PORT-TCP dst'; }
check "and so are the rules" within 60 rules_refer
check "the rules are counted" within 20 grown kube_ipvsd_rules_writes_total "$writes"
check "that they could not be written without it is told once, if at all" test "$(lines "Set KUBE-NODE-PORT-TCP doesn't exist")" -le 1
check "the set is counted" within 20 grown $drift "$before"

# Virtual servers by mark.
marks >"$work/marks"
check "a virtual server by mark that was there before us is let alone" grep -q -e '-A -f 7 -s wlc' "$work/marks"
check "with its destination" grep -q -e '-a -f 7 -r 10.244.1.13:8080 -m -w 1' "$work/marks"
ipvsadm -A -f 16384 -s rr && ipvsadm -a -f 16384 -r 10.244.1.13:8080 -m
marks >"$work/marks"
check "ours is beside it" test "$(grep -c -e '^-A -f' "$work/marks")" = 3
ours=$(awk '$1 == "-A" && $3 != 7 && $3 != 16384 { print $3 }' "$work/marks")
ipvsadm -e -f "$ours" -r 10.244.1.11:8080 -m -w 9
same_marks() { diff "$work/marks" <(marks); }
check "a weight at ours is put right" within 30 same_marks
ipvsadm -D -f "$ours"
check "ours is back when somebody deleted it, and theirs are as they were" within 30 same_marks
ipvsadm -a -t 10.96.10.1:80 -r 10.9.9.9:9 -m
check "a destination that somebody added goes" within 30 not destination 10.96.10.1:80 10.9.9.9:9 ''

# Sysctls are set at the start, and are the node's afterwards.
sysctl_is() { [ "$(cat /proc/sys/net/ipv4/vs/expire_nodest_conn)" = "$1" ]; }
check "a sysctl that was not as it must be is, from the start" sysctl_is 1
echo 0 >/proc/sys/net/ipv4/vs/expire_nodest_conn
audits=$(metric kube_ipvsd_audits_total)
must "two audits" within 30 grown kube_ipvsd_audits_total $((audits + 1))
check "one that is changed later is let alone" sysctl_is 0

# Again and again.
told=$(lines ' warning ')
deeds=0
before=$(sum $drift)
again_and_again() {
  for ((deeds = 0; deeds < 30; deeds++)); do
    ipvsadm -D -t 10.96.10.2:80
    ip addr del 10.96.10.2/32 dev kube-ipvs0
    within 20 has_address 10.96.10.2 && within 20 serving -t 10.96.10.2:80 1 || return 1
  done
}
check "what is taken thirty times comes back thirty times" again_and_again
check "each time is counted" within 20 grown $drift $((before + 59))
check "and nothing is told anew" test "$(lines ' warning ')" = "$told"
ip link del kube-ipvs0
check "a link that is deleted comes back" within 20 has_address 10.96.10.2
ip link del kube-ipvs0
check "and once more" within 20 has_address 10.96.10.2
check "which is told once" test "$(lines 'kube-ipvs0 or a set had been removed')" = 1
stop
start
must "the first sync" within 30 synced
check "restarted, the sysctl is as it must be" within 20 sysctl_is 1
check "and the others' virtual servers by mark are as they were" within 20 same_marks
finish
