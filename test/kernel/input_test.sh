#!/bin/bash
# Bad input and a node that lacks something: one line that says what, and what is good goes on.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

must "the node" node_up

# gives_up PATTERN CMD...: exit status 1, within 10 s, one line, like the pattern.
gives_up() {
  local pattern=$1
  shift
  timeout -k 1 10 "$@" >"$work/said" 2>&1 </dev/null
  local status=$?
  echo "status $status"
  cat "$work/said"
  [ $status = 1 ] && [ "$(grep -c . "$work/said")" = 1 ] && file_says said "$pattern"
}
untouched() { not ip link show kube-ipvs0 && [ -z "$(ipvsadm -Sn)" ] && [ -z "$(ipset list -n)" ] && not grep KUBE <(saved_rules); }

config
sample node
cp "$config" "$work/plain.yaml"
chmod 755 "$work" && chmod 644 "$work/plain.yaml"
check "without root" gives_up 'error .*root' \
  setpriv --reuid 65534 --regid 65534 --clear-groups "$daemon" --config "$work/plain.yaml" --manifests "$manifests"
mkdir "$work/empty"
check "without iptables" gives_up 'error .*iptables' \
  env PATH="$work/empty" "$daemon" --config "$config" --manifests "$manifests"
check "without a configuration file" gives_up 'nowhere\.yaml' "$daemon" --config "$work/nowhere.yaml"
config 'ipvs: {scheduler: gone}'
check "an unknown scheduler" gives_up 'error .*gone.*ip_vs_gone' "$daemon" --config "$config" --manifests "$manifests"
config 'ipvs: {sheduler: rr}'
check "a misspelt field of the configuration" gives_up 'config\.yaml:.*sheduler' "$daemon" --config "$config" --manifests "$manifests"
config 'mode: ipvs'
check "a field given twice" gives_up 'config\.yaml:' "$daemon" --config "$config" --manifests "$manifests"
check "none of them touched anything" untouched

# Schedulers.
sample solo
scheduler_is() {
  config "ipvs: {scheduler: $1}"
  "$daemon" --config "$config" --manifests "$manifests" --once </dev/null && ipvsadm -Sn && ipvsadm -Sn | grep -F -e "-A -t 10.96.10.2:80 -s $1"
}
for scheduler in sh lc wlc mh sed; do
  check "scheduler $scheduler" scheduler_is $scheduler
done
check "the destinations outlived the changes" serving -t 10.96.10.2:80 1

# Manifests.
config
sample web
cat >"$manifests/bad-port.yaml" <<'YAML'
apiVersion: v1
kind: Service
metadata: {name: bad-port, namespace: default}
spec:
  clusterIP: 10.96.40.1
  clusterIPs: [10.96.40.1]
  ports:
    - name: http
      port: 99999
YAML
printf 'apiVersion: v1\nkind: Service\nmetadata: {name: [\n' >"$manifests/bad-yaml.yaml"
head -c 4096 /dev/urandom >"$manifests/noise.json"
service beside-bad 10.96.40.2 >"$manifests/mixed.yaml"
printf -- '---\napiVersion: v1\nkind: Service\nmetadata: {name: bad-address, namespace: default}\nspec: {clusterIP: 10.96.40, clusterIPs: [10.96.40], ports: [{port: 80}]}\n' >>"$manifests/mixed.yaml"
start
check "bad manifests: the good ones are served" within 30 serving -t 10.96.10.1:80 3
check "bad manifests: so is a good object beside a bad one" within 20 has_address 10.96.40.2
check "bad manifests: the line and the field of a bad port are named" \
  within 20 says 'bad-port\.yaml:9: Service default/bad-port: spec\.ports\[0\]\.port: '
check "bad manifests: the line of broken YAML is named" within 20 says 'bad-yaml\.yaml:[0-9]+: '
check "bad manifests: noise is named" within 20 says 'noise\.json'
check "bad manifests: a bad address is named" within 20 says 'mixed\.yaml:[0-9]+: Service default/bad-address: spec\.clusterIP'
check "bad manifests: nothing of them is served" not has_server -t 10.96.40.1:80

ipvsadm -Sn >"$work/before"
sed 's/port: 80,/port: eighty,/' "$samples/web.yaml" | replace web.yaml
check "a change that cannot be read is named" within 20 says 'web\.yaml:12: Service default/web: spec\.ports\[0\]\.port: '
sed 's/clusterIP: 10.96.10.2/clusterIP: [/' "$samples/solo.yaml" | replace solo.yaml
check "a change that breaks the YAML is named" within 20 says 'solo\.yaml:[0-9]+: '
service after 10.96.40.3 >"$work/after.yaml" && mv "$work/after.yaml" "$manifests/"
check "later changes are taken" within 20 has_address 10.96.40.3
check "what was programmed stays" diff "$work/before" <(ipvsadm -Sn | grep -v -F 10.96.40.3)
sed 's/port: 80,/port: 81,/' "$samples/web.yaml" | replace web.yaml
check "a good change after a bad one is taken" within 20 serving -t 10.96.10.1:81 3
check "and replaces the former" within 20 not has_server -t 10.96.10.1:80
check "the daemon lives" alive
finish
