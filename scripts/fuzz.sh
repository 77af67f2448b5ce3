#!/bin/bash
# fuzz.sh [-c DIR] [SECONDS] [TARGET...]: builds the libFuzzer targets with ASan and UBSan into build-asan, and runs each
# of those named (config, ctl, ctl_socket, decode, http, ipset, netlink; default: all) for so long, 300 seconds unless
# told, one after the other. What is found goes to DIR/TARGET and is the start of the next run; without -c it is lost.
# Ends with one line "N passed, N failed"; non-zero if a target failed. The input that fails is printed.
set -u
cd "$(dirname "$(realpath "$0")")/.." || exit 1
usage() {
  echo "usage: fuzz.sh [-c DIR] [SECONDS] [TARGET...]" >&2
  exit 2
}
kept=
while getopts c: option; do
  [ "$option" = c ] || usage
  # Seen from where the caller stands.
  kept=$(cd "$OLDPWD" && realpath -m "$OPTARG") || exit 1
done
shift $((OPTIND - 1))
seconds=300
if [[ ${1-} =~ ^[0-9]+$ ]]; then
  seconds=$1
  shift
fi
# shellcheck disable=SC2046
[ $# -gt 0 ] || set -- $(basename -a -s _fuzz.cpp test/fuzz/*_fuzz.cpp)
for target in "$@"; do
  [ -f "test/fuzz/${target}_fuzz.cpp" ] || usage
done

if [ ! -f build-asan/build.ninja ]; then
  CXX=clang++-14 meson setup build-asan -Dwerror=true -Db_sanitize=address,undefined -Db_lundef=false --optimization=1 \
    -Dfuzz=true -Dcpp_args=-fsanitize=fuzzer-no-link || exit 1
fi
# shellcheck disable=SC2046 # one word per target
ninja -C build-asan $(printf 'test/fuzz/%s_fuzz ' "$@") || exit 1

export ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
passed=0
failed=0
for target in "$@"; do
  echo
  echo "== $target, $seconds s"
  if test/fuzz/bounded.sh "build-asan/test/fuzz/${target}_fuzz" "test/fuzz/corpus/$target" "$seconds" ${kept:+"$kept/$target"}; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
  fi
done
echo
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
