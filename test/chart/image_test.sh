#!/bin/bash
# The container image without a container engine: its root file system, made as the Dockerfile makes it from the
# Dockerfile's own list of packages, looked at, and run in the VM as the chart would run it: the init container, the
# daemon with exactly its capabilities, the traffic test and a conformance scenario.
#   test/chart/image_test.sh BUILD    root; ends with "N passed, N failed"
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1

# Inside the VM. Each in a network namespace of its own.
if [ "${1:-}" = --inside ]; then
  export CONTAINER_CASE=$2
  isolated() {
    unshare -n -m sh -c 'mount -t sysfs sysfs /sys; mount -t tmpfs tmpfs /run; ip link set lo up; exec "$@"' isolated "$@"
  }
  isolated test/chart/container_test.sh
  export IPVSD_BINARY=$PWD/test/chart/contained-daemon
  echo "-- the traffic test, against the container"
  isolated test/kernel/services_test.sh
  echo "-- conformance, against the container"
  while read -r scenario; do
    if isolated timeout -k 5 300 /usr/bin/python3 -B test/conformance/run.py "$scenario"; then
      echo "1 passed, 0 failed"
    else
      echo "0 passed, 1 failed"
    fi
  done <"$2/scenarios"
  exit
fi

build=$(realpath "${1:-build}")
[ "$(id -u)" = 0 ] || { echo "skipped: not root: cannot make the image's root file system"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0
failed=0
check() {
  local name=$1
  shift
  if "$@" >"$work/output" 2>&1; then
    echo "ok: $name"
    passed=$((passed + 1))
  else
    echo "FAILED: $name: $*"
    tail -n 20 "$work/output" | sed 's/^/  /'
    failed=$((failed + 1))
  fi
}
finish() {
  echo "$passed passed, $failed failed"
  [ $failed = 0 ]
  exit
}

# --- the root file system ---------------------------------------------------------------------------------------------

packages=$(tr '\n' ' ' <Dockerfile | sed 's/\\ / /g' | grep -oP 'ARG PACKAGES="\K[^"]*')
root=$work/rootfs
# As a container build: none of the capabilities that mount or make namespaces.
builder=(setpriv --inh-caps=-all
  --bounding-set=-all,+chown,+dac_override,+fowner,+fsetid,+setgid,+setuid,+mknod,+sys_chroot,+setfcap)
make_root() {
  # shellcheck disable=SC2086 # one word per package
  "${builder[@]}" scripts/rootfs.sh "$root" "$build/daemon/kube-ipvsd" "$build/ctl/kube-ipvsctl" 0.0.0 $packages
}
if ! make_root >"$work/made" 2>&1 && grep -qE 'Could not (resolve|connect)|emporary failure|unreachable' "$work/made"; then
  echo "skipped: no Debian mirror can be reached"
  exit 77
fi
made() { cat "$work/made" && [ -e "$root/usr/bin/kube-ipvsctl" ]; }
check "the root file system from the Dockerfile's packages, with no more rights than a container build has" made
[ $failed = 0 ] || finish

# found_in_root PROGRAM: every library it needs is there.
found_in_root() {
  local loader
  for loader in "$root"/lib64/ld-linux-*.so.2 "$root"/lib/ld-linux-*.so.1; do
    [ -e "$loader" ] && chroot "$root" "${loader#"$root"}" --list "$1" && return
  done
}
for program in kube-ipvsd xtables-nft-multi xtables-legacy-multi; do
  check "$program finds its libraries" found_in_root /usr/sbin/$program
done
check "modprobe finds its libraries" found_in_root /sbin/modprobe
check "kube-ipvsd runs" chroot "$root" /usr/sbin/kube-ipvsd --version
check "kube-ipvsctl runs" chroot "$root" /usr/bin/kube-ipvsctl --help
for family in iptables ip6tables; do
  for backend in nft legacy; do
    check "$family-$backend, with save and restore" sh -c "cd '$root/usr/sbin' &&
      ls -L $family-$backend $family-$backend-save $family-$backend-restore"
  done
done
no_shell() { [ -z "$(find "$root" \( -name sh -o -name bash -o -name dash -o -name perl -o -name apt -o -name dpkg \) -type f -print)" ]; }
check "no shell, no package manager" no_shell
small() {
  du -sm "$root"
  [ "$(du -sm "$root" | cut -f 1)" -le 40 ]
}
check "at most 40 MB" small
listed() {
  /usr/bin/python3 - "$root" $packages <<'PYTHON'
import json, os, sys
root, *wanted = sys.argv[1:]
sbom = json.load(open(f"{root}/usr/share/sbom/kube-ipvsd.spdx.json"))
names = [package["name"] for package in sbom["packages"]]
print(names)
status = set(os.listdir(f"{root}/var/lib/dpkg/status.d"))
assert len(names) == len(set(names)) and set(names) == status | {"kube-ipvsd"}, "SBOM and status.d differ"
assert set(wanted) <= status, "a package of the Dockerfile is not listed"
# A licence for each.
missing = [name for name in status if not os.path.exists(f"{root}/usr/share/doc/{name}/copyright")]
assert not missing, missing
PYTHON
}
check "the SBOM names every package, and each has its licence" listed
needed() {
  local package file libraries
  libraries=$(for file in "$root/usr/sbin/kube-ipvsd" "$root/usr/bin/kube-ipvsctl"; do
    objdump -p "$file" | awk '$1 == "NEEDED" { print $2 }'
  done | sort -u)
  for file in $libraries; do
    package=$(dpkg -S "*/$file" | head -n 1 | cut -d : -f 1)
    echo "$file: $package"
    grep -qwF -e "$package" <<<"$packages" || return 1
  done
}
check "the Dockerfile names each package that the programs link with" needed

# --- as a container ---------------------------------------------------------------------------------------------------

check "the chart, for the test" env IPVSD_BUILD="$build" /usr/bin/python3 -B test/chart/image_case.py "$work"
[ $failed = 0 ] || finish

# The VM's kernel has no nft NAT; this machine's may.
if unshare -n iptables-nft -t nat -N PROBE 2>/dev/null; then
  nft_without_raw() {
    unshare -n -m sh -c 'mount -t tmpfs tmpfs /run
      unshare -m /usr/bin/python3 -B test/chart/container.py "$1/nft.json" "$1/rootfs" kube-ipvsd <"$1/rules" || exit 1
      iptables-nft-save' nft "$work" >"$work/saved" || return 1
    cat "$work/saved"
    grep -qx -e '-A KUBE-POSTROUTING -j MASQUERADE --random-fully' "$work/saved"
  }
  printf '%s\n' '*nat' ':KUBE-POSTROUTING - [0:0]' '-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN' \
    '-A KUBE-POSTROUTING -j MASQUERADE --random-fully' '-I POSTROUTING 1 -j KUBE-POSTROUTING' 'COMMIT' \
    '*filter' ':KUBE-FORWARD - [0:0]' '-A KUBE-FORWARD -m conntrack --ctstate NEW -j REJECT' 'COMMIT' >"$work/rules"
  check "rules are written with NET_ADMIN alone where the backend is nft" nft_without_raw
else
  echo "skipped: this machine's kernel has no NAT by nft"
fi

: >"$work/scenarios"
for scenario in 01-clusterip 04-source-ranges; do
  folder=$(realpath -m "${SHARED_DIR:-../shared}/conformance/$scenario")
  if [ -d "$folder" ]; then echo "$folder" >>"$work/scenarios"; else echo "skipped: $folder is not there"; fi
done
scripts/vm -t 400 test/chart/image_test.sh --inside "$work" | tee "$work/said"
while read -r line; do
  passed=$((passed + ${line%% *}))
  line=${line#*, }
  failed=$((failed + ${line%% *}))
done < <(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$work/said")
expected=$((2 + $(wc -l <"$work/scenarios")))
check "every test in the VM came to its end" test "$(grep -cE '^[0-9]+ passed, [0-9]+ failed$' "$work/said")" = $expected
finish
