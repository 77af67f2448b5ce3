#!/usr/bin/env python3
"""The seccomp profile of charts/kube-ipvsd/files/seccomp.json without a container runtime.

  seccomp.py run [--kill] CMD...      runs CMD under it; --kill: what it does not allow ends the process (SIGSYS)
  seccomp.py calls TRACE...           names in the outputs of strace, with or without -c, that it does not allow
  seccomp.py unit FILE                whether SystemCallFilter= of a systemd unit allows the same

run and calls are for this machine's architecture. Exit status 1: something is not allowed, or not the same.
"""
import ctypes
import json
import os
import pathlib
import platform
import re
import struct
import sys

PROFILE = pathlib.Path(__file__).resolve().parents[2] / "charts/kube-ipvsd/files/seccomp.json"
# name of the architecture in the profile, AUDIT_ARCH of linux/audit.h, the header with the numbers
ARCHITECTURES = {
    "x86_64": ("SCMP_ARCH_X86_64", 0xC000003E, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": ("SCMP_ARCH_AARCH64", 0xC00000B7, "/usr/include/asm-generic/unistd.h"),
}
ALLOW, ERRNO, KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
LOAD, EQUALS, AND, RETURN = 0x20, 0x15, 0x54, 0x06
NUMBER, ARCH, ARGUMENTS = 0, 4, 16  # of struct seccomp_data
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2


def numbers(header):
    """System calls of a machine by name."""
    text = pathlib.Path(header).read_text()
    return {name: int(number) for name, number in re.findall(r"#define __NR_(\w+)\s+(\d+)$", text, re.MULTILINE)}


def action(rule, default_errno):
    if rule["action"] == "SCMP_ACT_ALLOW":
        return ALLOW
    if rule["action"] == "SCMP_ACT_ERRNO":
        return ERRNO | rule.get("errnoRet", default_errno)
    raise ValueError(f"action {rule['action']}")


def instruction(code, k, if_true=0, if_false=0):
    return struct.pack("HBBI", code, if_true, if_false, k)


def conditions(arguments):
    """Instructions that go on behind them if all hold, and skip one instruction otherwise."""
    code = []
    for argument in arguments:
        if argument["op"] != "SCMP_CMP_MASKED_EQ" or argument["value"] >> 32:
            raise ValueError(f"argument {argument}")
        code += [instruction(LOAD, ARGUMENTS + 8 * argument["index"]), instruction(AND, argument["value"]),
                 instruction(EQUALS, argument["valueTwo"], 0, 1)]
    if len(arguments) > 1:
        raise ValueError("more than one argument")
    return code


def program(profile, kill):
    name, audit_arch, header = ARCHITECTURES[platform.machine()]
    known = numbers(header)
    if name not in profile["architectures"]:
        raise ValueError(f"the profile does not know {name}")
    default_errno = profile["defaultErrnoRet"]
    code = [instruction(LOAD, ARCH), instruction(EQUALS, audit_arch, 1, 0), instruction(RETURN, KILL_PROCESS)]
    for rule in profile["syscalls"]:
        for call in rule["names"]:
            if call not in known:
                continue  # runtimes skip what an architecture does not have
            checks = conditions(rule.get("args", []))
            code += [instruction(LOAD, NUMBER), instruction(EQUALS, known[call], 0, len(checks) + 1)]
            code += checks + [instruction(RETURN, action(rule, default_errno))]
    code.append(instruction(RETURN, KILL_PROCESS if kill else ERRNO | default_errno))
    return b"".join(code)


def apply(code):
    libc = ctypes.CDLL(None, use_errno=True)

    class Filter(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]

    given = Filter(len(code) // 8, code)
    for option, *arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(given))):
        if libc.prctl(option, *arguments, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), f"prctl {option}: {os.strerror(ctypes.get_errno())}")


def names(profile):
    return {name for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}


def called(text):
    """The names in what strace says: calls by process, or strace -c's table."""
    for line in text.splitlines():
        call = re.match(r"(?:\d+ +)?(?:[\d:.]+ )?([a-z]\w*)\(", line) or re.match(r" *[\d.]+ +[\d.]+ +.* ([a-z]\w*)$", line)
        if call and call[1] != "total":
            yield call[1]
        elif re.fullmatch(r"[a-z]\w*", line):  # strace -c -U name
            if line not in ("syscall", "total"):
                yield line


def unit_calls(text):
    words = " ".join(re.findall(r"^SystemCallFilter=(.*)$", text, re.MULTILINE)).split()
    return {word.split(":")[0] for word in words}


def main():
    profile = json.loads(PROFILE.read_text())
    match sys.argv[1:]:
        case ["run", *command]:
            kill = command[0] == "--kill"
            command = command[kill:]
            apply(program(profile, kill))
            os.execvp(command[0], command)
        case ["calls", *files]:
            found = {name for file in files for name in called(pathlib.Path(file).read_text())}
            refused = {name for rule in profile["syscalls"] for name in rule["names"]} - names(profile)
            outside = sorted(found - names(profile) - refused)
            print("\n".join(outside))
            sys.exit(bool(outside) or not found)
        case ["unit", file]:
            differing = unit_calls(pathlib.Path(file).read_text()) ^ names(profile)
            print("\n".join(sorted(differing)))
            sys.exit(bool(differing))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
