#!/usr/bin/env python3
"""Whether a scrape has every metric that alerts and dashboard ask for:  metrics_served.py SCRAPE"""
import pathlib
import re
import sys

import chart

METRIC = re.compile(r"\b(?:kube_ipvsd|kubeproxy|process)_[a-z0-9_]+\b")


def main():
    served = set(METRIC.findall(pathlib.Path(sys.argv[1]).read_text()))
    asked = set()
    for name in ("alerts.yaml", "dashboard.json"):
        asked |= set(METRIC.findall((chart.CHART / "files" / name).read_text()))
    print(f"{len(asked)} asked for, not served: {sorted(asked - served)}")
    return 0 if asked and asked <= served else 1


if __name__ == "__main__":
    sys.exit(main())
