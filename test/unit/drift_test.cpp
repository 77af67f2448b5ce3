// What somebody else changes is found, announced or not, and put right.
#include <catch2/catch.hpp>

#include "model/forwarding_kernel.hpp"
#include "test/unit/objects.hpp"
#include "test/unit/random_cluster.hpp"

using namespace ipvsd;
using namespace ipvsd::test;

TEST_CASE("a removed VIP comes back at once, and a removed link with all of them") {
  FakeNode node;
  node.apply(cluster_ip_service("a", "10.96.0.1"));
  node.apply(cluster_ip_service("b", "10.96.0.2"));
  node.start();
  const auto before = node.kernel.text();
  node.kernel.foreign({Verb::remove, BoundAddress{ip("10.96.0.1")}});
  node.settle();
  CHECK(node.kernel.text() == before);
  CHECK(node.reconciler->counters().drift_addresses == 1);
  node.kernel.remove_link();
  node.settle();
  CHECK(node.kernel.text() == before);
  node.kernel.foreign({Verb::remove, BoundAddress{ip("10.96.0.2")}});
  node.kernel.lose_notifications();
  node.settle();
  CHECK(node.kernel.text() == before);
}

TEST_CASE("what holds addresses and entries is made anew when it was taken away") {
  FakeNode node;
  node.apply(cluster_ip_service("a", "10.96.0.1"));
  node.start();
  (void)node.kernel.unprepare();  // link and sets
  (void)node.kernel.notifications();
  node.apply(cluster_ip_service("b", "10.96.0.2"));
  node.settle();
  while (!node.reconciler->audit(1)) {
  }
  node.settle();
  CHECK(node.kernel.text() == from_scratch(node.objects));
}

TEST_CASE("a set that was destroyed while nothing had to be written to it is made anew by the audit") {
  FakeNode node;
  node.apply(cluster_ip_service("a", "10.96.0.1"));
  node.start();
  const auto before = node.kernel.text();
  (void)node.kernel.unprepare();
  (void)node.kernel.notifications();  // a set that goes is not announced
  while (!node.reconciler->audit(16, 64)) {
  }
  node.settle();
  CHECK(node.kernel.text() == before);
}

TEST_CASE("what somebody else changes again and again is put right each time, and told from time to time") {
  FakeNode node;
  node.apply(cluster_ip_service("a", "10.96.0.1"));
  node.start();
  node.log.clear();
  const auto lines = [&](const char* part) {
    return std::count_if(node.log.begin(), node.log.end(),
                         [&](const std::string& line) { return line.find(part) != std::string::npos; });
  };
  VirtualServer server;
  server.key = tcp("10.96.0.1");
  const auto before = node.kernel.text();
  for (int second = 0; second < 300; ++second) {
    node.kernel.foreign({Verb::remove, server});
    while (!node.reconciler->audit(16, 64)) {
    }
    node.kernel.remove_link();
    node.settle();
    REQUIRE(node.kernel.text() == before);
    node.now += std::chrono::seconds(1);
  }
  CHECK(node.reconciler->counters().drift_servers == 300);
  CHECK(lines("somebody else changed what is ours, and it is put right: ") == 1);
  CHECK(lines("made anew") == 1);

  node.now += std::chrono::minutes(10);
  node.kernel.remove_link();
  node.settle();
  CHECK(lines("somebody else changed what is ours") == 2);
  CHECK(lines("made anew") == 2);
}

TEST_CASE("the audit finds what nobody announced") {
  FakeNode node;
  node.apply(cluster_ip_service("a", "10.96.0.1"));
  node.apply(slice("a", {endpoint("10.244.1.1"), endpoint("10.244.1.2")}));
  node.start();
  const auto before = node.kernel.text();
  VirtualServer server;
  server.key = tcp("10.96.0.1");
  const auto drift = GENERATE_COPY(values<Operation>(
      {{Verb::remove, server},
       {Verb::remove, DestinationOf{tcp("10.96.0.1"), {{ip("10.244.1.1"), Port{8080}}}}},
       {Verb::set, DestinationOf{tcp("10.96.0.1"), {{ip("10.244.1.1"), Port{8080}}, ForwardMethod::masquerade, 100}}},
       {Verb::add, DestinationOf{tcp("10.96.0.1"), {{ip("10.9.9.9"), Port{1}}}}},
       {Verb::remove, ip_port_entry({SetKind::cluster_ip, Family::ipv4}, ip("10.96.0.1"), Protocol::tcp, Port{80})},
       {Verb::add, ip_port_entry({SetKind::cluster_ip, Family::ipv4}, ip("10.9.9.9"), Protocol::tcp, Port{80})}}));
  INFO(to_string(drift));
  node.kernel.foreign(drift);
  while (!node.reconciler->audit(1)) {
  }
  node.settle();
  CHECK(node.kernel.text() == before);
  const auto& counters = node.reconciler->counters();
  CHECK(counters.drift_servers + counters.drift_entries == 1);
}

TEST_CASE("the audit asks for a virtual server of its own only where the listing leaves it out or differs") {
  class Counting final : public ForwardingKernel {
   public:
    using ForwardingKernel::ForwardingKernel;
    Result<std::optional<ObservedVirtualServer>> observe(const VirtualServerKey& key) override {
      ++asked;
      return inner_.observe(key);
    }
    std::size_t asked = 0;
  };
  FakeKernel kernel;
  kernel.add_node_address("eth0", "192.168.77.2", 24);
  Counting counting(kernel);
  SimulatedNode node(counting);
  for (int i = 0; i < 40; ++i) node.apply(cluster_ip_service("a" + std::to_string(i), "10.96.0." + std::to_string(i)));
  node.start();
  counting.asked = 0;
  while (!node.reconciler->audit(3)) {
  }
  CHECK(counting.asked == 0);

  SECTION("what is gone is looked at, and comes back") {
    VirtualServer gone;
    gone.key = tcp("10.96.0.7");
    kernel.foreign({Verb::remove, gone});
    while (!node.reconciler->audit(3)) {
    }
    CHECK(counting.asked == 1);
    CHECK(node.reconciler->counters().drift_servers == 1);
  }
  SECTION("what we change after it was listed is no drift") {
    (void)node.reconciler->audit(1);  // the first sixteen are listed
    for (int i = 0; i < 40; ++i) {
      auto sticky = cluster_ip_service("a" + std::to_string(i), "10.96.0." + std::to_string(i));
      sticky.affinity = std::chrono::seconds(100);
      node.apply(sticky);
    }
    node.settle();
    while (!node.reconciler->audit(3)) {
    }
    CHECK(counting.asked == 15);
    CHECK(node.reconciler->counters().drift_servers == 0);
  }
  node.settle();
  CHECK(kernel.text() == from_scratch(node.objects));
}

TEST_CASE("a pass over everything takes the audit's period, a few at a look") {
  for (const std::size_t servers : {0U, 10U, 1000U, 10'000U, 50'000U}) {
    const auto pace = audit_pace(servers, std::chrono::minutes(5));
    CHECK(pace.servers <= 16);
    const auto needed = std::max<std::size_t>((servers + 15) / 16, 300);
    const auto looks = static_cast<std::size_t>(std::chrono::minutes(5) / pace.tick);
    CHECK(pace.servers * (looks + 1) >= servers);
    CHECK(looks <= needed + 1);
  }
}
