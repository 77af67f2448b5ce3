#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <map>

#include "daemon/source/manifest_file.hpp"
#include "daemon/source/manifest_objects.hpp"

using namespace ipvsd;
namespace fs = std::filesystem;

namespace {

using Lines = std::vector<std::string>;

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

ManifestFile read(const std::string& name, const std::string& text) {
  auto file = read_manifest(name, text);
  if (!file) FAIL(file.error().message());
  return std::move(*file);
}

const std::string web = R"(apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  clusterIP: 10.96.0.1
  ports:
  - port: 80
)";

Service only_service(const ManifestFile& file) {
  REQUIRE(file.entries.size() == 1);
  REQUIRE(file.entries[0].object);
  return std::get<Service>(*file.entries[0].object);
}

}  // namespace

TEST_CASE("a manifest gets the API server's defaults") {
  const auto file = read("web.yaml", web);
  CHECK(file.problems.empty());
  const auto service = only_service(file);
  CHECK(service.key == ObjectKey{"default", "web"});
  CHECK(service.cluster_ips == std::vector{*IpAddress::parse("10.96.0.1")});
  CHECK(service.ports == std::vector<ServicePort>{{"", Protocol::tcp, Port{80}, Port{0}}});
  CHECK(file.entries[0].line == 1);
}

TEST_CASE("cluster IPs of manifests") {
  const auto [spec, expected] = GENERATE(table<std::string, std::string>({
      {"clusterIP: 10.96.0.1", "10.96.0.1 "},
      {"clusterIPs: [10.96.0.1, 'fd00::1']", "10.96.0.1 fd00::1 "},
      {"{clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1, 'fd00::1']}", "10.96.0.1 fd00::1 "},
      {"{clusterIP: 10.96.0.1, ipFamilies: [IPv4]}", "10.96.0.1 "},
      {"{clusterIP: 'fd00::1', clusterIPs: ['fd00::1', 10.96.0.1], ipFamilies: [IPv6, IPv4]}", "fd00::1 10.96.0.1 "},
      {"clusterIP: None", ""},
      {"clusterIPs: [None]", ""},
      {"{type: ExternalName, externalName: x.example.com}", ""},
  }));
  std::string addresses;
  for (const auto& address : only_service(read("a.yaml", "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: " +
                                                             (spec[0] == '{' ? spec : "{" + spec + "}") + "}"))
                                 .cluster_ips)
    addresses += address.to_string() + " ";
  CHECK(addresses == expected);
}

TEST_CASE("problems of a manifest name file, line, object and field") {
  const auto [name, text, expected] = GENERATE(table<std::string, std::string, Lines>({
      {"web.yaml",
       web + "  - port: http\n",
       {R"(web.yaml:9: Service default/web: spec.ports[1].port: expected an integer from 1 to 65535, got "http")"}},
      {"a.yaml",
       "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\nspec:\n  ports: []\n",
       {"a.yaml:6: Service default/a: spec.clusterIP: needed in a manifest, since no API server allocates one; or "
        "None"}},
      {"a.yaml",
       web + "  externalIPs:\n  - 1.2.3.4\n  - x\n",
       {R"(a.yaml:11: Service default/web: spec.externalIPs[1]: "x" is not an IP address)"}},
      {"s.yaml",
       "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s}\naddressType: IPv4\n",
       {"s.yaml:3: EndpointSlice default/s: metadata.labels.kubernetes.io/service-name: missing, so the slice belongs "
        "to "
        "no Service"}},
      {"a.yaml", "spec: {}\n", {"a.yaml:1: kind: expected the name of a kind, got nothing"}},
      {"a.yaml", web + "---\n" + web, {"a.yaml:10: Service default/web: defined above already; this one is ignored"}},
      {"a.json",
       "{\"kind\":\"List\",\"items\":[\n{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"a\"},\n"
       "\"spec\":{\"clusterIP\":\"None\"}},\n{\"apiVersion\":\"v1\",\"kind\":\"Service\"}\n]}",
       {"a.json:4: Service: metadata.name: expected a DNS name, got nothing"}},
      {"a.json",
       "{\"kind\"",
       {"a.json:1: not valid JSON: JSON document ended early in the middle of an object or array."}},
  }));
  const auto file = read(name, text);
  if (expected[0].find("not valid JSON") == std::string::npos)
    CHECK(file.problems == expected);
  else
    CHECK_THAT(file.problems.at(0), Catch::StartsWith("a.json:1: not valid JSON"));
}

