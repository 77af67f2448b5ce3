#!/bin/bash
# What runs out on a node: room for files, descriptors, processes, entries of a set, connections in the tracking table,
# memory. Each is told once, costs what needs it and nothing else, and is over when there is some again: without a
# restart, except where the kernel kills.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

# says_once PATTERN: one line of the log.
says_once() {
  grep -E -e "$1" "$log"
  [ "$(grep -cE -e "$1" "$log")" = 1 ]
}
# test_count N PATTERN: so many lines of the log.
test_count() {
  grep -E -e "$2" "$log"
  [ "$(grep -cE -e "$2" "$log")" = "$1" ]
}
test_metric() {
  local value
  value=$(metric "$1")
  echo "$1 is $value"
  [ "${value%.*}" = "$2" ]
}
at_least() {
  local value
  value=$(metric "$1")
  echo "$1 is $value"
  [ "${value%.*}" -ge "$2" ]
}
failed_writes='kubeproxy_sync_proxy_rules_iptables_restore_failures_total{ip_family="IPv4"}'
has_rules() { iptables -t nat -S KUBE-SERVICES 2>/dev/null | grep -q KUBE-CLUSTER-IP; }

must "the node" topology_up
must "the backends" serve_pods

# --- ENOSPC and EROFS: the lock of iptables, the ctl socket -----------------------------------------------------------

lock=$work/lock
socket=$work/socket
mkdir "$lock" "$socket"
# Its own folder is the one file that there may be.
must "file systems without room" eval "mount -t tmpfs -o size=4k,nr_inodes=1 lock $lock && mount -t tmpfs -o size=4k,nr_inodes=1 socket $socket"
config 'ipvsd: {ctlSocket: '"$socket"'/ctl.sock, rulesAuditPeriod: 1s}'
sample node solo web
export XTABLES_LOCKFILE=$lock/xtables.lock
start
check "no room for the lock: told" within 30 says "no iptables backend works for IPv4: .*can't open lock file.*No space left on device.*; will retry"
must "a file system that cannot be written" mount -o remount,ro "$lock"
check "the lock cannot be written: told" within 30 says "can't open lock file.*Read-only file system.*; will retry"
check "each told once" test_count 2 "can't open lock file"
check "nothing is written without the rules" not has_server -t 10.96.10.2:80
must "room for the lock" mount -o remount,rw,size=64k,nr_inodes=16 "$lock"
check "with room: the Services come" within 30 has_address 10.96.10.2
check "with room: the rules are there" has_rules
check "no room for the ctl socket: told once" test_count 1 "ctl socket $socket/ctl.sock: busy \(ENOSPC\); kube-ipvsctl cannot ask; will retry"
must "room for the ctl socket" mount -o remount,rw,size=64k,nr_inodes=16 "$socket"
asked() { timeout 20 build/ctl/kube-ipvsctl status --socket "$socket/ctl.sock"; }
check "with room: kube-ipvsctl asks" within 30 asked
stop
unset XTABLES_LOCKFILE
umount "$lock" "$socket"

# --- EMFILE --------------------------------------------------------------------------------------------------------------

: >"$log"
config 'ipvsd: {rulesAuditPeriod: 1s}'
start
must "it serves" within 30 synced
run held ip netns exec client "$traffic" hold 10.96.10.1 80 --count 50 --interval 500 --timeout 10000
held=$started
must "50 connections" within 60 file_says held '^50 open'
began=$SECONDS
# Those it has stay; it gets no other.
must "no descriptor is left" prlimit --pid "$pid" --nofile=5:
run waiting curl -sS --max-time 120 http://127.0.0.1:10256/livez
waiting=$started
check "no descriptors: a connection waits, told once" within 30 says_once 'accept connections: all 5 file descriptors are in use; raise LimitNOFILE.*EMFILE.*; will retry'
service late 10.96.30.1 >"$manifests/late.yaml"
endpoints late http 8080 10.244.1.13 >"$manifests/late-endpoints.yaml"
check "no descriptors: a manifest cannot be read" within 30 says 'manifests: .*EMFILE.*; trying again each second'
must "a rule is taken away" iptables -t nat -D KUBE-SERVICES 1
check "no descriptors: the rules cannot be compared" within 30 says 'run iptables-legacy-save: pipe: busy \(EMFILE\); will retry'
check "no descriptors: nobody knows whether another proxy lives" within 30 says 'look for another proxy: read /proc: busy \(EMFILE\); will retry'
check "no descriptors: the process lives" alive
took=$((SECONDS - began))
must "descriptors" prlimit --pid "$pid" --nofile=1024:
check "with descriptors: the one that waited is answered" wait "$waiting"
check "with descriptors: the Service comes" within 30 serving -t 10.96.30.1:80 1
rules_complete() { iptables -t nat -S KUBE-SERVICES | diff "$work/rules" -; }
start_rules() { iptables -t nat -S KUBE-SERVICES >"$work/rules"; }
check "with descriptors: the rule comes back" within 30 says 'wrote the iptables rules \(IPv4\)'
must "the rules as they are" start_rules
# Six threads accept, ten times a second each.
few_looks() {
  local looks
  looks=$(metric kube_ipvsd_accept_failures_total)
  echo "$looks looks in $took s"
  [ "${looks%.*}" -ge 1 ] && [ "${looks%.*}" -le $((60 * (took + 2))) ]
}
check "nobody ran in circles" few_looks
few_lines() { [ "$(wc -l <"$log")" -le 12 ]; }
check "few lines in the log" few_lines
check "and the process is the same" alive

