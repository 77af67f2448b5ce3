#!/usr/bin/env python3
"""Renders the chart with the defaults, with each option alone and with all, and looks at every document."""
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import chart
import config_schema

DAEMON = chart.BUILD / "daemon/kube-ipvsd"
SCHEMAS = chart.KindSchemas(chart.HERE / "schemas/kubernetes.json", chart.HERE / "schemas/monitoring.json")
# Of these two the later one wins, and says nothing of the earlier.
ALONE = {"apiServer.kubeconfigConfigMap.name", "apiServer.kubeconfigConfigMap.key", "config.healthzBindAddress, none",
         "config.metricsBindAddress, none"}


def combinations():
    """name -> values"""
    table = {"defaults": chart.MINIMAL}
    for name, values in chart.options().items():
        table[name] = chart.merged(chart.MINIMAL, values)
    together = [values for name, values in chart.options().items() if name not in ALONE]
    table["all together"] = chart.merged(chart.MINIMAL, *together)
    table["all together, by kubeconfig"] = chart.merged(
        table["all together"], *(chart.options()[name] for name in sorted(ALONE) if name.startswith("apiServer")))
    return table


class Combinations(unittest.TestCase):
    """What holds for every combination."""

    @classmethod
    def setUpClass(cls):
        cls.values = combinations()
        cls.rendered = dict(zip(cls.values, chart.render_all(list(cls.values.values()))))

    def check(self, test):
        """test(name, objects) for each."""
        for name, rendered in self.rendered.items():
            with self.subTest(name):
                self.assertNotIn("error", rendered)
                test(name, chart.objects(rendered))

    def test_values_are_accepted(self):
        for name, values in self.values.items():
            with self.subTest(name):
                self.assertEqual(chart.value_problems(values), [])

    def test_every_document_is_valid(self):
        def test(name, found):
            for document in found.values():
                self.assertEqual(SCHEMAS.problems(document), [])
        self.check(test)

    def test_nothing_is_left_over_from_the_templates(self):
        for name, rendered in self.rendered.items():
            with self.subTest(name):
                for text in rendered["files"].values():
                    self.assertNotRegex(text, r"<no value>|<nil>|%!|map\[")
                self.assertNotRegex(rendered["notes"], r"<no value>|<nil>|%!|map\[")

    def test_selectors_find_the_pods_whatever_is_set(self):
        def test(name, found):
            daemonset = chart.of_kind(found, "DaemonSet")
            wanted = daemonset["spec"]["selector"]["matchLabels"]
            labels = daemonset["spec"]["template"]["metadata"]["labels"]
            self.assertLessEqual(wanted.items(), labels.items())
            # A selector cannot be changed afterwards: no version in it, nothing that users set for labels.
            self.assertEqual(set(wanted), {"app.kubernetes.io/name", "app.kubernetes.io/instance"})
            for kind, of_labels in (("PodMonitor", labels), ("ServiceMonitor", None), ("Service", labels)):
                for (its_kind, _), document in found.items():
                    if its_kind == kind and kind == "Service":
                        self.assertLessEqual(document["spec"]["selector"].items(), of_labels.items())
                    elif its_kind == kind:
                        target = of_labels or chart.of_kind(found, "Service")["metadata"]["labels"]
                        self.assertLessEqual(document["spec"]["selector"]["matchLabels"].items(), target.items())
        self.check(test)

    def test_names_refer_to_what_is_there(self):
        def test(name, found):
            spec = chart.of_kind(found, "DaemonSet")["spec"]["template"]["spec"]
            accounts = [key[1] for key in found if key[0] == "ServiceAccount"]
            self.assertEqual(accounts, [spec["serviceAccountName"]] if accounts else [])
            if ("ClusterRole", "kube-ipvsd") in found:
                binding = chart.of_kind(found, "ClusterRoleBinding")
                self.assertIn(("ClusterRole", binding["roleRef"]["name"]), found)
                self.assertEqual(binding["subjects"], [{"kind": "ServiceAccount", "name": spec["serviceAccountName"],
                                                        "namespace": "kube-system"}])
            given = self.values[name]["apiServer"].get("kubeconfigConfigMap", {}).get("name")
            for volume in spec["volumes"]:
                if "configMap" in volume and volume["configMap"]["name"] != given:
                    self.assertIn(("ConfigMap", volume["configMap"]["name"]), found)
        self.check(test)

    def test_mounts_and_volumes_fit(self):
        def test(name, found):
            spec = chart.of_kind(found, "DaemonSet")["spec"]["template"]["spec"]
            volumes = [volume["name"] for volume in spec["volumes"]]
            self.assertEqual(len(volumes), len(set(volumes)))
            mounted = set()
            for container in spec["initContainers"] + spec["containers"]:
                paths = [mount["mountPath"] for mount in container["volumeMounts"]]
                self.assertEqual(len(paths), len(set(paths)))
                mounted |= {mount["name"] for mount in container["volumeMounts"]}
                for word in container["args"]:
                    if file := re.fullmatch(r"--config=(.*)/config\.yaml", word):
                        self.assertIn(file[1], paths)
            self.assertEqual(mounted, set(volumes))
        self.check(test)

    def test_ports_are_those_of_the_configuration(self):
        def test(name, found):
            [container] = chart.of_kind(found, "DaemonSet")["spec"]["template"]["spec"]["containers"]
            [config] = chart.parse(chart.config_text(found))
            ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
            for port, field, default in (("healthz", "healthzBindAddress", 10256), ("metrics", "metricsBindAddress", 10249)):
                if config[field] == "none":
                    self.assertNotIn(port, ports)
                    continue
                host, number = re.fullmatch(r"(.*?)(?::([0-9]+))?", config[field]).groups()
                if ":" in host and not host.startswith("["):
                    host, number = config[field], None
                self.assertEqual(ports[port], int(number or default))
                if port == "healthz":
                    host = host.strip("[]")
                    expected = {} if host in ("0.0.0.0", "::") else {"host": host}
                    for probe, path in (("livenessProbe", "/livez"), ("readinessProbe", "/healthz")):
                        self.assertEqual(container[probe]["httpGet"], {"path": path, "port": port, **expected})
            self.assertEqual("livenessProbe" in container, config["healthzBindAddress"] != "none")
            for kind in ("PodMonitor", "ServiceMonitor"):
                for (its_kind, _), document in found.items():
                    if its_kind == kind:
                        [endpoint] = document["spec"].get("podMetricsEndpoints") or document["spec"]["endpoints"]
                        self.assertIn(endpoint["port"], ports)
                        self.assertNotRegex(config["metricsBindAddress"], r"^(127\.|\[?::1)")
        self.check(test)

    def test_what_the_containers_may_do(self):
        def test(name, found):
            spec = chart.of_kind(found, "DaemonSet")["spec"]["template"]["spec"]
            [prepare], [container] = spec["initContainers"], spec["containers"]
            self.assertTrue(spec["hostNetwork"])
            self.assertEqual(prepare["securityContext"], {"privileged": True, "readOnlyRootFilesystem": True})
            context = dict(container["securityContext"])
            context.pop("seLinuxOptions", None)
            seccomp = self.values[name].get("seccompProfile", {"type": "RuntimeDefault"})
            nft = self.values[name].get("config", {}).get("ipvsd", {}).get("iptablesBackend") == "nft"
            self.assertEqual(context, {
                "privileged": False, "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "runAsUser": 0,
                "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"] + ([] if nft else ["NET_RAW"])},
                "seccompProfile": seccomp})
        self.check(test)

    def test_preflight_takes_each_configuration(self):
        """kube-ipvsd --check looks at this machine, too; what it says of the configuration is what counts."""
        distinct = {}
        for name, rendered in self.rendered.items():
            distinct.setdefault(chart.config_text(chart.objects(rendered)), name)
        self.assertGreater(len(distinct), 5)
        with tempfile.TemporaryDirectory() as work:
            file = pathlib.Path(work, "config.yaml")
            for text, name in distinct.items():
                with self.subTest(name):
                    file.write_text(text)
                    ended = subprocess.run([DAEMON, "--check", "-o", "json", "--config", file, "--manifests", work,
                                            "--hostname-override", "node-1"], capture_output=True, text=True, timeout=60)
                    findings = json.loads(ended.stdout)["findings"]
                    said = [finding for finding in findings if finding["subject"] in ("configuration", "flags")]
                    self.assertTrue(said, findings)
                    self.assertEqual([finding["text"] for finding in said if finding["severity"] == "problem"], [])

    def test_the_daemon_takes_command_line_and_configuration(self):
        """It stops at the next thing, before it touches anything: there is no API server to speak to."""
        with tempfile.TemporaryDirectory() as work:
            def test(name, found):
                [container] = chart.of_kind(found, "DaemonSet")["spec"]["template"]["spec"]["containers"]
                file = pathlib.Path(work, "config.yaml")
                file.write_text(chart.config_text(found))
                arguments = [word.replace("/etc/kube-ipvsd/config/config.yaml", str(file)).replace("$(NODE_NAME)", "node-1")
                             for word in container["args"]]
                clean = {key: value for key, value in os.environ.items() if not key.startswith("KUBERNETES_")}
                ended = subprocess.run([DAEMON, *arguments], env=clean, capture_output=True, text=True, timeout=30)
                [config] = chart.parse(chart.config_text(found))
                kubeconfig = config["clientConnection"]["kubeconfig"]
                self.assertIn(kubeconfig or "not in a cluster: the environment variable KUBERNETES_SERVICE_HOST is missing",
                              ended.stderr)
                self.assertEqual((ended.returncode, len(ended.stderr.splitlines())), (1, 1), ended.stderr)
            self.check(test)


