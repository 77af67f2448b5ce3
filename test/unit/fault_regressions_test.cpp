// What the histories with faults have found, each as the shortest way to it.
#include <catch2/catch.hpp>

#include "model/forwarding_kernel.hpp"
#include "test/fake/fake_kernel.hpp"
#include "test/unit/objects.hpp"
#include "test/unit/random_cluster.hpp"

using namespace ipvsd;
using namespace ipvsd::test;

namespace {

// Reads as the fake kernel does, but for what a test leaves out or lets fail.
class Forgetful final : public ForwardingKernel {
 public:
  using ForwardingKernel::ForwardingKernel;
  bool dump_leaves_servers_out = false;
  int failing_address_lists = 0;
  int failing_route_lists = 0;
  bool sees_no_server = false;

  Result<KernelState> observe() override {
    auto state = inner_.observe();
    if (dump_leaves_servers_out) state->servers.clear();
    return state;
  }
  Result<std::optional<ObservedVirtualServer>> observe(const VirtualServerKey& key) override {
    if (sees_no_server) return fail(Errc::overrun, "fault", ENOBUFS);
    return inner_.observe(key);
  }
  Result<std::vector<LinkAddress>> addresses() override {
    if (failing_address_lists > 0 && failing_address_lists-- > 0) return fail(Errc::interrupted, "fault");
    return inner_.addresses();
  }
  Result<std::vector<LocalRoute>> routes() override {
    if (failing_route_lists > 0 && failing_route_lists-- > 0) return fail(Errc::interrupted, "fault");
    return inner_.routes();
  }
};

}  // namespace

TEST_CASE("an address that was there before it was wanted goes with its Service") {
  FakeNode node;
  (void)node.kernel.prepare();
  node.kernel.foreign({Verb::add, BoundAddress{ip("10.96.0.1")}});
  node.apply(cluster_ip_service("web", "10.96.0.1"));
  node.start();
  node.remove(Kind::service, {"default", "web"});
  node.settle();
  CHECK(node.kernel.text() == from_scratch(node.objects));
}

TEST_CASE("addresses that could not be listed are listed again, without anything else happening") {
  FakeKernel fake;
  fake.add_node_address("eth0", "192.168.77.2", 24);
  Forgetful kernel(fake);
  SimulatedNode node(kernel);
  node.apply(cluster_ip_service("web", "10.96.0.1"));
  node.start();
  const auto before = fake.text();
  fake.remove_link();
  fake.lose_notifications();
  kernel.failing_address_lists = 1;
  for (const auto& notification : kernel.notifications()) node.reconciler->notice(notification);
  (void)node.reconciler->step(node.now);
  CHECK_FALSE(node.reconciler->idle());
  const auto retry = node.reconciler->next_retry();
  REQUIRE(retry);
  CHECK(*retry > node.now);
  (void)node.reconciler->step(*retry);
  CHECK(fake.text() == before);
  CHECK_FALSE(node.reconciler->next_retry());
}

TEST_CASE("routes that could not be listed are listed again, without anything else happening") {
  FakeKernel fake;
  fake.add_node_address("eth0", "192.168.77.2", 24);
  Forgetful kernel(fake);
  auto policy = plain_policy();
  policy.routed_cidrs = {*Cidr::parse("10.96.0.0/16")};
  SimulatedNode node(kernel, policy);
  node.apply(cluster_ip_service("web", "10.96.0.1"));
  node.start();
  const auto before = fake.text();
  const auto routes = *fake.routes();
  REQUIRE(routes.size() == 1);
  fake.foreign({Verb::remove, routes.front()});
  REQUIRE(fake.text() != before);
  kernel.failing_route_lists = 1;
  for (const auto& notification : kernel.notifications()) node.reconciler->notice(notification);
  (void)node.reconciler->step(node.now);
  CHECK(fake.text() != before);
  CHECK_FALSE(node.reconciler->idle());
  const auto retry = node.reconciler->next_retry();
  REQUIRE(retry);
  CHECK(*retry > node.now);
  node.now = *retry;
  node.settle();
  CHECK(fake.text() == before);
  CHECK_FALSE(node.reconciler->next_retry());
}

