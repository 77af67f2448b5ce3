#!/bin/bash
# The configuration of a running daemon: shown, and noticed when it changes; and what --init-only sets.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

must "the node" node_up
conntrack() { cat /proc/sys/net/ipv4/vs/conntrack; }
modprobe ip_vs
echo 0 >/proc/sys/net/ipv4/vs/conntrack
config 'ipvs: {strictARP: true}'
"$daemon" --config "$config" --init-only >"$work/init" 2>&1
check "--init-only ends with status 0" test $? = 0
check "and has set the kernel's parameters" test "$(conntrack)$(cat /proc/sys/net/ipv4/conf/all/arp_announce)" = 12
check "and nothing else" not ip link show kube-ipvs0
mount -o remount,ro /proc/sys 2>/dev/null || mount --bind -o ro /proc/sys /proc/sys
mount -o remount,ro,bind /proc/sys
config 'ipvs: {strictARP: true}' 'conntrack: {tcpBeLiberal: true, maxPerCore: 0}'
sed -i '0,/^conntrack:/{/^conntrack:/d}' "$config"
"$daemon" --config "$config" --init-only >"$work/init" 2>&1
check "--init-only that cannot set them ends with status 1" test $? = 1
check "and says which" file_says init 'warning sysctl net\.netfilter\.nf_conntrack_tcp_be_liberal .*set it on the host'
umount /proc/sys

# As a mounted ConfigMap: a link to a link, of which the second is swapped.
map=$work/map
mkdir -p "$map/..1"
config 'ipvs: {scheduler: rr}'
mv "$config" "$map/..1/config.yaml"
ln -s ..1 "$map/..data"
ln -s ..data/config.yaml "$map/config.yaml"
config=$map/config.yaml
# swap NAME: the map becomes ..NAME, with standard input for the file.
swap() { mkdir "$map/..$1" && cat >"$map/..$1/config.yaml" && ln -s "..$1" "$map/..tmp" && mv -T "$map/..tmp" "$map/..data"; }

sample node solo
start
must "the first sync" within 30 synced
configz() { { printf 'GET /configz HTTP/1.1\r\n\r\n' >&3 && timeout 10 cat <&3; } 3<>/dev/tcp/127.0.0.1/10249; }
check "/configz has one key, and the scheduler" \
  grep -qE '^\{"kubeproxy\.config\.k8s\.io":\{.*"IPVS":\{[^}]*"Scheduler":"rr"' <(configz)
printf 'mode: iptables\n' | swap 2
check "a change to something wrong is told" within 10 says "$config:1: mode: expected ipvs"
check "and kept out" within 10 says 'warning .*kept running with what it was'
check "the daemon goes on" alive
sed 's/scheduler: rr/scheduler: sh/' "$map/..1/config.yaml" | swap 3
wait "$pid"
check "a change ends the daemon with status 1" test $? = 1
pid=
check "and it says why" says "error $config was changed: ended, to be started again with what it is now"
check "what was served stays" serving -t 10.96.10.2:80 1
start
scheduler_is() { ipvsadm -Sn | grep -q -e "-A -t 10.96.10.2:80 -s $1"; }
check "started again, it has the new one" within 30 scheduler_is sh
check "SIGTERM ends the daemon with status 0" stop

# Without its servers; a Node event is what kube-proxy without healthz stumbles over.
listening() { ss -Hltn 'sport = 10256 or sport = 10249' | grep -q .; }
node_event() {
  sed "s/^spec:$/&\n  taints: [{key: ToBeDeletedByClusterAutoscaler, effect: NoSchedule}]/" \
    "$samples/node.yaml" | replace node.yaml
  grep -q ToBeDeleted "$manifests/node.yaml"
}
# without_servers FLAG...: starts it by flags alone.
without_servers() {
  "$daemon" --hostname-override lab-node --conntrack-max-per-core 0 --manifests "$manifests" "$@" >>"$log" 2>&1 </dev/null &
  pid=$!
}
for flags in '--healthz-port=0 --metrics-port=0' '--healthz-bind-address= --metrics-bind-address='; do
  ipvsadm -C
  sample node
  # shellcheck disable=SC2086
  without_servers $flags
  name=${flags%% *}
  check "$name: it serves" within 30 has_server -t 10.96.10.2:80
  check "$name: nothing listens" not listening
  must "a Node event" node_event
  service later 10.96.10.77 >"$manifests/later.yaml"
  check "$name: later changes arrive" within 30 has_server -t 10.96.10.77:80
  check "$name: a Node event does no harm" alive
  rm "$manifests/later.yaml"
  check "$name: SIGTERM ends the daemon with status 0" stop
done
finish
