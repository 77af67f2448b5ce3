// Stale flows, from the change that leaves them to their deletion, against fakes.
#include "daemon/loop/flow_sweeper.hpp"

#include <catch2/catch.hpp>

#include <atomic>

#include "daemon/loop/reconciler.hpp"
#include "test/fake/fake_flows.hpp"
#include "test/fake/fake_kernel.hpp"
#include "test/unit/objects.hpp"

using namespace ipvsd;
using namespace ipvsd::test;

namespace {

using Lines = std::vector<std::string>;

Service dns_service(const std::string& address = "10.96.0.10") {
  auto service = cluster_ip_service("dns", address, 53);
  service.ports = {{"dns", Protocol::udp, Port{53}, Port{30053}}, {"alt", Protocol::udp, Port{54}, Port{}}};
  service.type = ServiceType::node_port;
  return service;
}

EndpointSlice dns_slice(std::vector<Endpoint> endpoints) {
  auto result = slice("dns", std::move(endpoints));
  result.ports = {{"dns", Protocol::udp, Port{5353}}, {"alt", Protocol::udp, Port{5354}}};
  return result;
}

class Node1 {
 public:
  Node1() { kernel.add_node_address("eth0", "192.168.77.2", 24); }
  void start(const std::vector<Object>& objects) {
    reconciler.emplace(kernel, Policy{{"rr", 0}, "here"}, std::nullopt, 1, [](const std::string&) {});
    REQUIRE(reconciler->start());
    for (const auto kind : {Kind::service, Kind::endpoint_slice, Kind::node}) {
      reconciler->apply(ReplaceBegin{kind});
      for (const auto& object : objects)
        if (kind_of(object) == kind) reconciler->apply(Upsert{object});
      reconciler->apply(ReplaceEnd{kind});
    }
  }
  // Which frontends have to be looked at after all that was applied, and where they may lead.
  Lines unsettled() {
    while (reconciler->step(now)) {
    }
    Lines lines;
    for (const auto& [frontend, destinations] : reconciler->take_unsettled_flows()) {
      std::string line = frontend.to_string() + " ->";
      for (const auto& destination : destinations) line += " " + destination.to_string();
      lines.push_back(line);
    }
    std::sort(lines.begin(), lines.end());
    return lines;
  }

