#!/usr/bin/env python3
"""What README.md and the other pages tell readers to type, and say that the log says, is so: docs_test.py DAEMON CTL

Each block of commands says by which name a test runs it (test/kernel/migration_test.sh for its page, test/kernel/docs_test.sh
for the others; both check that none of theirs was left out), or why none does; those reasons are printed. Besides, all
commands, also those between backquotes in the text, are checked word by word: each program is one that is built here, a
script of the project, or one of OTHERS; each option of our programs is one that --help knows; each file of the project
that is mentioned exists. The tests that
docs/deviations.md names exist, too.
"""
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

import blocks

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "charts/kube-ipvsd/README.md",
         *sorted((ROOT / "docs").glob("*.md"))]

# Programs that are not ours.
OTHERS = {"kubectl", "helm", "docker", "apt", "systemctl", "curl", "iptables", "ip6tables", "sed", "grep", "ip", "meson",
          "IPVSD_SEED=N", "GOLDEN_UPDATE=1"}
TEST_PROGRAMS = re.compile(r"^build/test/\S+$")

passed = 0
failures = []


def check(good, what):
    global passed
    if good:
        passed += 1
    else:
        failures.append(what)


def options_of(*command):
    text = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"(?<![\w-])(--?[a-zA-Z][\w-]*)", text)), text


def commands(block):
    lines = block.text.replace("\\\n", " ").splitlines()
    prompted = [line[2:] for line in lines if line.startswith("$ ")]
    for line in prompted or lines:
        yield from split(line)


def split(line):
    """The simple commands of a line, each a list of words; redirections are left out."""
    # Alternatives in a line of usage, "table|json", are no pipes.
    lexer = shlex.shlex(re.sub(r"(?<=\w)\|(?=\w)", "/", line), posix=True, punctuation_chars="|;&<>()")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    found, words, skip = [], [], False
    for token in lexer:
        if token and set(token) <= set("|;&()"):
            found.append(words)
            words = []
        elif token and set(token) <= set("<>"):
            skip = True
        elif skip:
            skip = False
        else:
            words.append(token)
    return [words for words in [*found, words] if words]


def check_ours(where, words, known, subcommands=None):
    name, *rest = words
    if subcommands is not None:
        named = [word for word in rest if word in subcommands]
        # A line of usage names the command; help of the program itself knows what comes before it.
        known = known | (subcommands[named[0]] if named else set())
        check(named or not rest or rest[0].startswith("-"), f"{where}: {name} has no command {rest[:1]}")
    for word in rest:
        option = word.split("=")[0].strip("[]")
        if option.startswith("-") and len(option) > 1 and not option[1].isdigit() and option != "--":
            check(option in known, f"{where}: {name} knows no {option}")


def check_paths(where, words):
    for word in words:
        if re.match(r"^(scripts|test|docs|charts|packaging)/[\w./-]+$", word):
            check((ROOT / word).exists(), f"{where}: there is no {word}")


def check_commands(daemon, ctl):
    daemon_options, _ = options_of(daemon)

    def check_words(where, words):
        program = words[0]
        check_paths(where, words)
        if pathlib.Path(program).name == "kube-ipvsd":
            check_ours(where, words, daemon_options)
        elif pathlib.Path(program).name == "kube-ipvsctl":
            check_ours(where, words, ctl_options, subcommands)
        elif (ROOT / program).is_file():
            check((ROOT / program).stat().st_mode & 0o111, f"{where}: {program} is not executable")
        else:
            check(program in OTHERS or TEST_PROGRAMS.match(program), f"{where}: what is {program}?")

    ctl_options, ctl_help = options_of(ctl)
    subcommands = {}
    listed = ctl_help[ctl_help.index("Subcommands:"):].splitlines()[1:]
    for name in [match[1] for line in listed if (match := re.match(r"^  (\w[\w-]*) ", line))]:
        subcommands[name], _ = options_of(ctl, name)
    for page in PAGES:
        if not page.exists():
            continue
        for block in blocks.blocks(page):
            where = f"{page.relative_to(ROOT)}:{block.line}"
            if block.language not in ("", "sh", "bash"):
                check(not block.name, f"{where}: commands are said to be of the language {block.language}")
                continue
            check(block.name or block.reason, f"{where}: neither run nor said why not (test/docs/blocks.py); or no commands: say text")
            if block.reason:
                print(f"not run: {where}: {block.reason}")
            for words in commands(block):
                check_words(where, words)
        for span in re.findall(r"(?<!`)`((?:kube-ipvsd|kube-ipvsctl|scripts/\w+\.sh|test/\w+/\w+\.sh) [^`]*)`", page.read_text()):
            for words in split(span):
                check_words(f"{page.relative_to(ROOT)}: `{span}`", words)


# --- docs/operations.md -----------------------------------------------------------------------------------------------


def in_pieces(pattern, gap):
    return [piece for piece in re.split(gap, pattern) if piece.strip(" :;.,()")]


