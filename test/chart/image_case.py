#!/usr/bin/env python3
"""Writes what the image's test runs, from the chart as rendered:

  image_case.py FOLDER

pod.json      the pod as container.py takes it, with the API server at 127.0.0.1:6443
no-raw.json   the same without NET_RAW, where the backend is iptables-legacy
nft.json      iptables-nft-restore in place of the daemon, with what the chart gives where the backend is nft
role.json     the ClusterRole's rules
objects.json  the manifests of test/kernel as one List, for the API server stand-in
"""
import json
import pathlib
import sys

import chart

NODE = "lab-node"
SAMPLES = ("node", "web", "solo", "sticky", "edge")
VALUES = {
    "apiServer": {"host": "127.0.0.1", "port": 6443},
    # A network namespace cannot raise nf_conntrack_max.
    "config": {"clusterCIDR": "10.244.0.0/16,fd00:10:244::/56", "conntrack": {"maxPerCore": 0}},
}


def pod(found):
    spec = chart.of_kind(found, "DaemonSet")["spec"]["template"]["spec"]
    config_maps = {name: document["data"] for (kind, name), document in found.items() if kind == "ConfigMap"}
    return {"spec": spec, "configMaps": config_maps, "node": NODE}


def samples():
    for name in SAMPLES:
        yield from chart.parse((chart.ROOT / f"test/kernel/manifests/{name}.yaml").read_text())


def main():
    folder = pathlib.Path(sys.argv[1])
    write = lambda name, content: (folder / name).write_text(json.dumps(content, indent=1))
    found = chart.render(VALUES)
    write("pod.json", pod(found))
    legacy = pod(chart.render(chart.merged(VALUES, {"config": {"ipvsd": {"iptablesBackend": "legacy"}}})))
    legacy["spec"]["containers"][0]["securityContext"]["capabilities"]["add"].remove("NET_RAW")
    write("no-raw.json", legacy)
    nft = pod(chart.render(chart.merged(VALUES, {"config": {"ipvsd": {"iptablesBackend": "nft"}}})))
    nft["spec"]["containers"][0] |= {"command": ["/usr/sbin/iptables-nft-restore"], "args": ["--noflush"]}
    write("nft.json", nft)
    write("role.json", chart.of_kind(found, "ClusterRole")["rules"])
    write("objects.json", {"apiVersion": "v1", "kind": "List", "items": list(samples())})


if __name__ == "__main__":
    main()
