#!/usr/bin/env python3
"""The schema of `config:` in the chart's values, from the daemon's own table of options.

  config_schema.py --write    puts it into charts/kube-ipvsd/values.schema.json; to be run when an option was added

chart_test.py checks that what is there is what this makes.
"""
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "charts/kube-ipvsd/values.schema.json"
OPTIONS = ROOT / "daemon/config/options.cpp"

OPTION = re.compile(r'(?:\{|ignored\()"(?P<name>[A-Za-z.]+)",\s*"[^"]*",\s*(?:T|OptionType)::(?P<type>\w+)')
# Decided by the chart.
NOT_IN_VALUES = {"apiVersion", "kind", "mode"}

DURATION = {"anyOf": [{"type": "string", "pattern": "^(([0-9]+(\\.[0-9]+)?(ns|us|µs|ms|s|m|h))+|0|)$"},
                      {"enum": [0, None]}]}
LIST = {"type": ["array", "null"], "items": {"type": "string"}}
TYPES = {
    "text": {"type": ["string", "null"]},
    "boolean": {"type": ["boolean", "null"]},
    "integer": {"type": ["integer", "null"]},
    "number": {"type": ["number", "null"]},
    "duration": DURATION,
    "list": LIST,
    "map": {"type": ["object", "null"]},
    "anything": {},
}
SOCKET = {"type": "string", "pattern": "^(none|[0-9.]+(:[0-9]+)?|\\[[0-9a-fA-F:.]+\\](:[0-9]+)?|[0-9a-fA-F]*(:[0-9a-fA-F.]*){2,}|)$"}
CIDRS = {"type": ["array", "null"], "items": {"type": "string", "pattern": "^[0-9a-fA-F:.]+/[0-9]+$"}}
# Where the type alone says too little. The daemon checks the rest, with file and line.
NARROWER = {
    "healthzBindAddress": SOCKET,
    "metricsBindAddress": SOCKET,
    "detectLocalMode": {"enum": ["", "ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix", None]},
    "ipvs.scheduler": {"type": ["string", "null"], "pattern": "^[a-z0-9_]{0,15}$"},
    "ipvs.excludeCIDRs": CIDRS,
    "ipvsd.iptablesBackend": {"enum": ["auto", "legacy", "nft"]},
    "ipvsd.serviceAddresses": {"enum": ["bind", "route"]},
    "iptables.masqueradeBit": {"type": ["integer", "null"], "minimum": 0, "maximum": 31},
    "oomScoreAdj": {"type": ["integer", "null"], "minimum": -1000, "maximum": 1000},
}


def options():
    """[(name, type)] as in the table."""
    return [(found["name"], found["type"]) for found in OPTION.finditer(OPTIONS.read_text())]


def section():
    return {"type": "object", "additionalProperties": False, "properties": {}}


def config_schema():
    schema = section()
    # A configuration pasted as it is has these too; they say what the chart says anyway.
    schema["properties"] = {
        "apiVersion": {"enum": ["kubeproxy.config.k8s.io/v1alpha1"]},
        "kind": {"enum": ["KubeProxyConfiguration"]},
        "mode": {"enum": ["ipvs", ""]},
    }
    for name, kind in options():
        if name in NOT_IN_VALUES:
            continue
        *parents, leaf = name.split(".")
        at = schema
        for parent in parents:
            at = at["properties"].setdefault(parent, section())
        at["properties"][leaf] = NARROWER.get(name, TYPES[kind])
    return schema


def main():
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    whole = json.loads(SCHEMA.read_text())
    whole["properties"]["config"] = config_schema()
    SCHEMA.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
