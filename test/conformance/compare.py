#!/usr/bin/env python3
"""Compares what a node's kernel holds with what a conformance scenario expects.

  compare.py [--deviations FILE] SCENARIO OBSERVED [STEP]

SCENARIO is a scenario folder, OBSERVED a folder with ipvs.txt, addresses.txt and ipset.txt as the commands printed
them (further files of the scenario, such as sysctl.txt and health.txt, are compared if they are there), STEP a step's
number such as 02. The outcome must equal expected/ or any of expected.alt*/; exit status 0 if so.

Deviations that are meant are listed in a file, a line each: scenario (a shell pattern) | file | - or + | regular
expression | reason. "-" is an expected line that we do not have, "+" a line of ours that is not expected.

Where a file sets.txt lies beside the scenario, it is the part of ipset.txt that all scenarios there share.
"""
import argparse
import collections
import fnmatch
import pathlib
import re
import sys

COMPARED = ("ipvs.txt", "addresses.txt", "ipset.txt")
# Tuning and chance, not meaning.
CREATE_NOISE = re.compile(r" (?:hashsize|bucketsize|initval) \S+")

Deviation = collections.namedtuple("Deviation", "scenario file sign pattern reason")


def read_deviations(path):
    deviations = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = [field.strip() for field in re.split(r" \| ", line)]
        if len(fields) != 5 or fields[2] not in ("-", "+"):
            raise SystemExit(f"{path}:{number}: want: scenario | file | - or + | regular expression | reason")
        scenario, file, sign, pattern, reason = fields
        deviations.append(Deviation(scenario, file, sign, re.compile(pattern), reason))
    return deviations
# Of the transport, not of the answer.
HEALTH_NOISE = re.compile(r"(?:Content-Length|Date|Connection|Keep-Alive): .*|\s*")
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ][^\"]*")


def health_lines(text):
    """Each line with the request it answers, so that the order of headers does not count."""
    request = ""
    for line in text.splitlines():
        if line.startswith("# GET "):
            request = line.removeprefix("# GET ")
        elif not HEALTH_NOISE.fullmatch(line):
            yield f"{request}: {TIME.sub('<time>', line)}"


def lines_of(file, text):
    """The lines that count; their order does not (a set's members name their set)."""
    if file == "health.txt":
        return list(health_lines(text))
    if file == "rules.txt":
        return [f"{number:03}: {line}" for number, line in enumerate(text.splitlines(), 1)]
    if file == "ipset.txt":
        return [CREATE_NOISE.sub("", line) if line.startswith("create ") else line for line in text.splitlines()]
    return text.splitlines()


def difference(file, expected, observed):
    """(lines missing from observed, lines it has too many), each sorted."""
    want = collections.Counter(lines_of(file, expected))
    have = collections.Counter(lines_of(file, observed))
    return sorted((want - have).elements()), sorted((have - want).elements())


def without_deviations(lines, sign, scenario, file, deviations, used):
    remaining = []
    for line in lines:
        for deviation in deviations:
            if (deviation.sign == sign and deviation.file == file and deviation.pattern.fullmatch(line)
                    and fnmatch.fnmatch(scenario, deviation.scenario)):
                used.add(deviation)
                break
        else:
            remaining.append(line)
    return remaining


def alternatives(scenario, step=None):
    """The folders of which any is right."""
    folders = [scenario / "expected", *sorted(scenario.glob("expected.alt*"))]
    if step is not None:
        folders = [folder / step for folder in folders]
    return [folder for folder in folders if folder.is_dir()]


def compare_with(folder, scenario, observed, deviations, adapt=None):
    """(report lines, deviations used); no report lines mean equal. adapt(file, text): what is expected instead."""
    report, used = [], set()
    for file in [*COMPARED, *sorted(set(observed) - set(COMPARED))]:
        path = folder / file
        if not path.exists() and file not in COMPARED:
            continue
        expected = path.read_text()
        if file == "ipset.txt" and (sets := scenario.parent / "sets.txt").exists():
            expected = sets.read_text() + expected
        if adapt is not None:
            expected = adapt(file, expected)
        missing, extra = difference(file, expected, observed[file])
        missing = without_deviations(missing, "-", scenario.name, file, deviations, used)
        extra = without_deviations(extra, "+", scenario.name, file, deviations, used)
        report += [f"{file}: - {line}" for line in missing] + [f"{file}: + {line}" for line in extra]
    return report, used


def compare(scenario, observed, deviations, step=None, adapt=None):
    """The shortest report of all right outcomes, and the deviations it used.

    observed: {"ipvs.txt": text, ...}
    """
    lacking = [file for file in COMPARED if file not in observed]
    if lacking:
        return [f"not observed: {', '.join(lacking)}"], set()
    outcomes = [compare_with(folder, scenario, observed, deviations, adapt) for folder in alternatives(scenario, step)]
    if not outcomes:
        return ["the scenario has no expected/" + (step or "")], set()
    return min(outcomes, key=lambda outcome: len(outcome[0]))


def main():
    parser = argparse.ArgumentParser(description="see the head of the file")
    parser.add_argument("--deviations", type=pathlib.Path)
    parser.add_argument("scenario", type=pathlib.Path)
    parser.add_argument("observed", type=pathlib.Path)
    parser.add_argument("step", nargs="?")
    arguments = parser.parse_args()
    observed = {path.name: path.read_text() for path in arguments.observed.glob("*.txt")}
    deviations = read_deviations(arguments.deviations) if arguments.deviations else []
    report, used = compare(arguments.scenario.resolve(), observed, deviations, arguments.step)
    print("\n".join(report + [f"deviation: {deviation.reason}" for deviation in used]))
    return 1 if report else 0


if __name__ == "__main__":
    sys.exit(main())
