#!/bin/bash
# The clock is set a day ahead and back, and the processor is taken away for half a minute, while the daemon serves: with
# an endpoint that drains, a drain that has a deadline, and an object that cannot be written and is tried again. No
# turns without work, nothing removed too early, no retry lost. On the test kernel only: a clock that is set is everybody's.
#   IPVSD_STOLEN_SECONDS    for how long it is stopped (default 30)
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
grep -q 'User Mode Linux' /proc/cpuinfo || { echo "skipped: this would set the machine's clock"; exit 77; }
. test/kernel/lib.sh
stolen=${IPVSD_STOLEN_SECONDS:-30}

# Bash's SECONDS follows the clock.
uptime_now() { read -r "$1" _ </proc/uptime; }
within() {
  local now end
  uptime_now now
  end=$((${now%.*} + $1))
  shift
  until "$@"; do
    uptime_now now
    [ "${now%.*}" -lt $end ] || { echo "not so in time: $*"; return 1; }
    pause
  done
}
uptime_now began
real=$(date +%s)
put_right() { uptime_now now && date -s "@$((real + ${now%.*} - ${began%.*}))"; }
trap 'put_right >/dev/null; clean_up' EXIT

must "the node" topology_up
must "the backends" serve_pods
config 'ipvsd: {auditPeriod: 1s, rulesAuditPeriod: 1s, drainTimeout: 3600s}'
sample node solo
service queue 10.96.50.1 | replace queue.yaml
queue_has() { endpoints queue http 8080 "$@" | replace queue-endpoints.yaml; }
queue_has 10.244.1.11 10.244.1.12
start
must "the VIPs" within 30 has_address 10.96.50.1
must "the IPv6 VIP" within 30 has_address fd00:10:96::2
must "the first sync" within 30 synced

run held ip netns exec client "$traffic" hold 10.96.50.1 80 --count 2 --interval 200 --timeout 60000 --reset
held=$started
must "a connection to each backend" within 20 file_says held '^2 open'
queue_has 10.244.1.11
drains() { destination 10.96.50.1:80 10.244.1.12:8080 '-w 0$'; }
must "an endpoint drains" within 20 drains
echo 1 >/proc/sys/net/ipv6/conf/kube-ipvs0/disable_ipv6
waiting() { [ "$(metric kube_ipvsd_dirty_objects)" = 1 ]; }
must "an object that cannot be written" within 30 waiting

# Each sleep of the loop is a turn, and each is a voluntary switch of its thread.
turns() { awk '/^voluntary/ { print $2 }' "/proc/$pid/task/$pid/status"; }
audits() { metric kube_ipvsd_audits_total; }
audits_pass() { [ "$(audits)" -ge "$1" ]; }
# turns_in N: turns of the loop while N audits pass.
turns_in() {
  local from
  from=$(turns)
  within 60 audits_pass $(($(audits) + $1)) || return 1
  echo $(($(turns) - from))
}
usual=$(turns_in 5)
must "the loop turns for its audits" test "$usual" -gt 0
echo "turns of the loop in 5 audits: $usual"
no_storm() {
  local now
  now=$(turns_in 5)
  echo "turns in 5 audits: $now, and $usual before"
  [ "$now" -le $((3 * usual + 50)) ]
}
retries() { metric kube_ipvsd_retries_total; }
retried_since() { [ "$(retries)" -gt "$1" ]; }
livez() {
  { printf 'GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3 && timeout 10 cat <&3; } 3<>/dev/tcp/127.0.0.1/10256
}
lives() { livez | tee /dev/stderr | grep -q '^HTTP/1.1 200'; }
arrivals=0
# still_right WHAT: what must hold after something happened to time.
still_right() {
  local before what=$1
  before=$(retries)
  check "$what: the loop does not turn for nothing" no_storm
  check "$what: the endpoint still drains, with its connection" drains
  arrivals=$((arrivals + 1))
  service "late-$arrivals" "10.96.51.$arrivals" | replace "late-$arrivals.yaml"
  check "$what: a change arrives" within 20 has_address "10.96.51.$arrivals"
  ipvsadm -D -t 10.96.10.2:80
  check "$what: drift is repaired" within 20 serving -t 10.96.10.2:80 1
  check "$what: what could not be written is tried again" within 60 retried_since "$before"
  check "$what: it is alive" lives
}

must "the clock is set a day ahead" date -s "@$(($(date +%s) + 86400))"
still_right "a day ahead"
must "the clock is set two days back" date -s "@$(($(date +%s) - 2 * 86400))"
still_right "two days back"
must "the clock is put right" put_right

# The processor is taken away. What happens meanwhile is caught up with.
before=$(retries)
kill -STOP "$pid"
queue_has 10.244.1.11 10.244.1.13
ip addr del 10.96.50.1/32 dev kube-ipvs0
# Nothing to wait for but the time.
uptime_now from
stolen_enough() { uptime_now now && [ $((${now%.*} - ${from%.*})) -ge "$stolen" ]; }
must "time passes" within $((stolen + 30)) stolen_enough
asleep=$(turns)
kill -CONT "$pid"
check "stopped for $stolen s: the VIP comes back" within 20 has_address 10.96.50.1
check "stopped for $stolen s: the change arrives" within 20 destination 10.96.50.1:80 10.244.1.13:8080 '-w 1$'
check "stopped for $stolen s: it catches up in a few turns" test $(($(turns) - asleep)) -le $((3 * usual + 50))
check "stopped for $stolen s: the retry that was due is made" within 20 retried_since "$before"
still_right "stopped for $stolen s"

echo 0 >/proc/sys/net/ipv6/conf/kube-ipvs0/disable_ipv6
check "what could not be written is, once it can be" within 60 has_address fd00:10:96::2
settled() { [ "$(metric kube_ipvsd_dirty_objects)" = 0 ]; }
check "and nothing waits" within 20 settled
intact() {
  kill -TERM $held && wait $held
  cat "$work/held"
  file_says held '^2 of 2 connections intact after [0-9]+ rounds, 0 broken$'
}
check "both connections outlived all of it" intact
check "once its connection is forgotten the endpoint goes" within 60 not destination 10.96.50.1:80 10.244.1.12:8080 ''
check "the failure was told once" test "$(grep -c 'fd00:10:96::2.*will retry' "$log")" = 1
finish
