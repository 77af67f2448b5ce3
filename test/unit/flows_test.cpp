#include "reconcile/flows.hpp"

#include <catch2/catch.hpp>

#include "test/unit/objects.hpp"

using namespace ipvsd;
using namespace ipvsd::test;

namespace {

DestinationKey at(const std::string& address, std::uint16_t port = 5353) { return {ip(address), Port{port}}; }

DestinationOf destination_of(const VirtualServerKey& server, const std::string& address) {
  DestinationOf of{server, {}};
  of.destination.key = at(address);
  return of;
}

VirtualServer server_of(const VirtualServerKey& key) {
  VirtualServer server;
  server.key = key;
  return server;
}

}  // namespace

TEST_CASE("what unsettles flows: a UDP destination or virtual server goes, or the first destination comes") {
  Ledger empty({});
  Ledger serving({});
  for (const auto& key : {udp("10.96.0.10"), tcp("10.96.0.10")}) {
    serving.performed({Verb::add, server_of(key)});
    serving.performed({Verb::add, destination_of(key, "10.244.1.1")});
  }
  const auto key = udp("10.96.0.10");
  VirtualServerKey mark{IpAddress::any(Family::ipv4), Protocol::none, Port{}, 7};
  struct Case {
    Operation operation;
    const Ledger& before;
    bool unsettles;
  };
  const std::vector<Case> cases{
      {{Verb::add, destination_of(key, "10.244.1.1")}, empty, true},
      {{Verb::add, destination_of(key, "10.244.1.2")}, serving, false},
      {{Verb::set, destination_of(key, "10.244.1.1")}, serving, false},
      {{Verb::remove, destination_of(key, "10.244.1.1")}, serving, true},
      {{Verb::add, server_of(key)}, empty, false},
      {{Verb::set, server_of(key)}, serving, false},
      {{Verb::remove, server_of(key)}, serving, true},
      {{Verb::add, destination_of(tcp("10.96.0.10"), "10.244.1.1")}, empty, false},
      {{Verb::remove, destination_of(tcp("10.96.0.10"), "10.244.1.1")}, serving, false},
      {{Verb::remove, server_of(tcp("10.96.0.10"))}, serving, false},
      {{Verb::remove, server_of(mark)}, serving, false},
      {{Verb::remove, BoundAddress{ip("10.96.0.10")}}, serving, false},
      {{Verb::remove, ip_port_entry({SetKind::cluster_ip, Family::ipv4}, ip("10.96.0.10"), Protocol::udp, Port{53})},
       serving,
       false}};
  for (const auto& [operation, before, expected] : cases) {
    INFO(to_string(operation));
    CHECK(unsettles(operation, before).has_value() == expected);
    if (expected) CHECK(*unsettles(operation, before) == key);
  }
}

TEST_CASE("a frontend's flows may lead where its outside clients are sent, too") {
  Ledger ledger({});
  const Mark mark{5, 7};
  const VirtualServerKey outside{IpAddress::any(Family::ipv4), Protocol::none, Port{}, 5};
  const auto to = [](const char* address) { return destination_of({}, address).destination; };
  Contribution contribution;
  contribution.frontends = {{server_of(outside), {to("10.244.1.1"), to("10.244.1.3")}, Protocol::udp, {}},
                            {server_of(udp("203.0.113.1")), {to("10.244.1.2"), to("10.244.1.3")}, Protocol::udp, mark}};
  ledger.contribute(cluster_ip_service("dns", "10.96.0.10"), contribution);
  CHECK(ledger.wanted(udp("203.0.113.1")) == std::vector{at("10.244.1.1"), at("10.244.1.2"), at("10.244.1.3")});
  CHECK(ledger.wanted(udp("203.0.113.2")).empty());
}

