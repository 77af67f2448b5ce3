#!/bin/bash
# What the pages tell readers to type, block by block, and what they show of the output: the README's, the chart's and
# the ctl socket's (docs/migration.md has a test of its own). kubectl and helm are stand-ins that refuse what the real
# ones would (test/docs/standin.py); everything below them is real.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

# Words of the pages that stand for a reader's own.
export NODE=demo-node
export STANDIN_CALLS=$work/calls STANDIN_OBJECTS=$work/objects.yaml STANDIN_EXEC=$work/exec
mkdir "$work/bin" "$work/here" "$work/tls"
ln -s "$daemon" "$work/bin/kube-ipvsd"
ln -s "$PWD/build/ctl/kube-ipvsctl" "$work/bin/"
for name in kubectl helm; do ln -s "$PWD/test/docs/standin.py" "$work/bin/$name"; done
for name in charts build; do ln -s "$PWD/$name" "$work/here/$name"; done
export PATH=$work/bin:$PATH

text_of() { /usr/bin/python3 test/docs/blocks.py "$1" "$2"; }
ran=()
# block PAGE NAME: as a reader would run it, all at once; its output is in $work/said.
block() {
  ran+=("$1 $2")
  text_of "$1" "$2" >"$work/block" || return 1
  (cd "$work/here" && bash -e -o pipefail "$work/block") >"$work/said" 2>&1 </dev/null
  local status=$?
  cat "$work/said"
  return $status
}
# lines PAGE NAME: its commands into the array `lines`, without the comments.
lines() {
  ran+=("$1 $2")
  mapfile -t lines < <(text_of "$1" "$2" | sed 's/ *# .*//; /^$/d')
}

# --- pages that speak to a cluster ------------------------------------------------------------------------------------

cat >"$work/kube-proxy.conf" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: ipvs
hostnameOverride: demo-node
clusterCIDR: 10.244.0.0/16
conntrack: {maxPerCore: 0}
YAML
{
  printf '%s\n' 'apiVersion: v1' 'kind: ConfigMap' 'metadata: {name: kube-proxy, namespace: kube-system}' 'data:' \
    '  config.conf: |-'
  sed 's/^/    /' "$work/kube-proxy.conf"
  printf '%s\n' --- 'apiVersion: apps/v1' 'kind: DaemonSet' 'metadata: {name: kube-proxy, namespace: kube-system}' \
    'spec: {template: {spec: {}}}'
} >"$STANDIN_OBJECTS"

chart=charts/kube-ipvsd/README.md
must "the node" topology_up
check "README: --check reads kube-proxy's ConfigMap" block README.md check
check "README: and judges the node by it" file_says said '^0 problems, [0-9]+ warnings?$'
check "chart: install" block $chart install
check "chart: helm was asked for it" file_says calls '^helm install kube-ipvsd charts/kube-ipvsd --namespace kube-system'
check "chart: with kube-proxy's configuration" block $chart install-configured
check "chart: which the values file holds" grep -qx '  clusterCIDR: 10.244.0.0/16' "$work/here/values-config.yaml"
check "chart: node by node" block $chart node-by-node
check "chart: an affinity that is there already is shown" block $chart affinity
check "chart: none is shown where there is none" not file_says said .
check "chart: a node is labelled, and the label is taken away" block $chart label
# The stand-ins do refuse.
for wrong in 'helm install kube-ipvsd charts/kube-ipvsd --set apiServer.host=10.0.0.1 --set imag.tag=1' \
  'helm install kube-ipvsd charts/kube-ipvsd' 'helm install kube-ipvsd charts/none --set apiServer.host=10.0.0.1' \
  'kubectl -n kube-system get configmap kube-prox -o yaml' 'kubectl -n kube-system patch daemonset kube-proxy --patch-file none' \
  'kubectl label node service-proxy=kube-ipvsd' 'kubectl get daemonset kube-proxy -n kube-system --watsh'; do
  check "refused: $wrong" not eval "$wrong"
done

# --- the demo, as the README shows it ---------------------------------------------------------------------------------

# as_shown PAGE NAME FILE: FILE has the lines of the block in their order, numbers aside; "..." stands for any lines.
as_shown() {
  ran+=("$1 $2")
  text_of "$1" "$2" >"$work/block" && /usr/bin/python3 test/docs/as_shown.py "$work/block" "$3"
}
demo() {
  unshare -n -m sh -c 'mount -t sysfs sysfs /sys; mount -t tmpfs tmpfs /run; ip link set lo up; exec scripts/demo.sh --inside'
}
demo >"$work/demo" 2>&1
check "the demo comes to its end" grep -qx '# All as said.' "$work/demo"
check "and shows what the README says" as_shown README.md demo "$work/demo"

# --- by hand ----------------------------------------------------------------------------------------------------------

