#!/bin/bash
# kube-ipvsctl dump beside ipvsadm and ipset, over everything that a virtual server and a destination can be.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
ctl=build/ctl/kube-ipvsctl
[ -x $ctl ] || { echo "skipped: no $ctl"; exit 77; }

status=0
failed() {
  echo "FAILED: $*"
  status=1
}
# equal WHAT EXPECTED FOUND
equal() {
  [ "$2" = "$3" ] || { failed "$1"; diff <(echo "$2") <(echo "$3"); }
}
same_as_ipvsadm() {
  local expected found
  expected=$(ipvsadm -Sn | LC_ALL=C sort) && found=$($ctl dump -o ipvsadm | LC_ALL=C sort) || failed "$1: no dump"
  equal "$1" "$expected" "$found"
}

same_as_ipvsadm "an empty table"
equal "modules and sets are left alone" "" "$(ipset list -n)"
equal "no link is made" "" "$(ip -o link show kube-ipvs0 2>/dev/null)"

tcp=10.0.0.1:80
while read -r line; do
  [ -n "$line" ] || continue
  # shellcheck disable=SC2086 # one word per argument
  ipvsadm $line || failed "ipvsadm $line"
done <<END
-A -t $tcp -s rr
-a -t $tcp -r 10.1.0.1:8080 -m -w 1
-a -t $tcp -r 10.1.0.2:80 -g -w 0
-a -t $tcp -r 10.1.0.3:80 -i -w 65535 -x 100 -y 50
-a -t $tcp -r 10.1.0.4:80 -i --tun-type gue --tun-port 6080 -w 2
-a -t $tcp -r 10.1.0.5:80 -i --tun-type gue --tun-port 6080 --tun-csum
-a -t $tcp -r 10.1.0.6:80 -i --tun-type gue --tun-port 6080 --tun-remcsum
-a -t $tcp -r 10.1.0.7:80 -i --tun-type gue --tun-port 6080 --tun-nocsum
-a -t $tcp -r 10.1.0.8:80 -i --tun-type gre
-a -t $tcp -r 10.1.0.9:80 -i --tun-type gre --tun-csum
-a -t $tcp -r 10.1.0.10:80 -i --tun-type ipip
-a -t $tcp -r 10.1.0.11:80 -g -w 2147483647
-a -t $tcp -r 127.0.0.1:80 -g -w 1 -x 5
-A -t 10.0.0.1:65535 -s dh
-a -t 10.0.0.1:65535 -r 10.1.0.3:0 -m
-A -t 0.0.0.0:65 -s wrr
-A -t 10.0.0.2:0 -s lblc -p 600
-A -t 10.0.0.2:80 -s wlc -p
-A -t 10.0.0.2:81 -s lc -p 60 -M 255.255.255.0
-A -t 10.0.0.2:82 -s lblcr -p 60 -M 255.255.255.255
-A -t 10.0.0.2:83 -s wlc -p 61 -M 0.0.0.0
-A -t 10.0.0.2:84 -s wlc -M 255.255.0.0
-A -t 10.0.0.2:85 -s wlc -p 2678400 -M 255.0.255.0
-A -u 10.0.0.1:53 -s sh -b sh-port
-A -u 10.0.0.1:54 -s sh -b sh-fallback -o
-A -u 10.0.0.1:55 -s sh -b sh-port,sh-fallback -p 300
-A -u 10.0.0.1:56 -s mh -b mh-port,mh-fallback
-A -u 10.0.0.1:57 -s rr -b flag-1,flag-2,flag-3
-A -u 10.0.0.1:58 -s rr -b flag-3
-A -u 10.0.0.1:59 -s sh -b flag-3,sh-port
-A -u 10.0.0.1:60 -s mh -b flag-3
-A -u 10.0.0.1:61 -s mh -b mh-port
-A -u 10.0.0.1:62 -s mh -b mh-fallback
-A -u 10.0.0.1:63 -s rr -o -p 20 -b flag-1
-A -u 10.0.0.9:5060 -s rr -p 60 --pe sip
-A -u 10.0.0.9:5061 -s fo
-A -u 10.0.0.9:5062 -s ovf
-A --sctp-service 10.0.0.3:5060 -s sed
-a --sctp-service 10.0.0.3:5060 -r 10.1.2.3:5061 -m -w 3
-A --sctp-service [fd00::3]:5060 -s nq
-A -t [fd00::1]:80 -s rr
-a -t [fd00::1]:80 -r [fd01::1]:8080 -m
-a -t [fd00::1]:80 -r 10.1.0.1:80 -i
-A -t [fd00::1]:81 -s rr -p 50 -M 128
-A -t [fd00::1]:82 -s rr -p 50 -M 64
-A -t [fd00::1]:83 -s rr -M 64
-A -t [::]:0 -s rr -p 50
-A -t [::ffff:1.2.3.4]:83 -s rr
-A -t [::1.2.3.4]:82 -s rr
-A -t [64:ff9b::1.2.3.4]:82 -s rr
-A -t [1:0:0:2::3]:82 -s rr
-A -u [fd00::9]:5060 -s rr -p 60 --pe sip -o -b flag-2
-A -f 7 -s rr
-a -f 7 -r 10.1.0.1 -g
-a -f 7 -r 10.1.0.1:99 -m
-A -f 7 -6 -s wrr -p 100
-a -f 7 -6 -r [fd00::1]:0 -g
-A -f 8 -6 -s wrr -p 100 -M 64
-A -f 10 -s wrr -p 30 -M 255.255.0.0 -o
-A -f 4294967295 -s rr
END
same_as_ipvsadm "every kind of virtual server"
equal "one address, one protocol" "$(ipvsadm -Sn | grep -e '-u 10.0.0.1:' | LC_ALL=C sort)" \
  "$($ctl dump 10.0.0.1 udp -o ipvsadm | LC_ALL=C sort)"

