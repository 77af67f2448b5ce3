#!/bin/bash
# kube-ipvsctl dump on a node as kube-proxy left it: the recorded outcome of each conformance scenario, loaded into the
# kernel with the usual programs.
set -u
cd "$(dirname "$(realpath "$0")")/../.." || exit 1
ctl=build/ctl/kube-ipvsctl
recorded=${SHARED_DIR:-../shared}/conformance
[ -x $ctl ] || { echo "skipped: no $ctl"; exit 77; }
[ -d "$recorded" ] || { echo "skipped: no recorded scenarios in $recorded"; exit 77; }
work=$(mktemp -d -p /run)
passed=0
failed=0
failure() {
  echo "FAILED: $*"
  failed=$((failed + 1))
}

# What the JSON says, in the language of the recorded files.
texts() {
  /usr/bin/python3 - "$1" "$2" <<'PYTHON'
import json, pathlib, sys
dump, out = json.load(open(sys.argv[1])), pathlib.Path(sys.argv[2])
write = lambda name, lines: (out / name).write_text("".join(f"{line}\n" for line in sorted(lines)))
write("addresses", (f'{a["address"]}/{a["prefixLength"]}' for a in dump["link"]["addresses"] if not a["address"].startswith("fe80:")))
write("members", (f'add {s["name"]} {m}' for s in dump["sets"] for m in s["members"]))
for rules, name in zip(dump["rules"], ["rules4", "rules6"]):
    write(name, (f'-A {c["name"]} {r}' for c in rules["chains"] for r in c["rules"]))
PYTHON
}

equal() {
  diff "$2" "$3" >"$work/difference" && return
  failure "$1"
  head -n 20 "$work/difference"
  return 1
}

for scenario in "$recorded"/*/; do
  scenario=${scenario%/}
  name=$(basename "$scenario")
  step=$(find "$scenario/expected" -mindepth 1 -maxdepth 1 -name '[0-9]*' -printf '%f\n' | sort | tail -n 1)
  expected=$scenario/expected${step:+/$step}
  if ! test/kernel/lay_down.sh "$scenario" "$step"; then
    failure "$name: could not be loaded"
    test/kernel/lay_down.sh --clear
    continue
  fi
  before=$failed
  equal "$name: ipvsadm -Sn" <(ipvsadm -Sn | LC_ALL=C sort) <($ctl dump -o ipvsadm | LC_ALL=C sort)
  $ctl dump --all -o json >"$work/json" || failure "$name: no dump"
  /usr/bin/python3 -B test/unit/ctl_schema_check.py docs/schema/dump.schema.json <"$work/json" || failure "$name: schema"
  texts "$work/json" "$work"
  equal "$name: addresses" <(LC_ALL=C sort "$expected/addresses.txt") <(LC_ALL=C sort "$work/addresses")
  equal "$name: members" <(grep ^add "$expected/ipset.txt" | LC_ALL=C sort) <(LC_ALL=C sort "$work/members")
  equal "$name: IPv4 rules" <(iptables-save | grep -e '^-A.*KUBE-' | LC_ALL=C sort) <(LC_ALL=C sort "$work/rules4")
  equal "$name: IPv6 rules" <(ip6tables-save | grep -e '^-A.*KUBE-' | LC_ALL=C sort) <(LC_ALL=C sort "$work/rules6")
  $ctl dump --all -o table >/dev/null || failure "$name: no table"
  if [ $failed = "$before" ]; then
    echo "ok: $name"
    passed=$((passed + 1))
  fi
  test/kernel/lay_down.sh --clear
done
rm -rf "$work"
[ $passed -gt 0 ] || failure "no scenario"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
