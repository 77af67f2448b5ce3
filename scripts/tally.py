#!/usr/bin/env python3
"""Counts the test cases of a meson test run: tally.py BUILD/meson-logs/testlog.json

A program with Catch2's closing line counts as its cases, any other as one. Skipped programs are named and not
counted. Ends with "N passed, N failed".
"""
import json
import os
import re
import sys

ALL_PASSED = re.compile(r"^All tests passed \(\d+ assertions? in (\d+) test cases?\)", re.M)
SOME_FAILED = re.compile(r"^test cases: *\d+(.*)$", re.M)


def cases(record):
    """(passed, failed) of one program."""
    output = record.get("stdout", "")
    passed, failed = 0, 0
    if match := ALL_PASSED.search(output):
        passed = int(match[1])
    elif match := SOME_FAILED.search(output):
        for number, outcome in re.findall(r"(\d+) (passed|failed(?: as expected)?)", match[1]):
            if outcome == "failed":
                failed += int(number)
            else:
                passed += int(number)
    if record["result"] in ("OK", "EXPECTEDFAIL"):
        return max(passed, 1), 0
    return passed, max(failed, 1)


def main():
    passed, failed, skipped = 0, 0, []
    if os.path.exists(sys.argv[1]):
        with open(sys.argv[1], encoding="utf-8", errors="replace") as log:
            for record in map(json.loads, log):
                if record["result"] == "SKIP":
                    skipped.append(record["name"])
                    continue
                good, bad = cases(record)
                passed += good
                failed += bad
    if skipped:
        print("skipped, not counted:", ", ".join(skipped))
    elif passed + failed == 0:
        print("skipped: no tests in these suites")
    print(f"{passed} passed, {failed} failed")


main()
