#!/bin/bash
# The daemon beside an API server, over TLS and with a token that is checked: objects come, change and go, the server
# breaks its watches, forgets, refuses and disappears; traffic does not notice.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

url=https://127.0.0.1:6443
tls=$work/tls
token=first-token
services=/api/v1/namespaces/default/services
slices=/apis/discovery.k8s.io/v1/namespaces/default/endpointslices

# --- the server -------------------------------------------------------------------------------------------------------

# start_server OPTION...
start_server() {
  rm -f "$work/server"
  run server "$PWD/build/test/fake/fake-api-server" --port 6443 --token "$token" "$@"
  server=$started
  within 30 file_says server '^https://'
}

api() {
  curl -sS --max-time 20 --fail-with-body --cacert "$tls/ca.crt" -H "Authorization: Bearer $token" "$@"
}
# send METHOD PATH <JSON
send() { api -X "$1" -H 'Content-Type: application/json' --data-binary @- "$url$2"; }
control() { api -X POST --data '' "$url/_control/$1"; }

# requests [STATUS] PATTERN: how many of the daemon's requests had that target, and were answered so.
requests() {
  local status='[1-9][0-9]*'
  [ $# = 1 ] || { status=$1 && shift; }
  api "$url/_log" | tr '{' '\n' | grep -F '"userAgent":"kube-ipvsd' | grep -E "\"status\":$status\}" | grep -cE -e "$1"
}
# since WHAT PATTERN [STATUS]: remembers how many there were; more WHAT N: there are N more by now.
declare -A pattern_of status_of count_of
since() {
  pattern_of[$1]=$2
  status_of[$1]=${3:-200}
  count_of[$1]=$(requests "${status_of[$1]}" "$2")
}
more() {
  local now
  now=$(requests "${status_of[$1]}" "${pattern_of[$1]}")
  echo "$1: ${count_of[$1]} before, now $now"
  [ "$now" -ge $((count_of[$1] + $2)) ]
}
no_more() { [ "$(requests "${status_of[$1]}" "${pattern_of[$1]}")" = "${count_of[$1]}" ]; }
whole_state='sendInitialEvents=true|[?&]limit='
watch_only='watch=true&allowWatchBookmarks=true&resourceVersion=[1-9]'

# --- the objects ------------------------------------------------------------------------------------------------------

node() {
  cat <<'JSON'
{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "lab-node"}, "spec": {"podCIDR": "10.244.1.0/24"},
 "status": {"addresses": [{"type": "InternalIP", "address": "192.168.77.2"}, {"type": "Hostname", "address": "lab-node"}]}}
JSON
}
# service_json NAME CLUSTER-IP PORT [REST-OF-SPEC]: PORT as JSON.
service_json() {
  cat <<JSON
{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "$1", "namespace": "default"},
 "spec": {"clusterIP": "$2", "clusterIPs": ["$2"], "ipFamilies": ["IPv4"], "ports": [$3]${4:+, $4}}}
JSON
}
# slice_json SERVICE PORT ADDRESS...
slice_json() {
  local service=$1 port=$2 address list=
  shift 2
  for address; do
    list+="${list:+, }{\"addresses\": [\"$address\"], \"conditions\": {\"ready\": true}, \"nodeName\": \"lab-node\"}"
  done
  cat <<JSON
{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "ports": [$port],
 "metadata": {"name": "$service-4", "namespace": "default", "labels": {"kubernetes.io/service-name": "$service"}},
 "endpoints": [$list]}
JSON
}
http='{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}'
http_node='{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080, "nodePort": 30080}'
pod_http='{"name": "http", "protocol": "TCP", "port": 8080}'
web_has() { slice_json web "$pod_http" "$@" | send PUT $slices/web-4; }
# small_service NAME CLUSTER-IP: at the pod web-1.
small_service() {
  service_json "$1" "$2" "$http" | send POST $services &&
    slice_json "$1" "$pod_http" 10.244.1.11 | send POST $slices
}

# --- the daemon -------------------------------------------------------------------------------------------------------

