#!/bin/bash
# Installs every Debian package needed to build, test and run. Root; quick when all are there.
set -eu

build="g++ meson ninja-build pkg-config cmake
  libnl-3-dev libnl-genl-3-dev libnl-route-3-dev libipset-dev libcpp-httplib-dev libssl-dev libyaml-cpp-dev
  libsimdjson-dev libcli11-dev libspdlog-dev libfmt-dev libexpected-dev prometheus-cpp-dev nlohmann-json3-dev"
test="catch2 chromium groff-base clang-14 libclang-rt-14-dev user-mode-linux python3 python3-yaml
  curl jq strace tcpdump util-linux coreutils"
run="ipset ipvsadm iptables conntrack iproute2 kmod procps ca-certificates"

missing=
for package in $build $test $run; do
  case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) in
    installed) ;;
    *) missing="$missing $package" ;;
  esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
  echo "scripts/deps.sh: not root, and these packages are missing:$missing" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -q update </dev/null
# shellcheck disable=SC2086 # one word per package
apt-get -q install -y --no-install-recommends $missing </dev/null
