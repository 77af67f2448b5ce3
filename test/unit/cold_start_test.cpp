// The order in which much is written at once, and the listing that the audit compares with it.
#include <catch2/catch.hpp>

#include "model/forwarding_kernel.hpp"
#include "test/fake/fake_kernel.hpp"
#include "test/unit/objects.hpp"
#include "test/unit/random_cluster.hpp"

using namespace ipvsd;
using namespace ipvsd::test;

namespace {

class Node3 : public SimulatedNode {
 public:
  Node3() : SimulatedNode(kernel) { kernel.add_node_address("eth0", "192.168.77.2", 24); }

  // Services a0, a1, ... with an endpoint each, listed and not looked at yet, two to a step.
  void list(int services) {
    for (int i = 0; i < services; ++i) {
      apply(cluster_ip_service(name(i), address(i)));
      apply(slice(name(i), {endpoint("10.244.1." + std::to_string(i + 1))}));
    }
    services_per_step = 2;
    start_unsettled();
  }
  static std::string name(int i) { return "a" + std::to_string(i); }
  static std::string address(int i) { return "10.96.0." + std::to_string(i + 1); }
  bool step() { return reconciler->step(now); }
  bool serves(int i) const { return kernel.text().find(address(i) + ":80/TCP") != std::string::npos; }
  bool bound(int i) const { return kernel.text().find("address " + address(i) + "\n") != std::string::npos; }
  int written(int services) const {
    int count = 0;
    for (int i = 0; i < services; ++i) count += serves(i) ? 1 : 0;
    return count;
  }

  FakeKernel kernel;
};

}  // namespace

TEST_CASE("at a start all Services are computed before the first is written, and written in pieces") {
  Node3 node;
  node.list(9);
  int steps = 0;
  while (node.written(9) == 0) {
    REQUIRE(node.step());
    ++steps;
  }
  CHECK(node.reconciler->counters().recomputed == 9);
  CHECK(steps == 5);  // four computed two each; the fifth computes the last and writes the first piece with it
  CHECK(node.written(9) == 3);
  REQUIRE(node.step());
  CHECK(node.written(9) == 5);
  node.settle();
  CHECK(node.kernel.text() == from_scratch(node.objects));
}

TEST_CASE("what the cluster itself needs is in the first piece") {
  Node3 node;
  auto dns = cluster_ip_service("kube-dns", "10.96.0.100");
  dns.key.ns = "kube-system";
  node.apply(dns);
  node.list(9);
  while (node.kernel.calls == 0) REQUIRE(node.step());
  CHECK(node.kernel.text().find("10.96.0.100:80/TCP") != std::string::npos);
  CHECK(node.written(9) < 9);
}

TEST_CASE("a Service that changes while the rest is written goes first, and as a whole") {
  Node3 node;
  node.list(9);
  while (node.written(9) == 0) REQUIRE(node.step());
  int last = 8;
  while (node.serves(last)) --last;
  node.apply(slice(Node3::name(last), {endpoint("10.244.9.9")}));
  REQUIRE(node.step());
  CHECK(node.serves(last));
  CHECK(node.bound(last));
  CHECK(node.kernel.text().find("10.244.9.9:8080") != std::string::npos);
  node.settle();
  CHECK(node.kernel.text() == from_scratch(node.objects));
}

TEST_CASE("a Service that goes before it was written leaves nothing") {
  Node3 node;
  node.list(9);
  while (node.written(9) == 0) REQUIRE(node.step());
  for (int i = 0; i < 9; ++i)
    if (!node.serves(i)) {
      node.remove(Kind::service, {"default", Node3::name(i)});
      node.remove(Kind::endpoint_slice, {"default", Node3::name(i)});
    }
  node.settle();
  CHECK(node.kernel.text() == from_scratch(node.objects));
  const auto size = node.reconciler->ledger().actual_size();
  CHECK(node.reconciler->ledger().server_count() == size.servers);
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
