#!/bin/bash
# Secrets stay where they are: a token, a client key and a password, each with a mark, are in none of what the daemon
# and kube-ipvsctl say, at the highest verbosity, while requests succeed, are refused and fail. Key files that everybody
# can read are told, once.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

token=marked-token-5eCr3t
tls=$work/tls
mkdir "$tls" "$work/said"
must "the node" node_up
run server "$PWD/build/test/fake/fake-api-server" --port 6443 --token $token --tls-dir "$tls"
must "the API server" within 30 file_says server '^https://'
api() { curl -sS --max-time 20 --fail-with-body --cacert "$tls/ca.crt" -H "Authorization: Bearer $token" "$@"; }
create() { api -X POST -H 'Content-Type: application/json' --data-binary @- "https://127.0.0.1:6443$1" >/dev/null; }
control() { api -X POST --data '' "https://127.0.0.1:6443/_control/$1" >/dev/null; }
create /api/v1/nodes <<'JSON'
{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "lab-node"}, "spec": {},
 "status": {"addresses": [{"type": "InternalIP", "address": "192.168.77.2"}]}}
JSON
create /api/v1/namespaces/default/services <<'JSON'
{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"},
 "spec": {"clusterIP": "10.96.30.1", "clusterIPs": ["10.96.30.1"], "ipFamilies": ["IPv4"], "ports": [{"port": 80, "protocol": "TCP"}]}}
JSON

# A client certificate and its key, and the token in a file of its own. The key's text is the mark.
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=client -days 2 -keyout "$tls/client.key" -out "$tls/client.crt" 2>/dev/null
key=$(sed -n 3p "$tls/client.key")
password=marked-password-5eCr3t
printf '%s\n' $token >"$tls/token"
cat >"$tls/by-file" <<YAML
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://127.0.0.1:6443", certificate-authority: ca.crt}}]
users: [{name: u, user: {tokenFile: token, client-certificate: client.crt, client-key: client.key}}]
YAML
sed "s|tokenFile: token|token: $token|" "$tls/by-file" >"$tls/inline"
sed "s|tokenFile: token|username: admin, password: $password|" "$tls/by-file" >"$tls/password"
chmod 600 "$tls"/*

clean() { # in none of what was said
  cat "$work"/said/* "$log" >"$work/all"
  ! grep -nF -e $token -e "$key" -e $password "$work/all"
}
hear() {
  local name=$1
  shift
  "$@" >"$work/said/$name" 2>&1
  [ -s "$work/said/$name" ]
}
start_with() {
  config "clientConnection: {kubeconfig: $tls/$1}"
  "$daemon" --config "$config" --log-level trace >>"$log" 2>&1 </dev/null &
  pid=$!
}
ctl() { "$PWD/build/ctl/kube-ipvsctl" "$@"; }
get() { curl -sS --max-time 20 "http://127.0.0.1:10249$1"; }

check "the log's highest level is the one that is used" sh -c "$daemon --help | grep -e --log-level -A2 | grep -q trace"
for kubeconfig in by-file inline; do
  start_with $kubeconfig
  must "$kubeconfig: the first sync" within 40 synced
  check "$kubeconfig: the Service is there" within 20 has_address 10.96.30.1
  check "$kubeconfig: no warning of modes" not says 'mode 0'
  for path in /configz /metrics /healthz?verbose; do
    check "$kubeconfig: $path" hear "$kubeconfig-${path//[\/?]/-}" get "$path"
  done
  for words in status "status -o json" "dump -o json" "explain 10.96.30.1:80" "diff --kubeconfig $tls/$kubeconfig"; do
    # shellcheck disable=SC2086
    check "$kubeconfig: kube-ipvsctl ${words%% *}" hear "$kubeconfig-${words//[ \/]/-}" ctl $words
  done
  # What the server says when it refuses and breaks off.
  restarts=$(metric 'kube_ipvsd_watch_restarts_total{resource="services"}')
  control 'fail?status=500&count=2&match=services'
  control drop-watches
  again() { [ "$(metric 'kube_ipvsd_watch_restarts_total{resource="services"}')" -gt "$restarts" ]; }
  check "$kubeconfig: it goes on after errors" within 40 again
  hear "$kubeconfig-status-after" ctl status
  check "$kubeconfig: --check" hear "$kubeconfig-check" "$daemon" --check -o json --config "$config"
  check "$kubeconfig: --write-config-to" "$daemon" --config "$config" --write-config-to "$work/said/config-$kubeconfig"
  stop
done
config "clientConnection: {kubeconfig: $tls/password}"
check "a password is refused" hear password timeout 20 "$daemon" --config "$config"
printf 'wrong-%s\n' $token >"$tls/token"
start_with by-file
check "a token that is refused is told" within 40 says '(list|watch).*401|Unauthorized'
printf '%s with blanks\n' $token >"$tls/token"
check "so is one that is none" within 40 says 'bearer token .*characters that no token has'
stop
printf '%s\n' $token >"$tls/token"
sed -i '2s/.*/broken/' "$tls/client.key"
start_with by-file
check "and a key that cannot be read" within 40 says 'client key'
stop
check "none of it was said by anybody" clean
check "and the marks would have been found" grep -qF -e "$token" "$tls/inline"

# Key files that everybody can read.
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=client -days 2 -keyout "$tls/client.key" -out "$tls/client.crt" 2>/dev/null
printf '%s\n' $token >"$tls/token"
chmod 644 "$tls/client.key" "$tls/token"
: >"$log"
start_with by-file
must "the first sync" within 40 synced
check "they are named, with mode and remedy" says "warning client key $tls/client.key: mode 0644: .*; chmod 600 $tls/client.key"
check "each" says "warning bearer token $tls/token: mode 0644: .*; chmod 600 $tls/token"
restarts=$(metric 'kube_ipvsd_watch_restarts_total{resource="services"}')
control drop-watches
check "the daemon asks again" within 30 again
check "and they are told once" test "$(grep -c 'mode 0644' "$log")" = 2
stop
finish
