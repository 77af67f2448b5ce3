#!/bin/bash
# Every suite: unit and golden tests in three builds, the fuzz targets for a bounded time, the chart and the image, the
# kernel suite on a kernel with IPVS, ten minutes of the long run, the conformance scenarios, the Debian package around the
# programs of the first build (test/package/reproducible_test.sh builds it twice from nothing, and is not run here). Ends
# with what failed, and one line "N passed, N failed"; non-zero if anything failed.
set -u
cd "$(dirname "$(realpath "$0")")/.." || exit 1
exec </dev/null

passed=0
failed=0
log=$(mktemp -d)
touch "$log/failures"
trap 'rm -rf "$log"' EXIT

# A step that could not run at all counts as one failure.
broken() {
  echo "FAILED: $*" | tee -a "$log/failures"
  failed=$((failed + 1))
}

# Adds the last "N passed, N failed" of the file $1, and keeps what it says of failures; a step without such a line is
# broken.
count() {
  local line
  awk -v step="$2" '/(^|: )FAILED/ { print step ": " $0; inside = 1; next } !/^[[:space:]]/ { inside = 0 } inside' \
    "$1" >>"$log/failures"
  line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$1" | tail -n 1)
  if [ -z "$line" ]; then
    broken "$2 ended without a count"
    return
  fi
  passed=$((passed + ${line%% *}))
  line=${line#*, }
  failed=$((failed + ${line%% *}))
}

# suites FOLDER SUITE... : runs these suites as they are built there.
suites() {
  local folder=$1
  shift
  rm -f "$folder/meson-logs/testlog.json"
  meson test -C "$folder" --no-rebuild --print-errorlogs --timeout-multiplier 5 "${@/#/--suite=}"
  /usr/bin/python3 scripts/tally.py "$folder/meson-logs/testlog.json" | tee "$log/tally"
  count "$log/tally" "suite $* of $folder"
}

# meson_suite FOLDER NAME SETUP-OPTION... : configure, build, run the suites that need neither root nor a network.
meson_suite() {
  local folder=$1 name=$2
  shift 2
  echo
  echo "== $name ($folder)"
  if { [ -f "$folder/build.ninja" ] || meson setup "$folder" "$@"; } && ninja -C "$folder"; then
    suites "$folder" unit golden
  else
    broken "$name does not build"
  fi
}

echo "== packages"
scripts/deps.sh || broken "scripts/deps.sh"

# More histories with faults than elsewhere: they are quick here.
IPVSD_HISTORIES=10000 meson_suite build "unit and golden, gcc, release" --buildtype=release

# A VM has one CPU: beside the builds that follow. What it says is printed at the end.
test/kernel/run.sh >"$log/kernel" 2>&1 &
kernel=$!

export ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
CXX=clang++-14 meson_suite build-asan "unit and golden, clang, ASan and UBSan" \
  -Dwerror=true -Db_sanitize=address,undefined -Db_lundef=false --optimization=1 \
  -Dfuzz=true -Dcpp_args=-fsanitize=fuzzer-no-link

# TSan: the tests of what has threads. Without address randomization: its shadow does not fit around every layout.
echo
echo "== threads, gcc, TSan (build-tsan)"
threaded="api_source config manifest report serve"
if { [ -f build-tsan/build.ninja ] || CXX=g++ meson setup build-tsan -Dwerror=true --optimization=1 -Db_sanitize=thread; } &&
  ninja -C build-tsan $(printf 'test/unit/test_%s ' $threaded); then
  rm -f build-tsan/meson-logs/testlog.json
  # shellcheck disable=SC2086 # one word per test
  setarch "$(uname -m)" -R meson test -C build-tsan --no-rebuild --print-errorlogs --timeout-multiplier 5 $threaded
  /usr/bin/python3 scripts/tally.py build-tsan/meson-logs/testlog.json | tee "$log/tally"
  count "$log/tally" "TSan"
else
  broken "the TSan build"
fi

# The libFuzzer targets, of the same build as ASan's, for a bounded number of inputs each.
echo
echo "== fuzz (build-asan)"
suites build-asan fuzz

echo
echo "== chart"
suites build chart

echo
echo "== package"
if deb=$(scripts/deb.sh --programs build build/deb); then
  test/package/deb_test.sh "$deb" 2>&1 | tee "$log/package"
  count "$log/package" "the package's test"
else
  broken "the package cannot be made"
fi

# conformance NAME ARGUMENT... : the scenarios.
conformance() {
  local name=$1
  shift
  echo
  echo "== $name"
  scripts/conformance.sh "$@" 2>&1 | tee "$log/conformance"
  count "$log/conformance" "$name"
}
conformance "conformance"
conformance "conformance, VIPs by route (a sample)" --route test/conformance/scenarios/{20,31,32,41,44,60}-*

echo
echo "== long run"
scripts/soak.sh 0.167 2>&1 | tee "$log/soak"
count "$log/soak" "the long run"

wait "$kernel"
echo
echo "== kernel"
cat "$log/kernel"
count "$log/kernel" "the kernel suite"

echo
cat "$log/failures"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