TEST_CASE("a file that is no YAML is an error with its line") {
  const auto file = read_manifest("web.yaml", "a: 1\na: 2\n");
  REQUIRE_FALSE(file);
  CHECK(file.error().context == "web.yaml:2: key \"a\" is given twice");
}

TEST_CASE("lists are opened, and other kinds are left alone") {
  const std::string item = R"({"metadata":{"name":"a"},"spec":{"clusterIP":"10.96.0.1"}})";
  CHECK(only_service(read("l.json", R"({"kind":"ServiceList","apiVersion":"v1","items":[)" + item + "]}")).key.name ==
        "a");
  CHECK(only_service(read("l.yaml", R"({"kind":"ServiceList","apiVersion":"v1","items":[)" + item + "]}")).key.name ==
        "a");
  const auto list =
      read("l.yaml",
           "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: a}\n"
           "  spec: {clusterIP: 10.96.0.1, ports: [{port: 0}]}\n- apiVersion: apps/v1\n  kind: Deployment\n");
  CHECK(list.problems ==
        Lines{"l.yaml:7: Service default/a: spec.ports[0].port: expected an integer from 1 to 65535, got 0"});
  CHECK(list.skipped == Lines{"l.yaml:8: apps/v1 Deployment"});
  CHECK(list.rejected == 1);
  // The same name in another group is another thing.
  CHECK(read("k.yaml", "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: a}\n").skipped.size() == 1);
  CHECK(read("e.json", R"({"kind":"List","items":[]})").entries.empty());
}

TEST_CASE("a list's objects keep their place and their text, whoever manages their fields") {
  const auto managed = [](std::string_view name, std::string_view vip) {
    return fmt::format(R"({{"metadata":{{"name":"{}","managedFields":[{{"f:spec":{{}}}}]}},"spec":{{"clusterIP":"{}",)"
                       R"("ports":[{{"port":0}}]}}}})",
                       name, vip);
  };
  const auto list = fmt::format("{{\"kind\":\"ServiceList\",\"items\":[{},\n{},\n\n{}]}}", managed("a", "10.96.0.1"),
                                managed("b", "10.96.0.2"), managed("a-longer-name-than-the-others", "10.96.0.33"));
  for (const auto* name : {"l.json", "l.yaml"}) {
    INFO(name);
    const auto file = read(name, list);
    CHECK(file.rejected == 3);
    CHECK(file.complete);
    const auto text = [&](int line, std::string_view service) {
      return fmt::format("{}:{}: Service default/{}: spec.ports[0].port: expected an integer from 1 to 65535, got 0",
                         name, line, service);
    };
    CHECK(file.problems == Lines{text(1, "a"), text(2, "b"), text(4, "a-longer-name-than-the-others")});
  }
}

TEST_CASE("scenarios decode alike from what the user wrote and from what the server made of it") {
  const auto conformance = fs::path(SHARED_DIR) / "conformance";
  if (!fs::exists(conformance)) {
    WARN("skipped: no " << conformance);
    return;
  }
  std::size_t compared = 0;
  for (const auto& scenario : fs::directory_iterator(conformance)) {
    if (!fs::exists(scenario.path() / "served.json")) continue;
    const auto served = read("served.json", read_text(scenario.path() / "served.json"));
    CHECK(served.problems.empty());
    std::map<std::pair<Kind, ObjectKey>, Object> by_key;
    for (const auto& entry : served.entries) by_key.emplace(std::pair(entry.kind, entry.key), entry.object.value());
    for (const auto& entry : read("objects.yaml", read_text(scenario.path() / "objects.yaml")).entries) {
      INFO(scenario.path().filename() << " " << entry.key.to_string());
      REQUIRE(entry.object);
      const auto found = by_key.find({entry.kind, entry.key});
      REQUIRE(found != by_key.end());
      // Only the server knows these.
      auto expected = found->second;
      if (auto* service = std::get_if<Service>(&expected)) {
        service->uid.clear();
        service->created = {};
        // The server allocates it where the user wrote none.
        const auto& written = std::get<Service>(*entry.object);
        if (written.health_check_node_port == Port{}) service->health_check_node_port = {};
      }
      CHECK(*entry.object == expected);
      ++compared;
    }
  }
  CHECK(compared > 30);
}

