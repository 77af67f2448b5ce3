#!/bin/bash
# Killed at any system call, the daemon leaves nothing that its next start does not put right: the kernel is then as
# without the kill, connections live on, and of the iptables rules each table was as before or as after, never between.
#
#   test/kernel/crash_test.sh [SCENARIO...]   on the test kernel (default: restore start-cleanup-tree change drain
#                                             switch); each goes there and back:
#     start-cleanup   from nothing to served, and back by --cleanup
#     change          Services come, and go, below a running daemon
#     drain           endpoints leave, with connections and without, and return
#     switch          to the other one of ipvsd.serviceAddresses, bind and route
#     restore         iptables-restore alone, from one set of rules to another
#   SCENARIO-tree     kills the iptables programs with it, and at each of their calls too; otherwise they live on
#
# IPVSD_KILLS: how many calls each way are tried, spread over all there are (default 1); "all": each one, which takes
# hours; "/N": every Nth. IPVSD_SEED says which ones. A failure names the call: IPVSD_KILLS=@CALL tries that one.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

kills=${IPVSD_KILLS:-1}
RANDOM=${IPVSD_SEED:-1}
kill_at=$PWD/build/test/kernel/kill_at
[ $# -gt 0 ] || set -- restore start-cleanup-tree change drain switch

must "the node" topology_up
must "the backends" serve_pods

# The states that the scenarios go between: what is asked for is one file each, and "routed" is another mode.
{
  for name in node web; do
    cat "$samples/$name.yaml"
    echo ---
  done
} >"$work/served.yaml"
# Of the IPv4 endpoints one stays; of those that leave, the TCP ones have connections.
grep -v -e '10\.244\.1\.1[23]\]' "$work/served.yaml" >"$work/drained.yaml"
{
  cat "$work/served.yaml" "$samples/edge.yaml"
  echo ---
  service local 10.96.30.1 'type: LoadBalancer' 'externalTrafficPolicy: Local' 'externalIPs: [203.0.113.40]'
  echo ---
  endpoints local http 8080 10.244.1.13
} >"$work/edge.yaml"
cp "$work/served.yaml" "$work/routed.yaml"
cp "$work/served.yaml" "$work/nothing.yaml"

# Finding out which backend works costs time.
backend=nft
iptables --version | grep -q legacy && backend=legacy
files_of() { cp "$work/$1.yaml" "$work/next" && mv "$work/next" "$manifests/all.yaml"; }
mode_of() {
  local addresses='serviceAddresses: bind'
  [ "$1" != routed ] || addresses='serviceAddresses: route, serviceCIDRs: [10.96.0.0/16, "fd00:10:96::/112"]'
  # A surviving iptables-restore may write beside the next daemon, which sees that when it looks again.
  config "ipvsd: {rulesAuditPeriod: 5s, iptablesBackend: $backend, $addresses}"
}

# Our chains, and the rules that are not the kernel's own, each with family and table; few processes, as they are slow.
all_rules() {
  { echo ipv4 && iptables-save && echo ipv6 && ip6tables-save; } | awk '
    /^ipv/ { family = $0 }
    /^\*/ { table = $0 }
    /^-/ || /^:[^ ]+ - / { sub(/ \[[0-9:]*\]$/, ""); print family, table, $0 }'
}
# All that the daemon writes. Sorted, because order within a set, or of virtual servers, says nothing. Whether the
# link is up does not matter, and stays so after "route".
kernel_state() {
  {
    ipvsadm -Sn
    ipset save | sed 's/ initval 0x[0-9a-f]*//'
    ip -o addr show dev kube-ipvs0 2>/dev/null | sed 's/^[0-9]*: //'
    ip route show table local proto 107
    ip -6 route show table local proto 107
  } | sort
  all_rules
}
# One line for each table of each family, with all that is in it.
tables() {
  all_rules | awk '
    { text[$1 " " $2] = text[$1 " " $2] "|" $0 }
    END {
      split("ipv4 ipv6", families); split("*mangle *nat *filter", names)
      for (f in families) for (n in names) { key = families[f] " " names[n]; print key, text[key] }
    }'
}

# reach STATE: by a daemon that nobody kills. It runs then, but for "nothing".
reach() {
  [ -z "$pid" ] || stop KILL
  files_of "$1" && mode_of "$1" || return 1
  if [ "$1" = nothing ]; then
    "$daemon" --config "$config" --cleanup >>"$log" 2>&1 </dev/null
  else
    # shellcheck disable=SC2119
    start
    within 30 synced
  fi
}
state_is() { diff "$work/$1.state" <(kernel_state); }
# A drained endpoint without connections goes a second after its weight.
only_drains() { [ "$(ipvsadm -Sn | grep -c -e ' -w 0$')" = 2 ]; }
record() {
  reach "$1" || return 1
  [ "$1" != drained ] || within 20 only_drains || return 1
  kernel_state >"$work/$1.state"
  tables >"$work/$1.tables"
}

# A virtual server of somebody else's, whose connections no --cleanup may end.
foreign_up() {
  ip link add other0 type dummy && ip addr add 192.0.2.1/32 dev other0 &&
    ipvsadm -A -t 192.0.2.1:80 -s rr && ipvsadm -a -t 192.0.2.1:80 -r 10.244.1.11:8080 -m -w 1
}
# hold NAME ADDRESS: six connections, until intact.
hold() {
  run "$1" ip netns exec client "$traffic" hold "$2" 80 --count 6 --interval 100 --timeout 60000 --reset
  within 30 file_says "$1" '^6 open'
}
intact() {
  # One more round after the last change.
  pause
  kill -TERM "$2" && wait "$2"
  cat "$work/$1"
  file_says "$1" '^6 of 6 connections intact after [0-9]+ rounds, 0 broken$'
}

must "a virtual server of somebody else's" foreign_up
must "the first start" reach served
must "the state \"served\"" record served
must "connections through what is not ours" hold foreign 192.0.2.1
foreign=$started

# kill_on_the_way SCENARIO TO CALL: from the state that is, where the daemon runs unless nothing is served. What kill_at
# says is in $work/killed.
kill_on_the_way() {
  local traced=("$daemon" --config "$config" --manifests "$manifests") process='' time=4000
  case $1 in
    change | drain)
      # Within it a drained endpoint without connections goes, too.
      time=$([ "$1" = change ] && echo 1000 || echo 2500)
      cp "$work/$2.yaml" "$work/next" || return 1
      traced=(--rename "$work/next" "$manifests/all.yaml" --pid "$pid")
      process=$pid
      pid=
      ;;
    *)
      [ -z "$pid" ] || stop KILL
      files_of "$2" && mode_of "$2" || return 1
      [ "$2" != nothing ] || traced=("$daemon" --config "$config" --cleanup)
      ;;
  esac
  [ "${1%-tree}" = "$1" ] || traced=(--tree "${traced[@]}")
  "$kill_at" "$3" --for "$time" "${traced[@]}" >"$work/said" 2>&1 </dev/null
  local status=$?
  [ -z "$process" ] || wait "$process" 2>/dev/null
  grep -aE '^(killed|ended) ' "$work/said" >"$work/killed"
  [ $status -lt 2 ] || cat "$work/said"
  [ $status -lt 2 ]
}

