#!/bin/bash
# What Services mean for traffic: every kind of frontend, from every origin, in both families.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
. test/kernel/lib.sh

must "the node" topology_up
must "the backends" serve_pods
config
sample node web solo sticky edge
start
must "the VIPs" within 30 has_address 10.96.10.5
must "the first sync" within 30 synced

. test/kernel/service_traffic.sh

check "nothing was repaired or tried again" test "$(metric kube_ipvsd_retries_total)" = 0
check "no warning" not says ' (warning|error) '
check "SIGTERM ends the daemon with status 0" stop
finish
