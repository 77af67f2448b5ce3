// VIPs by local route instead of an address each.
#include <catch2/catch.hpp>

#include <algorithm>
#include <random>
#include <sstream>

#include "test/unit/objects.hpp"
#include "test/unit/random_cluster.hpp"

using namespace ipvsd;
using namespace ipvsd::test;

namespace {

// Restarts the daemon with these Service CIDRs routed.
void restart(FakeNode& node, const std::vector<std::string>& cidrs) {
  node.reconciler.reset();
  node.policy.routed_cidrs.clear();
  for (const auto& cidr : cidrs) node.policy.routed_cidrs.push_back(*Cidr::parse(cidr));
  (void)node.kernel.take_log();
  node.start();
}

std::vector<std::string> address_lines(const FakeNode& node) {
  std::vector<std::string> lines;
  std::istringstream text(node.kernel.text());
  for (std::string line; std::getline(text, line);)
    if (line.starts_with("address ") || line.starts_with("local route ")) lines.push_back(line);
  return lines;
}

// The place of an operation among those that were executed; npos if it was not.
std::size_t place(const std::vector<Operation>& log, const std::string& text) {
  for (std::size_t i = 0; i < log.size(); ++i)
    if (to_string(log[i]) == text) return i;
  return std::string::npos;
}

using Lines = std::vector<std::string>;

Node lab_node() {
  Node node;
  node.name = "here";
  node.addresses = {ip("192.168.77.2")};
  return node;
}

}  // namespace

TEST_CASE("a routed CIDR needs one route, and the VIPs outside it an address each") {
  FakeNode node;
  node.apply(lab_node());
  auto service = cluster_ip_service("a", "10.96.0.1");
  service.external_ips = {ip("203.0.113.1")};
  node.apply(service);
  restart(node, {"10.96.0.0/16"});
  CHECK(address_lines(node) == Lines{"address 203.0.113.1", "local route 10.96.0.0/16 src 192.168.77.2"});
  node.apply(cluster_ip_service("b", "10.96.0.2"));
  node.apply(cluster_ip_service("c", "10.97.0.2"));
  node.settle();
  CHECK(address_lines(node) ==
        Lines{"address 10.97.0.2", "address 203.0.113.1", "local route 10.96.0.0/16 src 192.168.77.2"});
  // All but the addresses is as with bound ones.
  auto bound = from_scratch(node.objects);
  auto routed = node.kernel.text();
  for (const std::string line : {"address 10.96.0.1\n", "address 10.96.0.2\n"})
    bound.erase(bound.find(line), line.size());
  const std::string line = "local route 10.96.0.0/16 src 192.168.77.2\n";
  routed.erase(routed.find(line), line.size());
  CHECK(routed == bound);
  restart(node, {"10.96.0.0/16"});
  CHECK(node.kernel.take_log().empty());
}

TEST_CASE("from addresses to a route and back, the new way is there before the old one goes") {
  FakeNode node;
  node.apply(cluster_ip_service("a", "10.96.0.1"));
  node.apply(cluster_ip_service("b", "10.96.0.2"));
  node.start();
  const auto bound = node.kernel.text();
  restart(node, {"10.96.0.0/16"});
  CHECK(address_lines(node) == Lines{"local route 10.96.0.0/16"});
  auto log = node.kernel.take_log();
  CHECK(log.size() == 3);
  CHECK(place(log, "add local route 10.96.0.0/16") == 0);
  CHECK(place(log, "remove address 10.96.0.1") < log.size());

  restart(node, {});
  CHECK(node.kernel.text() == bound);
  log = node.kernel.take_log();
  CHECK(log.size() == 3);
  CHECK(place(log, "remove local route 10.96.0.0/16") == 2);
}

TEST_CASE("where the route cannot be had its VIPs are bound, until it can") {
  FakeNode node;
  node.apply(cluster_ip_service("a", "10.96.0.1"));
  bool refused = true;
  node.kernel.fault = [&](const Operation& operation) -> std::optional<FakeKernel::Fault> {
    if (!refused || !std::holds_alternative<LocalRoute>(operation.target)) return {};
    return FakeKernel::Fault{{Errc::unsupported, EOPNOTSUPP, "fault"}, false};
  };
  node.reconciler.reset();
  node.policy.routed_cidrs = {*Cidr::parse("10.96.0.0/16")};
  node.start_unsettled();
  for (int i = 0; i < 10; ++i) (void)node.reconciler->step(node.now);
  CHECK(address_lines(node) == Lines{"address 10.96.0.1"});
  CHECK_FALSE(node.reconciler->idle());
  refused = false;
  node.settle();
  CHECK(address_lines(node) == Lines{"local route 10.96.0.0/16"});
}

