// What a Service has on this node, and what all of them have.
#include <catch2/catch.hpp>

#include "reconcile/local_summary.hpp"
#include "test/unit/objects.hpp"

using namespace ipvsd;
using namespace ipvsd::test;

namespace {

const Policy policy{{"rr", 0}, "here"};

Service checked_service(const std::string& name, std::uint16_t port, std::vector<IpAddress> cluster_ips) {
  auto service = cluster_ip_service(name, "10.96.0.1");
  service.uid = name + "-uid";
  service.cluster_ips = std::move(cluster_ips);
  service.type = ServiceType::load_balancer;
  service.external_policy = TrafficPolicy::local;
  service.health_check_node_port = Port{port};
  service.ports[0].node_port = Port{30080};
  return service;
}

LocalEndpoints local(const Service& service, const std::vector<EndpointSlice>& slices, const Policy& with = policy) {
  std::vector<const EndpointSlice*> pointers;
  for (const auto& slice : slices) pointers.push_back(&slice);
  return desired(service, pointers, with, {}, {}).local;
}

using Ready = std::array<std::optional<std::uint32_t>, 2>;

}  // namespace

TEST_CASE("the health check counts distinct addresses of ready endpoints here, by family") {
  auto service = checked_service("web", 32000, {ip("10.96.0.1"), ip("fd00::1")});
  service.ports.push_back({"admin", Protocol::tcp, Port{81}, Port{}});
  auto first = slice("web", {endpoint("10.244.1.1", true, "here"), endpoint("10.244.1.2", true, "there"),
                             endpoint("10.244.1.3", false, "here")});
  auto admin = slice("web", {endpoint("10.244.1.1", true, "here"), endpoint("10.244.1.4", true, "here")}, "b");
  admin.ports = {{"admin", Protocol::tcp, Port{8081}}};
  CHECK(local(service, {first, admin}).ready == Ready{2, 0});
  CHECK(local(service, {first, admin, slice("web", {endpoint("fd00::11", true, "here")}, "c")}).ready == Ready{2, 1});

  auto leaving = endpoint("10.244.1.1", false, "here");
  leaving.serving = leaving.terminating = true;
  CHECK(local(service, {slice("web", {leaving})}).ready == Ready{0, 0});
  CHECK(local(service, {slice("web", {endpoint("10.244.1.1")})}).ready == Ready{0, 0});

  service.cluster_ips = {ip("10.96.0.1")};
  CHECK(local(service, {first}).ready == Ready{1, std::nullopt});
  auto one_family = policy;
  one_family.serves = {true, false};
  service.cluster_ips = {ip("10.96.0.1"), ip("fd00::1")};
  CHECK(local(service, {first}, one_family).ready == Ready{1, std::nullopt});
}

TEST_CASE("a Service lacks local endpoints where a policy wants them and others have some") {
  struct Case {
    const char* name;
    bool internal;
    bool external;
    std::vector<Endpoint> endpoints;
    bool exposed;
    std::array<bool, 2> expected;  // internal, external
  };
  auto fallback = endpoint("10.244.1.9", false, "here");
  fallback.serving = fallback.terminating = true;
  const auto there = endpoint("10.244.2.1", true, "there");
  const auto dead = endpoint("10.244.2.1", false, "there");
  const auto test = GENERATE_COPY(values<Case>({
      {"no policy", false, false, {there}, true, {false, false}},
      {"internal", true, false, {there}, true, {true, false}},
      {"external", false, true, {there}, true, {false, true}},
      {"both", true, true, {there}, true, {true, true}},
      {"external, but nothing is exposed", false, true, {there}, false, {false, false}},
      {"nobody anywhere", true, true, {}, true, {false, false}},
      {"nobody alive", true, true, {dead}, true, {false, false}},
      {"one here", true, true, {there, endpoint("10.244.1.1", true, "here")}, true, {false, false}},
      {"one here that terminates", true, true, {there, fallback}, true, {false, false}},
  }));
  CAPTURE(test.name);
  auto service = cluster_ip_service("web", "10.96.0.1");
  if (test.internal) service.internal_policy = TrafficPolicy::local;
  if (test.external) service.external_policy = TrafficPolicy::local;
  if (test.exposed) service.load_balancer_ips = {ip("203.0.113.1")};
  const auto found = local(service, {slice("web", test.endpoints)});
  CHECK(found.none_internal == std::array{test.expected[0], false});
  CHECK(found.none_external == std::array{test.expected[1], false});
}