# Each on a log of its own.
start_daemon() {
  : >"$log"
  "$daemon" "$@" >>"$log" 2>&1 </dev/null &
  pid=$!
}
flags=(--hostname-override lab-node --cluster-cidr 10.244.0.0/16 --conntrack-max-per-core 0)
ended() { not alive; }
# ends: SIGTERM, status 0, and long before any time that a request may take.
ends() {
  kill -TERM "$pid"
  within 10 ended || return 1
  wait "$pid"
  local status=$?
  pid=
  [ $status = 0 ] && says 'ended; the kernel'
}
operations() {
  curl -sS --max-time 10 http://127.0.0.1:10249/metrics | awk '/^kube_ipvsd_operations_total/ { sum += $2 } END { print sum + 0 }'
}
client() { in_pod client "$traffic" "$@"; }
web=10.96.10.1:80
three=(10.244.1.11 10.244.1.12 10.244.1.13)
answering() { each 1 client request tcp 10.96.10.1 80; }
without_failure() {
  kill -TERM "$1" && wait "$1"
  local status=$?
  tail -n 4 "$work/$2"
  [ $status = 0 ] && grep -qx '0 failed' "$work/$2"
}

change_arrives() {
  web_has 10.244.1.11 10.244.1.12 && within 60 serving -t $web 2 && web_has "${three[@]}" && within 60 serving -t $web 3
}

# --- objects come, change and go --------------------------------------------------------------------------------------

must "the node" topology_up
must "the backends" serve_pods
mkdir "$tls"
# No bookmarks for now: what the daemon knows of the version is what its own objects had.
must "the server" start_server --tls-dir "$tls" --bookmark-ms 3600000
check "the server checks the token" not curl -sS --fail --cacert "$tls/ca.crt" "$url/api/v1/services"
start_daemon --kubeconfig "$tls/kubeconfig" "${flags[@]}"
three_watches() { [ "$(requests "$whole_state")" = 3 ]; }
must "it watches" within 30 three_watches
must "the node's object" send POST /api/v1/nodes < <(node)
must "Service web" send POST $services < <(service_json web 10.96.10.1 "$http_node" '"type": "NodePort"')
must "its endpoints" send POST $slices < <(slice_json web "$pod_http" "${three[@]}")
must "Service dns" send POST $services < <(service_json dns 10.96.10.53 \
  '{"name": "dns", "protocol": "UDP", "port": 53, "targetPort": 5353}')
must "its endpoints" send POST $slices < <(slice_json dns '{"name": "dns", "protocol": "UDP", "port": 5353}' "${three[@]}")
must "web's VIP" within 30 has_address 10.96.10.1
must "web's destinations" within 30 serving -t $web 3
must "the node port" within 30 serving -t 192.168.77.2:30080 3
must "dns's destinations" within 30 serving -u 10.96.10.53:53 3
check "ClusterIP from a pod" each 2 client request tcp 10.96.10.1 80
check "ClusterIP from the node" each 2 "$traffic" request tcp 10.96.10.1 80
check "NodePort from outside" each 2 in_pod outside "$traffic" request tcp 192.168.77.2 30080
check "UDP from a pod" each 2 client request udp 10.96.10.53 53
check "nothing else was asked than three watches that begin with the state" \
  test "$(($(requests .) - $(requests /events)))" = 3 # what it told apart

run load ip netns exec client "$traffic" request tcp 10.96.10.1 80 --count 100000 --interval 2
load=$started
must "requests reach every backend" within 20 file_says load '^web-3'
must "web-3 leaves the slice" web_has 10.244.1.11 10.244.1.12
check "a backend that leaves gets no new connections" within 20 serving -t $web 2
must "web-3 returns" web_has "${three[@]}"
check "it gets them again when it returns" within 20 serving -t $web 3
check "no request failed meanwhile" without_failure $load load

must "Service brief" small_service brief 10.96.10.7
check "a Service that comes later is served" within 20 serving -t 10.96.10.7:80 1
must "DELETE of Service brief" api -X DELETE "$url$services/brief"
check "a deleted Service's VIP goes" within 20 not has_address 10.96.10.7
check "and its virtual server" within 20 not has_server -t 10.96.10.7:80
check "and answers no more" unreachable client request tcp 10.96.10.7 80
check "another Service is not touched by that" answering

