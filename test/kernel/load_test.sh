#!/bin/bash
# The servers under load: a thousand clients each of the health server, the metrics and a Service's health check that
# send a byte at a time, say nothing or never read. The loop does not notice, changes arrive, probes are answered, and
# descriptors are bounded.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

must "the node" node_up
config
sample node solo
replace web.yaml <<'YAML'
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  healthCheckNodePort: 32000
  clusterIP: 10.96.20.1
  clusterIPs: [10.96.20.1]
  ipFamilies: [IPv4]
  ports: [{name: http, protocol: TCP, port: 80, targetPort: 8080, nodePort: 30080}]
YAML
endpoints web http 8080 10.244.1.11 >"$manifests/web-slice.yaml"
start
must "it serves" within 30 serving -t 10.96.20.1:80 1
must "the first sync" within 20 synced

# For each server 1,000 clients: every second one sends the next byte of its request each round, one of four says nothing,
# one of four asks and never reads. Who is sent away comes back. A line each round.
cat >"$work/crowd.py" <<'PYTHON'
import resource, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
REQUEST = b"GET /healthz HTTP/1.1\r\nA: " + b"a" * 1000
servers = [("192.168.77.2", 10256), ("127.0.0.1", 10249), ("192.168.77.2", 32000)]
clients, opened = {}, 0
for turn in range(10**6):
    for number in range(1000):
        for server in servers:
            client = clients.get((server, number))
            try:
                if client is None:
                    client = clients[server, number] = socket.socket()
                    client.settimeout(20)
                    client.connect(server)
                    client.setblocking(False)
                    opened += 1
                    if number % 4 == 3:
                        client.send(b"GET /metrics HTTP/1.1\r\n\r\n" * 3)
                elif number % 2 == 0:
                    client.send(REQUEST[turn:turn + 1])
            except OSError:
                client.close()
                clients[server, number] = None
    print(turn, opened, flush=True)
    time.sleep(1)
PYTHON

descriptors() { find "/proc/$pid/fd" -mindepth 1 | wc -l; }
turns() { awk '$1 == "voluntary_ctxt_switches:" { print $2 }' "/proc/$pid/task/$pid/status"; }
turn() { tail -n 1 "$work/crowd" | cut -d ' ' -f 1; }
reached() { [ "$(turn)" -ge "$1" ]; }
answered() {
  local answer
  answer=$({ printf 'GET /livez HTTP/1.1\r\nHost: node\r\n\r\n' >&3 && timeout 10 cat <&3; } 3<>"/dev/tcp/$1/$2")
  echo "$answer"
  grep -q '^HTTP/1.1 200 ' <<<"$answer"
}
before=$(descriptors)
loop_before=$(turns)
batches=$(metric kube_ipvsd_netlink_batches_total)
run crowd /usr/bin/python3 "$work/crowd.py"
check "a thousand clients of each server" within 120 reached 1
for round in 2 3; do
  check "round $round: the health server answers" answered 192.168.77.2 10256
  check "round $round: the Service's health check answers" answered 192.168.77.2 32000
  check "round $round: the metrics are served" synced
  within 120 reached $round
done
at_most() { echo "$1, at most $2" && [ "$1" -le "$2" ]; }
check "descriptors are bounded: 256 of each server, 64 of a Service" at_most "$(descriptors)" $((before + 256 + 256 + 64 + 16))
loop_turns=$(($(turns) - loop_before))
echo "$(tail -n 1 "$work/crowd" | cut -d ' ' -f 2) connections, $loop_turns turns of the loop, $(($(descriptors) - before)) descriptors"
check "thousands of connections" test "$(tail -n 1 "$work/crowd" | cut -d ' ' -f 2)" -ge 3000
check "no turn of the loop is theirs" at_most "$loop_turns" 300
check "nor anything sent to the kernel, but by the audit" at_most $(($(metric kube_ipvsd_netlink_batches_total) - batches)) 300
replace solo.yaml <<<"$(service solo 10.96.10.77)"
endpoints solo http 8080 10.244.1.12 >"$work/slice" && mv "$work/slice" "$manifests/solo-slice.yaml"
check "a change arrives meanwhile" within 30 serving -t 10.96.10.77:80 1
endpoints web http 8080 10.244.1.11 10.244.1.13 >"$work/slice" && mv "$work/slice" "$manifests/web-slice.yaml"
check "and one more" within 30 serving -t 10.96.20.1:80 2
check "which takes turns" test "$(turns)" -gt $((loop_before + loop_turns))
check "the process never ran out of anything" not says 'EMFILE|warning|error'
kill "${background[-1]}"
wait "${background[-1]}" 2>/dev/null
gone() { [ "$(descriptors)" -le $((before + 4)) ]; }
check "descriptors go when the clients go" within 30 gone
finish
