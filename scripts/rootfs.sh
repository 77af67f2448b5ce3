#!/bin/bash
# Makes the root file system of the container image: the named Debian packages and what they depend on, unpacked and
# without anything that only an installed system needs, and the two programs.
#   scripts/rootfs.sh DEST DAEMON CTL VERSION PACKAGE...    DEST must not exist; DAEMON and CTL are the programs' files
# Root is needed, but no capability beyond those of a container build. The Dockerfile and the chart's tests run it.
# The list of packages is in DEST as SPDX (usr/share/sbom) and in the form that scanners know from images without a
# package manager (var/lib/dpkg/status.d).
set -eu

# Called by mmdebstrap, with the packages still there.
if [ "${1:-}" = --list ]; then
  root=$2 version=$3
  mkdir -p "$root/var/lib/dpkg/status.d" "$root/usr/share/sbom"
  for deb in "$root"/var/cache/apt/archives/*.deb; do
    dpkg-deb --field "$deb" >"$root/var/lib/dpkg/status.d/$(dpkg-deb --field "$deb" Package)"
  done
  created=$(date -u -d "@${SOURCE_DATE_EPOCH:-$(date +%s)}" +%Y-%m-%dT%H:%M:%SZ)
  {
    cat <<JSON
{"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": "kube-ipvsd-$version",
 "documentNamespace": "https://spdx.org/spdxdocs/kube-ipvsd-$version-$(dpkg --print-architecture)",
 "creationInfo": {"created": "$created", "creators": ["Tool: scripts/rootfs.sh"]},
 "documentDescribes": ["SPDXRef-kube-ipvsd"],
 "packages": [
  {"SPDXID": "SPDXRef-kube-ipvsd", "name": "kube-ipvsd", "versionInfo": "$version", "licenseConcluded": "Apache-2.0",
   "licenseDeclared": "Apache-2.0", "copyrightText": "NOASSERTION", "downloadLocation": "NOASSERTION", "filesAnalyzed": false}
JSON
    for deb in "$root"/var/cache/apt/archives/*.deb; do
      # shellcheck disable=SC2016 # dpkg-deb's own variables
      dpkg-deb --show --showformat ',
  {"SPDXID": "SPDXRef-${Package}", "name": "${Package}", "versionInfo": "${Version}", "supplier": "Organization: Debian",
   "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION", "copyrightText": "NOASSERTION",
   "downloadLocation": "NOASSERTION", "filesAnalyzed": false, "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER",
    "referenceType": "purl", "referenceLocator": "pkg:deb/debian/${Package}@${Version}?arch=${Architecture}"}]}' "$deb"
    done
    printf '\n ]}\n'
  } >"$root/usr/share/sbom/kube-ipvsd.spdx.json"
  exit
fi

[ $# -ge 5 ] || { echo "usage: scripts/rootfs.sh DEST DAEMON CTL VERSION PACKAGE..." >&2; exit 2; }
root=$1 daemon=$2 ctl=$3 version=$4
shift 4
[ ! -e "$root" ] || { echo "scripts/rootfs.sh: $root is there already" >&2; exit 1; }

# "extract" unpacks and runs no maintainer script, so there is nothing to mount or chroot into.
mmdebstrap --variant=extract --mode=chrootless --include="$*" \
  --extract-hook="$(printf '%q --list "$1" %q' "$(realpath "$0")" "$version")" bookworm "$root"

# No locale but C, no manuals; of the documentation the licences stay.
rm -rf "$root"/usr/lib/*-linux-gnu/gconv "$root"/usr/share/{locale,man,bug,lintian,bash-completion,doc-base}
find "$root/usr/share/doc" -type f ! -name copyright -delete
find "$root/usr/share/doc" -type d -empty -delete
rm -rf "$root"/{dev,tmp,var/cache,var/log,var/lib/apt,etc/apt} "$root"/etc/{init.d,default,cron.d,fstab,hostname,resolv.conf}
mkdir -p "$root"/{dev,proc,sys,run,tmp,etc/ssl/certs,usr/lib/ssl}
chmod 1777 "$root/tmp"

cp /etc/os-release "$root/etc/os-release"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
ln -s /etc/ssl/certs/ca-certificates.crt "$root/usr/lib/ssl/cert.pem"
echo 'root:x:0:0:root:/:/usr/sbin/nologin' >"$root/etc/passwd"
echo 'root:x:0:' >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"

install -D -m 755 --strip "$daemon" "$root/usr/sbin/kube-ipvsd"
install -D -m 755 --strip "$ctl" "$root/usr/bin/kube-ipvsctl"
