#!/bin/bash
# How kube-ipvsd ends when it is told nonsense, or what it needs is missing: exit status, and what it says.
#   daemon_cli_test.sh DAEMON
set -u
daemon=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
passed=0
failed=0
unset KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT

# case_of STATUS LINES PATTERN NAME CMD...: CMD ends with STATUS, and in all it says there are LINES lines (-: any number),
# one of which matches PATTERN.
case_of() {
  local status=$1 lines=$2 pattern=$3 name=$4 got
  shift 4
  timeout -k 1 10 "$@" >"$work/said" 2>&1 </dev/null
  got=$?
  if [ $got = "$status" ] && { [ -z "$pattern" ] || grep -qE -e "$pattern" "$work/said"; } &&
    { [ "$lines" = - ] || [ "$(wc -l <"$work/said")" = "$lines" ]; }; then
    echo "ok: $name"
    passed=$((passed + 1))
  else
    echo "FAILED: $name: expected status $status, $lines lines with \"$pattern\"; got status $got and"
    sed 's/^/  /' "$work/said"
    failed=$((failed + 1))
  fi
}

kubeconfig() {
  cat <<YAML
apiVersion: v1
kind: Config
current-context: one
contexts: [{name: one, context: {cluster: one, user: one}}]
clusters: [{name: one, cluster: {server: "https://127.0.0.1:1"}}]
users:
- name: one
  user:
    $1
YAML
}

case_of 0 1 '^kube-ipvsd [0-9]+\.[0-9]+\.[0-9]+( \(git [0-9a-f]{12}(-dirty)?\))?$' "--version" "$daemon" --version
case_of 0 - '--config TEXT' "--help names the options" "$daemon" --help
case_of 0 - '--ipvs-scheduler' "--help names the fields of the configuration" "$daemon" --help

case_of 2 - '--no-such-flag' "an unknown flag" "$daemon" --no-such-flag
case_of 2 - 'surplus' "a word too many" "$daemon" surplus
case_of 2 - '--config' "a flag without its value" "$daemon" --config
case_of 2 1 '^--masquerade-all: expected true or false, got "maybe"$' "a flag with a wrong value" \
  "$daemon" --masquerade-all=maybe
case_of 2 1 '--log-level: expected' "an unknown log level" "$daemon" --log-level loud
case_of 2 1 'exclude each other' "--manifests with --kubeconfig" \
  "$daemon" --manifests "$work" --kubeconfig "$work/kubeconfig"
case_of 2 1 'exclude each other' "--manifests with --master" "$daemon" --manifests "$work" --master https://127.0.0.1

case_of 2 1 '^--output: expected table or json, beside --check, got "yaml"$' "--check with an unknown format" \
  "$daemon" --check -o yaml
case_of 2 1 '^--output: expected table or json, beside --check' "--output without --check" "$daemon" -o json

config=$work/config.yaml
cat >"$config" <<'YAML'
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
ipvs:
  schduler: rr
healthzBindAddress: nowhere
iptables:
  masqueradeBit: 32
YAML
case_of 1 3 "^$config:4: .*ipvs\.schduler.*did you mean ipvs\.scheduler" "configuration: an unknown field" \
  "$daemon" --config "$config"
case_of 1 3 "^$config:5: healthzBindAddress: expected .*got \"nowhere\"" "configuration: a wrong address, in the same run" \
  "$daemon" --config "$config"
case_of 1 3 "^$config:7: iptables\.masqueradeBit: expected" "configuration: a number out of range, in the same run" \
  "$daemon" --config "$config"
case_of 1 1 "$work/missing.*not found" "a configuration that is not there" "$daemon" --config "$work/missing"
printf 'ipvs: [\n' >"$config"
case_of 1 1 "^$config:[0-9]+: " "a configuration that is no YAML" "$daemon" --config "$config"

case_of 0 0 '' "--write-config-to" "$daemon" --ipvs-scheduler=sh --healthz-port=0 --write-config-to "$work/written.yaml"
case_of 0 1 '^  scheduler: "sh"$' "what it wrote" grep -F 'scheduler:' "$work/written.yaml"
case_of 0 0 '' "it reads back" "$daemon" --config "$work/written.yaml" --write-config-to "$work/again.yaml"
case_of 0 0 '' "as the same" diff "$work/written.yaml" "$work/again.yaml"
case_of 1 1 "write the configuration to $work/no/such/place: not found" "--write-config-to a place that is not there" \
  "$daemon" --write-config-to "$work/no/such/place"

case_of 1 1 "kubeconfig: .*$work/missing.*not found" "a kubeconfig that is not there" \
  "$daemon" --kubeconfig "$work/missing"
case_of 1 1 "$work:? .*malformed|$work.*regular file" "a kubeconfig that is a directory" "$daemon" --kubeconfig "$work"
kubeconfig 'exec: {apiVersion: client.authentication.k8s.io/v1, command: aws}' >"$work/exec"
case_of 1 1 "$work/exec:9: user\.exec: not supported: use " "a kubeconfig with an exec plugin" \
  "$daemon" --kubeconfig "$work/exec"
kubeconfig 'client-certificate: own.crt' >"$work/half"
case_of 1 1 "$work/half:9: .*must be given together" "a certificate without its key" "$daemon" --kubeconfig "$work/half"
kubeconfig 'token: "se cret"' >"$work/token"
case_of 1 1 "$work/token:9: user\.token: expected no spaces" "a token with a space" "$daemon" --kubeconfig "$work/token"
case_of 1 1 'KUBERNETES_SERVICE_HOST is missing; give --kubeconfig or --manifests' "neither a kubeconfig nor a cluster" \
  "$daemon"

if [ "$(id -u)" != 0 ]; then
  as_nobody=(env)
else
  as_nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
fi
if "${as_nobody[@]}" "$daemon" --version >/dev/null 2>&1; then
  case_of 1 1 'needs root, or CAP_NET_ADMIN and CAP_NET_RAW' "not root" "${as_nobody[@]}" "$daemon" --manifests "$work"
  case_of 1 1 'needs root' "not root, only looking" "${as_nobody[@]}" "$daemon" --manifests "$work" --dry-run --once
else
  echo "skipped: not root: cannot run the daemon as another user here"
fi

echo "$passed passed, $failed failed"
[ $failed = 0 ]