TEST_CASE("a virtual server of which it is not known whether it came to be is forgotten when it did not") {
  FakeNode node;
  node.start();
  node.kernel.fault = [](const Operation& operation) -> std::optional<FakeKernel::Fault> {
    if (!std::holds_alternative<VirtualServer>(operation.target)) return {};
    return FakeKernel::Fault{{Errc::timed_out, 0, "fault"}, false};
  };
  node.apply(cluster_ip_service("web", "10.96.0.1"));
  (void)node.reconciler->step(node.now);
  node.remove(Kind::service, {"default", "web"});
  node.kernel.fault = nullptr;
  node.settle();
  CHECK(node.reconciler->ledger().server_count() == 0);
}

TEST_CASE("what says that a virtual server is ours stays until it is gone, whatever else failed before") {
  FakeNode node;
  node.apply(cluster_ip_service("web", "10.96.0.1"));
  node.start();
  // What comes before its end fails, so that this waits; then the daemon is killed.
  node.kernel.fault = [](const Operation& operation) -> std::optional<FakeKernel::Fault> {
    const auto* entry = std::get_if<SetEntry>(&operation.target);
    if (entry == nullptr || entry->set.kind != SetKind::cluster_ip) return {};
    return FakeKernel::Fault{{Errc::busy, ENOMEM, "fault"}, false};
  };
  node.remove(Kind::service, {"default", "web"});
  (void)node.reconciler->step(node.now);
  CHECK(node.kernel.text().find("virtual server 10.96.0.1:80/TCP") != std::string::npos);
  CHECK(node.kernel.text().find("KUBE-IPVS-IPS 10.96.0.1") != std::string::npos);
  node.reconciler.reset();
  node.kernel.fault = nullptr;
  node.start();
  CHECK(node.kernel.text().empty());
}

TEST_CASE("a virtual server that may be there goes before what says that it is ours") {
  FakeKernel fake;
  fake.add_node_address("eth0", "192.168.77.2", 24);
  Forgetful kernel(fake);
  SimulatedNode node(kernel);
  node.start();
  fake.fault = [](const Operation& operation) -> std::optional<FakeKernel::Fault> {
    if (!std::holds_alternative<VirtualServer>(operation.target) || operation.verb != Verb::add) return {};
    return FakeKernel::Fault{{Errc::overrun, ENOBUFS, "fault"}, true};
  };
  kernel.sees_no_server = true;
  node.apply(cluster_ip_service("web", "10.96.0.1"));
  (void)node.reconciler->step(node.now);
  node.remove(Kind::service, {"default", "web"});
  (void)node.reconciler->step(node.now);
  node.reconciler.reset();  // killed
  fake.fault = nullptr;
  kernel.sees_no_server = false;
  node.start();
  CHECK(fake.text().empty());
}

TEST_CASE("a virtual server that the dump at the start left out is found by its set entry") {
  FakeKernel fake;
  fake.add_node_address("eth0", "192.168.77.2", 24);
  Forgetful kernel(fake);
  SimulatedNode node(kernel);
  node.apply(cluster_ip_service("web", "10.96.0.1"));
  node.start();
  node.reconciler.reset();
  node.objects.clear();
  kernel.dump_leaves_servers_out = true;
  node.start();
  CHECK(fake.text().empty());
}

TEST_CASE("a Service that goes before the first view is complete does not take the proof of ownership along") {
  FakeNode node;
  auto service = cluster_ip_service("a1", "10.96.0.1");
  service.ports.push_back({"dns", Protocol::udp, Port{53}, {}});
  node.apply(service);
  node.start();
  node.reconciler.reset();
  // It was going: what let it in has gone, and then the daemon was killed.
  node.kernel.foreign(
      {Verb::remove, ip_port_entry({SetKind::cluster_ip, Family::ipv4}, ip("10.96.0.1"), Protocol::udp, Port{53})});
  service.ports.pop_back();
  node.apply(service);
  for (int i = 2; i < 8; ++i) node.apply(cluster_ip_service("a" + std::to_string(i), "10.96.0." + std::to_string(i)));
  node.services_per_step = 1;
  node.start_unsettled();
  while (node.reconciler->counters().recomputed < 3) (void)node.reconciler->step(node.now);
  node.remove(Kind::service, service.key);
  (void)node.reconciler->step(node.now);
  node.reconciler.reset();  // killed
  node.start();
  CHECK(node.kernel.text() == from_scratch(node.objects));
}