TEST_CASE("files settle who defines an object") {
  const auto service = [](const std::string& address) {
    return read("x.yaml", "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: " + address + "}}");
  };
  const auto describe = [](const std::vector<ClusterEvent>& events) {
    std::string text;
    for (const auto& event : events) {
      if (const auto* upsert = std::get_if<Upsert>(&event))
        text += "upsert " + std::get<Service>(upsert->object).cluster_ips.at(0).to_string() + ";";
      if (const auto* remove = std::get_if<Remove>(&event)) text += "remove " + remove->key.to_string() + ";";
    }
    return text;
  };
  ManifestObjects objects;
  CHECK(describe(objects.update("b.yaml", service("10.0.0.2")).events) == "upsert 10.0.0.2;");
  CHECK(describe(objects.update("b.yaml", service("10.0.0.2")).events).empty());
  const auto conflict = objects.update("a.yaml", service("10.0.0.1"));
  CHECK(describe(conflict.events) == "upsert 10.0.0.1;");
  CHECK(conflict.warnings == Lines{"a.yaml:1: Service default/web: defined in b.yaml:1 too; the one in a.yaml counts"});
  CHECK(describe(objects.update("b.yaml", service("10.0.0.3")).events).empty());
  CHECK(describe(objects.remove("a.yaml").events) == "upsert 10.0.0.3;");
  // Unreadable: what it was stays.
  CHECK(describe(objects.update("b.yaml", service("[]")).events).empty());
  CHECK(describe(objects.update("b.yaml", read("x.json", "{}")).events).empty());
  CHECK(objects.snapshot().size() == 7);
  CHECK(describe(objects.update("b.yaml", read("x.yaml", "")).events) == "remove default/web;");
  CHECK(describe(objects.remove("b.yaml").events).empty());
  CHECK(objects.snapshot().size() == 6);
}

TEST_CASE("what could never be read is kept in a replacement") {
  ManifestObjects objects;
  CHECK(objects.update("a.yaml", read("a.yaml", "{apiVersion: v1, kind: Node, metadata: {name: node-1}, spec: []}"))
            .events.empty());
  const auto events = objects.snapshot();
  REQUIRE(events.size() == 7);
  REQUIRE(std::holds_alternative<Keep>(events[5]));
  CHECK(std::get<Keep>(events[5]).key.name == "node-1");
}

TEST_CASE("beyond the limit what is new is left out, with its line, until there is room") {
  ManifestObjects objects(3);
  const auto service = [](const std::string& name, const std::string& address) {
    return "apiVersion: v1\nkind: Service\nmetadata: {name: " + name + "}\nspec: {clusterIP: " + address + "}\n---\n";
  };
  const auto update = [&](const std::string& file, const std::string& text) {
    return objects.update(file, read(file, text));
  };
  CHECK(update("a.yaml", service("a", "10.0.0.1") + service("b", "10.0.0.2")).left_out == 0);
  auto outcome = update("b.yaml", service("c", "10.0.0.3") + service("d", "10.0.0.4") + service("e", "10.0.0.5"));
  CHECK(outcome.events.size() == 1);
  CHECK(outcome.left_out == 2);
  CHECK(
      outcome.warnings ==
      Lines{"b.yaml:6: Service default/d: left out with what is new after it, as all files together define 3 objects, "
            "which is the limit; take some away, then change this file"});
  // What was there before has room, wherever it stands in the file; what went makes some.
  outcome = update("a.yaml", service("x", "10.0.0.9") + service("a", "10.0.0.7") + service("b", "10.0.0.2"));
  CHECK(outcome.events.size() == 1);
  CHECK(outcome.left_out == 1);
  CHECK(update("a.yaml", service("x", "10.0.0.9") + service("a", "10.0.0.7")).left_out == 0);
  // Nobody knows what of the file is gone: all of it still takes its room.
  CHECK(update("a.yaml", service("z", "10.0.0.8") + "kind: []\n").left_out == 1);
  (void)objects.remove("a.yaml");
  CHECK(update("b.yaml", service("d", "10.0.0.4") + service("e", "10.0.0.5")).left_out == 0);
  CHECK(objects.snapshot().size() == 2 + 6);
}
