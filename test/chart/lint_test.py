#!/usr/bin/env python3
"""What `helm lint --strict` of Helm 3 looks at, as far as it can be had without Helm; and the pages' own commands."""
import pathlib
import re
import shlex
import subprocess
import sys
import unittest

import jsonschema

import chart

sys.path.insert(0, str(chart.ROOT / "test/docs"))
import blocks  # noqa: E402
import standin  # noqa: E402

# chart.Metadata of Helm 3; lint unmarshals strictly.
FIELDS = {"name", "home", "sources", "version", "description", "keywords", "maintainers", "icon", "apiVersion", "condition",
          "tags", "appVersion", "deprecated", "annotations", "kubeVersion", "dependencies", "type"}
SEMVER = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z.-]+)?")
# DNS-1123 subdomain; ClusterRoles may have more, and do not need it.
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
SCHEMAS = chart.KindSchemas(chart.HERE / "schemas/kubernetes.json", chart.HERE / "schemas/monitoring.json")


def templates():
    return sorted(path for path in (chart.CHART / "templates").rglob("*") if path.is_file())


class ChartYaml(unittest.TestCase):
    def setUp(self):
        [self.about] = chart.parse((chart.CHART / "Chart.yaml").read_text())

    def test_fields(self):
        self.assertLessEqual(set(self.about), FIELDS)
        # v3 is Helm 4's alone.
        self.assertEqual((self.about["apiVersion"], self.about["type"]), ("v2", "application"))
        self.assertEqual(self.about["name"], chart.CHART.name)
        for field in ("version", "appVersion", "description", "kubeVersion", "icon"):
            self.assertIsInstance(self.about[field], str, field)
        self.assertRegex(self.about["version"], re.compile(rf"^{SEMVER.pattern}$"))
        self.assertTrue(all(isinstance(word, str) for word in self.about["keywords"]))

    def test_the_icon_is_a_url(self):
        self.assertRegex(self.about["icon"], r"^(https?|data):\S+$")

    def test_the_constraint_of_kubernetes_versions(self):
        self.assertRegex(self.about["kubeVersion"], re.compile(rf"^(>=|>|<=|<|=|\^|~)?{SEMVER.pattern}$"))


