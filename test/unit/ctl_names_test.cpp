#include <catch2/catch.hpp>

#include "ctl/names.hpp"
#include "ctl/selector.hpp"

using namespace ipvsd;
using namespace ipvsd::ctl;

namespace {

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

VirtualServerKey tcp(std::string_view address, std::uint16_t port) {
  return {ip(address), Protocol::tcp, Port{port}, 0};
}

Service service(ObjectKey key, std::string_view address, int created = 0) {
  Service result;
  result.key = std::move(key);
  result.created = std::chrono::sys_seconds(std::chrono::seconds(created));
  result.cluster_ips = {ip(address)};
  result.ports = {{"http", Protocol::tcp, Port{80}, {}}};
  return result;
}

Names example() {
  Names names;
  auto web = service({"default", "web"}, "10.96.0.1");
  web.external_ips = {ip("192.0.2.1")};
  web.ports.push_back({"metrics", Protocol::tcp, Port{9090}, Port{30090}});
  names.add(web);
  names.add(service({"default", "web-admin"}, "10.96.0.2"));
  names.add(service({"other", "web"}, "10.96.0.3"));
  names.add(service({"kube-system", "dns"}, "10.96.0.10"));
  auto ignored = service({"default", "ignored"}, "10.96.0.99");
  ignored.ignored = true;
  names.add(ignored);
  return names;
}

std::vector<std::string> found(std::string_view word) {
  std::vector<std::string> result;
  const auto names = example();
  for (const auto* frontend : names.find(word))
    result.push_back(frontend->to_string() + (frontend->node_port ? " node" : " " + frontend->key.address.to_string()));
  return result;
}

bool matches(const std::vector<std::string>& words, const VirtualServerKey& key) {
  return Selectors::parse(words, example()).value().matches(key);
}

}  // namespace

TEST_CASE("virtual servers have the names of their Service ports") {
  const auto names = example();
  CHECK(names.of(tcp("10.96.0.1", 80))->to_string() == "default/web:http");
  CHECK(names.of(tcp("192.0.2.1", 9090))->to_string() == "default/web:metrics");
  CHECK(names.of(tcp("172.16.0.1", 30090))->to_string() == "default/web:metrics");
  CHECK(names.of({ip("172.16.0.1"), Protocol::udp, Port{30090}, 0}) == nullptr);
  CHECK(names.of(tcp("10.96.0.1", 81)) == nullptr);
  CHECK(names.of(tcp("10.96.0.99", 80)) == nullptr);
  CHECK(names.services() ==
        std::vector<std::string>{"default/web", "default/web-admin", "kube-system/dns", "other/web"});
}

TEST_CASE("a virtual server by mark has the name of the port that the mark is for") {
  auto names = example();
  const std::vector entries{
      outside_entry(ip("192.0.2.1"), Protocol::tcp, Port{80}, {5, 0xff}),
      outside_entry(ip("172.16.0.1"), Protocol::tcp, Port{30090}, {6, 0xff}),
      outside_entry(ip("192.0.2.99"), Protocol::tcp, Port{80}, {7, 0xff}),
      outside_entry(ip("10.96.0.2"), Protocol::tcp, Port{80}, {0, 0}),
      ip_port_entry({SetKind::cluster_ip, Family::ipv4}, ip("10.96.0.2"), Protocol::tcp, Port{80})};
  names.add_marks(entries);
  names.add_marks(entries);  // once more changes nothing
  const auto by = [](std::uint32_t mark, Family family = Family::ipv4) {
    return VirtualServerKey{IpAddress::any(family), Protocol::none, Port{}, mark};
  };
  CHECK(names.of(by(5))->to_string() == "default/web:http");
  CHECK(names.of(by(6))->to_string() == "default/web:metrics");
  CHECK(names.of(by(7)) == nullptr);
  CHECK(names.of(by(5, Family::ipv6)) == nullptr);

  const auto selects = [&](const std::string& word, const VirtualServerKey& key) {
    return Selectors::parse(std::vector{word}, names).value().matches(key);
  };
  CHECK(selects("default/web", by(5)));
  CHECK(selects("default/web", by(6)));
  CHECK(selects("default/web:http", by(5)));
  CHECK(selects("default/web:80", by(5)));
  CHECK_FALSE(selects("default/web:80", by(6)));
  CHECK(selects("default/web:30090", by(6)));
  CHECK_FALSE(selects("other/web", by(5)));
  CHECK_FALSE(selects("default/web", by(5, Family::ipv6)));
}

