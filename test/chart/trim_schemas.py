#!/usr/bin/env python3
"""Makes schemas/kubernetes.json from the OpenAPI v3 documents of a kube-apiserver (/openapi/v3/...).

  trim_schemas.py FOLDER >schemas/kubernetes.json     FOLDER has api_v1.json, apps_v1.json, ...

Keeps the kinds that the chart renders and what they refer to, without prose, and makes them strict: a field that the
API server does not know, which it would drop with a warning, is wrong here.
"""
import json
import pathlib
import sys

KINDS = {
    "api_v1.json": ["ConfigMap", "Service", "ServiceAccount"],
    "apps_v1.json": ["DaemonSet"],
    "rbac.authorization.k8s.io_v1.json": ["ClusterRole", "ClusterRoleBinding"],
}
DROPPED = {"description", "default", "x-kubernetes-group-version-kind", "x-kubernetes-list-type",
           "x-kubernetes-list-map-keys", "x-kubernetes-map-type", "x-kubernetes-patch-strategy",
           "x-kubernetes-patch-merge-key", "x-kubernetes-unions", "format"}
PREFIX = "#/components/schemas/"


def strict(schema):
    """As JSON schema. Below "properties" the keys are names of fields, not words of the schema."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    trimmed = {}
    for key, value in schema.items():
        if key == "properties":
            trimmed[key] = {field: strict(described) for field, described in value.items()}
        elif key == "$ref":
            trimmed[key] = "#/definitions/" + value.removeprefix(PREFIX)
        elif key not in DROPPED:
            trimmed[key] = strict(value)
    if len(trimmed.get("allOf", [])) == 1:
        trimmed |= trimmed.pop("allOf")[0]
    if "properties" in trimmed:
        trimmed["additionalProperties"] = False
    return trimmed


def references(schema):
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref":
                yield value.removeprefix("#/definitions/")
            else:
                yield from references(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from references(item)


def main():
    folder = pathlib.Path(sys.argv[1])
    definitions = {}
    kinds = {}
    for file, wanted in KINDS.items():
        known = json.loads((folder / file).read_text())["components"]["schemas"]
        for name, schema in known.items():
            for described in schema.get("x-kubernetes-group-version-kind", []):
                version = "/".join(filter(None, [described["group"], described["version"]]))
                if described["kind"] in wanted and name.endswith("." + described["kind"]):
                    kinds[f"{version} {described['kind']}"] = name
        waiting = [name for name in kinds.values() if name in known]
        while waiting:
            name = waiting.pop()
            if name not in definitions:
                definitions[name] = strict(known[name])
                waiting.extend(references(definitions[name]))
    json.dump({"kinds": kinds, "definitions": definitions}, sys.stdout, indent=0, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