class Seccomp(unittest.TestCase):
    """files/seccomp.json, as containerd and CRI-O take it (LinuxSeccomp of the OCI runtime specification)."""

    def setUp(self):
        self.profile = chart.loaded(chart.CHART / "files/seccomp.json")

    def test_shape(self):
        self.assertEqual(set(self.profile), {"defaultAction", "defaultErrnoRet", "architectures", "syscalls"})
        # ENOSYS: what a newer libc tries first, and then does in another way.
        self.assertEqual((self.profile["defaultAction"], self.profile["defaultErrnoRet"]), ("SCMP_ACT_ERRNO", 38))
        for rule in self.profile["syscalls"]:
            self.assertLessEqual(set(rule), {"names", "action", "errnoRet", "args", "comment"})
            self.assertEqual(rule["names"], sorted(set(rule["names"])))

    def test_what_gives_power_is_not_in_it(self):
        allowed = {name for rule in self.profile["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" and "args" not in rule
                   for name in rule["names"]}
        for name in ("add_key bpf chroot clone clone3 delete_module finit_module init_module io_uring_setup kexec_load keyctl "
                     "mount move_mount open_by_handle_at perf_event_open personality pidfd_getfd pivot_root "
                     "process_vm_readv process_vm_writev ptrace reboot setns setuid swapon umount2 unshare "
                     "userfaultfd").split():
            self.assertNotIn(name, allowed)

    def test_the_unit_allows_the_same(self):
        said = subprocess.run([sys.executable, "-B", chart.ROOT / "test/seccomp/seccomp.py", "unit",
                               chart.ROOT / "packaging/kube-ipvsd.service"], capture_output=True, text=True)
        self.assertEqual((said.returncode, said.stdout.strip()), (0, ""), said.stderr)


class Files(unittest.TestCase):
    def test_templates_have_names_that_helm_takes(self):
        for path in templates():
            with self.subTest(path.name):
                self.assertIn(path.suffix, (".yaml", ".yml", ".tpl", ".txt"))
                self.assertRegex(path.name, r"^(_[a-z]+\.tpl|[a-z-]+\.yaml|NOTES\.txt)$")

    def test_templates_use_nothing_that_helm_took_away_or_has_only_in_4(self):
        for path in templates():
            with self.subTest(path.name):
                self.assertNotRegex(path.read_text(), r"\.Release\.Time|crd-install|\.Capabilities\.KubeVersion\.GitVersion|"
                                    r"\.Capabilities\.TillerVersion|\b(toToml|mustToToml|fromToml|mustToYaml|mustToJson)\b")

    def test_no_library_charts_are_missing(self):
        [about] = chart.parse((chart.CHART / "Chart.yaml").read_text())
        self.assertFalse(about.get("dependencies"))
        self.assertFalse((chart.CHART / "charts").exists())
        self.assertFalse((chart.CHART / "crds").exists())

    def test_the_schema_of_the_values_is_one(self):
        schema = chart.loaded(chart.CHART / "values.schema.json")
        self.assertEqual(schema["$schema"], "http://json-schema.org/draft-07/schema#")
        jsonschema.Draft7Validator.check_schema(schema)

        def references(part):
            if isinstance(part, dict):
                yield from (value for key, value in part.items() if key == "$ref" and isinstance(value, str))
                for value in part.values():
                    yield from references(value)
            elif isinstance(part, list):
                for value in part:
                    yield from references(value)
        resolver = jsonschema.RefResolver("", schema)
        for reference in references(schema):
            self.assertTrue(reference.startswith("#/"), f"{reference}: Helm would have to fetch it")
            resolver.resolve(reference)


class Rendered(unittest.TestCase):
    """With no value given: lint does not ask for what is required."""

    def test_documents(self):
        [rendered] = chart.render_all([{}], release="test-release", namespace="default", lint=True)
        self.assertNotIn("error", rendered)
        for file, text in rendered["files"].items():
            with self.subTest(file):
                first = next((line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")), "")
                self.assertFalse(first.startswith(" "), "the top is indented")
                self.assertFalse([line for line in text.splitlines() if line.startswith("\t")])
                for document in chart.parse(text):
                    self.assertRegex(document["metadata"]["name"], re.compile(rf"^{NAME.pattern}$"))
                    self.assertLessEqual(len(document["metadata"]["name"]), 253)
                    # Of the newest version whose schemas are here, so none that was removed.
                    self.assertEqual(SCHEMAS.problems(document), [])
                    if document["kind"] == "DaemonSet":
                        self.assertTrue(document["spec"]["selector"].get("matchLabels"))

    def test_notes(self):
        [rendered] = chart.render_all([{}], release="test-release", namespace="default", lint=True)
        self.assertTrue(rendered["notes"].strip())


class Pages(unittest.TestCase):
    def test_each_helm_install_of_the_pages_renders(self):
        """With the values file that the command before it writes from kube-proxy's ConfigMap."""
        installs = 0
        for page in (chart.ROOT / "README.md", chart.CHART / "README.md", *sorted((chart.ROOT / "docs").glob("*.md"))):
            for block in blocks.blocks(page):
                for line in block.text.replace("\\\n", " ").splitlines():
                    if not line.startswith("helm install"):
                        continue
                    with self.subTest(f"{page.name}: {line}"):
                        words = shlex.split(line, comments=True)[1:]
                        given = {}
                        if "-f" in words:
                            at = words.index("-f")
                            self.assertEqual(words[at + 1], "values-config.yaml")
                            del words[at:at + 2]
                            given = {"config": {"mode": "ipvs", "ipvs": {"scheduler": "wlc"}}}
                        release, folder, namespace, values = standin.install(
                            [word.replace("charts/", f"{chart.ROOT}/charts/") for word in words])
                        self.assertEqual((pathlib.Path(folder), namespace), (chart.CHART, "kube-system"))
                        found = chart.render(chart.merged(given, values), release=release, namespace=namespace)
                        for document in found.values():
                            self.assertEqual(SCHEMAS.problems(document), [])
                        installs += 1
        self.assertGreaterEqual(installs, 4)

    def test_the_rights_of_the_page_are_the_charts(self):
        [block] = [block for block in blocks.blocks(chart.ROOT / "docs/rbac.md") if block.language == "yaml"]
        [role] = chart.parse(block.text)
        granted = lambda rules: {(group, resource, verb) for rule in rules for group in rule["apiGroups"]
                                 for resource in rule["resources"] for verb in rule["verbs"]}
        self.assertEqual(granted(role["rules"]), granted(chart.of_kind(chart.render(chart.MINIMAL), "ClusterRole")["rules"]))


if __name__ == "__main__":
    unittest.main()
