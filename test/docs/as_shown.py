#!/usr/bin/env python3
"""Whether a program's output looks as a page shows it: as_shown.py SHOWN OUTPUT

The lines of SHOWN stand in OUTPUT in their order. Numbers, ages of things and widths of columns may differ; a line "..."
stands for any lines.
"""
import pathlib
import re
import sys


def form(line):
    """What must be the same of a line: its words. Numbers that are no part of an address or name are one, and so are the
    ports that clients get by chance."""
    line = re.sub(r":\d{4,5}$", ":N", line)
    return re.sub(r"(?<![\w.:/-])\d+(?![\w.:/])", "N", " ".join(line.split()))


def main():
    shown, output = (pathlib.Path(name).read_text().splitlines() for name in sys.argv[1:])
    said = [form(line) for line in output]
    at = 0
    for number, line in enumerate(shown, 1):
        if line.strip() in ("...", ""):
            continue
        if form(line) not in said[at:]:
            print(f"line {number} of what is shown does not come: {line}", "--- in:", *output[at:at + 60], sep="\n")
            return 1
        at += said[at:].index(form(line)) + 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
