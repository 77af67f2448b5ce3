# What the kernel tests share, to be sourced after a cd to the project's folder: a node (topology.sh), the daemon on it,
# waiting with a deadline, and checks that count.
#
#   config [LINE...]            writes $config: the node's name, the pods' addresses and these lines of YAML
#   start [OPTION...]           starts the daemon ($pid) on $config and $manifests; its log grows in $log
#   stop [SIGNAL]               ends it and waits for that (default TERM)
#   within SECONDS CMD...       runs CMD again and again until it succeeds
#   check NAME CMD...           one case: CMD succeeds. Says ok or FAILED with what CMD printed
#   must WHAT CMD...            what the rest of the test stands on: if CMD fails, the test ends here
#   finish                      ends the test: "N passed, N failed" and the exit status
#
# A manifest changes in one step: replace NAME <CONTENT. The predicates below the line are for check and within.
# shellcheck shell=bash
. test/kernel/topology.sh

daemon=${IPVSD_BINARY:-$PWD/build/daemon/kube-ipvsd}
traffic=$PWD/build/test/kernel/traffic
samples=$PWD/test/kernel/manifests
work=$(mktemp -d -p /run kernel-test.XXXXXX) || exit 1
config=$work/config.yaml
manifests=$work/manifests
log=$work/log
pid=
background=()
passed=0
failed=0
mkdir "$manifests"
mkfifo "$work/silence"
exec {silence}<>"$work/silence"

clean_up() {
  local process
  for process in $pid "${background[@]}"; do
    kill -KILL "$process"
    wait "$process"
  done 2>/dev/null
  rm -rf "$work"
}
trap clean_up EXIT

config() {
  {
    cat <<'YAML'
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: ipvs
hostnameOverride: lab-node
clusterCIDR: 10.244.0.0/16,fd00:10:244::/56
conntrack: {maxPerCore: 0} # a network namespace cannot raise it
YAML
    [ $# = 0 ] || printf '%s\n' "$@"
  } >"$config"
}

start() {
  "$daemon" --config "$config" --manifests "$manifests" "$@" >>"$log" 2>&1 </dev/null &
  pid=$!
}

stop() {
  kill "-${1:-TERM}" "$pid"
  wait "$pid" 2>/dev/null
  local status=$?
  pid=
  return $status
}

pause() { read -r -t 0.05 -u "$silence"; true; }

within() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    if [ $SECONDS -ge $deadline ]; then
      echo "not so in time: $*"
      return 1
    fi
    pause
  done
}

check() {
  local name=$1
  shift
  if "$@" >"$work/output" 2>&1; then
    echo "ok: $name"
    passed=$((passed + 1))
    return
  fi
  echo "FAILED: $name: $*"
  tail -n 40 "$work/output" | sed 's/^/  /'
  if [ -s "$log" ]; then tail -n 8 "$log" | sed 's/^/  log: /'; fi
  failed=$((failed + 1))
}

must() {
  local what=$1
  shift
  "$@" >"$work/output" 2>&1 && return
  sed 's/^/  /' "$work/output"
  check "$what" false
  ipvsadm -Sn | sed 's/^/  /'
  finish
}

finish() {
  clean_up
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ]
  exit
}

# serve_pods [NAME...]: the backends web-1, web-2, web-3 or those named listen.
serve_pods() {
  local name
  [ $# -gt 0 ] || set -- web-1 web-2 web-3
  for name; do
    background+=("$(in_pod "$name" "$traffic" serve "$name" --tcp 8080 --udp 5353 --sctp 9000 --v6 --background)") || return 1
  done
}

# run NAME CMD...: in the background, output in $work/NAME, process id in $started.
run() {
  local name=$1
  shift
  # Here and not by the child alone, or who looks at once sees what the run before has written.
  : >"$work/$name"
  "$@" >"$work/$name" 2>&1 </dev/null &
  started=$!
  background+=("$started")
}

sample() {
  local name
  for name; do cp "$samples/$name.yaml" "$manifests/" || return 1; done
}

replace() { cat >"$work/changed" && mv "$work/changed" "$manifests/$1"; }

# api_objects [ARGUMENT...]: the Python of standard input, with what api_objects.py has.
api_objects() { PYTHONPATH=test/kernel /usr/bin/python3 -B <(echo 'from api_objects import *' && cat) "$@"; }

# endpoints SERVICE PORT-NAME PORT ADDRESS...: an EndpointSlice of ready endpoints on this node.
endpoints() {
  local service=$1 port_name=$2 port=$3 address list=
  shift 3
  for address; do
    list+="${list:+, }{addresses: [$address], conditions: {ready: true}, nodeName: lab-node}"
  done
  cat <<YAML
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: $service-4, namespace: default, labels: {kubernetes.io/service-name: $service}}
addressType: IPv4
ports: [{name: $port_name, protocol: TCP, port: $port}]
endpoints: [$list]
YAML
}