TEST_CASE("of several claimants the oldest has the name, in either order") {
  const auto young = service({"a", "young"}, "10.96.0.1", 2);
  const auto old = service({"b", "old"}, "10.96.0.1", 1);
  Names one;
  one.add(young);
  one.add(old);
  Names two;
  two.add(old);
  two.add(young);
  CHECK(one.of(tcp("10.96.0.1", 80))->service.name == "old");
  CHECK(two.of(tcp("10.96.0.1", 80))->service.name == "old");
}

TEST_CASE("words for Services") {
  const std::vector<std::string> web{"default/web:http 10.96.0.1", "default/web:http 192.0.2.1",
                                     "default/web:metrics 10.96.0.1", "default/web:metrics 192.0.2.1",
                                     "default/web:metrics node"};
  CHECK(found("default/web") == web);
  CHECK(found("def/web").size() == 6);  // what begins so
  CHECK(found("web").size() == 6);      // both exact ones, and not web-admin
  CHECK(found("web-a") == std::vector<std::string>{"default/web-admin:http 10.96.0.2"});
  CHECK(found("default/").size() == 6);
  CHECK(found("kube-system") == std::vector<std::string>{"kube-system/dns:http 10.96.0.10"});
  CHECK(found("kube") == found("kube-system"));
  CHECK(found("default/web:metrics").size() == 3);
  CHECK(found("default/web:9090").size() == 2);
  CHECK(found("default/web:met").size() == 3);
  CHECK(found("none").empty());
  CHECK(found("default/web:none").empty());
}

TEST_CASE("what may be a name") {
  for (const auto* word : {"web", "default/web", "default/", "default/web:http", "1ns/web", "web:80", "a.b"})
    CHECK(may_be_name(word));
  for (const auto* word : {"", "Web", "web_1", "/web", "1web", "web/http/x", "web:a:b", "web web", "\033[2J"})
    CHECK_FALSE(may_be_name(word));
}

TEST_CASE("names select virtual servers, addresses and set entries") {
  CHECK(matches({"default/web"}, tcp("10.96.0.1", 80)));
  CHECK(matches({"default/web"}, tcp("172.16.0.1", 30090)));
  CHECK_FALSE(matches({"default/web"}, tcp("10.96.0.3", 80)));
  CHECK(matches({"default/web", "10.96.0.3"}, tcp("10.96.0.3", 80)));   // widens
  CHECK_FALSE(matches({"default/web", "9090"}, tcp("10.96.0.1", 80)));  // narrows
  const auto names = example();
  const auto selection = Selectors::parse(std::vector<std::string>{"default/web"}, names).value();
  CHECK_FALSE(selection.everything());
  CHECK(selection.matches(ip("192.0.2.1")));
  CHECK_FALSE(selection.matches(ip("10.96.0.10")));
  CHECK(selection.matches(*parse_element({SetKind::cluster_ip, Family::ipv4}, "10.96.0.1,tcp:80")));
  CHECK(selection.matches(*parse_element({SetKind::ipvs_ips, Family::ipv4}, "10.96.0.1")));
  CHECK(selection.matches(*parse_element({SetKind::node_port_tcp, Family::ipv4}, "30090")));
  CHECK_FALSE(selection.matches(*parse_element({SetKind::node_port_udp, Family::ipv4}, "30090")));
  CHECK_FALSE(selection.matches(VirtualServerKey{IpAddress::any(Family::ipv4), Protocol::none, Port{}, 7}));
}

TEST_CASE("a name that nothing has says what to do") {
  const std::vector<std::string> words{"nonsense"};
  const auto known = Selectors::parse(words, example());
  REQUIRE_FALSE(known);
  CHECK(known.error().code == Errc::not_found);
  CHECK(known.error().context.find("4 Services are known, such as default/web") != std::string::npos);
  const auto unknown = Selectors::parse(words, {});
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().context.find("run kube-ipvsd, or say --manifests DIR") != std::string::npos);
}