# --- the watches break ------------------------------------------------------------------------------------------------

run held ip netns exec client "$traffic" hold 10.96.10.1 80 --count 30 --interval 300 --timeout 10000
held=$started
must "30 connections" within 30 file_says held '^30 open'

since states "$whole_state"
since watches "$watch_only"
must "the watches are dropped" control drop-watches
check "dropped watches are opened again" within 30 more watches 3
check "the daemon lives" alive
check "without another list" no_more states
must "Service after-drop" small_service after-drop 10.96.11.1
check "changes arrive after that" within 20 serving -t 10.96.11.1:80 1

must "both are in the kernel" within 20 has_address 10.96.11.1
rules() {
  ipvsadm -Sn
  ip -o addr show dev kube-ipvs0
  ipset save
}
# Connections that each virtual server and destination has taken: from 0 where one is made anew.
counters() { ipvsadm -Ln --stats --exact | awk '{ print $1, $2, $3 }'; }
kernel_state() {
  rules
  counters
}
# as_before COMMAND: it prints what it printed to $work/before.
as_before() {
  "$1" >"$work/after"
  diff "$work/before" "$work/after"
}
# A Service comes and goes: whatever the daemon was told before that, it has dealt with.
one_more_service() {
  service_json passing 10.96.11.2 "$http" | send POST $services &&
    within 30 has_server -t 10.96.11.2:80 && within 30 has_address 10.96.11.2 &&
    api -X DELETE "$url$services/passing" && within 30 as_before rules
}
rules >"$work/before"
before=$(operations)
must "a Service comes and goes" one_more_service
cost=$(($(operations) - before))
before=$((before + cost))
kernel_state >"$work/before"
since states "$whole_state"
must "the server forgets old versions" control compact
must "the watches are dropped" control drop-watches
check "410: the state is read anew" within 30 more states 3
check "410: tables, addresses, sets and counters are as before" as_before kernel_state
rules >"$work/before"
must "a Service comes and goes" one_more_service
nothing_else_written() {
  local now
  now=$(operations)
  echo "$before operations before, now $now, $cost of them for the passing Service"
  [ "$cost" -gt 0 ] && [ "$now" = $((before + cost)) ]
}
check "410: nothing was written because of that" within 10 nothing_else_written

# --- the server goes and returns --------------------------------------------------------------------------------------

save() { api "$url$1" | jq "$2" >"$work/$3.json"; }
# web-3 leaves and after-drop goes while nobody tells.
must "the Services but one are saved" save /api/v1/services '.items |= map(select(.metadata.name != "after-drop"))' services
must "the slices are saved" save /apis/discovery.k8s.io/v1/endpointslices \
  '(.items[] | select(.metadata.name == "web-4").endpoints) |= .[:2]' slices
must "the node is saved" save /api/v1/nodes . nodes
rules >"$work/before"
kill -TERM "$server"
wait "$server"
check "the server is gone, and the daemon says so" within 30 says 'nodes: .*127.0.0.1:6443: no connection'
check "traffic goes on without it" answering
check "the daemon stays" alive
check "without the server the kernel's state stays" as_before rules
again=(--cert "$tls/server.crt" --key "$tls/server.key" --bookmark-ms 1000 --first-version 9000
  --load "$work/services.json" "$work/slices.json" "$work/nodes.json")
must "the server starts again" start_server "${again[@]}"
check "a change made meanwhile is picked up" within 60 serving -t $web 2
check "a Service deleted meanwhile goes" within 60 not has_address 10.96.11.1
must "web-3 returns" web_has "${three[@]}"
check "later changes arrive" within 20 serving -t $web 3
check "SIGTERM ends it while watches are open" ends

# --- the server refuses -----------------------------------------------------------------------------------------------

