#!/usr/bin/env python3
"""Compares the node's rules with what a kube-proxy wrote: switch_back.py EXPECTED kept|taken

EXPECTED is a folder with iptables.txt and ip6tables.txt of a recorded scenario. kept: its chains and the jumps into them
are there. taken: its chains hold its rules, no more and no less, in order; chains of our own (KUBE-IPVSD-) do not count.
Prints what differs; exit status 0 if nothing does.
"""
import pathlib
import re
import subprocess
import sys

BUILT_IN = ("INPUT", "OUTPUT", "FORWARD", "PREROUTING", "POSTROUTING")


def lines(text):
    """{(table, chain): [declaration or rule]}, without counters."""
    found, table = {}, ""
    for line in text.splitlines():
        line = re.sub(r" \[[0-9:]*\]$", "", line)
        if line.startswith("*"):
            table = line[1:]
        elif match := re.match(r"(?::|-A )(\S+) ", line):
            found.setdefault((table, match[1]), []).append(line)
    return found


def main():
    folder, question = pathlib.Path(sys.argv[1]), sys.argv[2]
    different = []
    for program in ("iptables", "ip6tables"):
        recorded = lines((folder / f"{program}.txt").read_text())
        saved = subprocess.run([f"{program}-save"], check=True, capture_output=True, text=True).stdout
        here = lines(saved)
        for (table, chain), want in recorded.items():
            have = here.get((table, chain), [])
            if chain in BUILT_IN:
                different += [f"{program} {table}: - {line}" for line in want[1:] if line not in have]
            elif question == "taken" and want != have:
                different += [f"{program} {table}: - {line}" for line in want] + [f"  + {line}" for line in have]
            elif not have:
                different.append(f"{program} {table}: no chain {chain}")
        if question == "taken":
            different += [f"{program} {table}: chain {chain} is left" for table, chain in here.keys() - recorded.keys()
                          if chain.startswith("KUBE-") and not chain.startswith("KUBE-IPVSD-")]
    print("\n".join(different))
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
