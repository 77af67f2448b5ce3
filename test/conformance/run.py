#!/usr/bin/env python3
"""Runs one conformance scenario in the present network namespace, which must be fresh: run.py SCENARIO

Makes the scenario's node (test/kernel/topology.sh), starts kube-ipvsd with the scenario's configuration on manifests,
applies the objects and compares the kernel's state with what is expected: all objects there at the start (unless the
scenario has steps), then the Services of each step before their slices, then the slices first. In between everything is
deleted, and the kernel must be as it was with base.yaml alone. At last kube-ipvsd is started anew, and must find nothing
to write. Prints one line, more on failure; exit status 0 if all is as expected. With IPVSD_CONFORMANCE_HEALTH set, the
answers in health.txt too; with IPVSD_CONFORMANCE_ROUTE set, the Service CIDRs are local by route (route_mode.py).
IPVSD_BINARY is the daemon (default build/daemon/kube-ipvsd).
Called by scripts/conformance.sh, which prepares the namespace and /run.
"""
import contextlib
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import yaml

import compare
import route_mode

ROOT = pathlib.Path(__file__).resolve().parents[2]
DAEMON = os.environ.get("IPVSD_BINARY", str(ROOT / "build/daemon/kube-ipvsd"))
TRAFFIC = str(ROOT / "build/test/kernel/traffic")
SETTLE_SECONDS = 15
LOOK_SECONDS = 0.05
ORDERS = (("Service", "EndpointSlice"), ("EndpointSlice", "Service"))

# The traffic that a step's NN.before describes in words.
TRAFFIC_BEFORE = {
    ("17-graceful-termination", "02"): [
        [TRAFFIC, "request", "tcp", "10.96.170.1", "80", "--count", "8", "--timeout", "100", "--quiet"],
        [TRAFFIC, "request", "udp", "10.96.170.1", "53", "--count", "8", "--timeout", "20", "--quiet"],
    ],
}


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


# Comes and goes after what was applied: when it is in the kernel, all that was there before it has been read.
MARKER = """
apiVersion: v1
kind: Service
metadata: {name: conformance-marker, namespace: default}
spec: {clusterIP: 10.96.255.254, clusterIPs: [10.96.255.254], ports: [{port: 1}]}
"""
MARKER_SERVER = "-A -t 10.96.255.254:1 "


def documents(file):
    """(parsed, text) of each object of a file."""
    for text in re.split(r"^---\s*$", file.read_text(), flags=re.M):
        parsed = yaml.safe_load(text)
        if parsed:
            yield parsed, text


class Manifests:
    """A folder with one file per object, changed by renames so that a reader never sees half a file."""

    def __init__(self, folder):
        self.folder = folder / "manifests"
        self.folder.mkdir()
        self.staging = folder / "staged"

    def path(self, identity):
        name = "_".join([identity["kind"], identity.get("namespace", ""), identity["name"]])
        return self.folder / f"{name.lower()}.yaml"

    def write(self, parsed, text):
        self.staging.write_text(text)
        self.staging.rename(self.path({"kind": parsed["kind"], **parsed["metadata"]}))

    def apply(self, file, kinds=None):
        """Those of the kinds given, else all; returns whether there were any."""
        wanted = [document for document in documents(file) if kinds is None or document[0]["kind"] in kinds]
        for parsed, text in wanted:
            self.write(parsed, text)
        return bool(wanted)

    def delete(self, file):
        for identity in yaml.safe_load(file.read_text())["delete"]:
            self.path(identity).unlink()

    def names(self):
        return set(self.folder.iterdir())


def addresses():
    lines = output("ip", "-o", "addr", "show").splitlines()
    found = [line.split()[3] for line in lines if line.split()[1] == "kube-ipvs0"]
    return "".join(f"{address}\n" for address in sorted(found) if not address.startswith("fe80:"))


def sysctls(expected):
    names = [line.split(" = ")[0] for line in expected.splitlines()]
    paths = [(name, pathlib.Path("/proc/sys", name.replace(".", "/"))) for name in names]
    return "".join(f"{name} = {path.read_text().strip() if path.exists() else '?'}\n" for name, path in paths)


