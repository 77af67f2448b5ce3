# What goes wrong in soak.sh, to be sourced behind lib.sh. Counted in: harmless, harmful, restarts, windows,
# window_seconds. $fault is the last one's name; while $kills is no, the daemon is left alive.
# shellcheck shell=bash
harmless=0
harmful=0
restarts=0
windows=0
window_seconds=0
fault=none
kills=yes
: >"$work/windows"

# killing_restore: the daemon's iptables-restore is killed when it starts, as often as $work/kill-restore has lines.
killing_restore() {
  local name
  mkdir -p "$work/bin"
  for name in iptables-legacy-restore ip6tables-legacy-restore iptables-nft-restore ip6tables-nft-restore; do
    cat >"$work/bin/$name" <<SH
#!/bin/sh
if [ -e $work/kill-restore ]; then
  rm $work/kill-restore
  kill -KILL \$\$
fi
exec $(command -v $name) "\$@"
SH
    chmod +x "$work/bin/$name"
  done
  PATH=$work/bin:$PATH
}

begin_again() {
  restarts=$((restarts + 1))
  start
  within 60 synced
}
killed() { stop KILL; begin_again; }
restarted() { stop TERM; begin_again; }
twice_killed() { stop KILL; start; stop KILL; begin_again; }
stopped_a_while() {
  kill -STOP "$pid" && pause && pause && pause && pause && kill -CONT "$pid"
}
restore_killed() {
  : >"$work/kill-restore"
  iptables -t nat -D KUBE-POSTROUTING 1
}
lock_held() {
  iptables -t mangle -F KUBE-IPVSD-OUTPUT
  timeout 2 flock /run/xtables.lock /bin/sh -c 'read -r line' <&"$silence"
  true
}
weight_changed() { ipvsadm -e -t 10.96.60.1:80 -r 10.244.1.11:8080 -m -w 7; }
scheduler_changed() { ipvsadm -E -t 10.96.60.3:80 -s wlc; }
entry_added() { ipset add KUBE-CLUSTER-IP 10.96.79.9,tcp:99; }
server_added() { ipvsadm -A -t 192.168.77.2:9443 && ipvsadm -D -t 192.168.77.2:9443; }
backend_dies() { mortal_dies true; }
backend_dies_in_mid_request() { mortal_dies until_data_waits; }

harmless_fault() {
  local some=(stopped_a_while restore_killed lock_held weight_changed scheduler_changed entry_added server_added
    backend_dies backend_dies_in_mid_request)
  [ $kills = yes ] && some+=(killed restarted twice_killed killed)
  fault=${some[RANDOM % ${#some[@]}]}
  harmless=$((harmless + 1))
  echo "$fault" >>"$work/faults"
  $fault
}

ipvs_flushed() { ipvsadm -C && foreign_again; }
# Of a Service whose connections last for a round.
server_deleted() { ipvsadm -D -t 10.96.60.4:80; }
destinations_deleted() { ipvsadm -d -t 10.96.60.4:80 -r 10.244.1.11:8081 && ipvsadm -d -t 10.96.60.4:80 -r 10.244.1.12:8081; }
link_deleted() { ip link del kube-ipvs0; }
# ip says that it was not done, because the addresses come back while it looks.
addresses_flushed() { ip addr flush dev kube-ipvs0; true; }
set_flushed() { ipset flush KUBE-CLUSTER-IP && ipset flush KUBE-IPVSD-OUTSIDE; }
sets_swapped() {
  ipset create stranger hash:ip,port && ipset swap stranger KUBE-CLUSTER-IP && ipset destroy stranger
}
nat_flushed() { iptables -t nat -F && iptables -t mangle -F; }
all_flushed() { iptables -F && ip6tables -F && addresses_flushed && ipvs_flushed; }
# It is down while somebody flushes.
flushed_while_down() { stop KILL; ipvsadm -C; foreign_again; begin_again; }
# What the flush took of others' is put back by them.
foreign_again() { ipvsadm -A -t 192.168.77.2:8443 && ipvsadm -a -t 192.168.77.2:8443 -r 10.244.1.11:8080 -m; }

# cuts_connections FAULT: it takes destinations away that connections lead to. With net.ipv4.vs.expire_nodest_conn the
# kernel forgets these, whoever repairs.
cuts_connections() { [[ $1 =~ ^(ipvs_flushed|all_flushed|flushed_while_down)$ ]]; }

# harmful_fault: while what was taken away is missing, requests may fail, and not afterwards.
harmful_fault() {
  local some=(ipvs_flushed server_deleted destinations_deleted link_deleted addresses_flushed set_flushed sets_swapped
    nat_flushed all_flushed) from to
  [ $kills = yes ] && some+=(flushed_while_down)
  fault=${some[RANDOM % ${#some[@]}]}
  harmful=$((harmful + 1))
  echo "$fault" >>"$work/faults"
  windows=$((windows + 1))
  if cuts_connections $fault; then held_throughout || return 1; fi
  uptime_now from
  $fault || return 1
  within 60 at_rest || return 1
  uptime_now to
  if cuts_connections $fault; then hold_throughout || return 1; fi
  echo "$from $to" >>"$work/windows"
  window_seconds=$((window_seconds + ${to%.*} - ${from%.*} ))
}