TEST_CASE("addresses stay where the route that is to take their place cannot be had") {
  FakeNode node;
  node.apply(cluster_ip_service("a", "10.96.0.1"));
  restart(node, {});
  const auto bound = node.kernel.text();
  node.kernel.fault = [](const Operation& operation) -> std::optional<FakeKernel::Fault> {
    if (!std::holds_alternative<LocalRoute>(operation.target)) return {};
    return FakeKernel::Fault{{Errc::unsupported, EOPNOTSUPP, "fault"}, false};
  };
  (void)node.kernel.take_log();
  node.reconciler.reset();
  node.policy.routed_cidrs = {*Cidr::parse("10.96.0.0/16")};
  node.start_unsettled();
  for (int i = 0; i < 10; ++i) (void)node.reconciler->step(node.now);
  CHECK(node.kernel.text() == bound);
  for (const auto& operation : node.kernel.take_log()) CHECK(std::holds_alternative<LocalRoute>(operation.target));
}

TEST_CASE("a route stays while one address that it stands for cannot be bound") {
  FakeNode node;
  node.apply(cluster_ip_service("a", "10.96.0.1"));
  node.apply(cluster_ip_service("b", "10.96.0.2"));
  restart(node, {"10.96.0.0/16"});
  bool refused = true;
  node.kernel.fault = [&](const Operation& operation) -> std::optional<FakeKernel::Fault> {
    if (!refused || operation.target != Target{BoundAddress{ip("10.96.0.2")}}) return {};
    return FakeKernel::Fault{{Errc::busy, ENOMEM, "fault"}, false};
  };
  node.reconciler.reset();
  node.policy.routed_cidrs.clear();
  node.start_unsettled();
  for (int i = 0; i < 10; ++i) (void)node.reconciler->step(node.now);
  CHECK(address_lines(node) == Lines{"address 10.96.0.1", "local route 10.96.0.0/16"});
  refused = false;
  node.settle();
  CHECK(address_lines(node) == Lines{"address 10.96.0.1", "address 10.96.0.2"});
}

TEST_CASE("a route that is removed or altered comes back, and no address is bound meanwhile") {
  FakeNode node;
  node.apply(lab_node());
  node.apply(cluster_ip_service("a", "10.96.0.1"));
  restart(node, {"10.96.0.0/16"});
  const auto before = node.kernel.text();
  const LocalRoute route{*Cidr::parse("10.96.0.0/16"), {}};
  (void)node.kernel.take_log();
  node.kernel.foreign({Verb::remove, route});
  node.settle();
  CHECK(node.kernel.text() == before);
  CHECK(node.kernel.take_log().size() == 1);
  CHECK(node.reconciler->counters().drift_routes == 1);
  node.kernel.foreign({Verb::set, route});
  while (!node.reconciler->audit(1)) {
  }
  node.settle();
  CHECK(node.kernel.text() == before);
  CHECK(node.kernel.take_log().size() == 1);
  node.kernel.remove_link();
  node.settle();
  CHECK(node.kernel.text() == before);
}

TEST_CASE("the route's source is the node's address as long as the node has it") {
  FakeNode node;
  node.apply(lab_node());
  node.apply(cluster_ip_service("a", "10.96.0.1"));
  restart(node, {"10.96.0.0/16"});
  node.kernel.remove_node_address("eth0", "192.168.77.2");
  node.settle();
  CHECK(address_lines(node) == Lines{"local route 10.96.0.0/16"});
  node.kernel.add_node_address("eth1", "192.168.77.2", 24);
  node.settle();
  CHECK(address_lines(node) == Lines{"local route 10.96.0.0/16 src 192.168.77.2"});
}

TEST_CASE("any history with faults and changes of mode ends where a fresh start ends") {
  for (std::uint32_t seed = first_seed(); seed < first_seed() + 300; ++seed) {
    INFO("seed " << seed);
    std::mt19937 random(seed);
    FakeNode node;
    node.services_per_step = 1 + seed % 4;
    bool faulty = false;
    node.kernel.fault = [&](const Operation&) -> std::optional<FakeKernel::Fault> {
      if (!faulty || random() % 6 != 0) return {};
      if (random() % 2 == 0) return FakeKernel::Fault{{Errc::busy, ENOMEM, "fault"}, false};
      return FakeKernel::Fault{{Errc::timed_out, 0, "fault"}, random() % 2 == 0};
    };
    for (int mode = 0; mode < 4; ++mode) {
      node.reconciler.reset();
      node.policy.routed_cidrs.clear();
      if (mode % 2 == 0) node.policy.routed_cidrs = {*Cidr::parse("10.96.0.0/16"), *Cidr::parse("fd00:10:96::/112")};
      faulty = true;
      node.start_unsettled();
      random_history(node, random, 20);
      faulty = false;
      node.settle();
    }
    REQUIRE(node.kernel.text() == from_scratch(node.objects));
  }
}
