#!/usr/bin/python3
"""Holds a JSON document on standard input against a schema: ctl_schema_check.py SCHEMA

Knows the part of JSON Schema 2020-12 that docs/schema uses and refuses any other keyword. What the schema does not
name is an error here, though readers are to skip it: our own output is documented in full.
"""
import json
import re
import sys

KNOWN = {"$schema", "$defs", "$ref", "title", "description", "type", "required", "properties", "items", "const", "enum",
         "minimum", "maximum", "pattern", "oneOf", "additionalProperties"}
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}


def check(value, schema, root, path):
    """Yields what is wrong."""
    if unknown := set(schema) - KNOWN:
        yield f"{path}: the schema uses {sorted(unknown)}"
    if "$ref" in schema:
        target = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        yield from check(value, target, root, path)
    if "type" in schema:
        wanted = TYPES[schema["type"]]
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            yield f"{path}: {value!r} is no {schema['type']}"
            return
    if "const" in schema and value != schema["const"]:
        yield f"{path}: {value!r} is not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is none of {schema['enum']}"
    if "minimum" in schema and value < schema["minimum"]:
        yield f"{path}: {value} is too small"
    if "maximum" in schema and value > schema["maximum"]:
        yield f"{path}: {value} is too large"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{path}: {value!r} does not match {schema['pattern']}"
    for name in schema.get("required", []):
        if name not in value:
            yield f"{path}: no {name}"
    if "oneOf" in schema:
        fitting = sum(not list(check(value, option, root, path)) for option in schema["oneOf"])
        if fitting != 1:
            yield f"{path}: fits {fitting} of {schema['oneOf']}"
    if "properties" in schema:
        for name, member in value.items():
            if name in schema["properties"]:
                yield from check(member, schema["properties"][name], root, f"{path}/{name}")
            else:
                yield f"{path}: {name} is not in the schema"
    if "additionalProperties" in schema:
        for name, member in value.items():
            yield from check(member, schema["additionalProperties"], root, f"{path}/{name}")
    if "items" in schema:
        for index, item in enumerate(value):
            yield from check(item, schema["items"], root, f"{path}/{index}")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        schema = json.load(file)
    document = json.load(sys.stdin)
    problems = list(check(document, schema, schema, ""))
    try:  # the whole of JSON Schema, where it is installed
        import jsonschema
        problems += [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(document)]
    except ImportError:
        pass
    print("\n".join(problems), end="")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