# What ipvsadm says can be restored (it refuses its own spelling of an empty list of flags and of a large mark).
ipvsadm -D -u 10.0.0.1:60 && ipvsadm -D -f 4294967295
saved=$($ctl dump -o ipvsadm)
ipvsadm -C && ipvsadm -R <<<"$saved" || failed "restore"
equal "restored" "$saved" "$($ctl dump -o ipvsadm)"

ip link add kube-ipvs0 type dummy
ip address add 10.0.0.1/32 dev kube-ipvs0
ip address add fd00::1/128 dev kube-ipvs0 nodad
ipset create KUBE-CLUSTER-IP hash:ip,port comment
ipset add KUBE-CLUSTER-IP 10.0.0.1,tcp:80 comment "of another"
ipset add KUBE-CLUSTER-IP 10.0.0.2,udp:80
ipset create KUBE-NODE-PORT-UDP hash:ip

schema() {
  "$@" | /usr/bin/python3 -B test/unit/ctl_schema_check.py docs/schema/dump.schema.json || failed "schema: $*"
}
schema $ctl dump -o json
schema $ctl dump -o json --members
schema $ctl dump -o json 192.0.2.1
schema $ctl dump -o json --all

# The other forms say the same.
/usr/bin/python3 -c '
import json, subprocess, yaml
dump = lambda form: subprocess.run(["'$ctl'", "dump", "--all", "-o", form], check=True, capture_output=True).stdout
assert yaml.safe_load(dump("yaml")) == json.loads(dump("json"))' || failed "YAML and JSON are not equal"
$ctl dump -o dot $tcp | grep -qF '"10.0.0.1:80/TCP" -> "endpoint 10.1.0.1:8080" [label="1"];' || failed "the graph"
$ctl dump $tcp -o wide | grep -q '^  10.1.0.10:80 ' || failed "the wide table"
long=$($ctl dump | wc -L)
[ "$long" -gt 100 ] || failed "without a terminal nothing is left out"
fits() { [ "$(TERM=xterm script -qec "stty cols $1; $ctl dump" /dev/null </dev/null | tr -d '\r' | sed 's/\x1b\[[0-9]*m//g' | wc -L)" -le "$1" ]; }
fits 100 || failed "the table at 100 columns"
[ -n "$(TERM=xterm script -qec "$ctl dump" /dev/null </dev/null | grep $'\033')" ] || failed "colour on a terminal"
[ -z "$(TERM=xterm NO_COLOR=1 script -qec "$ctl dump" /dev/null </dev/null | grep $'\033')" ] || failed "NO_COLOR"
[ -z "$($ctl dump | grep $'\033')" ] || failed "no colour without a terminal"

# query SELECTOR PYTHON-EXPRESSION over `dump`
query() {
  # shellcheck disable=SC2086
  $ctl dump $1 -o json | /usr/bin/python3 -c "import json, sys; dump = json.load(sys.stdin); print($2)"
}
equal "addresses" "10.0.0.1 fd00::1" "$(query "" '*[a["address"] for a in dump["link"]["addresses"]]')"
equal "a set" "2 ['10.0.0.1,tcp:80']" "$(query $tcp 'dump["sets"][0]["count"], dump["sets"][0]["members"]')"
equal "a set of another type" 1 "$(query "" 'len([s for s in dump["sets"] if "error" in s])')"
$ctl dump $tcp | grep -q '^  10.1.0.2:80 .* draining$' || failed "a draining destination is marked"

