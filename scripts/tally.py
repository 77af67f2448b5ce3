#!/usr/bin/env python3
"""Counts the test cases of a test run.

  tally.py BUILD/meson-logs/testlog.json    what "meson test" left behind
  tally.py --runs FILE                      a line for each program: name, exit status, file of its output; tabs between

A program that prints Catch2's or unittest's closing line, or ends as this one does, counts as its cases, any other as
one. Skipped programs (exit status 77) are named and not counted; nor is a case that says so, in a line "skipped: WHY".
Ends with one line "N passed, N failed".
"""
import collections
import json
import os
import re
import sys

ALL_PASSED = re.compile(r"^All tests passed \(\d+ assertions? in (\d+) test cases?\)", re.M)
SOME_FAILED = re.compile(r"^test cases: *\d+(.*)$", re.M)
UNITTEST = re.compile(r"^Ran (\d+) tests? in ", re.M)
UNITTEST_LESS = re.compile(r"^(?:OK|FAILED) \((.*)\)$", re.M)
LAST_LINE = re.compile(r"^(\d+) passed, (\d+) failed\s*\Z", re.M)
SKIPPED_CASE = re.compile(r"^\s*skipped: .*$", re.M)

Run = collections.namedtuple("Run", "name outcome output")  # outcome: "passed", "failed" or "skipped"


def cases(output):
    """(passed, failed, skipped) as the program says itself."""
    skipped = len(SKIPPED_CASE.findall(output))
    if match := ALL_PASSED.search(output):
        return int(match[1]) - skipped, 0, skipped
    if match := SOME_FAILED.search(output):
        numbers = {outcome: int(number) for number, outcome in re.findall(r"(\d+) (passed|failed(?: as expected)?)",
                                                                          match[1])}
        failed = numbers.pop("failed", 0)
        return sum(numbers.values()) - skipped, failed, skipped
    if match := UNITTEST.search(output):
        less = UNITTEST_LESS.search(output)
        numbers = {what: int(number) for what, number in re.findall(r"(\w+)=(\d+)", less[1] if less else "")}
        failed = numbers.get("failures", 0) + numbers.get("errors", 0)
        skipped = numbers.get("skipped", 0)
        return int(match[1]) - failed - skipped, failed, skipped
    if match := LAST_LINE.search(output):
        return int(match[1]), int(match[2]), skipped
    return 0, 0, skipped


def meson_runs(path):
    outcomes = {"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}
    if not os.path.exists(path):
        return
    with open(path, encoding="utf-8", errors="replace") as log:
        for record in map(json.loads, log):
            output = record.get("stdout", "") + "\n" + record.get("stderr", "")
            yield Run(record["name"], outcomes.get(record["result"], "failed"), output)


def listed_runs(path):
    with open(path, encoding="utf-8") as file:
        for line in file:
            name, status, output = line.rstrip("\n").split("\t")
            with open(output, encoding="utf-8", errors="replace") as log:
                yield Run(name, {"0": "passed", "77": "skipped"}.get(status, "failed"), log.read())


def main():
    runs = list(listed_runs(sys.argv[2]) if sys.argv[1] == "--runs" else meson_runs(sys.argv[1]))
    passed, failed = 0, 0
    for run in runs:
        if run.outcome == "skipped":
            print("skipped, not counted:", run.name)
            continue
        good, bad, skipped = cases(run.output)
        for line in SKIPPED_CASE.findall(run.output):
            print(f"in {run.name}, not counted: {line.strip()}")
        if run.outcome == "passed" and good + bad + skipped == 0:
            good = 1
        if run.outcome == "failed":
            # It may have crashed before, or after, it counted.
            bad = max(bad, 1)
            print("FAILED:", run.name)
        passed += max(good, 0)
        failed += bad
    if not runs:
        print("skipped: no tests in this suite")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