whole_tables() { ! tables | grep -vxF -f "$work/$1.tables" -f "$work/$2.tables"; }
unbroken() { ! cat "$work/foreign" "$work/held" | grep broken; }
# one_kill SCENARIO FROM TO CALL: and what the next start makes of it.
one_kill() {
  kill_on_the_way "$1" "$3" "$4" || return 1
  whole_tables "$2" "$3" || { echo "this table is neither as before nor as after"; return 1; }
  # After half a --cleanup the daemon may be started, or --cleanup again.
  if [ "$3" = nothing ] && [ $(($4 % 2)) = 0 ]; then
    reach served && within 20 state_is served || return 1
  fi
  reach "$3" && within 20 state_is "$3" && unbroken
}

# calls_of SCENARIO TO: how many calls there are on this way, in $calls.
calls_of() {
  kill_on_the_way "$1" "$2" 0 || return 1
  calls=$(grep -oE '[0-9]+ calls' "$work/killed")
  calls=${calls% calls}
  [ "${calls:-0}" -gt 0 ] && reach "$2" && within 20 state_is "$2"
}

# calls_to_try THERE BACK: pairs of them, of the so many that there are on the two ways; 0 is none.
calls_to_try() {
  local most=$(($1 > $2 ? $1 : $2)) call part
  case $kills in
    @*) echo "${kills#@} ${kills#@}" ;;
    all | /*)
      part=${kills#/}
      [ "$part" != all ] || part=1
      for ((call = 1 + RANDOM % part; call <= most; call += part)); do
        echo $((call <= $1 ? call : 0)) $((call <= $2 ? call : 0))
      done
      ;;
    *)
      for ((part = 0; part < kills; ++part)); do
        call=$((part * 1000 / kills + RANDOM % (1000 / kills)))
        echo $((call * $1 / 1000 + 1)) $((call * $2 / 1000 + 1))
      done
      ;;
  esac
}

# scenario NAME FROM TO: from where it is, there and back again, killed on both ways.
scenario() {
  local name=$1 from=$2 to=$3 there back call tried=0
  : >"$work/failures"
  : >"$work/held"
  must "$name: $from" reach "$from"
  must "$name: as recorded" within 20 state_is "$from"
  # --cleanup ends the connections that the daemon's virtual servers have.
  [ "$to" = nothing ] || must "$name: connections" hold held 10.96.10.1
  held=$started
  [ -e "$work/$to.state" ] || must "$name: $to" record "$to"
  must "$name: $from again" reach "$from"
  must "$name: as it was" within 20 state_is "$from"
  must "$name: the calls there" calls_of "$name" "$to"
  there=$calls
  must "$name: the calls back" calls_of "$name" "$from"
  back=$calls
  try() {
    [ "$3" -gt 0 ] || return
    tried=$((tried + 1))
    one_kill "$name" "$1" "$2" "$3" >"$work/output" 2>&1 && return
    { echo "$name, from $1 to $2, call $3 of $there there and $back back: $(cat "$work/killed")"; cat "$work/output"; } |
      tee -a "$work/failures"
    reach "$2" && within 20 state_is "$2"
  }
  while read -r -u 4 call other; do
    try "$from" "$to" "$call"
    try "$to" "$from" "$other"
  done 4< <(calls_to_try "$there" "$back")
  check "$name: $tried kills among $there calls there and $back back" test ! -s "$work/failures"
  must "$name: $from in the end" reach "$from"
  [ "$to" = nothing ] || check "$name: no connection broke" intact held "$held"
}

# texts_of NUMBER: for iptables-restore, a chain in each table.
texts_of() {
  local table last
  for table in mangle nat filter; do
    printf '*%s\n:CRASH - [0:0]\n' $table
    for last in {1..20}; do echo "-A CRASH -s 192.0.2.$last/32 -d 198.51.100.$1/32 -j RETURN"; done
    echo COMMIT
  done
}
# restored NUMBER CALL: by iptables-restore that is killed at this call; 0 is never.
restored() { "$kill_at" "$2" iptables-restore --noflush -w 5 <"$work/text-$1" >"$work/killed" 2>&1; }
# iptables-restore itself, killed between two sets of rules: its tables change one after the other, each at once.
restore_scenario() {
  # Quick ones: there may be more of them.
  local there call number tried=0 kills=$kills
  [[ $kills =~ [^0-9] ]] || kills=$((10 * kills))
  for number in 2 1; do
    texts_of $number >"$work/text-$number"
    restored $number 0
    must "restore: rules" grep '^ended with 0 ' "$work/killed"
    tables >"$work/rules-$number.tables"
  done
  must "restore: they differ" not cmp "$work/rules-1.tables" "$work/rules-2.tables"
  there=$(grep -oE '[0-9]+ calls' "$work/killed")
  there=${there% calls}
  : >"$work/failures"
  while read -r -u 4 call _; do
    number=$((3 - number))
    tried=$((tried + 1))
    restored $number "$call"
    whole_tables rules-1 rules-2 >"$work/output" && continue
    { echo "iptables-restore, call $call of $there: $(cat "$work/killed")"; cat "$work/output"; } | tee -a "$work/failures"
  done 4< <(calls_to_try "$there" "$there")
  check "restore: $tried kills among its $there calls leave no table between" test ! -s "$work/failures"
  for table in mangle nat filter; do
    iptables -t $table -F CRASH && iptables -t $table -X CRASH
  done
}

for name; do
  case $name in
    start-cleanup | start-cleanup-tree) scenario "$name" served nothing ;;
    change) scenario "$name" served edge ;;
    drain) scenario "$name" served drained ;;
    switch | switch-tree) scenario "$name" served routed ;;
    restore) restore_scenario ;;
    *) must "the scenario $name" false ;;
  esac
done
check "no connection of what is not ours broke" intact foreign "$foreign"
finish
