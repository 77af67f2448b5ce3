#!/usr/bin/env python3
"""Runs one conformance scenario in the present network namespace, which must be fresh: run.py SCENARIO

Makes the scenario's node (test/kernel/topology.sh), starts kube-ipvsd with the scenario's configuration on manifests,
applies the steps and compares the kernel's state with what is expected. Prints one line, more on failure; exit
status 0 if all is as expected. With IPVSD_CONFORMANCE_HEALTH set, the answers in health.txt too. IPVSD_BINARY is the daemon (default build/daemon/kube-ipvsd).
Called by scripts/conformance.sh, which prepares the namespace and /run.
"""
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time

import yaml

import compare

ROOT = pathlib.Path(__file__).resolve().parents[2]
DAEMON = os.environ.get("IPVSD_BINARY", str(ROOT / "build/daemon/kube-ipvsd"))
TRAFFIC = str(ROOT / "build/test/kernel/traffic")
SETTLE_SECONDS = 15
LOOK_SECONDS = 0.1

# The traffic that a step's NN.before describes in words.
TRAFFIC_BEFORE = {
    ("17-graceful-termination", "02"): [
        [TRAFFIC, "request", "tcp", "10.96.170.1", "80", "--count", "8", "--timeout", "100", "--quiet"],
        [TRAFFIC, "request", "udp", "10.96.170.1", "53", "--count", "8", "--timeout", "20", "--quiet"],
    ],
}


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Manifests:
    """A folder with one file per object, changed by renames so that a reader never sees half a file."""

    def __init__(self, folder):
        self.folder = folder / "manifests"
        self.folder.mkdir()
        self.staging = folder / "staged"

    def path(self, identity):
        name = "_".join([identity["kind"], identity.get("namespace", ""), identity["name"]])
        return self.folder / f"{name.lower()}.yaml"

    def apply(self, file):
        for document in re.split(r"^---\s*$", file.read_text(), flags=re.M):
            parsed = yaml.safe_load(document)
            if not parsed:
                continue
            self.staging.write_text(document)
            self.staging.rename(self.path({"kind": parsed["kind"], **parsed["metadata"]}))

    def delete(self, file):
        for identity in yaml.safe_load(file.read_text())["delete"]:
            self.path(identity).unlink()


def addresses():
    lines = output("ip", "-o", "addr", "show").splitlines()
    found = [line.split()[3] for line in lines if line.split()[1] == "kube-ipvs0"]
    return "".join(f"{address}\n" for address in sorted(found) if not address.startswith("fe80:"))


def sysctls(expected):
    names = [line.split(" = ")[0] for line in expected.splitlines()]
    paths = [(name, pathlib.Path("/proc/sys", name.replace(".", "/"))) for name in names]
    return "".join(f"{name} = {path.read_text().strip() if path.exists() else '?'}\n" for name, path in paths)


def health(expected):
    """The answers to the requests that are in the expected text, in its form."""
    text = ""
    for line in expected.splitlines():
        if not line.startswith("# GET "):
            continue
        url = line.removeprefix("# GET ")
        options = "-s" if url.endswith("/proxyMode") else "-si"
        answer = subprocess.run(["curl", options, "--max-time", "2", url], capture_output=True, text=True, check=False)
        body = answer.stdout if answer.returncode == 0 else f"(no answer: curl exit {answer.returncode})"
        text += f"{line}\n{body}\n"
    return text


def observe(folder):
    """What compare.py takes, with those of the further files that the folder of expectations has."""
    observed = {
        "ipvs.txt": output("ipvsadm", "-Sn"),
        "addresses.txt": addresses(),
        "ipset.txt": output("ipset", "save"),
    }
    if (file := folder / "sysctl.txt").exists():
        observed["sysctl.txt"] = sysctls(file.read_text())
    if "IPVSD_CONFORMANCE_HEALTH" in os.environ and (file := folder / "health.txt").exists():
        observed["health.txt"] = health(file.read_text())
    return observed


