"""Services and EndpointSlices as the API server has them, for tests that need many of them or need them in JSON.

What lib.sh's api_objects runs can use all of it.
"""

import json
import sys


def service(name, vip, pods):
    """A Service in default with TCP port http 80 -> 8080, and its slice with these addresses."""
    metadata = {"name": name, "namespace": "default"}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {
                "clusterIP": vip,
                "clusterIPs": [vip],
                "ipFamilies": ["IPv4"],
                "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}],
            },
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "addressType": "IPv4",
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": name}},
            "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
            "endpoints": [{"addresses": [pod], "conditions": {"ready": True}, "nodeName": "other"} for pod in pods],
        },
    ]


def app(n, endpoints):
    """The Service app-n at 10.97.0.1 and on, and its slice with so many addresses of its own from 10.128.0.1 on."""
    pods = range(n * endpoints, (n + 1) * endpoints)
    return service(
        f"app-{n}",
        f"10.97.{n // 250}.{n % 250 + 1}",
        [f"10.{128 + pod // 62500}.{pod // 250 % 250}.{pod % 250 + 1}" for pod in pods],
    )


def node():
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "lab-node"},
        "spec": {},
        "status": {"addresses": [{"type": "InternalIP", "address": "192.168.77.2"}]},
    }


def list_of(items):
    return {"apiVersion": "v1", "kind": "List", "items": items}


def write(value, path=None):
    """As JSON to the file, or to standard output."""
    if path is None:
        return json.dump(value, sys.stdout)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file)
