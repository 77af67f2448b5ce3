#!/bin/bash
# The iptables programs fail below a running daemon: a held lock, refusals, a hang, half-written rules, half a listing.
# It counts that, says it once, goes on with all else, and the rules are right as soon as the programs are.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

must "the node" topology_up
must "the backends" serve_pods web-1
backend=nft
iptables --version | grep -q legacy && backend=legacy

# The daemon's PATH. Stand-ins are as the real programs, unless $work/fault-restore or $work/fault-save, which they read
# first, says otherwise.
mkdir "$work/bin"
for name in modprobe "iptables-$backend" "ip6tables-$backend"{,-save,-restore}; do
  ln -s "$(command -v "$name")" "$work/bin/" || must "$name" false
done
for action in save restore; do
  cat >"$work/bin/iptables-$backend-$action" <<STAND_IN
#!/bin/sh
PATH=$PATH real=$(command -v "iptables-$backend-$action") fault=$work/fault-$action
[ ! -e "\$fault" ] || . "\$fault"
exec "\$real" "\$@"
STAND_IN
  chmod +x "$work/bin/iptables-$backend-$action"
done
fault() { echo "$2" >"$work/fault" && mv "$work/fault" "$work/fault-$1"; }
mended() { rm -f "$work/fault-restore" "$work/fault-save"; }

config "ipvsd: {auditPeriod: 1s, rulesAuditPeriod: 1s, iptablesBackend: $backend}"
sample node solo
# shellcheck disable=SC2119
PATH=$work/bin start
must "the first sync" within 30 synced
saved_rules >"$work/rules"
rules_right() { diff "$work/rules" <(saved_rules); }
failures() { metric 'kubeproxy_sync_proxy_rules_iptables_restore_failures_total{ip_family="IPv4"}'; }
failed_since() { [ "$(failures)" -ge $(($1 + $2)) ]; }
damage() { iptables -t nat -F && iptables -t mangle -F KUBE-IPVSD-OUTPUT && iptables -D INPUT 1; }
told() { [ "$(grep -c 'will retry' "$log")" = "$1" ]; }

# suffers NAME TIMES TEXT: damaged rules, so many failures, told in these words, and once.
suffers() {
  local before
  before=$(failures)
  check "$1: is counted" within 90 failed_since "$before" "$2"
  check "$1: is told" says " warning .*$3.*; will retry"
  check "$1: once" told 1
}
# recovers NAME
recovers() {
  mended
  check "$1: right once it is over" within 30 rules_right
  check "$1: still told once" told 1
}
# tries NAME save|restore SCRIPT TEXT
tries() {
  : >"$log"
  fault "$2" "$3"
  must "$1: damaged rules" damage
  suffers "$1" 2 "$4"
  recovers "$1"
}
# shellcheck disable=SC2016 # for the stand-in
{
  tries "exit status 4" restore 'echo "Another app is currently holding the xtables lock" >&2; exit 4' 'exit status 4: Another app'
  tries "killed" restore 'kill -9 $$' 'killed by signal 9'
  tries "half-written rules" restore 'head -n 20 | "$real" "$@"; exit' 'exit status [1-4]'
  tries "half-written rules, then killed" restore 'head -n 20 | "$real" "$@"; kill -9 $$' 'killed by signal 9'
  tries "half a listing" save '"$real" "$@" | head -c 1500; exit 0' 'line [0-9]+'
  tries "garbage for a listing" save 'head -c 500 /dev/zero; exit 0' 'line 1: breaks off'
}

# Cut between two tables a listing looks whole: what it left out is then there twice.
: >"$log"
# shellcheck disable=SC2016
fault save '"$real" "$@" | sed "/^COMMIT/q"; rm -f "$fault"; exit 0'
wrote_again() { says 'wrote the iptables rules \(IPv4\)'; }
check "a listing cut between tables: the rules are written" within 30 wrote_again
check "a listing cut between tables: nothing is there twice in the end" within 30 rules_right
check "and traffic goes on" answers '1 from web-1' in_pod client "$traffic" request tcp 10.96.10.2 80

: >"$log"
mv "$work/bin/iptables-$backend-restore" "$work/away"
must "the program is gone: damaged rules" damage
suffers "the program is gone" 2 "iptables-$backend-restore"
mv "$work/away" "$work/bin/iptables-$backend-restore"
recovers "the program is gone"

# The real lock, as another program holds it.
if [ $backend = legacy ]; then
  : >"$log"
  fault restore 'exit 4'
  must "a held lock: damaged rules" damage
  exec {lock}>/run/xtables.lock
  must "the lock" flock -n $lock
  mended
  : >"$log"
  suffers "a held lock" 2 'exit status 4: .*Another app is currently holding the xtables lock'
  service late 10.96.30.1 >"$manifests/late.yaml"
  endpoints late http 8080 10.244.1.11 >"$manifests/late-endpoints.yaml"
  check "a held lock: Services are written nevertheless" within 30 serving -t 10.96.30.1:80 1
  exec {lock}>&-
  recovers "a held lock"
fi

: >"$log"
# shellcheck disable=SC2016
fault restore 'mv "$fault" "$fault.past"; echo $$ >"$fault.hung"; exec sleep 600'
must "a hang: damaged rules" damage
suffers "a hang" 1 'no end after 30000 ms, killed'
gone() { ! kill -0 "$(cat "$work/fault-restore.hung")" 2>/dev/null; }
mended
check "a hang: the program is gone" within 10 gone
recovers "a hang"
check "all else went on: nothing waits" test "$(metric kube_ipvsd_dirty_objects)" = 0
check "the daemon lives" alive
finish
