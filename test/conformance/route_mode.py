"""What ipvsd.serviceAddresses: route makes different in a scenario, which was recorded with bound VIPs.

The VIPs in the Service CIDRs are not among the addresses of kube-ipvs0, one that holds the routes is; the rules of KUBE-IPVS-FILTER close the CIDRs;
and where nobody knows what is local, a process of the node is masqueraded for its address being the node's. All else
must be the same.
"""
import ipaddress
import os
import re

import yaml

SERVICE_CIDRS = ["10.96.0.0/16", "fd00:10:96::/112"]
NETWORKS = [ipaddress.ip_network(cidr) for cidr in SERVICE_CIDRS]
# (program, where it is to stand, the rule before which the CIDR is closed)
BEFORE = re.compile(r"(iptables|ip6tables) filter -A KUBE-IPVS-FILTER .*KUBE-(6-)?HEALTH-CHECK-NODE-PORT dst -j RETURN")
CLOSED = {
    "iptables": f"iptables filter -A KUBE-IPVS-FILTER -d {SERVICE_CIDRS[0]} -m conntrack --ctstate NEW"
                " -j REJECT --reject-with icmp-port-unreachable",
    "ip6tables": f"ip6tables filter -A KUBE-IPVS-FILTER -d {SERVICE_CIDRS[1]} -m conntrack --ctstate NEW"
                 " -j REJECT --reject-with icmp6-port-unreachable",
}
BY_SOURCE = re.compile(r"(--match-set KUBE-(?:6-)?CLUSTER-IP )src,dst( -j KUBE-MARK-MASQ)")


def wanted():
    return "IPVSD_CONFORMANCE_ROUTE" in os.environ


def configuration(text):
    config = yaml.safe_load(text)
    config.setdefault("ipvsd", {}).update({"serviceAddresses": "route", "serviceCIDRs": SERVICE_CIDRS})
    return yaml.safe_dump(config)


def is_routed(line):
    address = ipaddress.ip_interface(line).ip
    return any(address.version == network.version and address in network for network in NETWORKS)


def expected_rules(lines):
    for line in lines:
        if match := BEFORE.fullmatch(line):
            yield CLOSED[match.group(1)]
        yield BY_SOURCE.sub(r"\1dst,dst -m addrtype --src-type LOCAL\2", line)


def expected(file, text):
    """What a recording becomes in this mode."""
    lines = text.splitlines()
    if file == "addresses.txt":
        lines = [line for line in lines if not is_routed(line)] + ["127.107.0.1/32"]  # holds the IPv4 routes
    elif file == "rules.txt":
        lines = list(expected_rules(lines))
    return "".join(f"{line}\n" for line in lines)