def rules(expected):
    """Of the chains that the expected text names, all rules: "iptables nat -A KUBE-SERVICES ...", in order."""
    chains = {tuple(line.split()[:4]) for line in expected.splitlines()}
    text = ""
    for program in ("iptables", "ip6tables"):
        table = ""
        for line in output(f"{program}-save").splitlines():
            if line.startswith("*"):
                table = line[1:]
            elif (program, table, *line.split()[:2]) in chains:
                text += f"{program} {table} {line}\n"
    return text


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
    if (file := folder / "rules.txt").exists():
        observed["rules.txt"] = rules(file.read_text())
    if (file := folder / "sysctl.txt").exists():
        observed["sysctl.txt"] = sysctls(file.read_text())
    if "IPVSD_CONFORMANCE_HEALTH" in os.environ and (file := folder / "health.txt").exists():
        observed["health.txt"] = health(file.read_text())
    return observed


def until(daemon, condition):
    """Whether the condition came true in time, with the daemon alive."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while daemon.poll() is None and time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(LOOK_SECONDS)
    return False


def kernel_state():
    return {
        "ipvs.txt": sorted(output("ipvsadm", "-Sn").splitlines()),
        "addresses.txt": addresses().splitlines(),
        "ipset.txt": sorted(line for line in output("ipset", "save").splitlines() if line.startswith("add ")),
    }


class Scenario:
    """One folder, played on one daemon after the other."""

    def __init__(self, folder, work):
        self.folder = folder
        self.deviations = compare.read_deviations(ROOT / "test/conformance/deviations.txt")
        self.used = set()
        self.manifests = Manifests(work)
        self.log = work / "log"
        self.steps = sorted({path.name.split(".")[0] for path in (folder / "steps").glob("*")})
        self.base = None
        self.config = folder / "config.yaml"
        if route_mode.wanted():
            self.config = work / "config.yaml"
            self.config.write_text(route_mode.configuration((folder / "config.yaml").read_text()))
        for file in base_of(folder):
            self.manifests.apply(file)
        self.base_names = self.manifests.names()

    @contextlib.contextmanager
    def daemon(self):
        with open(self.log, "ab") as out:
            command = [DAEMON, "--config", str(self.config), "--manifests", str(self.manifests.folder)]
            daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            yield daemon
        finally:
            stop(daemon)

    def settle(self, daemon, step=None):
        """The report of the last look: empty once two looks in a row are as expected."""
        folder = [*compare.alternatives(self.folder, step), self.folder][0]
        deadline = time.monotonic() + SETTLE_SECONDS
        equal = 0
        while True:
            if daemon.poll() is not None:
                return [f"kube-ipvsd ended with status {daemon.returncode}"]
            adapt = route_mode.expected if route_mode.wanted() else None
            report, used = compare.compare(self.folder, observe(folder), self.deviations, step, adapt)
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
            subprocess.run(["sh", "-e", str(script)], check=True, env={**os.environ, "TRAFFIC": TRAFFIC})

    def await_read(self, daemon):
        """[] once the daemon has worked through what was written so far."""
        self.manifests.write(yaml.safe_load(MARKER), MARKER)
        seen = until(daemon, lambda: MARKER_SERVER in output("ipvsadm", "-Sn"))
        self.manifests.path({"kind": "Service", "namespace": "default", "name": "conformance-marker"}).unlink()
        gone = until(daemon, lambda: MARKER_SERVER not in output("ipvsadm", "-Sn"))
        return [] if seen and gone else ["kube-ipvsd does not follow its manifests"]

    def apply(self, daemon, file, order):
        """The kinds of `order` one after the other, each read before the next is written."""
        if not file.exists():
            return []
        *early, last = [["Node"], *([kind] for kind in order)]
        for kinds in early:
            if self.manifests.apply(file, kinds) and (report := self.await_read(daemon)):
                return report
        self.manifests.apply(file, last)
        return []

    def play(self, daemon, order):
        """[report lines], empty if all was as expected."""
        if not self.steps:
            return self.apply(daemon, self.folder / "objects.yaml", order) or self.settle(daemon)
        for step in self.steps:
            self.before(step)
            report = self.apply(daemon, self.folder / "steps" / f"{step}.yaml", order)
            if (file := self.folder / "steps" / f"{step}.delete").exists():
                self.manifests.delete(file)
            report = report or self.settle(daemon, step)
            if report:
                return [f"step {step}: {line}" for line in report]
        return []

    def clear(self, daemon):
        """Deletes all objects but base.yaml's; [] once the kernel is as it was with those alone."""
        for path in self.manifests.names() - self.base_names:
            path.unlink()
        for file in base_of(self.folder):
            self.manifests.apply(file)
        if until(daemon, lambda: kernel_state() == self.base):
            return []
        now = kernel_state()
        lines = [f"{file}: + {line}" for file, text in now.items() for line in text if line not in self.base[file]]
        lines += [f"{file}: - {line}" for file, text in self.base.items() for line in text if line not in now[file]]
        return [f"all deleted: {line}" for line in lines]

    def start_on_base(self):
        with self.daemon() as daemon:
            first = until(daemon, lambda: output("ipvsadm", "-Sn"))
            report = self.await_read(daemon) if first else ["kube-ipvsd wrote nothing of base.yaml"]
            self.base = kernel_state()
        return report

    def start_with_all(self):
        if self.steps:
            return []
        self.manifests.apply(self.folder / "objects.yaml")
        with self.daemon() as daemon:
            return self.settle(daemon) or self.clear(daemon)

    def both_orders(self):
        with self.daemon() as daemon:
            for order in ORDERS:
                report = self.play(daemon, order)
                if not report and order != ORDERS[-1]:
                    report = self.clear(daemon)
                if report:
                    return [f"{order[0]} first: {line}" for line in report]
        return []

    def start_again(self):
        """A start that finds everything in place writes nothing."""
        with self.daemon() as daemon:
            if not until(daemon, lambda: synced(metrics())):
                return ["started anew, kube-ipvsd does not come to its first sync"]
            done = [line for line in metrics().splitlines() if re.match(r"kube_ipvsd_operations_total.* [1-9]", line)]
            return [f"started anew: {line}" for line in done]

    def run(self):
        for part in (self.start_on_base, self.start_with_all, self.both_orders, self.start_again):
            report = part()
            if report:
                return report
        return []