TEST_CASE("a flow is stale if none of its frontend's destinations answers it") {
  const std::vector<FrontendFlows> frontends{{udp("10.96.0.10"), {at("10.244.1.1"), at("10.244.1.2")}},
                                             {udp("192.168.77.2", 30053), {}},
                                             {udp("fd00::10"), {at("fd00::1")}}};
  const FlowSearch search(Family::ipv4, frontends);
  const auto client = [](const char* frontend, std::uint16_t port, const char* by, std::uint16_t by_port) {
    return flow("10.244.1.100", 4000, frontend, port, by, by_port);
  };
  CHECK_FALSE(search.stale(client("10.96.0.10", 53, "10.244.1.1", 5353)));
  CHECK_FALSE(search.stale(client("10.96.0.10", 53, "10.244.1.2", 5353)));
  CHECK(search.stale(client("10.96.0.10", 53, "10.244.1.3", 5353)));
  CHECK(search.stale(client("10.96.0.10", 53, "10.244.1.1", 5354)));
  CHECK(search.stale(client("10.96.0.10", 53, "10.96.0.10", 53)));         // from before the virtual server
  CHECK(search.stale(client("192.168.77.2", 30053, "10.244.1.1", 5353)));  // the frontend is gone
  // Frontends that nobody asked about: another port of the address, another address, another protocol.
  CHECK_FALSE(search.stale(client("10.96.0.10", 54, "10.244.1.3", 5353)));
  CHECK_FALSE(search.stale(client("10.96.0.11", 53, "10.244.1.3", 5353)));
  Flow tcp_flow = client("10.96.0.10", 53, "10.244.1.3", 5353);
  tcp_flow.protocol = Protocol::tcp;
  CHECK_FALSE(search.stale(tcp_flow));
  // The frontend as a client.
  CHECK_FALSE(search.stale(flow("10.96.0.10", 53, "10.244.1.100", 4000, "10.244.1.100", 4000)));

  const FlowSearch six(Family::ipv6, frontends);
  CHECK(six.stale(flow("fd00::64", 4000, "fd00::10", 53, "fd00::2", 5353)));
  CHECK_FALSE(six.stale(flow("fd00::64", 4000, "fd00::10", 53, "fd00::1", 5353)));
}

TEST_CASE("the kernel is asked for no more than the frontends have in common") {
  const auto filter = [](const std::vector<VirtualServerKey>& keys) {
    std::vector<FrontendFlows> frontends;
    for (const auto& key : keys) frontends.push_back({key, {}});
    return FlowSearch(Family::ipv4, frontends).filter();
  };
  const auto a = ip("10.96.0.10");
  CHECK(filter({udp("10.96.0.10")}) == FlowFilter{Family::ipv4, Protocol::udp, a, Port{53}});
  CHECK(filter({udp("fd00::10"), udp("10.96.0.10")}) == FlowFilter{Family::ipv4, Protocol::udp, a, Port{53}});
  CHECK(filter({udp("10.96.0.10"), udp("10.96.0.10", 54)}) == FlowFilter{Family::ipv4, Protocol::udp, a, {}});
  CHECK(filter({udp("192.168.77.2", 30053), udp("10.244.1.1", 30053), udp("172.16.0.1", 30053)}) ==
        FlowFilter{Family::ipv4, Protocol::udp, {}, Port{30053}});
  CHECK(filter({udp("10.96.0.10"), udp("10.96.0.11", 54), udp("10.96.0.10")}) ==
        FlowFilter{Family::ipv4, Protocol::udp, {}, {}});
  CHECK(FlowSearch(Family::ipv6, std::vector<FrontendFlows>{{udp("10.96.0.10"), {}}}).empty());
}

TEST_CASE("of what waits, the latest word counts") {
  UnsettledFlows unsettled;
  CHECK(unsettled.empty());
  unsettled.add({udp("10.96.0.10"), {at("10.244.1.1")}});
  unsettled.add({udp("10.96.0.10"), {at("10.244.1.2")}});
  CHECK(unsettled.take() == std::vector<FrontendFlows>{{udp("10.96.0.10"), {at("10.244.1.2")}}});
  CHECK(unsettled.empty());
  unsettled.add({udp("10.96.0.10"), {}});
  unsettled.put_back({udp("10.96.0.10"), {at("10.244.1.2")}});
  unsettled.put_back({udp("10.96.0.11"), {at("10.244.1.2")}});
  auto all = unsettled.take();
  REQUIRE(all.size() == 2);
  std::sort(all.begin(), all.end(), [](const auto& x, const auto& y) { return x.frontend < y.frontend; });
  CHECK(all == std::vector<FrontendFlows>{{udp("10.96.0.10"), {}}, {udp("10.96.0.11"), {at("10.244.1.2")}}});
}
