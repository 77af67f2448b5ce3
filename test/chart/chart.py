"""The chart as the tests see it: rendered, parsed strictly, and its values checked as Helm checks them."""
import functools
import json
import os
import pathlib
import subprocess

import jsonschema
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/kube-ipvsd"
HERE = ROOT / "test/chart"
BUILD = pathlib.Path(os.environ.get("IPVSD_BUILD", ROOT / "build"))

# What has no default.
MINIMAL = {"apiServer": {"host": "192.168.77.1"}}


def loaded(path):
    return json.loads(pathlib.Path(path).read_text())


class StrictLoader(yaml.SafeLoader):
    """Two members of one name are an error, as they are to sigs.k8s.io/yaml."""

    def construct_mapping(self, node, deep=False):
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {str(name) for name in names if names.count(name) > 1}
        if twice:
            raise yaml.YAMLError(f"{node.start_mark}: twice: {', '.join(sorted(twice))}")
        return super().construct_mapping(node, deep)


def parse(text):
    """The documents of a YAML text that are not empty."""
    return [document for document in yaml.load_all(text, StrictLoader) if document is not None]


@functools.cache
def renderer():
    """The program that renders, built from Debian's Go packages; go skips what is built already."""
    folder = BUILD / "test/chart"
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "",
                   "GOCACHE": str(folder / "go-cache")}
    subprocess.run(["go", "build", "-o", str(folder / "render"), "./render"], cwd=HERE, env=environment, check=True)
    return folder / "render"


def render_all(cases, release="kube-ipvsd", namespace="kube-system", lint=False):
    """A list of values -> a list of {"files", "notes"} or {"error"}."""
    asked = [{"values": values, "release": release, "namespace": namespace, "lint": lint} for values in cases]
    done = subprocess.run([renderer(), CHART], input=json.dumps(asked), check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def objects(rendered):
    """(kind, name) -> object of one rendering."""
    found = {}
    for name, text in sorted(rendered["files"].items()):
        for document in parse(text):
            key = (document["kind"], document["metadata"]["name"])
            if key in found:
                raise ValueError(f"{name}: {key} twice")
            found[key] = document
    return found


def render(values, **release):
    [rendered] = render_all([values], **release)
    if "error" in rendered:
        raise ValueError(rendered["error"])
    return objects(rendered)


def of_kind(found, kind):
    [only] = [document for (its_kind, _), document in found.items() if its_kind == kind]
    return only


def config_text(found):
    """The configuration file of one rendering."""
    [text] = [document["data"]["config.yaml"] for (kind, _), document in found.items()
              if kind == "ConfigMap" and "config.yaml" in document["data"]]
    return text


def merged(*many):
    """Values laid over each other, as Helm lays -f files."""
    whole = {}
    for values in many:
        for key, value in values.items():
            both = isinstance(value, dict) and isinstance(whole.get(key), dict)
            whole[key] = merged(whole[key], value) if both else value
    return whole


@functools.cache
def options():
    """options.yaml: name -> values that set it to something that is not the default."""
    [table] = parse((HERE / "options.yaml").read_text())
    return table


def value_problems(values):
    """What Helm would say about these values, before it renders anything."""
    [defaults] = parse((CHART / "values.yaml").read_text())
    validator = jsonschema.Draft7Validator(loaded(CHART / "values.schema.json"))
    problems = []
    for error in validator.iter_errors(merged(defaults, values)):
        path = ".".join(str(part) for part in error.absolute_path) or "(root)"
        problems.append(f"{path}: {error.message}")
    return problems


class KindSchemas:
    """JSON schemas by apiVersion and kind."""

    def __init__(self, *files):
        self.validators = {}
        for file in files:
            whole = loaded(file)
            for kind, name in whole["kinds"].items():
                schema = {"$ref": f"#/definitions/{name}", "definitions": whole["definitions"]}
                self.validators[kind] = jsonschema.Draft7Validator(schema)

    def problems(self, document):
        kind = f"{document.get('apiVersion')} {document.get('kind')}"
        if kind not in self.validators:
            return [f"{kind}: no schema"]
        return [f"{kind}: {'.'.join(map(str, error.absolute_path))}: {error.message}"
                for error in self.validators[kind].iter_errors(document)]
