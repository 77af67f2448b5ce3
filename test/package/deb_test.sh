#!/bin/bash
# The Debian package: lintian finds no error, it installs in a clean root and runs there, its unit is well-formed and
# confined, and the daemon passes traffic tests in the test kernel with no more rights than the unit gives it.
#   test/package/deb_test.sh [DEB]    without DEB, scripts/deb.sh builds one first; one that was made around programs
#                                     that are there already (scripts/deb.sh --programs build) takes seconds instead
# Root, and Debian's package archive within reach. Ends with "N passed, N failed".
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1

# In the test kernel: the installed daemon in the place of the one that was built, for the tests of test/kernel.
if [ "${1:-}" = --confined ]; then
  root=$IPVSD_ROOT
  if ! mountpoint -q "$root"; then
    mount --bind "$root" "$root" && mount -o remount,ro,bind "$root" && mount --bind /proc "$root/proc" &&
      mount --bind /lib/modules "$root/lib/modules" && mount --bind /sys "$root/sys" && mount --rbind /run "$root/run" || exit 1
  fi
  shift
  unit=$root/lib/systemd/system/kube-ipvsd.service
  capabilities=$(sed -n 's/^CapabilityBoundingSet=//p' "$unit" | sed 's/CAP_/+/g; s/ /,/g' | tr '[:upper:]' '[:lower:]')
  before=$(sed -n 's/^ExecStartPre=-+//p' "$unit")
  [ -n "$capabilities" ] && [ -n "$before" ] && grep -qx ProtectKernelTunables=yes "$unit" || exit 1
  # What comes before it, with all rights and this test's configuration; only where it is to serve.
  case " $* " in
    *" --cleanup "* | *" --check "* | *" --dry-run "*) ;;
    *" --config "*)
      config=$(printf '%s\n' "$@" | sed -n '/^--config$/{n;p}')
      # shellcheck disable=SC2086 # a command line
      chroot "$root" ${before/\/etc\/kube-ipvsd\/config.yaml/$config} ;;
  esac
  export root capabilities
  exec unshare -m sh -c 'mount --bind "$root/proc/sys" "$root/proc/sys" && mount -o remount,ro,bind "$root/proc/sys" &&
    exec chroot "$root" setpriv --bounding-set="-all,$capabilities" --inh-caps=-all --no-new-privs /usr/sbin/kube-ipvsd "$@"' \
    sh "$@"
fi

passed=0
failed=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
check() {
  local name=$1
  shift
  if "$@" >"$work/output" 2>&1; then
    echo "ok: $name"
    passed=$((passed + 1))
  else
    echo "FAILED: $name: $*"
    tail -n 40 "$work/output" | sed 's/^/  /'
    failed=$((failed + 1))
  fi
}
finish() {
  echo "$passed passed, $failed failed"
  [ $failed = 0 ]
  exit
}

deb=${1:-}
if [ -z "$deb" ]; then
  deb=$(scripts/deb.sh "$work") || { check "the package builds" false; finish; }
fi
version=$(sed -n "s/^  version: '\(.*\)',$/\1/p" meson.build)
check "the package is there" test -s "$deb"
check "lintian finds no error" lintian --fail-on error --tag-display-limit 0 "$deb"
check "its version is meson.build's" test "$(dpkg-deb -f "$deb" Version)" = "$version"

root=$work/root
inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
clean_root() {
  mmdebstrap --quiet --variant=minbase --include=systemd \
    --customize-hook="cp '$deb' \"\$1/kube-ipvsd.deb\"" \
    --customize-hook='chroot "$1" apt-get -q install -y --no-install-recommends /kube-ipvsd.deb' bookworm "$root"
}
if ! clean_root >"$work/made" 2>&1 && grep -qE 'Could not (resolve|connect)|emporary failure|unreachable' "$work/made"; then
  echo "skipped: no Debian mirror can be reached"
  finish
