#!/bin/bash
# A long run on a kernel with IPVS: Services come and go, endpoints roll, connections are open all the time, and things go
# wrong at random (test/kernel/soak.sh).
#   scripts/soak.sh HOURS [SEED]     fractions too: 0.17 is ten minutes; SEED (default 1) is what goes wrong when
# The suites run ten minutes of it. Ends with the lines "soak: ..." and "N passed, N failed".
set -u
cd "$(dirname "$(realpath "$0")")/.." || exit 1

hours=${1:-}
[[ $hours =~ ^[0-9]+(\.[0-9]+)?$ ]] || { sed -n '2,5s/^# \?//p' "$0" >&2; exit 2; }
[ -x build/test/kernel/traffic ] || { echo "scripts/soak.sh: run scripts/build.sh first" >&2; exit 1; }
seconds=$(awk -v hours="$hours" 'BEGIN { printf "%d", hours * 3600 }')
export IPVSD_SOAK_SECONDS=$seconds IPVSD_SEED=${2:-1}
exec scripts/vm -m 2048M -t $((seconds + seconds / 2 + 600)) test/kernel/soak.sh