# service NAME CLUSTER-IP [SPEC-LINE...]: a Service with TCP port http 80 -> 8080.
service() {
  local name=$1 address=$2
  shift 2
  cat <<YAML
apiVersion: v1
kind: Service
metadata: {name: $name, namespace: default}
spec:
  clusterIP: $address
  clusterIPs: [$address]
  ipFamilies: [IPv4]
  ports: [{name: http, protocol: TCP, port: 80, targetPort: 8080}]
YAML
  [ $# = 0 ] || printf '  %s\n' "$@"
}

# --- predicates -------------------------------------------------------------------------------------------------------

not() { ! "$@"; }
has_address() { ip -o addr show dev kube-ipvs0 2>/dev/null | grep -qF " $1/"; }
has_server() { ipvsadm -Sn | grep -qF -e "-A $1 $2 "; }
# serving OPTION SOCKET N: that virtual server has N destinations that take new connections.
serving() { [ "$(ipvsadm -Sn | grep -F -e "-a $1 $2 " | grep -cv -e '-w 0')" = "$3" ]; }
# destination SOCKET REAL TAIL: a line such as "-r REAL -m -w 1".
destination() { ipvsadm -Sn | grep -qE -e "-a -t $1 -r $2 .*$3"; }
says() { grep -qE -e "$1" "$log"; }
file_says() { grep -qE -e "$2" "$work/$1"; }
alive() { kill -0 "$pid" 2>/dev/null; }

# saved_rules: chains and rules of both families, as text to compare. A table comes to be by being looked at, so its
# own chains do not count.
saved_rules() {
  local program
  for program in iptables-save ip6tables-save; do
    echo "$program"
    $program | grep -E -e '^-' -e '^\*' -e '^:[^ ]+ - ' | awk '/^\*/ { table = $0; next } { print table, $0 }' |
      sed 's/ \[[0-9:]*\]$//'
  done
}

# metrics: all that the daemon serves. cat, because bash reads a socket byte by byte.
metrics() {
  {
    printf 'GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3 && timeout 10 cat <&3
  } 3<>/dev/tcp/127.0.0.1/10249
}

# metric NAME{LABELS}: its value.
metric() { metrics 2>/dev/null | awk -v name="$1" '$1 == name { print $2 }'; }

# synced: the first complete view is in the kernel.
synced() {
  local value
  value=$(metric 'kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family="IPv4"}')
  [ -n "${value//[0.]/}" ]
}

# answers TEXT CMD...: the traffic tool succeeds and prints this line.
answers() {
  local text=$1 said
  shift
  said=$("$@")
  local status=$?
  echo "$said"
  [ $status = 0 ] && grep -qE -e "^$text" <<<"$said"
}

# each N CMD...: every one of the three backends answers N of 3 N requests.
each() {
  local count=$1 said name
  shift
  said=$("$@" --count $((3 * count)) --quiet)
  local status=$?
  echo "$said"
  [ $status = 0 ] || return 1
  for name in web-1 web-2 web-3; do grep -qx "$count from $name" <<<"$said" || return 1; done
}

# unreachable CMD...: the traffic tool gets no answer.
unreachable() {
  "$@" --timeout 500
  [ $? = 1 ]
}
