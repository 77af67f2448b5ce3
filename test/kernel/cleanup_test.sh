#!/bin/bash
# --cleanup, --dry-run and --once; and what is not ours: no run of the daemon touches it.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

must "the node" node_up
config 'ipvs: {excludeCIDRs: [10.96.99.0/24]}' 'ipvsd: {auditPeriod: 1s, rulesAuditPeriod: 1s}'
sample node web solo sticky edge

# A virtual server at an address of its own, one in excludeCIDRs, sets, rules and a link.
foreign_up() {
  ipvsadm -A -t 192.0.2.1:80 -s wrr && ipvsadm -a -t 192.0.2.1:80 -r 10.244.1.11:8080 -m -w 7 &&
    ipvsadm -A -t 10.96.99.1:80 -s rr && ipvsadm -A -u '[2001:db8::1]:53' -s rr && ipvsadm -A -f 7 -s rr &&
    ipset create foreign hash:ip && ipset add foreign 10.96.10.1 &&
    ipset create KUBE-NOT-OURS hash:ip family inet6 &&
    iptables -t nat -N FOREIGN && iptables -t nat -A FOREIGN -d 10.96.10.1 -j RETURN &&
    iptables -t nat -A POSTROUTING -m set --match-set foreign dst -j FOREIGN &&
    iptables -A INPUT -p tcp --dport 23 -j DROP && ip6tables -A FORWARD -d 2001:db8::1 -j ACCEPT &&
    ip link add other0 type dummy && ip addr add 192.0.2.1/32 dev other0
}
must "foreign objects" foreign_up
kernel_state() {
  ipvsadm -Sn
  ipset save
  ip -o link
  ip -br addr
  saved_rules
  sysctl -n net.ipv4.vs.conntrack net.ipv4.vs.expire_nodest_conn
}
kernel_state >"$work/foreign"
only_foreign() {
  kernel_state >"$work/now"
  diff "$work/foreign" "$work/now"
}
foreign_stays() {
  kernel_state >"$work/now"
  # Only additions.
  ! diff <(grep -e 192.0.2. -e 10.96.99. -e 2001:db8: -e ' -f 7 ' -ie foreign -e NOT-OURS -e other0 -e 'dport 23' "$work/foreign" | sort) \
    <(sort "$work/now") | grep '^<'
}

dry_run() { "$daemon" --config "$config" --manifests "$manifests" --dry-run >"$work/plan" </dev/null; }
check "--dry-run ends with status 0" dry_run
check "--dry-run says what it would add" file_says plan 'add .*10\.96\.10\.1'
check "--dry-run touches nothing" only_foreign

once() { "$daemon" --config "$config" --manifests "$manifests" --once >"$log" 2>&1 </dev/null; }
check "--once ends with status 0" once
check "--once: the Services are served" serving -t 10.96.10.4:80 3
check "--once: IPv6 too" serving -t '[fd00:10:96::1]:80' 3
check "--once leaves what is not ours" foreign_stays
kernel_state >"$work/synced"
check "--dry-run when all is done ends with status 0" dry_run
check "--dry-run when all is done has nothing to say" not test -s "$work/plan"
check "--once again" once
check "--once again changes nothing" diff "$work/synced" <(kernel_state)

start
audited() { [ "$(metric kube_ipvsd_audits_total)" -ge 1 ]; }
check "a running daemon checks all its objects" within 60 audited
check "and leaves what is not ours" foreign_stays
nothing_repaired() { ! metrics | grep '^kube_ipvsd_drift_repaired_total.* [1-9]'; }
check "and finds nothing to repair" nothing_repaired
rm "$manifests/web.yaml"
check "a Service deleted beside it" within 30 not has_address 10.96.10.1
check "leaves what is not ours" foreign_stays
stop

cleanup() { "$daemon" --config "$config" --cleanup >"$log" 2>&1 </dev/null; }
check "--cleanup ends with status 0" cleanup
check "--cleanup removes the link" not ip link show kube-ipvs0
none_of_ours() { ! { ipset list -n; iptables-save; ip6tables-save; } | grep KUBE- | grep -v KUBE-NOT-OURS; }
check "--cleanup removes sets, chains and jumps of both families" none_of_ours
check "--cleanup removes the virtual servers" test "$(ipvsadm -Sn | grep -c -e '^-A')" = 4
sysctl -q net.ipv4.vs.conntrack=0 net.ipv4.vs.expire_nodest_conn=0
check "--cleanup leaves exactly what is not ours" only_foreign
check "--cleanup of a clean node ends with status 0" cleanup
check "and changes nothing" only_foreign
check "after --cleanup it starts as on a new node" once
check "and serves" serving -t 10.96.10.4:80 3
finish