def metrics():
    try:
        with urllib.request.urlopen("http://127.0.0.1:10249/metrics", timeout=2) as answer:
            return answer.read().decode()
    except OSError:
        return ""


def synced(text):
    return re.search(r"^kubeproxy_sync_proxy_rules_last_timestamp_seconds\S* [1-9]", text, flags=re.M) is not None


def make_node(folder):
    script = f". {shlex.quote(str(ROOT / 'test/kernel/topology.sh'))} && node_up"
    subprocess.run(["bash", "-c", script], check=True)
    if (folder / "setup.sh").exists():
        subprocess.run(["sh", "-e", str(folder / "setup.sh")], check=True)


def stop(daemon):
    daemon.send_signal(signal.SIGTERM)
    try:
        daemon.wait(10)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()
        raise RuntimeError("kube-ipvsd did not end within 10 s of SIGTERM") from None


def base_of(folder):
    """base.yaml beside the scenario."""
    return [path for path in [folder.parent / "base.yaml"] if path.exists()]


def main():
    folder = pathlib.Path(sys.argv[1]).resolve()
    make_node(folder)
    with tempfile.TemporaryDirectory(dir="/run") as work:
        scenario = Scenario(folder, pathlib.Path(work))
        started = time.monotonic()
        try:
            report = scenario.run()
        except RuntimeError as error:
            report = [str(error)]
        print(f"{'FAILED' if report else 'ok':6} {folder.name} ({time.monotonic() - started:.1f} s)")
        for deviation in sorted(scenario.used, key=str):
            print(f"       deviation ({deviation.file} {deviation.sign}): {deviation.reason}")
        if report:
            print("\n".join("       " + line for line in report[:25]))
            if len(report) > 25:
                print(f"       and {len(report) - 25} lines more")
            print("       the daemon's last words:")
            print("\n".join("       | " + line for line in scenario.log.read_text(errors="replace").splitlines()[-15:]))
    return 1 if report else 0


if __name__ == "__main__":
    sys.exit(main())
