# The traffic of soak.sh, to be sourced behind lib.sh. Counted in: held_count, held_rounds, broken, died, asked,
# failures.
# shellcheck shell=bash
held_rounds=0
broken=0
died=0
asked=0
failures=0
holders=()
requesters=()

# Outside clients of edge (externalTrafficPolicy Local) are led by a mark.
edge_service() {
  service edge 10.96.60.2 'type: LoadBalancer' 'externalTrafficPolicy: Local' |
    sed 's/port: 80,/port: 80, nodePort: 30601,/'
  echo 'status: {loadBalancer: {ingress: [{ip: 203.0.113.60}]}}'
}

# Two connections of one client from one port to one backend by way of two VIPs are one to that backend: IPVS translates
# the destination alone, and the later one spoils the earlier. Such do not occur here: each Service has a port of its own.
declare -A ports=([front]=8080 [mortal]=8081 [edge]=8082 [queue]=8083
  [churn-1]=8084 [churn-2]=8085 [churn-3]=8086 [churn-4]=8087)
backends_live() {
  local name pod
  for name in "${!ports[@]}"; do
    for pod in web-1 web-2 web-3; do
      [ "$name $pod" != "mortal web-3" ] || continue
      background+=("$(in_pod $pod "$traffic" serve $pod --tcp "${ports[$name]}" --background)") || return 1
    done
  done
  mortal_lives
}
mortal_lives() { mortal=$(in_pod web-3 "$traffic" serve web-3 --tcp "${ports[mortal]}" --background); }

# keep NAME NETNS N ADDRESS PORT: N connections until the end.
keep() {
  run "held-$1" ip netns exec "$2" "$traffic" hold "$4" "$5" --count "$3" --interval 1000 --timeout 60000 --reset
  holders+=("$1:$started")
  held_count=$((${held_count:-0} + $3))
  within 60 file_says "held-$1" "^$3 open"
}
hold_throughout() {
  holders=()
  keep pod client 30 10.96.60.1 80 && keep node-port outside 30 192.168.77.2 30600 &&
    keep mark outside 30 203.0.113.60 80 && keep queue client 10 10.96.60.3 80
}
# held_throughout: ends them; none broke.
held_throughout() {
  local holder status=0
  for holder in "${holders[@]}"; do
    kill -TERM "${holder#*:}" && wait "${holder#*:}" || status=1
    tail -n 2 "$work/held-${holder%:*}"
    file_says "held-${holder%:*}" '^([0-9]+) of \1 connections intact .*, 0 broken$' || status=1
  done
  return $status
}

# ask_on NAME NETNS PROTOCOL ADDRESS PORT: one request after the other until the end.
ask_on() {
  run "asked-$1" ip netns exec "$2" "$traffic" request "$3" "$4" "$5" --count 100000000 --interval 100 \
    --timeout 10000 --reset --failures
  requesters+=("$1:$started")
}
request_throughout() {
  ask_on pod client tcp 10.96.60.1 80
  ask_on node-port outside tcp 192.168.77.2 30600
  ask_on mark outside tcp 203.0.113.60 80
}
# A request may fail that was under way between a foreign hand and its repair.
requests_accounted() {
  local requester name status=0
  for requester in "${requesters[@]}"; do
    name=${requester%:*}
    kill -TERM "${requester#*:}"
    wait "${requester#*:}"
    failures=$((failures + $(grep -c '^failed ' "$work/asked-$name")))
    asked=$((asked + $(awk '/^[0-9]+ (from|failed)/ { sum += $1 } END { print sum + 0 }' "$work/asked-$name")))
    awk -v name="$name" 'NR == FNR { from[NR] = $1; to[NR] = $2; n = NR; next }
      /^failed / { for (i = 1; i <= n; i++) if ($3 + 0 >= from[i] && $2 + 0 <= to[i]) next; print name, $0; bad = 1 }
      END { exit bad }' "$work/windows" "$work/asked-$name" || status=1
  done
  return $status
}

# Connections through what rolls: they outlive the rollout.
hold_for_a_while() {
  run rolling ip netns exec client "$traffic" hold 10.96.60.3 80 --count 6 --interval 100 --timeout 30000 --reset
  rolling=$started
  within 60 file_says rolling '^6 open'
}
held_while() {
  kill -TERM $rolling && wait $rolling
  held_rounds=$((held_rounds + 6))
  cat "$work/rolling"
  file_says rolling '^6 of 6 connections intact .*, 0 broken$'
}

# mortal_dies HOW: a backend dies, with the connections that it has, and no others; another comes in its place. HOW is what
# happens before: "true", and their clients get a FIN; "until_data_waits", and they get a RST, which is sent only once.
mortal_dies() {
  local theirs said
  run dying ip netns exec client "$traffic" hold 10.96.60.4 80 --count 9 --interval 100 --timeout 60000 --reset
  within 60 file_says dying '^9 open' || return 1
  theirs=$(awk '$3 == "web-3" { print $1 }' "$work/dying")
  [ "${theirs:-0}" -gt 0 ] || { echo "no connection to web-3"; return 1; }
  $1 && kill -KILL "$mortal" || return 1
  slice_of mortal 11 12
  within 60 serving -t 10.96.60.4:80 2 || return 1
  within 90 dead_ones_counted "$theirs" || return 1
  kill -TERM "$started"
  wait "$started"
  cat "$work/dying"
  said=$(awk '/ intact after / { print $(NF - 1) }' "$work/dying")
  broken=$((broken + said))
  died=$((died + theirs))
  held_rounds=$((held_rounds + 9))
  # Each heard of it: none is counted because nothing came.
  not file_says dying 'no answer in time' || return 1
  mortal_lives || return 1
  slice_of mortal 11 12 13
  within 60 serving -t 10.96.60.4:80 3
}
dead_ones_counted() { [ "$(grep -c '^broken in round' "$work/dying")" -ge "$1" ]; }
until_data_waits() {
  kill -STOP "$mortal"
  within 60 data_waits
}
data_waits() { in_pod web-3 ss -Htn "sport = :${ports[mortal]}" | awk '$2 > 0 { n++ } END { exit n == 0 }'; }