class Options(unittest.TestCase):
    """What single options do."""

    def rendered(self, *names):
        return chart.render(chart.merged(chart.MINIMAL, *(chart.options()[name] for name in names)))

    def config(self, found):
        [config] = chart.parse(chart.config_text(found))
        return config

    def spec(self, found):
        return chart.of_kind(found, "DaemonSet")["spec"]["template"]["spec"]

    def test_every_value_is_an_option_of_the_tests(self):
        def leaves(values, prefix=""):
            for key, value in values.items():
                if isinstance(value, dict) and value and key not in ("nodeSelector", "resources", "livenessProbe",
                                                                     "readinessProbe", "labels"):
                    yield from leaves(value, f"{prefix}{key}.")
                else:
                    yield prefix + key
        [defaults] = chart.parse((chart.CHART / "values.yaml").read_text())
        self.assertEqual(set(leaves(defaults)) - set(chart.options()), set())

    def test_every_option_changes_something(self):
        before = chart.render(chart.MINIMAL)
        for name in chart.options():
            with self.subTest(name):
                self.assertNotEqual(self.rendered(name), before)

    def test_the_api_server_must_be_given(self):
        with self.assertRaisesRegex(ValueError, r"apiServer\.host is required: .* apiServer\.kubeconfigConfigMap\.name"):
            chart.render({})

    def test_metrics_that_cannot_be_scraped(self):
        for address in ("127.0.0.1:10249", "[::1]:10249", "none"):
            with self.subTest(address), self.assertRaisesRegex(ValueError, r"config\.metricsBindAddress: .*cannot be scraped"):
                chart.render({**chart.MINIMAL, "config": {"metricsBindAddress": address}, "podMonitor": {"enabled": True}})

    def test_the_api_server_reaches_the_environment(self):
        [container] = self.spec(self.rendered("apiServer.host", "apiServer.port"))["containers"]
        variables = {variable["name"]: variable.get("value") for variable in container["env"]}
        self.assertEqual(variables["KUBERNETES_SERVICE_HOST"], "fd00::10")
        self.assertEqual(variables["KUBERNETES_SERVICE_PORT"], "443")

    def test_a_kubeconfig_replaces_it(self):
        found = self.rendered("apiServer.kubeconfigConfigMap.key")
        [container] = self.spec(found)["containers"]
        self.assertNotIn("KUBERNETES_SERVICE_HOST", [variable["name"] for variable in container["env"]])
        self.assertEqual(self.config(found)["clientConnection"]["kubeconfig"], "/etc/kube-ipvsd/kubeconfig/kubeconfig")
        [volume] = [volume for volume in self.spec(found)["volumes"] if volume["name"] == "kubeconfig"]
        self.assertEqual(volume["configMap"], {"name": "access", "items": [{"key": "config", "path": "kubeconfig"}]})

    def test_scheduler(self):
        self.assertEqual(self.config(self.rendered("scheduler"))["ipvs"]["scheduler"], "wlc")
        self.assertEqual(self.config(self.rendered("config"))["ipvs"]["scheduler"], "sh")
        both = self.config(self.rendered("config", "scheduler"))["ipvs"]
        self.assertEqual((both["scheduler"], both["strictARP"]), ("wlc", True))

    def test_a_changed_configuration_replaces_the_pods(self):
        sums = {chart.of_kind(self.rendered(*names), "DaemonSet")["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
                for names in ((), ("scheduler",), ("config",), ("scheduler", "config"))}
        self.assertEqual(len(sums), 4)

    def test_the_digest_wins_over_the_tag(self):
        image = lambda *names: self.spec(self.rendered(*names))["containers"][0]["image"]
        [about] = chart.parse((chart.CHART / "Chart.yaml").read_text())
        self.assertEqual(image(), "kube-ipvsd:" + about["appVersion"])
        self.assertEqual(image("image.tag"), "kube-ipvsd:0.2.0-rc.1")
        self.assertEqual(image("image.tag", "image.digest"), "kube-ipvsd@sha256:" + 4 * "0123456789abcdef")

    def test_long_names_stay_within_bounds(self):
        found = chart.render({**chart.MINIMAL, "dashboard": {"enabled": True}}, release="r" * 53)
        for _, name in found:
            self.assertLessEqual(len(name), 63)
        for document in found.values():
            for value in document["metadata"]["labels"].values():
                self.assertLessEqual(len(value), 63)

    def test_the_version_is_the_projects(self):
        [about] = chart.parse((chart.CHART / "Chart.yaml").read_text())
        project = re.search(r"version: '([^']*)'", (chart.ROOT / "meson.build").read_text())
        if project:
            self.assertEqual(about["appVersion"], project[1])
        said = subprocess.run([DAEMON, "--version"], capture_output=True, text=True, check=True).stdout
        self.assertRegex(said, r"^kube-ipvsd " + re.escape(about["appVersion"]))


class NodeByNode(unittest.TestCase):
    """Each node has one of the two proxies, by its label."""

    def test_the_patch_and_the_node_selector_complement_each_other(self):
        [patch] = chart.parse((chart.CHART / "kube-proxy-patch.yaml").read_text())
        affinity = patch["spec"]["template"]["spec"]["affinity"]
        [term] = affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        [rule] = term["matchExpressions"]
        self.assertEqual(rule["operator"], "NotIn")
        selector = chart.options()["nodeSelector"]["nodeSelector"]
        for label in (None, "kube-ipvsd", "kube-proxy", ""):
            labels = {"kubernetes.io/os": "linux", **({} if label is None else {rule["key"]: label})}
            kube_proxy = labels.get(rule["key"]) not in rule["values"]
            kube_ipvsd = all(labels.get(key) == value for key, value in selector.items())
            self.assertNotEqual(kube_proxy, kube_ipvsd, labels)
        notes = chart.render_all([chart.MINIMAL])[0]["notes"]
        self.assertIn(f"{rule['key']}={rule['values'][0]}", notes)

    def test_the_patch_is_valid(self):
        found = chart.render(chart.MINIMAL)
        daemonset = chart.of_kind(found, "DaemonSet")
        [patch] = chart.parse((chart.CHART / "kube-proxy-patch.yaml").read_text())
        self.assertEqual(SCHEMAS.problems(chart.merged(daemonset, patch)), [])


class Values(unittest.TestCase):
    """values.schema.json, as Helm applies it before it renders."""

    def test_the_defaults_are_accepted(self):
        self.assertEqual(chart.value_problems({}), [])

    def test_wrong_values_are_named(self):
        [table] = chart.parse((chart.HERE / "wrong_values.yaml").read_text())
        for case in table:
            with self.subTest(str(case["values"])):
                problems = chart.value_problems(case["values"])
                self.assertNotEqual(problems, [])
                # The message names the value, by its path or, where there is no such value, by its name.
                self.assertTrue(any(case["names"] in problem for problem in problems), problems)

    def test_the_schema_of_config_is_the_table_in_the_daemon(self):
        self.assertGreater(len(config_schema.options()), 50)
        schema = chart.loaded(chart.CHART / "values.schema.json")
        self.assertEqual(schema["properties"]["config"], config_schema.config_schema(),
                         "run test/chart/config_schema.py --write")

    def test_every_value_is_in_the_readme(self):
        readme = (chart.CHART / "README.md").read_text()
        documented = set(re.findall(r"^\| `([A-Za-z.]+)`", readme, re.M))
        schema = chart.loaded(chart.CHART / "values.schema.json")
        def leaves(properties, prefix=""):
            for key, value in properties.items():
                if "properties" in value and key not in ("config", "resources", "initResources", "livenessProbe",
                                                         "readinessProbe", "seLinuxOptions"):
                    yield from leaves(value["properties"], f"{prefix}{key}.")
                else:
                    yield prefix + key
        self.assertEqual(documented, set(leaves(schema["properties"])) - {"global"})


if __name__ == "__main__":
    unittest.main()
