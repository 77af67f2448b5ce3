#!/bin/bash
# Installs every Debian package needed to build, test and run. Root; quick when all are there.
#   scripts/deps.sh [GROUP...]    of some groups only: build, test, run, image and package (what those two are made with)
set -eu

build="g++ meson ninja-build pkg-config cmake
  libnl-3-dev libnl-genl-3-dev libnl-route-3-dev libipset-dev libcpp-httplib-dev libssl-dev libyaml-cpp-dev
  libsimdjson-dev libcli11-dev libspdlog-dev libfmt-dev libexpected-dev prometheus-cpp-dev nlohmann-json3-dev"
test="catch2 chromium groff-base clang-14 libclang-rt-14-dev python3 python3-yaml
  zsh fish curl jq strace tcpdump iputils-ping util-linux coreutils
  golang-go golang-github-masterminds-sprig-dev golang-k8s-sigs-yaml-dev python3-jsonschema lintian"
run="ipset ipvsadm iptables conntrack iproute2 kmod procps ca-certificates"
image="mmdebstrap ca-certificates"
package="debhelper dpkg-dev"

# Where there is none (arm64), scripts/vm needs a kernel with IPVS of its own.
case $(dpkg --print-architecture) in
  amd64) test="$test user-mode-linux" ;;
esac

packages=
missing=
for group in "${@:-build test run image package}"; do
  for name in $group; do packages+=" ${!name}"; done
done
for name in $packages; do
  case $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) in
    installed) ;;
    *) missing="$missing $name" ;;
  esac
done
# Of the package prometheus only its tool: the package would run a server.
promtool=
case " ${*:-test} " in *" test "*) command -v promtool >/dev/null || promtool=promtool ;; esac
[ -n "$missing$promtool" ] || exit 0

if [ "$(id -u)" != 0 ]; then
  echo "scripts/deps.sh: not root, and these packages are missing:$missing $promtool" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -q update </dev/null
# shellcheck disable=SC2086 # one word per package
[ -z "$missing" ] || apt-get -q install -y --no-install-recommends $missing </dev/null
if [ -n "$promtool" ]; then
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  (cd "$folder" && apt-get -q download prometheus) </dev/null
  dpkg --fsys-tarfile "$folder"/prometheus_*.deb | tar -x -O ./usr/bin/promtool >"$folder/promtool"
  install -m 755 "$folder/promtool" /usr/local/bin/promtool
fi
