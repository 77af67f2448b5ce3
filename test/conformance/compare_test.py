#!/usr/bin/env python3
"""Tests of compare.py, on a made-up scenario; and on the real ones, each observed exactly as expected."""
import os
import pathlib
import re
import sys
import tempfile
import unittest

import compare

SHARED = pathlib.Path(os.environ.get("SHARED_DIR", "../shared"), "conformance")

IPVS = "-A -t 10.96.0.1:443 -s rr\n-a -t 10.96.0.1:443 -r 192.168.77.1:6443 -m -w 1\n"
ADDRESSES = "10.96.0.1/32\n"
IPSET = "create KUBE-IPVS-IPS hash:ip family inet maxelem 65536\nadd KUBE-IPVS-IPS 10.96.0.1\n"
OBSERVED = {
    "ipvs.txt": IPVS,
    "addresses.txt": ADDRESSES,
    "ipset.txt": IPSET.replace("inet maxelem 65536", "inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x2a63"),
}


def write(folder, contents):
    folder.mkdir(parents=True)
    for name, text in contents.items():
        (folder / name).write_text(text)


class Compare(unittest.TestCase):
    def setUp(self):
        work = tempfile.TemporaryDirectory()
        self.addCleanup(work.cleanup)
        self.scenario = pathlib.Path(work.name, "01-made-up")
        write(self.scenario / "expected", {"ipvs.txt": IPVS, "addresses.txt": ADDRESSES, "ipset.txt": IPSET})

    def report(self, changes, deviations=""):
        file = self.scenario.parent / "deviations"
        file.write_text(deviations)
        return compare.compare(self.scenario, {**OBSERVED, **changes}, compare.read_deviations(file))[0]

    def test_equal_but_for_noise(self):
        self.assertEqual(self.report({}), [])

    def test_order_does_not_count(self):
        self.assertEqual(self.report({"ipvs.txt": "".join(reversed(IPVS.splitlines(True)))}), [])

    def test_missing_extra_and_changed_lines(self):
        self.assertEqual(self.report({"ipvs.txt": ""}), ["ipvs.txt: - " + line for line in IPVS.splitlines()])
        self.assertEqual(self.report({"addresses.txt": ADDRESSES * 2}), ["addresses.txt: + 10.96.0.1/32"])
        self.assertEqual(len(self.report({"ipvs.txt": IPVS.replace("-w 1", "-w 0")})), 2)
        self.assertEqual(len(self.report({"ipset.txt": OBSERVED["ipset.txt"].replace("65536", "1048576")})), 2)

    def test_an_alternative_is_as_good(self):
        other = {"addresses.txt": "10.96.0.2/32\n"}
        self.assertNotEqual(self.report(other), [])
        write(self.scenario.parent / "01-made-up/expected.alt1", {"ipvs.txt": IPVS, "ipset.txt": IPSET, **other})
        self.assertEqual(self.report(other), [])
        self.assertEqual(self.report({}), [])

    def test_answers_but_for_times_and_the_order_of_headers(self):
        expected = "# GET http://x/\nHTTP/1.1 200 OK\nA: 1\nB: 2\n\n{\"lastUpdated\": \"<time>\"}\n"
        (self.scenario / "expected/health.txt").write_text(expected)
        answer = ("# GET http://x/\nHTTP/1.1 200 OK\nB: 2\nContent-Length: 7\nA: 1\n\n"
                  '{"lastUpdated": "2026-11-20 12:00:00.5 +0000 UTC"}')
        self.assertEqual(self.report({"health.txt": answer}), [])
        self.assertEqual(self.report({"health.txt": answer.replace("200 OK", "503 Service Unavailable")}),
                         ["health.txt: - http://x/: HTTP/1.1 200 OK",
                          "health.txt: + http://x/: HTTP/1.1 503 Service Unavailable"])

    def test_deviations_have_a_sign_a_file_and_a_scenario(self):
        extra = {"addresses.txt": ADDRESSES + "10.96.0.9/32\n"}
        self.assertEqual(self.report(extra, r"01-* | addresses.txt | + | 10\.96\.0\.9/32 | meant"), [])
        for other in ("01-* | addresses.txt | - | .* | x", "01-* | ipvs.txt | + | .* | x", "02-* | addresses.txt | + | .* | x",
                      "01-* | addresses.txt | + | 10 | x"):
            self.assertEqual(self.report(extra, other), ["addresses.txt: + 10.96.0.9/32"], other)
        self.assertEqual(self.report({"addresses.txt": ""}, "* | addresses.txt | - | .* | x"), [])

    def test_what_scenarios_share_of_the_sets_lies_beside_them(self):
        (self.scenario.parent / "sets.txt").write_text("create KUBE-CLUSTER-IP hash:ip,port family inet\n")
        self.assertEqual(self.report({}), ["ipset.txt: - create KUBE-CLUSTER-IP hash:ip,port family inet"])
        more = OBSERVED["ipset.txt"] + "create KUBE-CLUSTER-IP hash:ip,port family inet hashsize 1024\n"
        self.assertEqual(self.report({"ipset.txt": more}), [])

    def test_rules_have_an_order(self):
        (self.scenario / "expected/rules.txt").write_text("iptables nat -A X -j A\niptables nat -A X -j B\n")
        self.assertEqual(self.report({"rules.txt": "iptables nat -A X -j A\niptables nat -A X -j B\n"}), [])
        self.assertNotEqual(self.report({"rules.txt": "iptables nat -A X -j B\niptables nat -A X -j A\n"}), [])

    def test_a_malformed_deviation_is_refused(self):
        with self.assertRaises(SystemExit):
            self.report({}, "01-* | addresses.txt | .*")

    def test_nothing_observed_is_not_equal(self):
        self.assertNotEqual(compare.compare(self.scenario, {}, [])[0], [])


class RealScenarios(unittest.TestCase):
    def test_expected_equals_itself_and_not_less(self):
        if not SHARED.is_dir():
            self.skipTest(f"{SHARED} is not there")
        outcomes = list(SHARED.glob("*/expected*/**/ipvs.txt"))
        self.assertTrue(outcomes)
        for folder in (path.parent for path in outcomes):
            observed = {path.name: path.read_text() for path in folder.glob("*.txt")}
            step = folder.name if re.fullmatch(r"\d+", folder.name) else None
            scenario = folder.parents[1 if step else 0]
            with self.subTest(folder):
                self.assertEqual(compare.compare(scenario, observed, [], step)[0], [])
                observed["ipvs.txt"] = observed["ipvs.txt"].partition("\n")[2]
                self.assertNotEqual(compare.compare(scenario, observed, [], step)[0], [])


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
