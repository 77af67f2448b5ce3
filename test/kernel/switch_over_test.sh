#!/bin/bash
# Switching over live: kernel state as a recorded kube-proxy left it, with connections through it; kube-ipvsd starts with the same
# objects and neither removes nor re-adds anything; kube-proxy could take over again; --cleanup removes all of it, in both
# families, and nothing else. One recorded scenario after the other.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

recorded=${SHARED_DIR:-$PWD/../shared}/conformance
if [ ! -d "$recorded" ]; then
  echo "skipped: $recorded is not there"
  exit 77
fi
# Without steps, and such that we agree with kube-proxy about everything (test/conformance/deviations.txt).
scenarios="01-clusterip 03-loadbalancer 05-external-ips 06-external-traffic-local 08-session-affinity 09-terminating
  11-dual-stack 12-sctp"

must "the node" node_up
# Every endpoint is in one namespace, whatever its address; nothing of it shows among the node's addresses.
backend_up() {
  ip netns add backend &&
    ip link add be0 type veth peer name eth0 netns backend &&
    ip link set be0 up && ip route add 10.244.0.0/16 dev be0 &&
    ip -n backend -batch - <<'BATCH'
link set lo up
link set eth0 up
route add local 10.244.0.0/16 dev lo
route add default via 192.168.77.2 dev eth0 onlink
BATCH
}
must "the backend" backend_up
must "routes of the outside" ip -n outside route add 10.96.0.0/12 via 192.168.77.2

ipvs_state() {
  ipvsadm -Sn | sort
  # Connections that each virtual server and destination has taken: they start from 0 where one is made anew.
  ipvsadm -Ln --stats --exact | awk '$1 ~ /^(TCP|UDP|SCTP|->)$/ { print $1, $2, $3 }'
}
# With each set's initval, which is drawn anew when a set is made anew; but for foreign ones and those of our own.
set_state() { ipset save | grep -vE "foreign|KUBE-(6-)?IPVSD-" | sort; }
addresses() { ip -o addr show dev kube-ipvs0 | awk '{ print $4 }' | sort; }
kernel_state() {
  ipvs_state
  set_state
  addresses
}
# Where the policy is Local and there is a local detector, something comes: virtual servers for outside clients, and all
# endpoints for everybody else. Nothing goes.
additions=
as_before() {
  diff "$work/before" <(kernel_state) >"$work/differences"
  cat "$work/differences"
  if [ "$additions" ]; then ! grep -q '^<' "$work/differences"; else [ ! -s "$work/differences" ]; fi
}

foreign_up() {
  ipvsadm -A -t 10.96.99.1:80 -s wrr && ipvsadm -A -t 192.0.2.1:80 -s wrr &&
    ipvsadm -a -t 192.0.2.1:80 -r 10.244.1.11:8080 -m -w 7 &&
    ipset create foreign hash:ip && ipset add foreign 10.96.0.1 && ipset create foreign-6 hash:ip family inet6 &&
    iptables -t nat -N FOREIGN && iptables -t nat -A POSTROUTING -m set --match-set foreign dst -j FOREIGN &&
    ip6tables -A FORWARD -m set --match-set foreign-6 dst -j ACCEPT
}
foreign_state() {
  ipvsadm -Sn
  ipset save
  ip -o link show type dummy
  saved_rules
}

