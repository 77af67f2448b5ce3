#!/usr/bin/env python3
"""What a traced program wrote to the kernel's virtual servers, addresses and sets: netlink_writes.py FILE

FILE is the output of "strace -f -x -s 64 -e trace=sendmsg,sendto -e verbose=all". Prints each kind of message that adds, changes or
removes something, and how often; nothing means that there was none. Two things do not count: the virtual server by
which the scheduler is probed, and sets that are named KUBE-TMP.
"""
import collections
import re
import sys

# include/uapi/linux/ip_vs.h: IPVS_CMD_*
IPVS = {1: "NEW_SERVICE", 2: "SET_SERVICE", 3: "DEL_SERVICE", 5: "NEW_DEST", 6: "SET_DEST", 7: "DEL_DEST", 17: "FLUSH"}
PROBE = r"\x14\x00\x03\x00\xc6\x33\x64\x00"  # IPVS_SVC_ATTR_ADDR 198.51.100.0
# IPSET_CMD_CREATE is not among them: of a set that exists it says so, and changes nothing.
IPSET = re.compile(r"IPSET_CMD_(DESTROY|FLUSH|RENAME|SWAP|ADD|DEL)\b")
TEMPORARY = r"\x4b\x55\x42\x45\x2d\x54\x4d\x50"
ROUTE = re.compile(r"RTM_(?:NEWADDR|DELADDR|DELLINK)\b")


def written(message):
    """The name of what a message does; empty if it writes nothing that counts."""
    kind = re.match(r"\d+, nlmsg_type=([^,]+),", message)
    if kind is None:
        return ""
    if kind[1] == "IPVS":
        command = re.search(r'\}, "\\x([0-9a-f]{2})', message)
        return "" if PROBE in message else IPVS.get(int(command[1], 16), "") if command else "IPVS message not understood"
    if found := IPSET.search(kind[1]):
        return "" if TEMPORARY in message else f"IPSET {found[1]}"
    return kind[1] if ROUTE.search(kind[1]) else ""


def main():
    counts = collections.Counter()
    with open(sys.argv[1], encoding="utf-8", errors="replace") as trace:
        for line in trace:
            counts.update(filter(None, map(written, line.split("{nlmsg_len=")[1:])))
    for name, count in sorted(counts.items()):
        print(name, count)


if __name__ == "__main__":
    main()
