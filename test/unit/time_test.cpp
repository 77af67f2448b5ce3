// Time that passes at once (a suspended machine, a stolen processor) and clocks that are set.
#include <catch2/catch.hpp>

#include "daemon/loop/reconciler.hpp"
#include "daemon/serve/health.hpp"
#include "test/fake/fake_kernel.hpp"
#include "test/unit/objects.hpp"
#include "test/unit/random_cluster.hpp"

using namespace ipvsd;
using namespace ipvsd::test;
using namespace std::chrono_literals;

namespace {

struct Fixture {
  FakeKernel kernel;
  SimulatedNode node{kernel};

  Fixture() {
    kernel.add_node_address("eth0", "192.168.77.2", 24);
    node.apply(cluster_ip_service("web", "10.96.0.1"));
    node.apply(slice("web", {endpoint("10.244.1.1"), endpoint("10.244.1.2")}));
  }
};

}  // namespace

TEST_CASE("a day that passes at once is one more try of each object that fails, and no storm") {
  Fixture fixture;
  auto& node = fixture.node;
  for (int i = 2; i <= 4; ++i) node.apply(cluster_ip_service("s" + std::to_string(i), "10.96.0." + std::to_string(i)));
  fixture.kernel.fault = [](const Operation& operation) -> std::optional<FakeKernel::Fault> {
    const auto* server = std::get_if<VirtualServer>(&operation.target);
    if (server == nullptr || server->key == tcp("10.96.0.1")) return {};
    return FakeKernel::Fault{{Errc::denied, EPERM, "fault"}, false};
  };
  node.start_unsettled();
  while (node.reconciler->step(node.now)) {
  }
  REQUIRE(node.reconciler->retries().entries().size() == 3);

  for (const auto gap : {30s, 86400s}) {
    const auto before = node.reconciler->counters().retries;
    (void)fixture.kernel.take_log();
    node.now += gap;
    int turns = 1;
    while (node.reconciler->step(node.now)) ++turns;
    CHECK(turns <= 2);
    CHECK(node.reconciler->counters().retries == before + 3);
    CHECK(fixture.kernel.take_log().size() == 3);
    // The next ones wait for their time, counted from now.
    const auto next = node.reconciler->next_retry();
    REQUIRE(next);
    CHECK(*next > node.now);
    CHECK(*next <= node.now + 30s);
    CHECK_FALSE(node.reconciler->step(node.now));
    CHECK(fixture.kernel.take_log().empty());
  }
  fixture.kernel.fault = nullptr;
  node.now += 86400s;
  node.settle();
  CHECK(node.text() == from_scratch(node.objects));
}

TEST_CASE("an endpoint with connections drains on, however much time passes at once") {
  Fixture fixture;
  auto& node = fixture.node;
  node.start();
  const DestinationKey leaving{ip("10.244.1.2"), Port{8080}};
  fixture.kernel.set_connections(tcp("10.96.0.1"), leaving, 1);
  node.apply(slice("web", {endpoint("10.244.1.1")}));
  const auto draining = [&] {
    return fixture.kernel.text().find("10.244.1.2:8080 of 10.96.0.1:80/TCP weight 0") != std::string::npos;
  };
  for (int day = 0; day < 3; ++day) {
    while (node.reconciler->step(node.now)) {
    }
    (void)node.reconciler->poll_drains(node.now, 64);
    CHECK(draining());
    node.now += 86400s;
  }
  fixture.kernel.set_connections(tcp("10.96.0.1"), leaving, 0);
  (void)node.reconciler->poll_drains(node.now, 64);
  node.settle();
  CHECK(fixture.kernel.text().find("10.244.1.2") == std::string::npos);
}

TEST_CASE("health measures how long a change waits, and not what the clock is set to") {
  const Moment start = Moment::now();
  for (const auto jump : {-86400s, 86400s}) {
    HealthState health(start);
    const auto after = [&](std::chrono::seconds passed, std::chrono::seconds set) {
      return Moment{start.steady + passed, start.wall + passed + set};
    };
    health.updated(Family::ipv4, start);
    health.queued(Family::ipv4, after(1s, 0s));
    CHECK(health.answer(after(2s, jump)).healthy);
    CHECK(health.answer(after(60s, jump)).healthy);
    CHECK_FALSE(health.answer(after(62s, jump)).healthy);
    health.updated(Family::ipv4, after(63s, jump));
    CHECK(health.answer(after(64s, 0s)).healthy);
  }
}
