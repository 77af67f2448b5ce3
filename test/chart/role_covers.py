#!/usr/bin/env python3
"""Whether a ClusterRole grants exactly what was asked:  role_covers.py ROLE LOG [UNUSED...]

ROLE holds the rules, LOG is the API server stand-in's list of requests. Prints what is missing, and what is granted
that nobody asked for but for UNUSED, such as "patch events"; status 0 if there is neither.
"""
import json
import pathlib
import sys
import urllib.parse

VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def asked(entry):
    """(verb, group, resource), as the API server authorises it."""
    target = urllib.parse.urlsplit(entry["target"])
    parts = target.path.strip("/").split("/")
    group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
    if rest[0] == "namespaces" and len(rest) > 2:
        rest = rest[2:]
    if entry["method"] != "GET":
        return VERBS[entry["method"]], group, rest[0]
    query = urllib.parse.parse_qs(target.query)
    if query.get("watch", ["false"])[0] in ("true", "1"):
        return "watch", group, rest[0]
    # A get by name; a list otherwise.
    return ("get" if len(rest) > 1 else "list"), group, rest[0]


def main():
    role, log, *unused = sys.argv[1:]
    granted = {(verb, group, resource) for rule in json.loads(pathlib.Path(role).read_text())
               for verb in rule["verbs"] for group in rule["apiGroups"] for resource in rule["resources"]}
    requests = [entry for entry in json.loads(pathlib.Path(log).read_text())
                if entry["userAgent"].startswith("kube-ipvsd")]
    wanted = {asked(entry) for entry in requests}
    print(f"{len(requests)} requests ask for {sorted(wanted)}")
    missing = wanted - granted
    surplus = {right for right in granted - wanted if f"{right[0]} {right[2]}" not in unused}
    for what, rights in (("not granted", missing), ("granted and not used", surplus)):
        for right in sorted(rights):
            print(f"{what}: {right}")
    return 1 if missing or surplus or not requests else 0


if __name__ == "__main__":
    sys.exit(main())