cp docs/demo/manifests/* "$manifests/"
run server "$PWD/build/test/fake/fake-api-server" --port 6443 --token right --tls-dir "$work/tls"
must "the API server" within 30 file_says server '^https://'
api() { curl -sS --max-time 20 --fail-with-body --cacert "$work/tls/ca.crt" -H 'Authorization: Bearer right' "$@"; }
load() {
  local manifest
  # YAML to JSON, one object a request.
  /usr/bin/python3 - "$manifests" <<'PYTHON' >"$work/loaded"
import json, pathlib, sys, yaml
for file in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    for document in yaml.safe_load_all(file.read_text()):
        if document:
            group = "api/v1" if document["apiVersion"] == "v1" else "apis/" + document["apiVersion"]
            plural = document["kind"].lower() + "s"
            space = "" if document["kind"] == "Node" else "namespaces/" + document["metadata"].setdefault("namespace", "default") + "/"
            print(f"{group}/{space}{plural}", json.dumps(document), sep="\t")
PYTHON
  while IFS=$'\t' read -r path manifest; do
    api -X POST -H 'Content-Type: application/json' --data "$manifest" "https://127.0.0.1:6443/$path" >"$work/answer" ||
      { cat "$work/answer"; return 1; }
  done <"$work/loaded"
}
must "its objects" load
serves() { has_address 10.96.10.1 && serving -t 10.96.10.1:80 3 && has_address 10.96.10.53; }
# The reader's own: a configuration that leads to the API server, FILE, DIR.
sed "\$a clientConnection: {kubeconfig: $work/tls/kubeconfig}" "$work/kube-proxy.conf" >"$work/here/kube-proxy.conf"
own_words() { sed "s|FILE|$work/tls/kubeconfig --hostname-override demo-node --conntrack-max-per-core 0|; s|DIR|$manifests|" <<<"$1"; }
serve_line() {
  : >"$log"
  (cd "$work/here" && exec bash -c "exec $(own_words "$1")") >>"$log" 2>&1 </dev/null &
  pid=$!
  within 60 serves
}
lines README.md by-hand
check "README, by hand: five commands" test ${#lines[@]} = 5
cleaned() { not ip link show kube-ipvs0 && [ -z "$(ipvsadm -Sn)" ]; }
for line in "${lines[@]}"; do
  case $line in
    *--dry-run*)
      check "$line" bash -c "$(own_words "$line") >$work/dry"
      check "$line: the plan" grep -q 10.96.10.1 "$work/dry"
      check "$line: touches nothing" cleaned ;;
    *--cleanup*)
      check "$line" bash -c "$line"
      check "$line: nothing is left" cleaned ;;
    *)
      check "$line" serve_line "$line"
      check "$line: ends when told" stop
      check "$line: and leaves what it made" serves
      check "cleaned up again" "$daemon" --cleanup ;;
  esac
done

# --- looking at it ----------------------------------------------------------------------------------------------------

must "the backends" serve_pods
must "the daemon with the demo's Services" serve_line "kube-ipvsd --config $work/kube-proxy.conf --manifests DIR"
# Those that go on until they are ended have said something first; "watch" needs a change for that.
said_something() {
  number=$((${number:-0} % 200 + 1))
  service late 10.96.11.$number >"$manifests/late.yaml"
  test -s "$work/watched"
}
watches() {
  local job status
  : >"$work/watched"
  bash -c "exec $1" >"$work/watched" 2>&1 </dev/null &
  job=$!
  within 30 said_something
  status=$?
  kill $job
  wait $job
  return $status
}
lines README.md looking
check "README, looking: eight commands" test ${#lines[@]} = 8
for line in "${lines[@]}"; do
  command=${line/ \[SELECTOR...\]/}
  command=${command/ADDRESS:PORT/10.96.10.1:80}
  case $command in
    *"ctl watch"* | *"ctl ui"* | *"ctl top"*) check "$line" watches "$command" ;;
    *) check "$line" bash -c "$command" ;;
  esac
done
rm -f "$manifests/late.yaml"
for format in wide json yaml ipvsadm dot; do
  check "dump -o $format, as the README says" bash -c "kube-ipvsctl dump -o $format >$work/$format && test -s $work/$format"
done
# Each look has traffic of its own just before it: the rates by which "top" orders are those of the last seconds.
under_load() {
  in_pod client "$traffic" request tcp 10.96.10.1 80 --count 30 || return 1
  {
    printf '$ kube-ipvsctl dump\n'
    kube-ipvsctl dump
    printf '\n$ kube-ipvsctl top --once\n'
    kube-ipvsctl top --once
  } >"$work/shown" 2>&1
  as_shown README.md dump-and-top "$work/shown"
}
check "dump and top look as the README shows them" within 60 under_load
check "the ctl socket answers curl" block docs/ctl-api.md curl
check "with the status" file_says said '"synced": ?true'
replace web-endpoints.yaml < <(sed 's/ready: true/ready: false/' "$manifests/web-endpoints.yaml")
all_drain() { [ "$(ipvsadm -Sn | grep -F -e '-a -t 10.96.10.1:80 ' | grep -c -e '-w 0')" = 3 ]; }
check "pods that become unready drain" within 30 all_drain
{
  printf '$ kube-ipvsctl explain 10.96.10.1:80\n'
  kube-ipvsctl explain 10.96.10.1:80
} >"$work/shown" 2>&1
check "explain says what the README shows" as_shown README.md explain "$work/shown"
stop

sed -n 's/^<!-- not run: \(.*\) -->$/not run: \1/p' README.md CONTRIBUTING.md SECURITY.md charts/kube-ipvsd/README.md docs/*.md
every_block() {
  local page
  for page in README.md CONTRIBUTING.md SECURITY.md charts/kube-ipvsd/README.md docs/*.md; do
    [ $page = docs/migration.md ] || /usr/bin/python3 test/docs/blocks.py $page | sed "s|^|$page |"
  done | sed '/ $/d' | sort >"$work/blocks"
  diff "$work/blocks" <(printf '%s\n' "${ran[@]}" | sort -u)
}
check "every block that is said to be run was run" every_block
finish