# --- EAGAIN of fork ------------------------------------------------------------------------------------------------------

groups=/sys/fs/cgroup
group=
if mount -t cgroup2 cgroup "$groups" 2>/dev/null && echo "+pids +memory" >"$groups/cgroup.subtree_control" 2>/dev/null &&
  mkdir "$groups/kernel-test"; then
  group=$groups/kernel-test
fi
if [ -n "$group" ]; then
  : >"$log"
  echo "$pid" >"$group/cgroup.procs"
  awk '$1 == "Threads:" { print $2 }' "/proc/$pid/status" >"$group/pids.max"
  check "no process can be started: told" within 30 says 'run iptables-legacy-save: busy \(EAGAIN\); will retry'
  must "a rule is taken away" iptables -t nat -D KUBE-SERVICES 1
  endpoints late http 8080 10.244.1.12 10.244.1.13 | replace late-endpoints.yaml
  check "no process can be started: Services are served" within 30 serving -t 10.96.30.1:80 2
  check "no process can be started: tried again" within 30 at_least "$failed_writes" 3
  check "no process can be started: told once for each family" test_count 2 EAGAIN
  echo max >"$group/pids.max"
  check "with processes: the rule comes back" within 30 rules_complete
else
  echo "skipped: no cgroup2 with pids and memory here: fork failure, memory limit"
fi

# --- a full set ----------------------------------------------------------------------------------------------------------

: >"$log"
# The set as it is, without room for another entry; and the name under which it would grow is somebody else's.
fill_set() {
  local entries
  entries=$(ipset save KUBE-CLUSTER-IP | grep -c '^add')
  ipset create small hash:ip,port maxelem "$entries" &&
    ipset save KUBE-CLUSTER-IP | sed -n 's/^add KUBE-CLUSTER-IP/add small/p' | ipset restore &&
    ipset swap small KUBE-CLUSTER-IP && ipset destroy small &&
    ipset create KUBE-TMP-1 hash:ip && iptables -N taken && iptables -A taken -m set --match-set KUBE-TMP-1 src
}
in_set() { ipset test KUBE-CLUSTER-IP "$1,tcp:80" 2>/dev/null; }
must "a full set" fill_set
service more 10.96.31.1 | replace more.yaml
endpoints more http 8080 10.244.1.11 | replace more-endpoints.yaml
check "a full set that cannot grow: told" within 30 says '10\.96\.31\.1.*KUBE-TMP-1.*; will retry'
endpoints late http 8080 10.244.1.11 10.244.1.12 10.244.1.13 | replace late-endpoints.yaml
check "a full set: other Services change" within 30 serving -t 10.96.30.1:80 3
check "a full set: tried again" within 30 at_least kube_ipvsd_retries_total 3
check "a full set: told once" test_count 1 'KUBE-TMP-1'
check "a full set: counted" at_least kube_ipvsd_dirty_objects 1
# What a script on the node goes by.
status() { build/ctl/kube-ipvsctl status >"$work/status"; }
exits() {
  local wanted=$1 found
  shift
  "$@"
  found=$?
  [ $found = "$wanted" ] || echo "exit status $found"
  [ $found = "$wanted" ]
}
check "a full set: kube-ipvsctl status exits with 1" exits 1 status
check "and names what fails" file_says status '10\.96\.31\.1'
check "and says so" file_says status 'NOT HEALTHY'
must "an entry goes" rm "$manifests/late.yaml" "$manifests/late-endpoints.yaml"
check "with room: the Service's entry comes" within 60 in_set 10.96.31.1
check "with room: nothing is left to do" within 60 test_metric kube_ipvsd_dirty_objects 0
check "with room: kube-ipvsctl status exits with 0" exits 0 status
let_grow() { iptables -F taken && iptables -X taken && ipset destroy KUBE-TMP-1; }
must "the name is free" let_grow
service late 10.96.30.1 | replace late.yaml
check "a set that can grow does" within 60 in_set 10.96.30.1

# --- a full table of connections -----------------------------------------------------------------------------------------

