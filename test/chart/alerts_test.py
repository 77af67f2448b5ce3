#!/usr/bin/env python3
"""The alerts as rendered, by promtool; alerts and dashboard ask for metrics that the daemon has."""
import json
import pathlib
import re
import subprocess
import tempfile
import unittest

import yaml

import chart

METRICS = chart.ROOT / "daemon/serve/metrics.cpp"
# Prometheus' own.
OTHERS = {"up"}
METRIC = re.compile(r"\b(?:kube_ipvsd|kubeproxy|process)_[a-z0-9_]+\b")


def known_metrics():
    """The names in the daemon's table, with those that a histogram makes of its name."""
    names = set(re.findall(r'"((?:kube_ipvsd|kubeproxy|process)_[a-z0-9_]+)"', METRICS.read_text()))
    return names | {name + suffix for name in names for suffix in ("_bucket", "_sum", "_count")}


def rules(**values):
    found = chart.render({**chart.MINIMAL, "prometheusRule": {"enabled": True, **values}})
    return chart.of_kind(found, "PrometheusRule")["spec"]


def dashboard():
    found = chart.render({**chart.MINIMAL, "dashboard": {"enabled": True}})
    return json.loads(found[("ConfigMap", "kube-ipvsd-dashboard")]["data"]["kube-ipvsd.json"])


def alerts_of(spec):
    return {rule["alert"]: rule for group in spec["groups"] for rule in group["rules"]}


class Alerts(unittest.TestCase):
    def promtool(self, *words, folder):
        done = subprocess.run(["promtool", *words], cwd=folder, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_promtool_takes_the_rules(self):
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "rules.yaml").write_text(yaml.safe_dump(rules()))
            self.promtool("check", "rules", "--lint=all", "--lint-fatal", "rules.yaml", folder=folder)

    def test_each_alert_fires_when_it_should_and_only_then(self):
        [tests] = chart.parse((chart.HERE / "alerts_test.yaml").read_text())
        alerts = alerts_of(rules())
        tested = {True: set(), False: set()}
        for test in tests["tests"]:
            for case in test["alert_rule_test"]:
                tested["exp_alerts" in case].add(case["alertname"])
                for expected in case.get("exp_alerts", []):
                    expected["exp_annotations"] = {"summary": case["alertname"]}
        self.assertEqual(tested[True], set(alerts))
        self.assertEqual(tested[False], set(alerts))
        with tempfile.TemporaryDirectory() as folder:
            # The words are not what is tested.
            spec = rules()
            for rule in alerts_of(spec).values():
                rule["annotations"] = {"summary": rule["alert"]}
            pathlib.Path(folder, "rules.yaml").write_text(yaml.safe_dump(spec))
            pathlib.Path(folder, "tests.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], **tests}))
            self.promtool("test", "rules", "tests.yaml", folder=folder)

    def test_each_alert_says_how_bad_where_and_what(self):
        for name, rule in alerts_of(rules()).items():
            with self.subTest(name):
                self.assertIn(rule["labels"]["severity"], ("critical", "warning", "info"))
                self.assertIn("{{ $labels.instance }}", rule["annotations"]["summary"])
                self.assertGreater(len(rule["annotations"]["description"]), 40)

    def test_values_choose_alerts_and_runbooks(self):
        alerts = alerts_of(rules(disabled=["KubeIpvsdSlow"], runbookUrl="https://example.com/operations.md#"))
        self.assertEqual(set(alerts_of(rules())) - set(alerts), {"KubeIpvsdSlow"})
        self.assertEqual(alerts["KubeIpvsdDown"]["annotations"]["runbook_url"],
                         "https://example.com/operations.md#kubeipvsddown")
        self.assertNotIn("runbook_url", alerts_of(rules())["KubeIpvsdDown"]["annotations"])

    def test_each_alert_is_in_the_readme(self):
        readme = (chart.CHART / "README.md").read_text()
        documented = dict(re.findall(r"^\| (KubeIpvsd\w+) \| (\w+) \|", readme, re.M))
        self.assertEqual(documented, {name: rule["labels"]["severity"] for name, rule in alerts_of(rules()).items()})

    def test_the_metrics_exist(self):
        known = known_metrics() | OTHERS
        for name, rule in alerts_of(rules()).items():
            with self.subTest(name):
                asked = set(METRIC.findall(rule["expr"]))
                self.assertLessEqual(asked, known)
                self.assertTrue(asked or "up{" in rule["expr"])


class Dashboard(unittest.TestCase):
    def expressions(self):
        for panel in dashboard()["panels"]:
            for target in panel["targets"]:
                yield panel["title"], target["expr"]

    def test_the_metrics_exist(self):
        known = known_metrics()
        for title, expression in self.expressions():
            with self.subTest(title):
                self.assertLessEqual(set(METRIC.findall(expression)), known)

    def test_promtool_takes_the_expressions(self):
        written = [{"record": f"panel:{number}", "expr": expression.replace("$instance", ".*")}
                   for number, (_, expression) in enumerate(self.expressions())]
        self.assertGreater(len(written), 15)
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "rules.yaml")
            file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": written}]}))
            done = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_panels_have_their_own_place_and_number(self):
        panels = dashboard()["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        taken = set()
        for panel in panels:
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24)
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])}
            self.assertFalse(cells & taken, panel["title"])
            taken |= cells


if __name__ == "__main__":
    unittest.main()
