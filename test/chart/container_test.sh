#!/bin/bash
# The image's containers as the chart starts them, on a kernel with IPVS and beside an API server: the init container
# does what needs privilege, the daemon has two capabilities and a read-only root. Called by image_test.sh.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh
case_folder=$CONTAINER_CASE
account=$work/account
mkdir "$account"

# container POD NAME: its output in $log, its process $pid; under $tracer.
tracer=()
container() {
  : >"$log"
  "${tracer[@]}" unshare -m /usr/bin/python3 -B test/chart/container.py "$case_folder/$1" "$case_folder/rootfs" "$2" \
    --account "$account" >>"$log" 2>&1 </dev/null &
  pid=$!
}
ended() { not alive; }
# ends STATUS: by itself, within a minute.
ends() {
  within 60 ended || return 1
  wait "$pid"
  [ $? = "$1" ]
}
api() { curl -sS --max-time 20 --fail-with-body --cacert "$account/ca.crt" -H 'Authorization: Bearer secret' "$@"; }
probe() { curl -sS --max-time 5 --fail-with-body "http://127.0.0.1:10256$1"; }
capabilities() { grep -E '^(Cap|NoNewPrivs|Seccomp:)' "/proc/$pid/status"; }
status_has() { capabilities; grep -qE "^$1:[[:space:]]+$2\$" "/proc/$pid/status"; }
client() { in_pod client "$traffic" "$@"; }

must "the node" topology_up
must "the backends" serve_pods
run server "$PWD/build/test/fake/fake-api-server" --port 6443 --token secret --tls-dir "$account" \
  --load "$case_folder/objects.json"
must "the API server" within 30 file_says server '^https://'
echo secret >"$account/token"

# --- without the init container ---------------------------------------------------------------------------------------

echo 0 >/proc/sys/net/ipv4/ip_forward
if [ -e /sys/module/ip_tables ]; then
  echo "skipped: on this machine the modules are loaded already"
else
  container pod.json kube-ipvsd
  check "without the modules the daemon ends" ends 1
  check "and says what is missing" says 'error .*ip_tables'
fi

# --- the init container -----------------------------------------------------------------------------------------------

container pod.json prepare
check "the init container ends with status 0" ends 0
check "it says what it did" says 'info set what needs privileges'
check "without a warning" not says ' (warning|error) '
for module in ip_vs ip_vs_rr ip_set xt_set xt_MASQUERADE ip_tables; do
  check "it loaded $module" test -e /sys/module/$module
done
for parameter in net/ipv4/vs/conntrack net/ipv4/ip_forward net/ipv4/vs/expire_nodest_conn; do
  check "it set $parameter" grep -qx 1 /proc/sys/$parameter
done

container no-raw.json kube-ipvsd
check "without NET_RAW iptables-legacy is refused" ends 1
check "and the daemon says so" says 'error .*(Permission denied|must be root|not permitted)'

# --- with exactly its capabilities ------------------------------------------------------------------------------------

container pod.json kube-ipvsd
check "the first sync" within 60 synced
check "the VIPs" within 30 has_address 10.96.10.5
check "capabilities: NET_ADMIN and NET_RAW, effective" status_has CapEff 0000000000003000
check "and none beyond them to be had" status_has CapBnd 0000000000003000
check "no privilege escalation" status_has NoNewPrivs 1
writes() { echo x >"/proc/$pid/root/$1"; }
check "the root file system is read-only" not writes probe
check "and so are kernel parameters" not writes proc/sys/net/ipv4/ip_forward
check "the lock of iptables is the node's" test "/proc/$pid/root/run/xtables.lock" -ef /run/xtables.lock
check "/livez, where the probe asks" probe /livez
check "/healthz, where the probe asks" probe /healthz
check "ClusterIP, TCP, from a pod" each 2 client request tcp 10.96.10.1 80
check "ClusterIP, UDP, IPv6, from a pod" each 1 client request udp fd00:10:96::1 53
check "NodePort, from outside, masqueraded" answers 'web-. 10\.244\.1\.1:' \
  in_pod outside "$traffic" request tcp 192.168.77.2 30080
metrics >"$work/metrics"
check "the metrics of alerts and dashboard are served" /usr/bin/python3 -B test/chart/metrics_served.py "$work/metrics"
check "no warning" not says ' (warning|error) '

# As "kubectl exec" does: beside the daemon, with its rights. The daemon itself is another proxy on this node, no more.
container_check() {
  unshare -m /usr/bin/python3 -B test/chart/container.py "$case_folder/pod.json" "$case_folder/rootfs" kube-ipvsd \
    --account "$account" -- --check --config /etc/kube-ipvsd/config/config.yaml --hostname-override lab-node
}
check "--check takes the configuration and finds nothing wrong on the node" container_check

ipvsadm -Sn >"$work/before"
check "SIGTERM ends it with status 0" stop
ipvsadm -Sn >"$work/after"
check "and leaves the kernel as it is" cmp "$work/before" "$work/after"
check "traffic goes on without it" each 1 client request tcp 10.96.10.1 80

# --- once more, watched: with an older server and a node that is not prepared --------------------------------------------------

must "a server without WatchList" api -X POST --data '' https://127.0.0.1:6443/_control/watchlist?mode=refuse
echo 0 >/proc/sys/net/ipv4/vs/conntrack
tracer=(strace -D -f -qq -o "$work/trace")
container pod.json kube-ipvsd
check "the first sync" within 60 synced
check "a kernel parameter that is wrong, and cannot be set here, is told with its value" within 60 \
  says 'warning sysctl net.ipv4.vs.conntrack is 0 and cannot be set .*: it must be 1; set it on the host'
check "SIGTERM ends it" stop

# What RuntimeDefault keeps from containers without further capabilities, by containerd's and CRI-O's profiles.
blocked='acct|add_key|bpf|chroot|clock_adjtime|clock_settime|create_module|delete_module|fanotify_init|finit_module'
blocked+='|fsconfig|fsmount|fsopen|fspick|get_kernel_syms|get_mempolicy|init_module|ioperm|iopl|kcmp|kexec_file_load'
blocked+='|io_uring_enter|io_uring_register|io_uring_setup'
blocked+='|kexec_load|keyctl|lookup_dcookie|mbind|migrate_pages|mount|mount_setattr|move_mount|move_pages|name_to_handle_at'
blocked+='|nfsservctl|open_by_handle_at|open_tree|perf_event_open|personality|pidfd_getfd|pivot_root|process_madvise'
blocked+='|process_vm_readv|process_vm_writev|ptrace|query_module|quotactl|quotactl_fd|reboot|request_key|set_mempolicy'
blocked+='|set_mempolicy_home_node|setdomainname|sethostname|setns|settimeofday|stime|swapoff|swapon|sysfs|_sysctl'
blocked+='|umount|umount2|unshare|uselib|userfaultfd|ustat|vhangup|vm86|vm86old'
system_calls() {
  awk '/execve\("\/usr\/sbin\/kube-ipvsd"/ { begun = 1 } begun' "$work/trace" | sed -nE 's/^[0-9]+ +([a-z0-9_]+)\(.*/\1/p' |
    sort | uniq -c
}
system_calls >"$work/calls"
check "the system calls were seen" file_says calls ' sendmsg$| sendto$'
check "seccomp RuntimeDefault blocks none of them" not file_says calls " ($blocked)\$"
api https://127.0.0.1:6443/_log >"$work/requests"
check "the ClusterRole grants what was asked, and no more" /usr/bin/python3 -B test/chart/role_covers.py \
  "$case_folder/role.json" "$work/requests" "create events" "patch events"
finish
