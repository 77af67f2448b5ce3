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
# Of the calls only those count that can change something outside of the process, and the end of the way: at the others
# the killed process leaves nothing else behind (kill_at.cpp). IPVSD_CALLS=any counts them all; so does "restore".
# IPVSD_KILLS: how many calls each way are tried, spread over all there are (default 1); "all": each one, and then the
# end; "N-": these from the Nth on; "/N": every Nth. IPVSD_SEED says which ones. A failure names the call:
# IPVSD_KILLS=@CALL tries that one.
# How long the kernel may take to be as it should is IPVSD_WITHIN seconds (default 20).
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

kills=${IPVSD_KILLS:-1}
RANDOM=${IPVSD_SEED:-1}
patience=${IPVSD_WITHIN:-20}
kill_at=$PWD/build/test/kernel/kill_at
counted=--changing
[ "${IPVSD_CALLS:-changing}" = changing ] || counted=
[ $# -gt 0 ] || set -- restore start-cleanup-tree change drain switch

# counts N CMD...: so many of its calls may change something outside.
counts() {
  local number=$1
  shift
  "$kill_at" 0 --changing "$@" | grep -E "^ended with 0 after [0-9]+ calls, $number changing$"
}
check "a program that does nothing changes nothing" counts 0 true
check "to make a folder changes something, to load the program for it does not" counts 1 mkdir "$work/made"

must "the node" topology_up
must "the backends" serve_pods

# The states that the scenarios go between: what is asked for is one text each, and "routed" is another mode.
declare -A asked
asked[served]=$(for name in node web; do cat "$samples/$name.yaml"; echo ---; done)
# Of the IPv4 endpoints one stays; of those that leave, the TCP ones have connections.
asked[drained]=$(grep -v -e '10\.244\.1\.1[23]\]' <<<"${asked[served]}")
asked[edge]=$(
  echo "${asked[served]}"
  cat "$samples/edge.yaml"
  echo ---
  service local 10.96.30.1 'type: LoadBalancer' 'externalTrafficPolicy: Local' 'externalIPs: [203.0.113.40]'
  echo ---
  endpoints local http 8080 10.244.1.13
)
asked[routed]=${asked[served]}
asked[nothing]=${asked[served]}

# Finding out which backend works costs time.
backend=nft
iptables --version | grep -q legacy && backend=legacy
# A surviving iptables-restore may write beside the next daemon, which sees that when it looks again.
mode="rulesAuditPeriod: 5s, iptablesBackend: $backend"
config "ipvsd: {$mode, serviceAddresses: route, serviceCIDRs: [10.96.0.0/16, 'fd00:10:96::/112']}"
mv "$config" "$work/routed.yaml"
config "ipvsd: {$mode, serviceAddresses: bind}"
mv "$config" "$work/bound.yaml"
# No daemon runs meanwhile.
ask_for() {
  printf '%s\n' "${asked[$1]}" >"$manifests/all.yaml"
  config=$work/bound.yaml
  [ "$1" != routed ] || config=$work/routed.yaml
}

# Each program that is started costs a tenth of a second on the test kernel, so bash itself compares; and as it reads
# pipes and sockets byte by byte, at 20 us each, what the few programs say goes through files.

# read_rules: $rules[FAMILY TABLE], our chains and the rules there that are not the kernel's own, a line each.
declare -A rules
read_rules() {
  local family table line lines
  rules=()
  for family in ip ip6; do
    for table in mangle nat filter; do rules[$family $table]=; done
    ${family}tables-save >"$work/dump"
    mapfile -t lines <"$work/dump"
    for line in "${lines[@]}"; do
      case $line in
        \**) table=${line#\*} ;;
        -* | :*' - '*) rules[$family $table]+="$family $table ${line% \[*:*\]}"$'\n' ;;
      esac
    done
  done
}
# read_state: $state[LINE], all that the daemon writes; order within a set, or of virtual servers, says nothing.
# Whether the link is up does not matter, and stays so after "route"; nor does which mark outside clients get: one that
# was taken and led nowhere yet when the daemon died is not given out again before it is removed.
declare -A state
printf '%s\n' 'addr show dev kube-ipvs0' 'route show table all proto 107' >"$work/ip-batch"
add_line() {
  local line=$1
  [ -n "$line" ] || return 0
  # What is there twice counts twice.
  while [ -n "${state["$line"]+there}" ]; do line+=' (again)'; done
  state["$line"]=1
}
read_state() {
  local line lines number=none mark=none
  state=()
  {
    ipvsadm -Sn
    ipset save
    ip -o -force -batch "$work/ip-batch" 2>/dev/null
  } >"$work/dump"
  mapfile -t lines <"$work/dump"
  for line in "${lines[@]}"; do
    [[ ! $line =~ ^(.*)' initval 0x'[0-9a-f]+(.*)$ ]] || line=${BASH_REMATCH[1]}${BASH_REMATCH[2]}
    [[ ! $line =~ ^[0-9]+:\ (.*)$ ]] || line=${BASH_REMATCH[1]}
    # ipvsadm comes first. There is one such frontend.
    if [[ $line =~ ^-A\ -f\ ([0-9]+)\  ]]; then
      printf -v mark 'skbmark 0x%x/' "${BASH_REMATCH[1]}"
      number=${BASH_REMATCH[1]}
    fi
    line=${line/ -f $number / -f MARK }
    line=${line/$mark/skbmark MARK/}
    line=${line/#add KUBE-IPVSD-MARKS 0.0.0.$number/add KUBE-IPVSD-MARKS MARK}
    add_line "$line"
  done
  read_rules
  printf '%s' "${rules[@]}" >"$work/dump"
  mapfile -t lines <"$work/dump"
  for line in "${lines[@]}"; do add_line "$line"; done
}

# state_is NAME: as recorded. Says what differs.
declare -A states whole
state_is() {
  local line same=true
  read_state
  for line in "${!state[@]}"; do
    [ -n "${states["$1 $line"]+there}" ] || { echo "> $line"; same=false; }
  done
  for line in "${!states[@]}"; do
    [ "${line%% *}" != "$1" ] || [ -n "${state["${line#* }"]+there}" ] || { echo "< ${line#* }"; same=false; }
  done
  $same
}
# whole_tables FROM TO: each one is as in this state or in that.
whole_tables() {
  local table same=true
  read_rules
  for table in "${!rules[@]}"; do
    [ "${rules[$table]}" = "${whole[$1 $table]}" ] || [ "${rules[$table]}" = "${whole[$2 $table]}" ] ||
      { echo "neither as before nor as after: ${rules[$table]}"; same=false; }
  done
  $same
}
record_rules() {
  local table
  for table in "${!rules[@]}"; do whole[$1 $table]=${rules[$table]}; done
}

# As "synced" of lib.sh.
has_synced() {
  local metrics metric='kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family="IPv4"} '
  { exec 3<>/dev/tcp/127.0.0.1/10249; } 2>/dev/null || return 1
  printf 'GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
  cat <&3 >"$work/metrics" 2>/dev/null
  exec 3>&-
  mapfile -t metrics <"$work/metrics"
  [[ ${metrics[*]} =~ "$metric"([^ ]*) && -n ${BASH_REMATCH[1]//[0.]/} ]]
}

# reach STATE: by a daemon that nobody kills. It runs then, but for "nothing".
reach() {
  [ -z "$pid" ] || stop KILL
  ask_for "$1"
  if [ "$1" = nothing ]; then
    "$daemon" --config "$config" --cleanup >>"$log" 2>&1 </dev/null
  else
    # shellcheck disable=SC2119
    start
    within 30 has_synced
  fi
}
# A drained endpoint without connections goes a second after its weight.
only_drains() { [ "$(ipvsadm -Sn | grep -c -e ' -w 0$')" = 2 ]; }
record() {
  local line
  reach "$1" || return 1
  [ "$1" != drained ] || within "$patience" only_drains || return 1
  read_state
  for line in "${!state[@]}"; do states["$1 $line"]=1; done
  record_rules "$1"
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
# says is in $killed.
kill_on_the_way() {
  local traced process='' line said
  case $1 in
    change | drain)
      printf '%s\n' "${asked[$2]}" >"$work/next"
      traced=(--rename "$work/next" "$manifests/all.yaml" --pid "$pid")
      process=$pid
      pid=
      ;;
    *)
      [ -z "$pid" ] || stop KILL
      ask_for "$2"
      traced=("$daemon" --config "$config" --manifests "$manifests")
      [ "$2" != nothing ] || traced=("$daemon" --config "$config" --cleanup)
      ;;
  esac
  [ "${1%-tree}" = "$1" ] || traced=(--tree "${traced[@]}")
  # Longer than it takes until a drained endpoint goes.
  "$kill_at" "$3" $counted --for 1700 "${traced[@]}" >"$work/said" 2>&1 </dev/null
  [ -z "$process" ] || wait "$process" 2>/dev/null
  mapfile -t said <"$work/said"
  killed=
  for line in "${said[@]}"; do [[ ! $line =~ ^(killed|ended)\ .*changing$ ]] || killed=$line; done
  [ -n "$killed" ] && return
  printf '%s\n' "${said[@]}"
  return 1
}

# unbroken: so far, as the clients say.
unbroken() {
  local said
  cat "$work/foreign" "$work/held" >"$work/dump"
  mapfile -t said <"$work/dump"
  case ${said[*]} in *broken*) printf '%s\n' "${said[@]}" && return 1 ;; esac
}
# one_kill SCENARIO FROM TO CALL: and what the next start makes of it.
one_kill() {
  kill_on_the_way "$1" "$3" "$4" && whole_tables "$2" "$3" || return 1
  # After half a --cleanup the daemon may be started, or --cleanup again.
  if [ "$3" = nothing ] && [ $(($4 % 2)) = 0 ]; then
    reach served && within "$patience" state_is served || return 1
  fi
  reach "$3" && within "$patience" state_is "$3" && unbroken
}

# calls_of SCENARIO TO: how many calls there are on this way, in $calls, and $changing of them can change something.
calls_of() {
  kill_on_the_way "$1" "$2" 0 || return 1
  # At the end of the way, and not before.
  state_is "$2" || return 1
  [[ $killed =~ ([0-9]+)\ calls,\ ([0-9]+)\ changing ]] || return 1
  calls=${BASH_REMATCH[1]}
  changing=${BASH_REMATCH[2]}
  reach "$2" && within "$patience" state_is "$2"
}

# sample_of THERE BACK: pairs of the so many calls that there are on the two ways.
sample_of() {
  local call part
  for ((part = 0; part < kills; ++part)); do
    call=$((part * 1000 / kills + RANDOM % (1000 / kills)))
    echo $((call * $1 / 1000 + 1)) $((call * $2 / 1000 + 1))
  done
}

# scenario NAME FROM TO: from where it is, there and back again, killed on both ways.
scenario() {
  local name=$1 from=$2 to=$3 there back call other tried=0 ways calls changing killed begun=$SECONDS
  : >"$work/failures"
  : >"$work/held"
  must "$name: $from" reach "$from"
  must "$name: as recorded" within "$patience" state_is "$from"
  # --cleanup ends the connections that the daemon's virtual servers have.
  [ "$to" = nothing ] || must "$name: connections" hold held 10.96.10.1
  held=$started
  [ -n "${whole["$to ip nat"]+there}" ] || must "$name: $to" record "$to"
  must "$name: $from again" reach "$from"
  must "$name: as it was" within "$patience" state_is "$from"
  must "$name: the calls there" calls_of "$name" "$to"
  ways="to $to $calls calls, $changing that may change something"
  there=$changing
  [ -n "$counted" ] || there=$calls
  must "$name: the calls back" calls_of "$name" "$from"
  ways+="; back $calls, $changing"
  back=$changing
  [ -n "$counted" ] || back=$calls
  echo "$name: $ways"

  # try FROM TO CALL: goes all the way, at the latest after the kill. $over: it was over before this call.
  try() {
    tried=$((tried + 1))
    killed=
    if ! one_kill "$name" "$1" "$2" "$3" >"$work/output" 2>&1; then
      { echo "$name, from $1 to $2, call $3: $killed"; tail -n 20 "$work/output"; } | tee -a "$work/failures"
      reach "$2" && within "$patience" state_is "$2" >"$work/output"
    fi
    case $killed in 'killed at '*) over=false ;; *) over=true ;; esac
  }
  # sweep FIRST STEP: both ways, each until it is over before the call.
  sweep() {
    local over there_over=false back_over=false
    for ((call = $1; ; call += $2)); do
      ! $there_over || ! $back_over || break
      if $there_over; then reach "$to"; else try "$from" "$to" "$call" && there_over=$over; fi
      if $back_over; then reach "$from"; else try "$to" "$from" "$call" && back_over=$over; fi
      [ $((call / $2 % 50)) != 0 ] || echo "$name: call $call, $tried kills in $((SECONDS - begun)) s"
    done
  }
  case $kills in
    @*)
      try "$from" "$to" "${kills#@}"
      try "$to" "$from" "${kills#@}"
      ;;
    all) sweep 1 1 ;;
    *-) sweep "${kills%-}" 1 ;;
    /*) sweep $((1 + RANDOM % ${kills#/})) "${kills#/}" ;;
    *)
      while read -r -u 4 call other; do
        try "$from" "$to" "$call"
        try "$to" "$from" "$other"
      done 4< <(sample_of "$there" "$back")
      ;;
  esac
  check "$name: $tried kills, $((SECONDS - begun)) s; $ways" test ! -s "$work/failures"
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
# restored NUMBER CALL: by iptables-restore that is killed at this call, of all that it makes; 0 is never.
restored() {
  "$kill_at" "$2" iptables-restore --noflush -w 5 <"$work/text-$1" >"$work/said" 2>&1
  mapfile -t killed <"$work/said"
}
# iptables-restore itself, killed between two sets of rules: its tables change one after the other, each at once.
restore_scenario() {
  local there=0 call number killed calls
  for number in 2 1; do
    texts_of $number >"$work/text-$number"
    restored $number 0
    must "restore: rules" file_says said '^ended with 0 '
    read_rules
    record_rules rules-$number
  done
  must "restore: they differ" test "${whole["rules-1 ip nat"]}" != "${whole["rules-2 ip nat"]}"
  [[ ! ${killed[*]} =~ ([0-9]+)\ calls ]] || there=${BASH_REMATCH[1]}
  must "restore: calls" test "$there" -gt 0
  : >"$work/failures"
  # Quick ones: there may be more of them.
  case $kills in
    @*) calls=("${kills#@}") ;;
    all) mapfile -t calls < <(seq "$there") ;;
    *-) mapfile -t calls < <(seq "${kills%-}" "$there") ;;
    /*) mapfile -t calls < <(seq $((1 + RANDOM % ${kills#/})) "${kills#/}" "$there") ;;
    *) mapfile -t calls < <(kills=$((10 * kills)) && sample_of "$there" "$there" | cut -d ' ' -f 1) ;;
  esac
  for call in "${calls[@]}"; do
    number=$((3 - number))
    restored $number "$call"
    whole_tables rules-1 rules-2 >"$work/output" && continue
    { echo "iptables-restore, call $call of $there: ${killed[*]}"; cat "$work/output"; } | tee -a "$work/failures"
  done
  check "restore: ${#calls[@]} kills among its $there calls leave no table between" test ! -s "$work/failures"
  for table in mangle nat filter; do
    iptables -t $table -F CRASH && iptables -t $table -X CRASH
  done
}

ended=0
for name; do
  case $name in
    start-cleanup | start-cleanup-tree) scenario "$name" served nothing ;;
    change) scenario "$name" served edge ;;
    drain) scenario "$name" served drained ;;
    switch | switch-tree) scenario "$name" served routed ;;
    restore) restore_scenario ;;
    *) must "the scenario $name" false ;;
  esac
  ended=$((ended + 1))
done
must "all scenarios went to their ends" test "$ended" = $#
check "no connection of what is not ours broke" intact foreign "$foreign"
finish