  FakeKernel kernel;
  std::optional<Reconciler> reconciler;
  Instant now{};
};

FrontendFlows frontend(const std::string& address, std::vector<std::string> destinations) {
  FrontendFlows result{udp(address), {}};
  for (const auto& text : destinations) result.destinations.push_back({ip(text), Port{5353}});
  return result;
}

template <class Condition>
bool within(std::chrono::seconds limit, Condition condition) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace

TEST_CASE("each change unsettles the flows of its frontends, and of no other") {
  Node1 node;
  node.start({dns_service(), dns_slice({endpoint("10.244.1.1"), endpoint("10.244.1.2")})});
  // At first all of them: nobody knows what happened before.
  CHECK(node.unsettled() == Lines{"10.96.0.10:53/UDP -> 10.244.1.1:5353 10.244.1.2:5353",
                                  "10.96.0.10:54/UDP -> 10.244.1.1:5354 10.244.1.2:5354",
                                  "192.168.77.2:30053/UDP -> 10.244.1.1:5353 10.244.1.2:5353"});
  CHECK(node.unsettled().empty());
  // One more endpoint makes nothing stale.
  node.reconciler->apply(Upsert{dns_slice({endpoint("10.244.1.1"), endpoint("10.244.1.2"), endpoint("10.244.1.3")})});
  CHECK(node.unsettled().empty());
  // One less does.
  node.reconciler->apply(Upsert{dns_slice({endpoint("10.244.1.2"), endpoint("10.244.1.3")})});
  CHECK(node.unsettled() == Lines{"10.96.0.10:53/UDP -> 10.244.1.2:5353 10.244.1.3:5353",
                                  "10.96.0.10:54/UDP -> 10.244.1.2:5354 10.244.1.3:5354",
                                  "192.168.77.2:30053/UDP -> 10.244.1.2:5353 10.244.1.3:5353"});
  // A port goes: its own frontends only.
  auto fewer = dns_service();
  fewer.ports.pop_back();
  node.reconciler->apply(Upsert{fewer});
  CHECK(node.unsettled() == Lines{"10.96.0.10:54/UDP ->"});
  // External addresses and node ports of a deleted Service, too.
  fewer.external_ips = {ip("203.0.113.1")};
  node.reconciler->apply(Upsert{fewer});
  CHECK(node.unsettled() == Lines{"203.0.113.1:53/UDP -> 10.244.1.2:5353 10.244.1.3:5353"});
  node.reconciler->apply(Remove{Kind::service, fewer.key});
  CHECK(node.unsettled() == Lines{"10.96.0.10:53/UDP ->", "192.168.77.2:30053/UDP ->", "203.0.113.1:53/UDP ->"});
  // From nothing to something.
  node.reconciler->apply(Upsert{dns_slice({})});
  node.reconciler->apply(Upsert{fewer});
  CHECK(node.unsettled().empty());
  node.reconciler->apply(Upsert{dns_slice({endpoint("10.244.1.1")})});
  CHECK(node.unsettled().size() == 3);
}

TEST_CASE("while an address cannot be bound, its frontends wait: packets pass them by") {
  Node1 node;
  node.start({});
  CHECK(node.unsettled().empty());
  node.kernel.fault = [](const Operation& operation) -> std::optional<FakeKernel::Fault> {
    if (!std::holds_alternative<BoundAddress>(operation.target)) return {};
    return FakeKernel::Fault{{Errc::busy, EBUSY, "fault"}, false};
  };
  node.reconciler->apply(Upsert{dns_service()});
  node.reconciler->apply(Upsert{dns_slice({endpoint("10.244.1.1")})});
  CHECK(node.unsettled() == Lines{"192.168.77.2:30053/UDP -> 10.244.1.1:5353"});
  node.kernel.fault = nullptr;
  node.now += std::chrono::minutes(1);
  CHECK(node.unsettled() == Lines{"10.96.0.10:53/UDP -> 10.244.1.1:5353", "10.96.0.10:54/UDP -> 10.244.1.1:5354"});
}

TEST_CASE("a removal whose outcome was lost unsettles its frontend; one that was refused does not") {
  for (const auto code : {Errc::timed_out, Errc::overrun, Errc::denied}) {
    Node1 node;
    node.start({dns_service(), dns_slice({endpoint("10.244.1.1"), endpoint("10.244.1.2")})});
    CHECK(node.unsettled().size() == 3);
    node.kernel.fault = [&](const Operation& operation) -> std::optional<FakeKernel::Fault> {
      if (operation.verb != Verb::remove) return {};
      return FakeKernel::Fault{{code, 0, "fault"}, code != Errc::denied};
    };
    node.reconciler->apply(Upsert{dns_slice({endpoint("10.244.1.1")})});
    CHECK(node.unsettled().size() == (code == Errc::denied ? 0 : 3));
  }
}

TEST_CASE("a foreign virtual server's flows are nobody's business") {
  Node1 node;
  VirtualServer foreign;
  foreign.key = udp("10.9.9.9");
  node.kernel.foreign({Verb::add, foreign});
  node.start({dns_service(), dns_slice({endpoint("10.244.1.1")})});
  for (const auto& line : node.unsettled()) CHECK(line.find("10.9.9.9") == std::string::npos);
}

TEST_CASE("stale flows are deleted, and only those") {
  FakeFlows flows;
  flows.create(flow("10.244.1.100", 4000, "10.96.0.10", 53, "10.244.1.1", 5353));
  flows.create(flow("10.244.1.100", 4001, "10.96.0.10", 53, "10.244.1.2", 5353));
  flows.create(flow("10.244.1.100", 4002, "10.96.0.10", 53, "10.96.0.10", 53));
  flows.create(flow("10.244.1.100", 4000, "10.96.0.10", 54, "10.244.1.2", 5353));
  const std::vector frontends{frontend("10.96.0.10", {"10.244.1.1"})};
  const auto swept = sweep(flows, FlowSearch(Family::ipv4, frontends));
  CHECK(swept.deleted == 2);
  CHECK_FALSE(swept.error);
  CHECK(flows.text() == Lines{"UDP 10.244.1.100:4000 -> 10.96.0.10:53, answered by 10.244.1.1:5353",
                              "UDP 10.244.1.100:4000 -> 10.96.0.10:54, answered by 10.244.1.2:5353"});
  CHECK(flows.lists == 1);
}

TEST_CASE("a table of any size is worked off with bounded memory") {
  class Many final : public Flows {
   public:
    Result<void> list(const FlowFilter&, const Visit& visit) override {
      ++lists;
      for (std::size_t i = 0; i < left; ++i) visit(flow("10.0.0.1", 1, "10.96.0.10", 53, "10.244.1.9", 1));
      return {};
    }
    std::vector<Failure> remove(std::span<const Flow> found) override {
      largest = std::max(largest, found.size());
      left -= found.size();
      return {};
    }
    std::size_t left = 200'000;
    std::size_t lists = 0;
    std::size_t largest = 0;
  } many;
  const std::vector frontends{frontend("10.96.0.10", {})};
  const auto swept = sweep(many, FlowSearch(Family::ipv4, frontends));
  CHECK(swept.deleted == 200'000);
  CHECK(many.left == 0);
  CHECK(many.largest <= 65'536);
  CHECK(many.lists == 4);
}

TEST_CASE("a look that fails deletes what it saw, and is repeated until it does not") {
  FakeFlows flows;
  for (std::uint16_t i = 0; i < 8; ++i)
    flows.create(flow("10.244.1.100", static_cast<std::uint16_t>(4000 + i), "10.96.0.10", 53, "10.244.1.9", 5353));
  std::atomic<int> failures = 1;
  flows.fault = [&]() -> std::optional<Error> {
    if (failures-- <= 0) return {};
    return Error{Errc::interrupted, 0, "fault"};
  };
  std::atomic<std::size_t> deleted = 0;
  std::atomic<std::size_t> errors = 0;
  FlowSweeper sweeper(flows, [&](const FlowSweeper::Pass& pass) {
    deleted += pass.swept.deleted;
    errors += pass.swept.error ? 1 : 0;
  });
  sweeper.want({frontend("10.96.0.10", {"10.244.1.1"})});
  REQUIRE(within(std::chrono::seconds(20), [&] { return deleted == 8; }));
  CHECK(errors == 1);
  CHECK(flows.text().empty());
}

TEST_CASE("nothing is looked at without a reason, and many reasons are one look") {
  FakeFlows flows;
  std::atomic<std::size_t> passes = 0;
  FlowSweeper sweeper(flows, [&](const FlowSweeper::Pass&) { ++passes; });
  std::vector<FrontendFlows> many;
  for (int i = 1; i <= 200; ++i) many.push_back(frontend("10.96.1." + std::to_string(i), {"10.244.1.1"}));
  sweeper.want(many);
  sweeper.stop();
  CHECK(flows.lists == 1);
  CHECK(flows.filters() == std::vector<FlowFilter>{{Family::ipv4, Protocol::udp, {}, Port{53}}});
  CHECK(passes == 1);

  FakeFlows idle;
  {
    FlowSweeper none(idle, [](const FlowSweeper::Pass&) {});
    none.want({});
  }
  CHECK(idle.lists == 0);
}

TEST_CASE("what waits when the sweeper ends is looked at once more") {
  FakeFlows flows;
  flows.create(flow("fd00::64", 4000, "fd00::10", 53, "fd00::9", 5353));
  {
    FlowSweeper sweeper(flows, [](const FlowSweeper::Pass& pass) { CHECK(pass.family == Family::ipv6); });
    sweeper.want({frontend("fd00::10", {"fd00::1"})});
  }
  CHECK(flows.text().empty());
  FakeFlows broken;
  broken.fault = [] { return std::optional(Error{Errc::denied, EPERM, "fault"}); };
  {
    FlowSweeper sweeper(broken, [](const FlowSweeper::Pass&) {});
    sweeper.want({frontend("fd00::10", {"fd00::1"})});
  }
  CHECK(broken.lists >= 1);  // and it ended
}