# The token in a file, the kubeconfig in the configuration file.
sed 's/token: .*/tokenFile: token/' "$tls/kubeconfig" >"$tls/rotating"
# rotate TOKEN: of the file, in one step, as the kubelet does it.
rotate() { printf '%s\n' "$1" >"$tls/next" && mv "$tls/next" "$tls/token"; }
# accept_only TOKEN: from now on; the requests under way end.
accept_only() {
  control "token?value=$1" && token=$1 && control drop-watches
}
rotate $token
config "clientConnection: {kubeconfig: $tls/rotating}"
start_daemon --config "$config"
must "the first sync with a token file" within 30 synced
check "a token file: changes arrive" change_arrives
since watches "$watch_only"
since unauthorized . 401
rotate second-token
must "the server takes the next token only" accept_only second-token
check "a rotated token is used" within 30 more watches 3
check "before the former one is refused" no_more unauthorized
check "a rotated token: changes arrive" change_arrives

must "the server takes another token, not in the file yet" accept_only third-token
check "401 is told" within 30 says 'warning watch services: .*Unauthorized.*; the server does not accept the bearer token'
check "401: traffic goes on" answering
rotate third-token
check "401: changes arrive as soon as the token is there" change_arrives

must "watching slices is forbidden" control 'forbid?verb=watch&resource=endpointslices'
must "the watches are dropped" control drop-watches
check "403 is told, with what to grant" within 30 says \
  'warning watch endpointslices: .*forbidden.*; grant the verb "watch" on "endpointslices" in API group "discovery.k8s.io"'
since refused endpointslices 403
check "403: it is tried again" within 30 more refused 1
check "403: but told once" test "$(grep -c 'grant the verb' "$log")" = 1
check "403: traffic goes on" answering
must "it is allowed again" control allow
check "403: changes arrive once it is allowed" change_arrives
check "SIGTERM ends it" ends

# --- older servers, slow servers, and inside a cluster ----------------------------------------------------------------

sed "s/token: .*/token: $token/" "$tls/kubeconfig" >"$tls/current"
chmod 600 "$tls/current"
must "no WatchList, and the server says so" control 'watchlist?mode=refuse'
since invalid sendInitialEvents 422
since lists '[?&]limit=500&resourceVersion=0'
start_daemon --kubeconfig "$tls/current" "${flags[@]}"
check "without WatchList: the first sync" within 30 synced
check "without WatchList: it was asked for, once for each resource" more invalid 3
check "without WatchList: lists instead" more lists 3
check "without WatchList: changes arrive" change_arrives
check "without WatchList: no warning" not says ' (warning|error) '
check "without WatchList: SIGTERM ends it" ends

must "a server that has never heard of WatchList" control 'watchlist?mode=ignore'
since lists '[?&]limit=500&resourceVersion=0'
start_daemon --kubeconfig "$tls/current" "${flags[@]}"
check "WatchList unknown: the first sync" within 60 synced
check "WatchList unknown: lists instead" more lists 3
check "WatchList unknown: changes arrive" change_arrives
check "WatchList unknown: SIGTERM ends it" ends
must "WatchList again" control 'watchlist?mode=on'

# It takes connections, and that is all.
kill -STOP "$server"
start_daemon --kubeconfig "$tls/current" "${flags[@]}"
must "a daemon that waits for its first answer" within 30 says 'serves node lab-node'
check "a server that does not answer: SIGTERM ends it" ends
kill -CONT "$server"
check "a server that did not answer: nothing was taken away" answering

export KUBERNETES_SERVICE_HOST=127.0.0.1 KUBERNETES_SERVICE_PORT=6443
account=/var/run/secrets/kubernetes.io/serviceaccount
mkdir -p $account
cp "$tls/ca.crt" $account/
start_daemon "${flags[@]}"
refused() {
  within 10 ended || return 1
  wait "$pid"
  [ $? = 1 ] && says "not in a cluster: $account/token is missing" && [ "$(wc -l <"$log")" = 1 ]
}
check "in a cluster, without a token: ends with one line" refused
cp "$tls/token" $account/
start_daemon "${flags[@]}"
check "in a cluster: the first sync" within 30 synced
check "in a cluster: changes arrive" change_arrives
check "in a cluster: ClusterIP from a pod" each 2 client request tcp 10.96.10.1 80
check "in a cluster: SIGTERM ends it" ends

intact() {
  kill -TERM "$held" && wait "$held"
  cat "$work/held"
  file_says held '^30 of 30 connections intact after [0-9]+ rounds, 0 broken$'
}
check "the connections from before all this are intact" intact
finish
