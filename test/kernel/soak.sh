#!/bin/bash
# A long run: Services come and go, endpoints roll, connections are open and made all the time, and things go wrong at
# random. Every connection is accounted for, and at the end of each round the node is exactly as at the beginning.
#   IPVSD_SOAK_SECONDS  for how long (default 60; scripts/soak.sh takes hours)
#   IPVSD_SEED          what goes wrong when (default 1)
# The daemon is killed and restarted in the first third; the one that lives then is measured for the other two.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh
. test/kernel/soak_faults.sh
. test/kernel/soak_traffic.sh

seconds=${IPVSD_SOAK_SECONDS:-60}
seed=${IPVSD_SEED:-1}
RANDOM=$seed
rounds=0
services=0
rollouts=0
samples_file=$work/samples

uptime_now() { read -r "$1" _ </proc/uptime; }
# elapsed: whole seconds since the beginning.
elapsed() {
  local now
  uptime_now now
  echo $((${now%.*} - ${began%.*}))
}

# node_state: all that is ours, and what is foreign beside it. A virtual server by mark keeps its mark; the order in the
# kernel's tables is nobody's.
node_state() {
  ipvsadm -Sn | sort
  ipset save | grep -v '^create' | sort
  ip -o addr show dev kube-ipvs0 | awk '{ print $4 }' | sort
  saved_rules
}
at_rest() { diff "$work/rest" <(node_state); }

slice_of() { # SERVICE LAST...
  local name=$1 last addresses=()
  shift
  for last; do addresses+=("10.244.1.$last"); done
  endpoints "$name" http "${ports[$name]}" "${addresses[@]}" | replace "$name-endpoints.yaml"
}
some_pods() { # a non-empty choice of the three
  case $((RANDOM % 6)) in
    0) pods=(11) ;; 1) pods=(12) ;; 2) pods=(13) ;; 3) pods=(11 12) ;; 4) pods=(12 13) ;; *) pods=(11 13) ;;
  esac
}

# --- one round --------------------------------------------------------------------------------------------------------

# Services come, each with endpoints, and are met.
churn_up() {
  local i
  come=$((1 + RANDOM % 4))
  for ((i = 1; i <= come; i++)); do
    some_pods
    slice_of "churn-$i" "${pods[@]}"
    service "churn-$i" "10.96.70.$i" | replace "churn-$i.yaml"
  done
  services=$((services + come))
}
churn_answers() {
  local i
  for ((i = 1; i <= come; i++)); do
    within 60 has_address "10.96.70.$i" || return 1
    in_pod client "$traffic" request tcp "10.96.70.$i" 80 --count 5 --timeout 10000 --reset --failures >"$work/met" ||
      { cat "$work/met"; return 1; }
    asked=$((asked + 5))
  done
}
churn_down() {
  local i
  for ((i = 1; i <= come; i++)); do rm "$manifests/churn-$i.yaml" "$manifests/churn-$i-endpoints.yaml"; done
}

# Endpoints are replaced one after the other, as a Deployment does, while connections through them are open.
roll() {
  local name
  hold_for_a_while || return 1
  for name in front edge queue; do
    some_pods
    # The mark leads outside clients to this node's pods, which all three are.
    slice_of $name "${pods[@]}"
  done
  within 60 serving -t 10.96.60.3:80 ${#pods[@]} || return 1
  for name in queue front edge; do slice_of $name 11 12 13; done
  rollouts=$((rollouts + 3))
  within 60 serving -t 10.96.60.3:80 3 || return 1
  held_while
}

sample_process() {
  local now
  uptime_now now
  echo "$now $pid $(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status") $(ls "/proc/$pid/fd" | wc -l)" \
    "$(ipvsadm -Sn | wc -l) $(ipset save | grep -c '^add') $(ls "/proc/$pid/task" | wc -l)" >>"$samples_file"
}

# What is known of connections that wait for an answer.
stuck() {
  local port
  in_pod client ss -Htnoi
  for port in $(in_pod client ss -Htno | awk '/timer:\(on/ { sub(/.*:/, "", $4); print $4 }' | head -n 5); do
    echo "port $port:"
    grep -i " $(printf %04X "$port") " /proc/net/ip_vs_conn
    grep -E "[sd]port=$port " /proc/net/nf_conntrack
  done
}
fail_round() {
  stuck | tail -n 30
  echo "round $rounds, seed $seed, after $(elapsed) s: $*"
  return 1
}
round() {
  rounds=$((rounds + 1))
  churn_up
  harmless_fault || { fail_round "fault $fault"; return; }
  churn_answers || { fail_round "a Service that came is not served (fault $fault)"; return; }
  roll || { fail_round "a rollout (fault $fault)"; return; }
  churn_down
  within 60 at_rest || { fail_round "not at rest (fault $fault)"; return; }
  harmful_fault || { fail_round "fault $fault"; return; }
  alive || { fail_round "the daemon has ended (fault $fault)"; return; }
  sample_process
}
rounds_pass() { while [ "$(elapsed)" -lt "$1" ]; do round || return 1; done; }