def first_sync(daemon):
    """Waits until there is any virtual server, so that the first step is a change and not the start."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline and daemon.poll() is None:
        if output("ipvsadm", "-Sn"):
            return True
        time.sleep(LOOK_SECONDS)
    return False


class Scenario:
    def __init__(self, folder, deviations):
        self.folder = folder
        self.deviations = deviations
        self.used = set()

    def settle(self, daemon, step=None):
        """The report of the last look: empty once two looks in a row are as expected."""
        folder = [*compare.alternatives(self.folder, step), self.folder][0]
        deadline = time.monotonic() + SETTLE_SECONDS
        equal = 0
        while True:
            if daemon.poll() is not None:
                return [f"kube-ipvsd ended with status {daemon.returncode}"]
            report, used = compare.compare(self.folder, observe(folder), self.deviations, step)
            equal = 0 if report else equal + 1
            if equal == 2:
                self.used |= used
                return []
            if report and time.monotonic() > deadline:
                return report
            time.sleep(LOOK_SECONDS)

    def before(self, step):
        for command in TRAFFIC_BEFORE.get((self.folder.name, step), []):
            subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        script = self.folder / "steps" / f"{step}.before.sh"
        if script.exists():
            subprocess.run(["sh", str(script)], check=True)

    def run(self, daemon, manifests):
        """[report lines], empty if all was as expected."""
        steps = sorted({path.name.split(".")[0] for path in (self.folder / "steps").glob("*")})
        if not steps:
            return self.settle(daemon)
        if base_of(self.folder) and not first_sync(daemon):
            return ["kube-ipvsd wrote nothing of base.yaml"]
        for step in steps:
            self.before(step)
            if (file := self.folder / "steps" / f"{step}.yaml").exists():
                manifests.apply(file)
            if (file := self.folder / "steps" / f"{step}.delete").exists():
                manifests.delete(file)
            report = self.settle(daemon, step)
            if report:
                return [f"step {step}: {line}" for line in report]
        return []


def make_node(folder):
    script = f". {shlex.quote(str(ROOT / 'test/kernel/topology.sh'))} && node_up"
    subprocess.run(["bash", "-c", script], check=True)
    if (folder / "setup.sh").exists():
        subprocess.run(["sh", str(folder / "setup.sh")], check=True)


def stop(daemon):
    daemon.send_signal(signal.SIGTERM)
    try:
        daemon.wait(10)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()
        return ["kube-ipvsd did not end within 10 s of SIGTERM"]
    return []


def base_of(folder):
    """base.yaml beside the scenario; a scenario without one starts from nothing."""
    return [path for path in [folder.parent / "base.yaml"] if path.exists()]


def main():
    folder = pathlib.Path(sys.argv[1]).resolve()
    scenario = Scenario(folder, compare.read_deviations(ROOT / "test/conformance/deviations.txt"))
    make_node(folder)
    with tempfile.TemporaryDirectory(dir="/run") as work:
        manifests = Manifests(pathlib.Path(work))
        for file in [*base_of(folder), folder / "objects.yaml"]:
            if file.exists():
                manifests.apply(file)
        log = pathlib.Path(work, "log")
        with open(log, "wb") as out:
            command = [DAEMON, "--config", str(folder / "config.yaml"), "--manifests", str(manifests.folder)]
            daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        started = time.monotonic()
        report = scenario.run(daemon, manifests)
        if not report:
            report = stop(daemon)
        elif daemon.poll() is None:
            stop(daemon)
        print(f"{'FAILED' if report else 'ok':6} {folder.name} ({time.monotonic() - started:.1f} s)")
        for deviation in sorted(scenario.used, key=str):
            print(f"       deviation ({deviation.file} {deviation.sign}): {deviation.reason}")
        if report:
            print("\n".join("       " + line for line in report[:25]))
            if len(report) > 25:
                print(f"       and {len(report) - 25} lines more")
            print("       the daemon's last words:")
            print("\n".join("       | " + line for line in log.read_text(errors="replace").splitlines()[-15:]))
    return 1 if report else 0


if __name__ == "__main__":
    sys.exit(main())