# Traffic: five datagrams, and the kernel's estimator some time after.
ip link set lo up
ipvsadm -A -u 127.0.0.1:7777 -s rr -o && ipvsadm -a -u 127.0.0.1:7777 -r 127.0.0.1:7778 -m
for _ in 1 2 3 4 5; do echo hello >/dev/udp/127.0.0.1/7777; done
deadline=$((SECONDS + 20))
until [ "$(query 127.0.0.1:7777/udp 'dump["virtualServers"][0]["statistics"]["inPackets"]')" = 5 ]; do
  [ $SECONDS -lt $deadline ] || { failed "counters"; break; }
done

# A connection that is open, in the kernel's table and in ours.
ipvsadm -A -t 127.0.0.1:7777 -s rr && ipvsadm -a -t 127.0.0.1:7777 -r 127.0.0.1:7779 -m
/usr/bin/python3 -c '
import socket, sys
server = socket.create_server(("127.0.0.1", 7779))
client = socket.create_connection(("127.0.0.1", 7777))
accepted, _ = server.accept()
print(client.getsockname()[1], flush=True)
sys.stdin.read()' <> <(:) >/run/port &
holder=$!
deadline=$((SECONDS + 20))
until [ -s /run/port ] || [ $SECONDS -ge $deadline ]; do :; done
port=$(cat /run/port)
found=$($ctl dump 127.0.0.1:7777/tcp --connections -o json |
  /usr/bin/python3 -c 'import json, sys; print(*[(c["clientPort"], c["destinationPort"], c["state"]) for c in json.load(sys.stdin)["connections"]])')
equal "a connection" "($port, 7779, 'ESTABLISHED')" "$found"
$ctl dump 127.0.0.1:7777/tcp --connections | grep -q "^TCP *127.0.0.1:$port *127.0.0.1:7777 *127.0.0.1:7779 *ESTABLISHED" ||
  failed "a connection in the table"
equal "connections that are not selected" 0 \
  "$($ctl dump 10.0.0.9 --connections -o json | /usr/bin/python3 -c 'import json, sys; print(len(json.load(sys.stdin)["connections"]))')"
schema $ctl dump --connections -o json
kill $holder

# Settings and rules, against the programs that show them.
equal "timeouts" "$(ipvsadm -Ln --timeout | grep -oE '[0-9]+' | xargs)" \
  "$(query "" '*dump["timeouts"].values()')"
equal "a sysctl" "$(cat /proc/sys/net/ipv4/vs/conn_reuse_mode)" "$(query "" 'dump["sysctls"]["net.ipv4.vs.conn_reuse_mode"]')"
equal "no rules" "[[], []]" "$(query "" '[r["chains"] for r in dump["rules"]]')"
iptables -t nat -N KUBE-SERVICES && iptables -t nat -A PREROUTING -j KUBE-SERVICES &&
  iptables -t nat -A KUBE-SERVICES -d 10.0.0.0/8 -m comment --comment 'a "word"' -j RETURN
equal "rules" "$(iptables-save -t nat | grep -e '^-A.*KUBE-' | sed 's/^-A [^ ]* //' | sort)" \
  "$(query "" '*sorted(rule for chain in dump["rules"][0]["chains"] for rule in chain["rules"]), sep="\n"')"
$ctl dump --rules | grep -q '^    -d 10.0.0.0/8 -m comment' || failed "rules in the table"

# ends STATUS WORDS COMMAND...: fails with one line that has the words
ends() {
  local wanted=$1 words=$2 text
  shift 2
  text=$("$@" 2>&1 >/dev/null)
  equal "status of $*" "$wanted" $?
  [[ $text == *"$words"* && $text != *$'\n'* ]] || failed "$*: $text"
}
ends 2 "accepted are an address" $ctl dump no_sense
ends 2 "run kube-ipvsd, or say --manifests" $ctl dump nonsense
ends 2 "accepted are table" $ctl dump -o xml
ends 1 "needs root or CAP_NET_ADMIN" setpriv --reuid nobody --clear-groups $ctl dump
ends 1 "ENOSPC" sh -c "$ctl dump >/dev/full"
exit $status