# --- the run ----------------------------------------------------------------------------------------------------------

must "the node" topology_up
must "the backends" backends_live
killing_restore
config 'ipvsd: {auditPeriod: 1s, rulesAuditPeriod: 1s}'
sample node
service front 10.96.60.1 'type: NodePort' | sed 's/port: 80,/port: 80, nodePort: 30600,/' | replace front.yaml
edge_service | replace edge.yaml
service queue 10.96.60.3 | replace queue.yaml
service mortal 10.96.60.4 | replace mortal.yaml
for name in front edge queue mortal; do slice_of $name 11 12 13; done
ipvsadm -A -t 192.168.77.2:8443 && ipvsadm -a -t 192.168.77.2:8443 -r 10.244.1.11:8080 -m
in_pod outside ip route add 203.0.113.0/24 via 192.168.77.2
start
must "the VIPs" within 60 has_address 203.0.113.60
must "the first sync" within 60 synced
node_state >"$work/rest"

uptime_now began
must "connections that stay open" hold_throughout
must "requests" request_throughout

kills=yes
must "killed again and again, what is asked for is there, each round" rounds_pass $((seconds / 3))
kills=no
lived_from=$(($(wc -l <"$samples_file") + 1))
must "one process, what is asked for is there, each round" rounds_pass "$seconds"

check "of the connections held all the time none broke" held_throughout
check "every request was answered, but for those that a foreign hand cut off" requests_accounted
check "connections that broke were those to backends that died" test "$broken" = "$died"
check "the foreign virtual server is untouched" destination 192.168.77.2:8443 10.244.1.11:8080 '-w 1$'

# Of the first and the last quarter of the samples from line $lived_from on, the greatest of column $1, or the least.
quarters() {
  tail -n "+$lived_from" "$samples_file" | awk -v column="$1" '{ print $column }' >"$work/column"
  local all quarter order=-n
  [ "$2" = least ] && order=-rn
  all=$(wc -l <"$work/column")
  quarter=$(((all + 3) / 4))
  first=$(head -n $quarter "$work/column" | sort $order | tail -n 1)
  last=$(tail -n $quarter "$work/column" | sort $order | tail -n 1)
  [ "$all" -ge 2 ]
}
# flat COLUMN SLACK NAME [least]
flat() {
  quarters "$1" "${4:-}" || { echo "too few samples"; return 1; }
  echo "$3: $first in the first quarter, $last in the last"
  summary+=("$3 $first -> $last")
  [ "$last" -le $((first + $2)) ]
}
summary=()
check "resident set is flat" flat 3 1024 "resident set KiB"
# The pipes of a program that is being run come and go; what leaks stays.
check "descriptors are flat" flat 4 2 "descriptors" least
check "IPVS is flat" flat 5 0 "IPVS lines"
check "sets are flat" flat 6 0 "set entries"
check "threads are flat" flat 7 0 "threads"
lines=$(grep -c . "$log")
check "the log says each thing once" test "$lines" -le $((60 + 8 * (harmless + harmful)))

echo "soak: seed $seed, $(elapsed) s, $rounds rounds, $services Services came and went, $rollouts rollouts"
echo "soak: faults: $harmless that cost nothing, $harmful that cut off for a moment; the daemon was started again $restarts times"
echo "soak: by name:$(sort "$work/faults" | uniq -c | awk '{ printf " %s %s,", $1, $2 }')" | sed 's/,$//'
echo "soak: connections: $held_count held throughout, $held_rounds for a rollout or more, $broken broke, $died to backends that died"
echo "soak: requests: $asked, $failures failed, all of them in the $windows windows of foreign hands ($window_seconds s)"
printf 'soak: %s\n' "${summary[@]}"
echo "soak: $lines lines in the log, $(grep -c ' warning ' "$log") warnings, $(grep -c ' error ' "$log") errors"
kill -KILL "$mortal"
finish
