#!/usr/bin/env python3
"""kubectl and helm, as the pages' commands are run by tests: by whichever of the two names it is called.

Refuses what the real ones would refuse, as far as the pages go: commands, flags and resources that are not known,
files that are not there or not valid, a chart's values that its schema does not take. Each call that is taken is a line
of the file $STANDIN_CALLS. `kubectl get` finds its objects in the YAML file $STANDIN_OBJECTS; `kubectl exec` runs the
command by $STANDIN_EXEC; nothing else happens.
"""
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "chart"))

LABEL = re.compile(r"[a-z0-9A-Z]([-\w./]*[a-z0-9A-Z])?(=[-\w.]*|-)")
KINDS = {"configmap", "daemonset", "node", "nodes", "pod", "pods"}


class Refused(Exception):
    pass


def expect(good, what):
    if not good:
        raise Refused(what)


def parse(words, with_value, alone=()):
    """(words that are no flags, flag -> list of its values); "--" ends the flags."""
    plain, flags = [], {}
    words = list(words)
    while words:
        word = words.pop(0)
        if word == "--":
            return [*plain, word, *words], flags
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            plain.append(word)
        elif name in with_value:
            expect(equals or words, f"{name}: a value is missing")
            flags.setdefault(name, []).append(value if equals else words.pop(0))
        else:
            expect(word in alone, f"unknown flag: {word}")
            flags.setdefault(word, []).append(True)
    return plain, flags


def file_of(name):
    path = pathlib.Path(name)
    expect(path.is_file(), f"{name}: no such file")
    try:
        return yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise Refused(f"{name}: {error}") from error


# --- kubectl ----------------------------------------------------------------------------------------------------------


def found(kind, name, namespace):
    for document in yaml.safe_load_all(pathlib.Path(os.environ["STANDIN_OBJECTS"]).read_text()):
        about = document["metadata"]
        if (document["kind"].lower(), about["name"], about.get("namespace")) == (kind, name, namespace):
            return document
    raise Refused(f'{kind}s "{name}" not found')


def printed(document, form):
    if form == "yaml":
        return yaml.safe_dump(document)
    if form == "json":
        return json.dumps(document)
    path = re.fullmatch(r"jsonpath=\{((?:\.(?:\\\.|[\w-])+)+)\}", form)
    expect(path, f"unable to match a printer suitable for the output format {form!r}")
    for part in re.findall(r"\.((?:\\\.|[\w-])+)", path[1]):
        document = document.get(part.replace("\\.", "."), "") if isinstance(document, dict) else ""
    return document if isinstance(document, str) else json.dumps(document)


def target(words):
    """(kind, name) of "KIND NAME" or "KIND/NAME"."""
    expect(words, "a resource is missing")
    kind, slash, name = words[0].partition("/")
    expect(kind in KINDS, f"the server doesn't have a resource type {kind!r}")
    expect(len(words) == (1 if slash else 2), f"expected {kind} and one name, not {words}")
    return kind, name or words[1]


def kubectl(words):
    plain, flags = parse(words, {"-n", "--namespace", "-o", "--patch-file"}, {"--all"})
    expect(plain, "a command is missing")
    command, *rest = plain
    allowed = {"get": {"-o"}, "patch": {"--patch-file"}, "label": {"--all"}}.get(command, set())
    for flag in flags:
        expect(flag in allowed | {"-n", "--namespace"}, f"{command}: unknown flag: {flag}")
    namespace = next((flags[flag][-1] for flag in ("-n", "--namespace") if flag in flags), "default")
    if command == "get":
        sys.stdout.write(printed(found(*target(rest), namespace), flags["-o"][-1]))
    elif command == "patch":
        target(rest)
        expect(isinstance(file_of(flags["--patch-file"][-1]), dict), "the patch is no object")
    elif command == "label":
        expect(rest and rest[0] in ("node", "nodes"), "label: expected nodes")
        names = [word for word in rest[1:] if not LABEL.fullmatch(word)]
        expect(len(names) == (0 if "--all" in flags else 1), f"label: expected one name or --all, not {names}")
        expect(len(rest) - 1 > len(names), "label: at least one label is required")
    elif command == "exec":
        expect("--" in rest, "exec: expected -- and a command")
        at = rest.index("--")
        target(rest[:at])
        return subprocess.run([os.environ["STANDIN_EXEC"], *rest[at + 1:]]).returncode
    elif command == "rollout":
        expect(rest[:1] == ["status"], "rollout: expected status")
        target(rest[1:])
    elif command == "delete":
        target(rest)
    else:
        raise Refused(f'unknown command "{command}"')
    return 0


# --- helm -------------------------------------------------------------------------------------------------------------


def set_value(values, assignment):
    """One --set KEY=VALUE, as far as the pages need it: neither lists nor escapes."""
    key, equals, text = assignment.partition("=")
    expect(equals and re.fullmatch(r"[A-Za-z]\w*(\.[\w-]+)*", key), f"--set {assignment}: expected KEY=VALUE")
    *folders, last = key.split(".")
    for folder in folders:
        values = values.setdefault(folder, {})
    values[last] = int(text) if re.fullmatch(r"0|[1-9]\d*", text) else {"true": True, "false": False}.get(text, text)


def install(words):
    """(release, chart, namespace, values) of the words after "helm"."""
    import chart
    plain, flags = parse(words, {"--namespace", "-n", "-f", "--values", "--set"}, {"--create-namespace"})
    expect(plain[:1] == ["install"] and len(plain) == 3, f"expected install NAME CHART, not {plain}")
    _, release, folder = plain
    expect((pathlib.Path(folder) / "Chart.yaml").is_file(), f"{folder}: no chart")
    values = {}
    for name in flags.get("-f", []) + flags.get("--values", []):
        values = chart.merged(values, file_of(name))
    for assignment in flags.get("--set", []):
        set_value(values, assignment)
    problems = chart.value_problems(values)
    expect(not problems, "; ".join(problems))
    given = values.get("apiServer", {})
    expect(given.get("host") or given.get("kubeconfigConfigMap", {}).get("name"), "apiServer.host is required")
    return release, folder, (flags.get("--namespace") or flags.get("-n") or ["default"])[-1], values


def helm(words):
    if words[:1] == ["install"]:
        install(words)
        return 0
    plain, _ = parse(words, {"--namespace", "-n"})
    expect(plain[:1] == ["uninstall"] and len(plain) == 2, f"not known here: {words}")
    return 0


def main():
    name, words = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
    try:
        status = {"kubectl": kubectl, "helm": helm}[name](words)
    except Refused as refused:
        print(f"{name}: {refused}", file=sys.stderr)
        return 1
    with open(os.environ["STANDIN_CALLS"], "a") as calls:
        calls.write(shlex.join([name, *words]) + "\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
