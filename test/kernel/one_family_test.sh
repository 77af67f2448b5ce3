#!/bin/bash
# A kernel without rules for IPv6: said once, and IPv4 is served.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

tables="ip6table_nat ip6table_mangle ip6table_filter ip6_tables"
unloaded() { [ ! -e /sys/module/ip6_tables ] || modprobe -r $tables 2>/dev/null || rmmod $tables; }
if ! within 20 unloaded || iptables-nft -t nat -N PROBE 2>/dev/null; then
  echo "skipped: this kernel does not go without rules for IPv6"
  echo "0 passed, 0 failed"
  exit 0
fi
must "the node" node_up
config
sample node solo

# The daemon and its children get a modprobe that knows no table of IPv6.
mkdir "$work/kmod"
cp "$(realpath /sbin/modprobe)" "$work/kmod/modprobe"
cat >"$work/modprobe" <<MODPROBE
#!/bin/bash
for word; do
  case \$word in ip6_tables | ip6table_*) ;; *) words+=("\$word") ;; esac
done
exec "$work/kmod/modprobe" "\${words[@]}"
MODPROBE
chmod +x "$work/modprobe"
cat >"$work/daemon" <<DAEMON
#!/bin/sh
mount --bind "$work/modprobe" "$(realpath /sbin/modprobe)" && exec "$daemon" "\$@"
DAEMON
chmod +x "$work/daemon"
unshare -m "$work/daemon" --config "$config" --manifests "$manifests" >>"$log" 2>&1 </dev/null &
pid=$!

check "IPv4 is served" within 60 has_address 10.96.10.2
check "with its destination" within 30 serving -t 10.96.10.2:80 1
check "that IPv6 is not is said" says ' warning .*no iptables backend works for IPv6.*: no IPv6 Services on this node$'
check "with what each backend said" says 'ip6tables-nft.*Operation not supported.*ip6tables-legacy.*do you need to insmod'
check "it ends when told" stop
finish
