#!/usr/bin/env python3
"""The fenced blocks of Markdown files.

  blocks.py FILE NAME    prints the block that stands below "<!-- run: NAME -->"
  blocks.py FILE         the names, one a line

A block of commands (language sh, or none) has a comment before it: "run: NAME", by which a test finds it and runs it, or
"not run: REASON". Anything else that is fenced says its language: "text", "yaml".
"""
import dataclasses
import pathlib
import re
import sys


@dataclasses.dataclass
class Block:
    file: pathlib.Path
    line: int  # of the fence
    language: str
    text: str
    name: str = ""  # "" where nothing says that it is run
    reason: str = ""  # why it is not run


def blocks(file):
    found = []
    mark = None
    inside = None
    for number, line in enumerate(pathlib.Path(file).read_text().splitlines(), 1):
        fence = re.match(r"^```(\S*)", line)
        if inside is not None:
            if fence:
                found.append(inside)
                inside = None
            else:
                inside.text += line + "\n"
        elif fence:
            inside = Block(pathlib.Path(file), number, fence[1], "", *(mark or ()))
            mark = None
        elif match := re.match(r"^<!-- (?:run: (\S+)|not run: (.+)) -->$", line):
            mark = (match[1] or "", match[2] or "")
        elif line and mark:
            raise SystemExit(f"{file}:{number}: expected a block")
    return found


def main():
    file, *names = sys.argv[1:]
    named = {block.name: block for block in blocks(file) if block.name}
    if not names:
        print("\n".join(named))
    elif names[0] in named:
        print(named[names[0]].text, end="")
    else:
        sys.exit(f"{file}: no block {names[0]}")


if __name__ == "__main__":
    main()