fi
installed() { cat "$work/made" && [ -e "$root/usr/sbin/kube-ipvsd" ]; }
check "it installs in a clean root" installed
[ -d "$root/etc" ] || finish
says() { inside "${@:2}" | grep -qE -e "$1"; }
check "kube-ipvsd runs" says "^kube-ipvsd $version" kube-ipvsd --version
check "kube-ipvsctl runs" says "^kube-ipvsctl $version" kube-ipvsctl --version
check "and both name a git revision" says '\(git [0-9a-f]{12}' kube-ipvsd --version
lays_out() {
  local file
  for file in /etc/kube-ipvsd/config.yaml /lib/systemd/system/kube-ipvsd.service /usr/share/doc/kube-ipvsd/examples/web.yaml; do
    test -s "$root$file" || { echo "no $file"; return 1; }
  done
  test -d "$root/etc/kube-ipvsd/manifests" && test -z "$(ls "$root/etc/kube-ipvsd/manifests")"
}
check "configuration, unit and samples are where they belong, and no manifest is live" lays_out
check "the configuration is a conffile" says '/etc/kube-ipvsd/config.yaml' cat /var/lib/dpkg/info/kube-ipvsd.conffiles
completes() {
  inside bash -c '. /usr/share/bash-completion/completions/kube-ipvsctl && COMP_WORDS=(kube-ipvsctl exp) COMP_CWORD=1 &&
    _kube_ipvsctl && [ "${COMPREPLY[*]}" = explain ]' &&
    test -s "$root/usr/share/zsh/vendor-completions/_kube-ipvsctl" && test -s "$root/usr/share/fish/vendor_completions.d/kube-ipvsctl.fish"
}
check "bash completes kube-ipvsctl's commands" completes
has_pages() { tar -tf <(dpkg-deb --fsys-tarfile "$deb") | grep -cE '/man8/kube-ipvs(d|ctl)\.8\.gz$' | grep -qx 2; }
check "the manual pages" has_pages
check "nothing is enabled by installing" test -z "$(find "$root/etc/systemd" -name 'kube-ipvsd*')"
check "the unit is well-formed" inside systemd-analyze verify --man=no /lib/systemd/system/kube-ipvsd.service
exposure() { inside systemd-analyze security --offline=yes --no-pager --threshold=35 /lib/systemd/system/kube-ipvsd.service; }
check "the unit is confined (exposure at most 3.5)" exposure
sample_config() {
  inside kube-ipvsd --check --config /etc/kube-ipvsd/config.yaml --manifests /usr/share/doc/kube-ipvsd/examples -o json >"$work/report"
  test -s "$work/report" && jq -e '[.findings[] | select(.subject == "configuration" or .subject == "object") | select(.severity == "problem" or .severity == "warning")] == []' "$work/report"
}
check "the sample configuration and manifests have no mistake" sample_config

# --- with the unit's rights, in the test kernel -----------------------------------------------------------------------

cat >"$work/confined" <<WRAPPER
#!/bin/sh
exec $PWD/test/package/deb_test.sh --confined "\$@"
WRAPPER
chmod +x "$work/confined"
in_vm() {
  IPVSD_ROOT=$root IPVSD_BINARY=$work/confined scripts/vm -m 2048M -t 600 sh -c '
    exec unshare -n -m sh -c "mount -t sysfs sysfs /sys; mount -t tmpfs tmpfs /run; ip link set lo up; exec $1"' \
    sh "$1"
}
mkdir -p "$root/lib/modules"
for script in services restart cleanup; do
  check "with the unit's capabilities and a read-only root: $script" in_vm "test/kernel/${script}_test.sh"
done

check "it can be removed and purged" inside dpkg --purge kube-ipvsd
check "and nothing of it is left" test -z "$(find "$root/etc" "$root/usr" "$root/lib" -name '*kube-ipvs*' 2>/dev/null)"
finish