# The first TCP frontend whose destinations are all pods on one port.
choose_frontend() {
  read -r frontend backend_port < <(awk '
    $1 == "-a" && $2 == "-t" {
      port = $5
      sub(/.*:/, "", port)
      if (!($3 in ports)) { ports[$3] = port; order[++count] = $3 }
      if (ports[$3] != port || $5 !~ /^10\.244\./) ports[$3] = ""
    }
    END { for (i = 1; i <= count; i++) if (ports[order[i]]) { print order[i], ports[order[i]]; exit } }
  ' "$recorded/$1/expected/ipvs.txt")
  [ -n "$backend_port" ]
}
# hold NAME CMD...: ten connections, in the background.
hold() {
  local name=$1
  shift
  run "$name" "$@" "$traffic" hold "${frontend%:*}" "${frontend##*:}" --count 10 --interval 200 --timeout 5000
}
counted() { [ "$(ipvsadm -Ln --stats --exact | awk -v key="$frontend" '$1 == "TCP" && $2 == key { print $3 }')" -ge 20 ]; }
intact() {
  kill -TERM "$1" && wait "$1"
  cat "$work/$2"
  file_says "$2" '^10 of 10 connections intact after [0-9]+ rounds, 0 broken$'
}
rounds_on() { kill -0 "$1"; }

start_traced() {
  strace -f -x -s 64 -e trace=sendmsg,sendto -e verbose=all -o "$work/trace" \
    "$daemon" --config "$config" --manifests "$manifests" >>"$log" 2>&1 </dev/null &
  tracer=$!
  background+=("$tracer")
}
stop_traced() {
  pkill -TERM -P "$tracer" && wait "$tracer"
}
no_writes() {
  /usr/bin/python3 -B test/kernel/netlink_writes.py "$work/trace" >"$work/writes" || return 1
  cat "$work/writes"
  if [ "$additions" ]; then ! grep -vE '^(NEW_|IPSET ADD|RTM_NEWADDR)' "$work/writes"; else [ ! -s "$work/writes" ]; fi
}
# The trace shows what it should: requests to IPVS, ipset and rtnetlink are in it.
trace_speaks() {
  for word in nlmsg_type=IPVS IPSET_CMD_CREATE RTM_GETADDR; do grep -qF "$word" "$work/trace" || return 1; done
}
no_operations() {
  metrics >"$work/metrics" || return 1
  grep '^kube_ipvsd_operations_total' "$work/metrics" || return 1
  ! grep -E "^kube_ipvsd_operations_total.*${additions:+verb=\"(set|remove)\".*} [1-9]" "$work/metrics"
}

# As kube-proxy does at its start: each set with its -exist, each jump looked for, then all its chains written anew.
sets_accepted() {
  [ "$(grep -c ^create "$1/ipset.txt")" = 34 ] &&
    sed -n '/^create/ s/ maxelem/ hashsize 1024&/p' "$1/ipset.txt" | ipset -exist restore &&
    sed -n '/^create.* bitmap/p' "$1/ipset.txt" | ipset -exist restore
}
back() { /usr/bin/python3 -B test/kernel/switch_back.py "$@"; }
# As kube-proxy writes its chains.
rules_taken_back() {
  local program
  for program in iptables ip6tables; do
    grep -vE -e '^(:|-A )(INPUT|OUTPUT|FORWARD|PREROUTING|POSTROUTING) ' "$1/$program.txt" | $program-restore --noflush || return 1
  done
  back "$1" taken
}

play() {
  local name=$1 left=$recorded/$1/expected outside_pid node_pid
  additions=
  [ "$name" != 06-external-traffic-local ] || additions=yes
  must "$name: a frontend to connect through" choose_frontend "$name"
  must "$name: foreign objects" foreign_up
  foreign_state >"$work/foreign"
  must "$name: kernel state as kube-proxy left it" test/kernel/lay_down.sh "$recorded/$name"
  serve_backend() { ip netns exec backend "$traffic" serve backend --tcp "$backend_port" --background; }
  local server
  server=$(serve_backend) || must "$name: the backend listens" false
  hold outside ip netns exec outside
  outside_pid=$started
  hold node env
  node_pid=$started
  must "$name: connections from outside through $frontend" within 30 file_says outside '^10 open'
  must "$name: connections from the node" within 30 file_says node '^10 open'
  must "$name: the kernel counted them" within 20 counted

  rm -f "$manifests"/*
  cp "$recorded/base.yaml" "$recorded/$name/objects.yaml" "$manifests/"
  sed 's/^ipvs:$/&\n  excludeCIDRs: [10.96.99.0\/24]/' "$recorded/$name/config.yaml" >"$config"
  kernel_state >"$work/before"
  : >"$log"
  start_traced
  check "$name: it starts and sees all" within 60 synced
  check "$name: nothing is gone, come or made anew" as_before
  check "$name: it says that it wrote nothing" no_operations
  check "$name: the trace shows its requests" trace_speaks
  check "$name: and no write among them" no_writes
  check "$name: no warning" not says ' (warning|error) '
  must "$name: it ends" stop_traced

  check "$name: back: every set is one that kube-proxy's create -exist accepts" sets_accepted "$left"
  check "$name: back: its chains and jumps are there" back "$left" kept
  check "$name: back: its chains take its rules" rules_taken_back "$left"
  check "$name: back: virtual servers, sets and addresses as it left them" as_before

  check "$name: the connections from outside outlived all of it" intact "$outside_pid" outside
  check "$name: and those from the node" intact "$node_pid" node
  kill "$server"

  cleanup() { "$daemon" --config "$config" --cleanup >"$log" 2>&1 </dev/null; }
  check "$name: --cleanup ends with status 0" cleanup
  only_foreign() { diff "$work/foreign" <(foreign_state); }
  check "$name: and leaves exactly what is not ours" only_foreign
  foreign_down() {
    ipvsadm -C && iptables -t nat -F && iptables -t nat -X && ip6tables -F && ipset destroy foreign && ipset destroy foreign-6
  }
  must "$name: the next one" foreign_down
}

for name in $scenarios; do play "$name"; done
finish