# Its size is the whole machine's, so only in a machine of our own.
conntrack_max() { nsenter --net=/proc/1/ns/net sysctl -qw net.netfilter.nf_conntrack_max="$1"; }
if [ "$(cat /proc/sys/kernel/hostname)" = vm ]; then
  names() {
    cat <<'YAML'
apiVersion: v1
kind: Service
metadata: {name: names, namespace: default}
spec:
  clusterIP: 10.96.40.1
  clusterIPs: [10.96.40.1]
  ipFamilies: [IPv4]
  ports: [{name: dns, protocol: UDP, port: 53, targetPort: 5353}]
YAML
  }
  names_at() { endpoints names dns 5353 "$1" | sed 's/protocol: TCP/protocol: UDP/' | replace names-endpoints.yaml; }
  names | replace names.yaml
  names_at 10.244.1.11
  must "a UDP Service" within 30 serving -u 10.96.40.1:53 1
  stale() {
    conntrack -I -p udp -s 198.51.100.7 -d 10.96.40.1 --sport 7001 --dport 53 -r 10.244.1.11 -q 198.51.100.7 \
      --reply-port-src 5353 --reply-port-dst 7001 --timeout 900 -u ASSURED,SEEN_REPLY
  }
  flow() { conntrack -L -p udp --orig-dst 10.96.40.1 2>/dev/null | grep -F 'sport=7001 '; }
  must "a flow to its endpoint" stale
  must "connection tracking knows it" flow
  before=$(nsenter --net=/proc/1/ns/net sysctl -n net.netfilter.nf_conntrack_max)
  must "a full table" conntrack_max 1
  check "a full table: new connections fail" unreachable in_pod client "$traffic" request tcp 10.96.10.2 80
  preflight() { "$daemon" --check --config "$config" --manifests "$manifests" | grep -E 'connection tracking is full: [0-9]+ of 1'; }
  check "a full table: --check says so" preflight
  names_at 10.244.1.12
  check "a full table: a stale flow is removed" within 30 not flow
  check "a full table: the endpoint is the new one" within 30 serving -u 10.96.40.1:53 1
  must "room" conntrack_max "$before"
  check "with room: connections succeed" within 30 answers '1 from web-1' in_pod client "$traffic" request tcp 10.96.10.2 80
else
  echo "skipped: a full table of connections: its size is that of the whole machine"
fi

intact() {
  kill -TERM "$held" && wait "$held"
  cat "$work/held"
  file_says held '^50 of 50 connections intact after [0-9]+ rounds, 0 broken$'
}
check "the connections have not noticed any of it" intact
stop

# --- memory --------------------------------------------------------------------------------------------------------------

make_objects() {
  api_objects <<'PYTHON'
items = [node()] + service("solo", "10.96.10.2", ["10.244.1.11"])
for n in range(2000):
    items += app(n, 10)
write(list_of(items))
PYTHON
}
start_with_api() {
  "$@" "$daemon" --config "$config" --master http://127.0.0.1:6443 >>"$log" 2>&1 </dev/null &
  pid=$!
}
all_there() { [ "$(ipvsadm -Sn | grep -c -e '^-A -t 10\.97\.')" = 2000 ]; }
in_group() { echo $BASHPID >"$group/cgroup.procs" && exec "$@"; }
if [ -n "$group" ]; then
  make_objects >"$work/objects.json"
  run api "$PWD/build/test/fake/fake-api-server" --port 6443 --load "$work/objects.json"
  must "the API server" within 60 file_says api '^http://'
  start_with_api in_group
  must "2000 Services with memory" within 120 all_there
  anonymous=$(awk '$1 == "anon" { print $2 }' "$group/memory.stat")
  data=$(awk '$1 == "VmData:" { print $2 * 1024 }' "/proc/$pid/status")
  echo "figure: $((anonymous >> 20)) MiB of its own with 2000 Services of ten endpoints"
  run held ip netns exec client "$traffic" hold 10.96.10.2 80 --count 50 --interval 500 --timeout 10000
  held=$started
  must "50 connections" within 60 file_says held '^50 open'
  stop
  # A third of what it needs is missing: the kernel ends it, however often it begins.
  : >"$log"
  echo $((anonymous * 2 / 3)) >"$group/memory.max"
  start_with_api in_group
  wait "$pid"
  check "the group's limit: the kernel kills it" test $? = 137
  pid=
  killed() { [ "$(awk '$1 == "oom_kill" { print $2 }' "$group/memory.events")" -ge 1 ]; }
  check "and counts that" killed
  check "the Services stay" all_there
  check "and answer" answers '1 from web-1' in_pod client "$traffic" request tcp 10.96.10.2 80
  echo max >"$group/memory.max"
  # Without address space for a LIST it is told what is missing.
  : >"$log"
  start_with_api prlimit --data=$((data - anonymous / 3))
  check "its own limit: told" within 60 says '^kube-ipvsd: out of memory with [0-9]+ MiB resident .* data [1-9][0-9]*; raise LimitAS and LimitDATA'
  # What it could not read it asks for again; where the loop itself had no memory it has ended, or is about to.
  prlimit --pid "$pid" --data=unlimited
  ended() { ! grep -q '^State:[[:space:]]*[^Z]' "/proc/$pid/status" 2>/dev/null; }
  in_step() {
    if ended; then
      wait "$pid"
      start_with_api
    fi
    synced
  }
  check "with memory: it is in step" within 60 in_step
  check "and all is there" all_there
  check "50 connections have not noticed" intact
  stop
fi
finish