TEST_CASE("the first endpoint of a wrong family is named") {
  const auto service = cluster_ip_service("web", "10.96.0.1");
  const auto good = slice("web", {endpoint("10.244.1.1")});
  const auto other = slice("web", {endpoint("fd00::1"), endpoint("fd00::2")}, "b");
  CHECK_FALSE(local(service, {good, other}).wrong_family);
  auto one_family = policy;
  one_family.serves = {true, false};
  CHECK(local(service, {good, other}, one_family).wrong_family == ip("fd00::1"));
  auto mixed = good;
  mixed.wrong_family = ip("fd00::7");
  CHECK(local(service, {mixed}).wrong_family == ip("fd00::7"));
}

TEST_CASE("the summary tells what changed, once, and counts by Service") {
  LocalSummary summary;
  const auto web = checked_service("web", 32000, {ip("10.96.0.1")});
  LocalEndpoints some;
  some.ready[0] = 2;
  summary.put(web, some);
  auto changes = summary.take_changes();
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].check == HealthCheck{"web-uid", Port{32000}, {2, std::nullopt}});
  summary.put(web, some);
  CHECK(summary.take_changes().empty());

  // There and back between two takes is no change.
  auto none = some;
  none.ready[0] = 0;
  none.none_external[0] = none.none_internal[1] = true;
  summary.put(web, none);
  CHECK(summary.without(Family::ipv4).external == 1);
  CHECK(summary.without(Family::ipv6).internal == 1);
  summary.put(web, some);
  CHECK(summary.take_changes().empty());
  CHECK(summary.without(Family::ipv4).external == 0);

  // A port that passes from one Service to another: the removal comes first.
  summary.remove(web.key);
  summary.put(checked_service("api", 32000, {ip("10.96.0.2")}), none);
  changes = summary.take_changes();
  REQUIRE(changes.size() == 2);
  CHECK_FALSE(changes[0].check);
  CHECK(changes[1].service.name == "api");
  summary.remove({"default", "api"});
  summary.remove({"default", "api"});
  CHECK(summary.without(Family::ipv4).external == 0);
  CHECK(summary.take_changes().size() == 1);

  // A Service without a health check counts, and says nothing.
  auto plain = cluster_ip_service("plain", "10.96.0.3");
  none.ready[0] = 5;
  summary.put(plain, none);
  CHECK(summary.take_changes().empty());
  CHECK(summary.without(Family::ipv4).external == 1);
  auto misfit = none;
  misfit.wrong_family = ip("fd00::1");
  summary.put(plain, misfit);
  summary.put(plain, misfit);
  REQUIRE(summary.take_wrong_families().size() == 1);
  summary.put(plain, none);
  summary.put(plain, misfit);
  CHECK(summary.take_wrong_families().size() == 1);
}

TEST_CASE("health checks are answered where nodePortAddresses says") {
  const std::vector<LinkAddress> addresses{{"lo", ip("127.0.0.1"), 8},         {"lo", ip("::1"), 128},
                                           {"eth0", ip("192.168.77.2"), 24},   {"eth0", ip("fd00:77::2"), 64},
                                           {"eth0", ip("fe80::1"), 64},        {"cni0", ip("10.244.1.1"), 24},
                                           {"kube-ipvs0", ip("10.96.0.1"), 32}};
  const auto listen = [&](const std::vector<std::string>& cidrs, bool primary = false) {
    auto with = policy;
    for (const auto& cidr : cidrs) with.node_port_cidrs.push_back(*Cidr::parse(cidr));
    with.node_port_primary = primary;
    return listen_addresses(with, {ip("192.168.77.2"), ip("fd00:77::2")}, addresses);
  };
  CHECK(listen({}) == ListenAddresses{{true, true}, {}});
  CHECK(listen({"0.0.0.0/0", "::/0"}) == ListenAddresses{{true, true}, {}});
  CHECK(listen({"192.168.0.0/16", "::/0"}) == ListenAddresses{{false, true}, {ip("192.168.77.2")}});
  CHECK(listen({"10.0.0.0/8", "127.0.0.0/8"}) == ListenAddresses{{false, false}, {ip("10.244.1.1"), ip("127.0.0.1")}});
  CHECK(listen({}, true) == ListenAddresses{{false, false}, {ip("192.168.77.2"), ip("fd00:77::2")}});
  CHECK(listen({"fe80::/10", "172.16.0.0/12"}) == ListenAddresses{});
}