def check_log(page):
    text = page.read_text()
    table = text[text.index("<!-- log -->"):text.index("<!-- /log -->")]
    described = [match[1] for match in re.finditer(r"^\| `([^`]+)` \|", table, re.M)]
    literals = []
    for source in sorted(file for folder in ("", "loop", "kernel") for file in (ROOT / "daemon" / folder).glob("*.cpp")):
        code = re.sub(r'"\s*\n\s*"', "", source.read_text())
        for call in re.finditer(r'(?:spdlog::(?:info|warn|error)|\bwarn_?)\(\s*(?:fmt::format\(\s*)?"((?:[^"\\]|\\.)*)"', code):
            if in_pieces(call[1], r"\{[^}]*\}"):
                literals.append((source.relative_to(ROOT), call[1]))
    check(len(literals) > 8, "the pattern that finds log lines in the code finds too few")
    for source, literal in literals:
        pieces = in_pieces(literal, r"\{[^}]*\}")
        check(any(all(piece in line for piece in pieces) for line in described), f"{source}: not described: {literal}")
    code = "".join(re.sub(r'"\s*\n\s*"', "", file.read_text()) for file in (ROOT / "daemon").rglob("*.cpp"))
    for line in described:
        check(all(piece in code for piece in in_pieces(line, "…")), f"{page.name}: no code says: {line}")


def check_runbooks(page):
    alerts = ROOT / "charts/kube-ipvsd/files/alerts.yaml"
    if not alerts.exists():
        print("skipped: no alerts of a chart to compare the runbooks with")
        return
    names = set(re.findall(r"^\s*- alert: (\w+)$", alerts.read_text(), re.M))
    runbooks = set(re.findall(r"^### (\w+)$", page.read_text(), re.M))
    check(names, "the chart has no alerts")
    check(names == runbooks, f"{page.name}: runbooks and alerts differ: {sorted(names ^ runbooks)}")


def check_links():
    for page in PAGES:
        if not page.exists():
            continue
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
            if target.startswith("../charts/") and not (ROOT / "charts").exists():
                print(f"skipped: {page.name}: {target}: there are no charts")
            elif "://" not in target:
                check((page.parent / target).exists(), f"{page.relative_to(ROOT)}: no {target}")


def check_faults(page):
    """Each fault has a row, and each row names tests that exist: a scenario, or a case of a file."""
    text = page.read_text()
    table = text[text.index("<!-- faults -->"):text.index("<!-- /faults -->")]
    rows = re.findall(r"^\| (B\d+) \|.*\|.*\| (.*) \|$", table, flags=re.M)
    check([fault for fault, _ in rows] == [f"B{n}" for n in range(1, 33)], f"{page.name}: B1 to B32 have a row each")
    for fault, tests in rows:
        shown = re.findall(r"`(test/[^`]+)`(?: \"([^\"]+)\")?", tests)
        check(shown, f"{page.name}: {fault}: no test is named")
        for path, case in shown:
            file = ROOT / path
            if case:
                defined = rf"(?:check|TEST_CASE\() ?\"{re.escape(case)}\""
                check(file.is_file() and re.search(defined, file.read_text()), f"{page.name}: {fault}: no {path} {case!r}")
            else:
                check((file / "expected").is_dir(), f"{page.name}: {fault}: no scenario {path}")


def check_version():
    """The version is in meson.build; where a page or the changelog names it, it is that one."""
    version = re.search(r"version: '([^']*)'", (ROOT / "meson.build").read_text())[1]
    for page in PAGES:
        for tag in re.findall(r"kube-ipvsd:(\d[\w.-]*)", page.read_text()):
            check(tag == version, f"{page.relative_to(ROOT)}: image {tag}, version {version}")
    check(re.search(rf"^## .*\b{re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text(), re.M), f"CHANGELOG.md has no {version}")


def check_configurations(daemon):
    """A KubeProxyConfiguration that a page shows is one that the daemon takes."""
    shown = [(page, block) for page in PAGES for block in blocks.blocks(page)
             if block.language == "yaml" and "kind: KubeProxyConfiguration" in block.text]
    check(shown, "no page shows a configuration")
    with tempfile.TemporaryDirectory() as work:
        for page, block in shown:
            file = pathlib.Path(work, "config.yaml")
            file.write_text(block.text)
            done = subprocess.run([daemon, "--config", file, "--write-config-to", file.with_name("written")],
                                  capture_output=True, text=True)
            check(done.returncode == 0 and not done.stderr, f"{page.relative_to(ROOT)}:{block.line}: {done.stderr}")


def main():
    check_version()
    check_configurations(sys.argv[1])
    check_commands(*sys.argv[1:])
    check_faults(ROOT / "docs/deviations.md")
    check_log(ROOT / "docs/operations.md")
    check_runbooks(ROOT / "docs/operations.md")
    check_links()
    for failure in failures:
        print("FAILED:", failure)
    print(f"{passed} passed, {len(failures)} failed")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
