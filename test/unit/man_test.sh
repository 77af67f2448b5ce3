#!/bin/bash
# The man pages have every option that the programs have, and no other; and they are valid where something can tell.
#   man_test.sh KUBE-IPVSD KUBE-IPVSCTL
set -u
pages=$(dirname "$(realpath "$0")")/../../docs/man
status=0
failed() {
  echo "FAILED: $*"
  status=1
}
long_options() { grep -oE '^  (-[a-z],)?--[a-z-]+' | grep -oE -e '--[a-z-]+' | sort -u; }
# Those that a section of a page explains: the terms of its lists.
terms() { grep -A1 '^\.TP' | sed 's/\\-/-/g' | grep -oE -e 'fB--[a-z-]+' | sed 's/^fB//' | sort -u; }
equal() { diff <(echo "$2") <(echo "$3") || failed "$1: < program, > page"; }

equal "kube-ipvsd.8" "$("$1" --help | long_options)" "$(terms <"$pages/kube-ipvsd.8")"
commands=$("$2" --help | sed -n '/^Subcommands:/,$p' | grep -oE '^  [a-z]+' | tr -d ' ')
equal "the commands" "$commands" "$(sed -n 's/^\.SS //p' "$pages/kube-ipvsctl.8")"
for command in $commands; do
  equal "kube-ipvsctl.8: $command" "$("$2" "$command" --help | long_options | grep -v -x -e --help)" \
    "$(sed -n "/^\.SS $command\$/,/^\.S[SH] /p" "$pages/kube-ipvsctl.8" | terms)"
done

for page in "$pages"/*.8; do
  if command -v groff >/dev/null; then
    warnings=$(groff -man -Tutf8 -ww -z "$page" 2>&1)
    [ -z "$warnings" ] || failed "groff: $warnings"
  else
    echo "not checked: no groff"
  fi
  if command -v mandoc >/dev/null; then
    warnings=$(mandoc -Tlint -Wwarning "$page" 2>&1)
    [ -z "$warnings" ] || failed "mandoc: $warnings"
  fi
done
exit $status
