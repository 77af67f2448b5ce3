// The order in which much is written at once.
#include <catch2/catch.hpp>

#include "test/fake/fake_kernel.hpp"
#include "test/unit/objects.hpp"
#include "test/unit/random_cluster.hpp"

using namespace ipvsd;
using namespace ipvsd::test;

namespace {

class StartingNode : public FakeNode {
 public:
  // Services a0, a1, ... with an endpoint each, listed and not looked at yet, at most so many to a step.
  void list(int services, std::size_t to_a_step = 2) {
    for (int i = 0; i < services; ++i) {
      apply(cluster_ip_service(name(i), address(i)));
      apply(slice(name(i), {endpoint("10.244.1." + std::to_string(i + 1))}));
    }
    services_per_step = to_a_step;
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
};

}  // namespace

TEST_CASE("at a start all Services are computed before the first is written, and written in pieces") {
  StartingNode node;
  node.list(9);
  int steps = 0;
  while (node.written(9) == 0) {
    REQUIRE(node.step());
    ++steps;
  }
  CHECK(node.reconciler->counters().recomputed == 9);
  CHECK(steps == 5);  // four computed two each; the fifth computes the last and writes the first piece
  CHECK(node.written(9) == 2);
  REQUIRE(node.step());
  CHECK(node.written(9) == 4);
  node.settle();
  CHECK(node.kernel.text() == from_scratch(node.objects));
}

TEST_CASE("the first Services of a start serve at once; the addresses of the rest come behind all virtual servers") {
  StartingNode node;
  node.list(10);
  while (node.written(10) < 10) {
    CHECK(node.bound(0) == node.serves(0));
    CHECK(node.bound(1) == node.serves(1));
    for (int i = 2; i < 10; ++i) CHECK_FALSE(node.bound(i));
    REQUIRE(node.step());
  }
  CHECK_FALSE(node.reconciler->idle());
  REQUIRE(node.step());
  CHECK(node.bound(2));
  CHECK(node.bound(3));
  CHECK_FALSE(node.bound(4));
  node.settle();
  CHECK(node.kernel.text() == from_scratch(node.objects));
}

TEST_CASE("a step of a start writes less where the step before took long, and more again where it did not") {
  StartingNode node;
  constexpr int all = 200;
  node.list(all, 32);
  while (node.written(all) == 0) REQUIRE(node.step());
  CHECK(node.written(all) == 32);
  const auto written_after = [&](std::chrono::milliseconds took) {
    const int before = node.written(all);
    node.now += took;
    REQUIRE(node.step());
    return node.written(all) - before;
  };
  using std::chrono::milliseconds;
  CHECK(written_after(milliseconds(400)) == 8);
  CHECK(written_after(milliseconds(100)) == 16);
  CHECK(written_after(milliseconds(200)) == 8);
  CHECK(written_after(std::chrono::hours(1)) == 2);  // a piece at least
  CHECK(written_after(milliseconds(0)) == 4);
  node.settle();
  CHECK(node.kernel.text() == from_scratch(node.objects));
}

TEST_CASE("a start by route writes nothing before all is computed either") {
  StartingNode node;
  node.policy.routed_cidrs = {*Cidr::parse("10.96.0.0/24")};
  node.list(9);
  while (node.kernel.calls == 0) REQUIRE(node.step());
  CHECK(node.reconciler->counters().recomputed == 9);
  node.settle();
  CHECK(node.reconciler->counters().recomputed == 9);
  CHECK_FALSE(node.bound(0));
}

TEST_CASE("what the cluster itself needs is in the first piece") {
  StartingNode node;
  auto dns = cluster_ip_service("kube-dns", "10.96.0.100");
  dns.key.ns = "kube-system";
  node.apply(dns);
  node.list(9);
  while (node.kernel.calls == 0) REQUIRE(node.step());
  CHECK(node.kernel.text().find("10.96.0.100:80/TCP") != std::string::npos);
  CHECK(node.written(9) < 9);
}

TEST_CASE("a Service that changes while the rest is written goes first, and as a whole") {
  StartingNode node;
  node.list(9);
  while (node.written(9) == 0) REQUIRE(node.step());
  int last = 8;
  while (node.serves(last)) --last;
  node.apply(slice(StartingNode::name(last), {endpoint("10.244.9.9")}));
  REQUIRE(node.step());
  CHECK(node.serves(last));
  CHECK(node.bound(last));
  CHECK(node.kernel.text().find("10.244.9.9:8080") != std::string::npos);
  node.settle();
  CHECK(node.kernel.text() == from_scratch(node.objects));
}

TEST_CASE("a Service that takes over an address while it waits to be written goes first, and as a whole") {
  StartingNode node;
  auto holder = cluster_ip_service("holder", "10.96.0.100");
  holder.external_ips = {ip("203.0.113.1")};
  auto heir = cluster_ip_service("heir", "10.96.0.101");
  heir.external_ips = holder.external_ips;
  heir.created = std::chrono::sys_seconds(std::chrono::hours(1));
  node.apply(holder);
  node.apply(heir);
  node.list(9);
  while (node.written(9) == 0) REQUIRE(node.step());
  REQUIRE(node.kernel.text().find("10.96.0.101") == std::string::npos);
  node.remove(Kind::service, holder.key);
  REQUIRE(node.step());
  for (const auto* line : {"virtual server 203.0.113.1:80/TCP", "KUBE-EXTERNAL-IP 203.0.113.1,tcp:80",
                           "address 203.0.113.1", "virtual server 10.96.0.101:80/TCP", "address 10.96.0.101"})
    CHECK(node.kernel.text().find(line) != std::string::npos);
  node.settle();
  CHECK(node.kernel.text() == from_scratch(node.objects));
}

TEST_CASE("a Service that goes before it was written leaves nothing") {
  StartingNode node;
  node.list(9);
  while (node.written(9) == 0) REQUIRE(node.step());
  for (int i = 0; i < 9; ++i)
    if (!node.serves(i)) {
      node.remove(Kind::service, {"default", StartingNode::name(i)});
      node.remove(Kind::endpoint_slice, {"default", StartingNode::name(i)});
    }
  node.settle();
  CHECK(node.kernel.text() == from_scratch(node.objects));
  const auto size = node.reconciler->ledger().actual_size();
  CHECK(node.reconciler->ledger().server_count() == size.servers);
}
