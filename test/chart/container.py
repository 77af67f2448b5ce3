#!/usr/bin/env python3
"""Runs one container of a rendered DaemonSet as the kubelet and a runtime would, on the present network namespace:

  unshare -m container.py POD ROOTFS CONTAINER [--mount PATH]... [--account FOLDER] [-- ARGUMENT...]

POD is a file of `image_case.py`: {"spec": the pod's spec, "configMaps": {name: data}, "node": name of the node}; ROOTFS
the image's files. Mounts, environment, arguments, the read-only root, capabilities and no_new_privs are those of the
pod's spec. --mount adds a folder of the machine under its own name, --account the service account's files; arguments
after -- replace the container's. Needs root and a mount namespace of its own; the process becomes the container's.
"""
import argparse
import ctypes
import json
import os
import pathlib
import re
import sys

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 23, 24, 38
CAPABILITIES = {"NET_ADMIN": 12, "NET_RAW": 13}
CAPABILITY_VERSION_3 = 0x20080522
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}[os.uname().machine]
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# What runtimes keep containers from writing, unless they are privileged.
READ_ONLY_PROC = ("bus", "fs", "irq", "sys", "sysrq-trigger")
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"

libc = ctypes.CDLL(None, use_errno=True)


def checked(result, what):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def mount(source, target, kind=None, flags=0, data=None):
    encoded = [None if text is None else str(text).encode() for text in (source, target, kind)]
    checked(libc.mount(*encoded, ctypes.c_ulong(flags), data and data.encode()), f"mount {source} on {target}")


class Root:
    """The container's root: the image below, everything that is mounted above it."""

    def __init__(self, image, work):
        self.path = work / "root"
        for name in ("upper", "work", "root"):
            (work / name).mkdir()
        layers = f"lowerdir={image},upperdir={work}/upper,workdir={work}/work"
        mount("overlay", self.path, "overlay", 0, layers)

    def place(self, path, folder=True):
        """Where `path` of the container is for now, made if it is not in the image."""
        at = self.path / path.lstrip("/")
        at.parent.mkdir(parents=True, exist_ok=True)
        if folder:
            at.mkdir(exist_ok=True)
        elif not at.exists():
            at.touch()
        return at

    def bind(self, source, path, read_only=False, recursive=False):
        at = self.place(path, os.path.isdir(source))
        mount(source, at, None, MS_BIND | (MS_REC if recursive else 0))
        if read_only:
            mount(None, at, None, MS_REMOUNT | MS_BIND | MS_RDONLY)

    def kernel_filesystems(self, privileged):
        self.bind("/proc", "/proc", recursive=True)
        self.bind("/sys", "/sys", read_only=not privileged)
        for name in () if privileged else READ_ONLY_PROC:
            if os.path.exists(f"/proc/{name}"):
                self.bind(f"/proc/{name}", f"/proc/{name}", read_only=True)
        mount("tmpfs", self.place("/dev"), "tmpfs", MS_NOSUID, "mode=755,size=64k")
        for name in DEVICES:
            if os.path.exists(f"/dev/{name}"):
                self.bind(f"/dev/{name}", f"/dev/{name}")
        mount("tmpfs", self.place("/dev/shm"), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=1m")

    def enter(self, read_only):
        if read_only:
            mount(None, self.path, None, MS_REMOUNT | MS_BIND | MS_RDONLY)
        os.chdir(self.path)
        checked(libc.syscall(SYS_PIVOT_ROOT, b".", b"."), "pivot_root")
        checked(libc.umount2(b".", 2), "detach the old root")
        os.chdir("/")


def volume_source(volume, config_maps, work):
    """The file or folder of the machine that the volume stands for."""
    if "hostPath" in volume:
        path = pathlib.Path(volume["hostPath"]["path"])
        kind = volume["hostPath"].get("type", "")
        if kind == "FileOrCreate" and not path.exists():
            path.touch(0o644)
        if kind == "DirectoryOrCreate":
            path.mkdir(0o755, parents=True, exist_ok=True)
        return path
    folder = work / volume["name"]
    folder.mkdir()
    data = config_maps[volume["configMap"]["name"]]
    wanted = volume["configMap"].get("items") or [{"key": key, "path": key} for key in data]
    for item in wanted:
        (folder / item["path"]).write_text(data[item["key"]])
    return folder


def environment(container, node):
    variables = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    fields = {"spec.nodeName": node}
    for variable in container.get("env", []):
        field = variable.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
        variables[variable["name"]] = fields[field] if field else variable["value"]
    return variables


def command_line(container, variables, replaced):
    expand = lambda text: re.sub(r"\$\((\w+)\)", lambda found: variables[found[1]], text)
    return [expand(word) for word in container["command"] + (replaced or container["args"])]


def restrict(context):
    """Exactly the capabilities that are left, in every set that outlives exec, and no way to gain others."""
    if context.get("privileged"):
        return
    if context["capabilities"]["drop"] != ["ALL"]:
        raise ValueError("the container does not drop ALL")
    mask = 0
    for name in context["capabilities"].get("add", []):
        mask |= 1 << CAPABILITIES[name]
    number = 0
    while libc.prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0:
        if not mask >> number & 1:
            checked(libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0), f"drop capability {number}")
        number += 1
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(mask, mask, 0, mask >> 32, mask >> 32, 0)
    checked(libc.capset(header, sets), "capset")
    if context.get("allowPrivilegeEscalation") is False:
        checked(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("pod", type=pathlib.Path)
    parser.add_argument("rootfs", type=pathlib.Path)
    parser.add_argument("container")
    parser.add_argument("--mount", action="append", default=[])
    parser.add_argument("--account")
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    asked = parser.parse_args(words[:end])
    pod = json.loads(asked.pod.read_text())
    spec = pod["spec"]
    [container] = [found for found in spec.get("initContainers", []) + spec["containers"]
                   if found["name"] == asked.container]
    context = container["securityContext"]
    variables = environment(container, pod["node"])

    # The root of everything in it, to be gone with the namespace.
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    work = pathlib.Path("/mnt")
    mount("tmpfs", work, "tmpfs", 0, "mode=755")
    root = Root(asked.rootfs.resolve(), work)
    root.kernel_filesystems(context.get("privileged", False))
    for name in ("hosts", "resolv.conf"):
        if os.path.exists(f"/etc/{name}"):
            root.bind(f"/etc/{name}", f"/etc/{name}", read_only=True)
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    for place in container["volumeMounts"]:
        source = volume_source(volumes[place["name"]], pod["configMaps"], work)
        root.bind(source, place["mountPath"], place.get("readOnly", False))
    for path in asked.mount:
        root.bind(path, path, read_only=True)
    if asked.account:
        root.bind(asked.account, ACCOUNT, read_only=True)
    command = command_line(container, variables, words[end + 1:])
    root.enter(context.get("readOnlyRootFilesystem", False))
    restrict(context)
    os.execve(command[0], command, variables)


if __name__ == "__main__":
    main()
