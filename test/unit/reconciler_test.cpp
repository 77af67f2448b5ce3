// The reconciler against the fake kernel: every order of events, every fault, every restart ends in one state.
#include <catch2/catch.hpp>

#include <algorithm>
#include <random>

#include "daemon/loop/reconciler.hpp"
#include "test/fake/fake_kernel.hpp"
#include "test/unit/objects.hpp"
#include "test/unit/random_cluster.hpp"

using namespace ipvsd;
using namespace ipvsd::test;

namespace {

// Which mark each frontend's outside clients get.
std::vector<SetEntry> led_outside(Kernel& kernel) {
  auto entries = kernel.observe()->entries;
  std::erase_if(entries, [](const SetEntry& entry) { return entry.set.kind != SetKind::outside; });
  std::sort(entries.begin(), entries.end());
  return entries;
}

}  // namespace

TEST_CASE("any history ends where a fresh start with the final objects ends") {
  for (std::uint32_t seed = first_seed(); seed < first_seed() + 1000; ++seed) {
    INFO("seed " << seed);
    std::mt19937 random(seed);
    FakeNode node;
    node.services_per_step = 1 + seed % 4;
    random_history(node, random, 10);
    node.start();
    random_history(node, random, 60);
    node.settle();
    REQUIRE(node.kernel.text() == from_scratch(node.objects));
  }
}

TEST_CASE("faults delay, and change nothing in the end") {
  for (std::uint32_t seed = first_seed(); seed < first_seed() + 1000; ++seed) {
    INFO("seed " << seed);
    std::mt19937 random(seed);
    FakeNode node;
    node.services_per_step = 1 + seed % 4;
    node.start();
    bool faulty = true;
    node.kernel.fault = [&](const Operation&) -> std::optional<FakeKernel::Fault> {
      if (!faulty || random() % 5 != 0) return {};
      switch (random() % 4) {
        case 0: return FakeKernel::Fault{{Errc::busy, ENOMEM, "fault"}, false};
        case 1: return FakeKernel::Fault{{Errc::overrun, ENOBUFS, "fault"}, true};
        case 2: return FakeKernel::Fault{{Errc::timed_out, 0, "fault"}, random() % 2 == 0};
        default: return FakeKernel::Fault{{Errc::denied, EPERM, "fault"}, false};
      }
    };
    random_history(node, random, 80);
    faulty = false;
    node.settle();
    REQUIRE(node.kernel.text() == from_scratch(node.objects));
  }
}

TEST_CASE("a restart at any moment loses nothing and rewrites nothing") {
  for (std::uint32_t seed = first_seed(); seed < first_seed() + 1000; ++seed) {
    INFO("seed " << seed);
    std::mt19937 random(seed);
    FakeNode node;
    node.services_per_step = 1 + seed % 4;
    node.start();
    random_history(node, random, 30);
    const bool settled = random() % 2 == 0;
    if (settled)
      node.settle();
    else
      (void)node.reconciler->step(node.now);
    node.reconciler.reset();  // killed
    const bool changed = random() % 2 == 0;
    if (changed) random_history(node, random, 10);  // while nobody watched
    (void)node.kernel.take_log();
    node.start();
    REQUIRE(node.kernel.text() == from_scratch(node.objects));
    if (settled && !changed) REQUIRE(node.kernel.take_log().empty());
  }
}

TEST_CASE("with marks for outside clients, too: any history, faults and a restart") {
  const auto policy = marking_policy();
  bool any_mark = false;
  for (std::uint32_t seed = first_seed(); seed < first_seed() + 1000; ++seed) {
    INFO("seed " << seed);
    std::mt19937 random(seed);
    FakeNode node(policy);
    node.services_per_step = 1 + seed % 4;
    node.start();
    bool faulty = random() % 2 == 0;
    node.kernel.fault = [&](const Operation&) -> std::optional<FakeKernel::Fault> {
      if (!faulty || random() % 5 != 0) return {};
      return FakeKernel::Fault{{Errc::overrun, ENOBUFS, "fault"}, random() % 2 == 0};
    };
    random_history(node, random, 40);
    faulty = false;
    node.settle();
    REQUIRE(node.text() == from_scratch(node.objects, policy));
    any_mark = any_mark || node.text().find("fwmark") != std::string::npos;

    node.reconciler.reset();  // killed
    const auto changes = static_cast<int>(random() % 2) * 10;
    random_history(node, random, changes);  // while nobody watched
    (void)node.kernel.take_log();
    const auto before = led_outside(node.kernel);
    node.start();
    REQUIRE(node.text() == from_scratch(node.objects, policy));
    if (changes > 0) continue;
    REQUIRE(led_outside(node.kernel) == before);
    // One that lost all of its frontends has a mark to which nothing leads, and so may get another.
    if (node.reconciler->ledger().conflict_count() == 0) REQUIRE(node.kernel.take_log().empty());
  }
  CHECK(any_mark);
}

TEST_CASE("nothing is written before the first complete view of the API") {
  FakeNode node;
  Reconciler reconciler(node.kernel, Policy{{"rr", 0}, "here"}, std::nullopt, 1, [](const std::string&) {});
  REQUIRE(reconciler.start());
  reconciler.apply(ReplaceBegin{Kind::service});
  reconciler.apply(Upsert{cluster_ip_service("web", "10.96.0.1")});
  reconciler.apply(ReplaceEnd{Kind::service});
  CHECK_FALSE(reconciler.step({}));
  CHECK(node.kernel.take_log().empty());
}

TEST_CASE("while something cannot be read that is not known, nothing is pruned") {
  FakeNode node;
  node.apply(cluster_ip_service("kept", "10.96.0.1"));
  node.apply(cluster_ip_service("gone", "10.96.0.2"));
  node.start();
  const auto before = node.kernel.text();
  node.reconciler.reset();
  node.objects.clear();
  node.reconciler.emplace(node.kernel, Policy{{"rr", 0}, "here"}, std::nullopt, 1, [](const std::string&) {});
  REQUIRE(node.reconciler->start());
  for (const auto kind : {Kind::service, Kind::endpoint_slice, Kind::node}) {
    node.reconciler->apply(ReplaceBegin{kind});
    if (kind == Kind::service) node.reconciler->apply(Keep{kind, {"default", "kept"}});
    node.reconciler->apply(ReplaceEnd{kind});
  }
  node.settle();
  CHECK(node.kernel.text() == before);
  // What is known to have come and gone goes all the same.
  node.apply(cluster_ip_service("short", "10.96.0.3"));
  node.settle();
  CHECK(node.kernel.text() != before);
  node.remove(Kind::service, {"default", "short"});
  node.settle();
  CHECK(node.kernel.text() == before);
  node.apply(cluster_ip_service("kept", "10.96.0.1"));  // readable at last
  node.settle();
  CHECK(node.kernel.text().find("10.96.0.1") != std::string::npos);
  CHECK(node.kernel.text().find("10.96.0.2") == std::string::npos);
}

TEST_CASE("one endpoint change among many Services is one operation and no observation") {
  FakeNode node;
  for (int i = 0; i < 500; ++i) {
    const auto name = "s" + std::to_string(i);
    node.apply(cluster_ip_service(name, "10.97." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1)));
    node.apply(slice(name, {endpoint("10.244.1.1"), endpoint("10.244.1.2")}));
  }
  node.start();
  (void)node.kernel.take_log();
  const auto observations = node.kernel.observations;
  const auto recomputed = node.reconciler->counters().recomputed;
  node.apply(slice("s77", {endpoint("10.244.1.1"), endpoint("10.244.1.2"), endpoint("10.244.1.3")}));
  while (node.reconciler->step(node.now)) {
  }
  const auto log = node.kernel.take_log();
  REQUIRE(log.size() == 1);
  CHECK(to_string(log[0]) == "add destination 10.244.1.3:8080 of 10.97.0.78:80/TCP weight 1");
  CHECK(node.kernel.observations == observations);
  CHECK(node.reconciler->counters().recomputed == recomputed + 1);
}

TEST_CASE("an endpoint that leaves without connections is looked at once") {
  FakeNode node;
  node.apply(cluster_ip_service("web", "10.96.0.1"));
  node.apply(slice("web", {endpoint("10.244.1.1"), endpoint("10.244.1.2")}));
  node.start();
  node.apply(slice("web", {endpoint("10.244.1.1")}));
  while (node.reconciler->step(node.now)) {
  }
  CHECK(node.reconciler->draining());
  const auto observations = node.kernel.observations;
  (void)node.reconciler->poll_drains(node.now, 64);
  CHECK(node.kernel.text().find("10.244.1.2") == std::string::npos);
  CHECK(node.kernel.observations == observations + 1);
  CHECK_FALSE(node.reconciler->draining());
}

TEST_CASE("what drained and came back is not looked at any more") {
  FakeNode node;
  node.apply(cluster_ip_service("web", "10.96.0.1"));
  node.apply(slice("web", {endpoint("10.244.1.1"), endpoint("10.244.1.2")}));
  node.start();
  for (const auto* second : {"10.244.1.1", "10.244.1.2"}) {
    node.apply(slice("web", {endpoint("10.244.1.1"), endpoint(second)}));
    while (node.reconciler->step(node.now)) {
    }
  }
  CHECK_FALSE(node.reconciler->draining());
}

TEST_CASE("what is written changes at the next step of a start, however much waits for its first time") {
  FakeNode node;
  node.services_per_step = 10;
  const auto name = [](int i) { return "s" + std::to_string(i); };
  for (int i = 0; i < 200; ++i) {
    node.apply(cluster_ip_service(name(i), "10.97.0." + std::to_string(i + 1)));
    node.apply(slice(name(i), {endpoint("10.244.1.1")}));
  }
  node.start_unsettled();
  const auto written = [&] {
    const auto state = node.kernel.observe();
    return static_cast<int>(state->servers.size());
  };
  while (written() == 0) REQUIRE(node.reconciler->step(node.now));
  REQUIRE(written() == 10);
  int first = 0;
  while (!node.reconciler->ledger().is_written({"default", name(first)})) ++first;
  (void)node.kernel.take_log();
  node.apply(slice(name(first), {endpoint("10.244.1.1"), endpoint("10.244.1.2")}));
  REQUIRE(node.reconciler->step(node.now));
  std::vector<std::string> changes;
  for (const auto& operation : node.kernel.take_log())
    if (auto text = to_string(operation); text.find("10.244.1.2") != std::string::npos) changes.push_back(text);
  CHECK(changes ==
        std::vector{"add destination 10.244.1.2:8080 of 10.97.0." + std::to_string(first + 1) + ":80/TCP weight 1"});
  CHECK(written() == 20);
  node.settle();
  CHECK(written() == 200);
}

TEST_CASE("one Service that the kernel refuses stops no other") {
  FakeNode node;
  auto refused = cluster_ip_service("sctp", "10.96.0.1", 36412);
  refused.ports[0].protocol = Protocol::sctp;
  refused.ports.push_back({"tcp", Protocol::tcp, Port{80}, Port{}});
  node.kernel.fault = [](const Operation& operation) -> std::optional<FakeKernel::Fault> {
    const auto* server = std::get_if<VirtualServer>(&operation.target);
    if (server == nullptr || server->key.protocol != Protocol::sctp) return {};
    return FakeKernel::Fault{{Errc::unsupported, EPROTONOSUPPORT, to_string(operation)}, false};
  };
  node.apply(refused);
  node.apply(cluster_ip_service("web", "10.96.0.2"));
  node.reconciler.emplace(node.kernel, Policy{{"rr", 0}, "here"}, std::nullopt, 1,
                          [&](const std::string& text) { node.log.push_back(text); });
  REQUIRE(node.reconciler->start());
  for (const auto kind : {Kind::service, Kind::endpoint_slice, Kind::node}) {
    node.reconciler->apply(ReplaceBegin{kind});
    for (const auto& [key, object] : node.objects) node.reconciler->apply(Upsert{object});
    node.reconciler->apply(ReplaceEnd{kind});
  }
  for (int i = 0; i < 100; ++i, node.now += std::chrono::seconds(1)) (void)node.reconciler->step(node.now);
  const auto text = node.kernel.text();
  CHECK(text.find("virtual server 10.96.0.2:80/TCP") != std::string::npos);
  CHECK(text.find("virtual server 10.96.0.1:80/TCP") != std::string::npos);
  // What has no virtual server is not let in either: a host's own port would answer.
  CHECK(text.find("KUBE-CLUSTER-IP 10.96.0.1,tcp:80") != std::string::npos);
  CHECK(text.find("KUBE-CLUSTER-IP 10.96.0.1,sctp:36412") == std::string::npos);
  CHECK(node.reconciler->retries().entries().size() >= 1);
  CHECK(node.log.size() == 1);  // told once, not at every attempt
}

TEST_CASE("an error that stays is met with patience, whatever it is") {
  for (const auto code : {Errc::busy, Errc::overrun, Errc::not_found, Errc::already_exists, Errc::denied}) {
    FakeNode node;
    node.start();
    std::size_t attempts = 0;
    node.kernel.fault = [&](const Operation& operation) -> std::optional<FakeKernel::Fault> {
      if (!std::holds_alternative<VirtualServer>(operation.target)) return {};
      ++attempts;
      return FakeKernel::Fault{{code, EIO, "fault"}, false};
    };
    node.apply(cluster_ip_service("web", "10.96.0.1"));
    // A minute of a loop that runs whenever there is more to do.
    for (const Instant end = node.now + std::chrono::minutes(1); node.now < end;
         node.now += std::chrono::milliseconds(10))
      for (int i = 0; i < 100 && node.reconciler->step(node.now); ++i) {
      }
    CHECK(attempts <= 15);
    node.kernel.fault = nullptr;
    node.settle();
    CHECK(node.kernel.text() == from_scratch(node.objects));
  }
}

TEST_CASE("a new node address serves NodePorts at once, and a lost one no longer") {
  FakeNode node;
  auto service = cluster_ip_service("a", "10.96.0.1");
  service.ports[0].node_port = Port{30080};
  node.apply(service);
  node.start();
  const auto before = node.kernel.text();
  CHECK(before.find("virtual server 192.168.77.2:30080/TCP") != std::string::npos);
  node.kernel.add_node_address("eth1", "192.168.88.2", 24);
  node.settle();
  CHECK(node.kernel.text().find("virtual server 192.168.88.2:30080/TCP") != std::string::npos);
  node.kernel.remove_node_address("eth1", "192.168.88.2");
  node.settle();
  CHECK(node.kernel.text() == before);
}

TEST_CASE("churn leaves nothing behind") {
  FakeNode node;
  node.apply(cluster_ip_service("stays", "10.96.0.1"));
  node.start();
  const auto before = node.kernel.text();
  const auto size = node.reconciler->ledger().actual_size();
  for (int i = 0; i < 200; ++i) {
    node.apply(cluster_ip_service("churn", "10.96.0.9"));
    node.apply(slice("churn", {endpoint("10.244.1.1")}));
    if (i % 3 != 0) node.settle();
    node.remove(Kind::service, {"default", "churn"});
    node.remove(Kind::endpoint_slice, {"default", "churn-a"});
    node.settle();
  }
  CHECK(node.kernel.text() == before);
  CHECK(node.reconciler->ledger().actual_size() == size);
  CHECK(node.reconciler->ledger().server_count() == 1);
}

TEST_CASE("the time of a change counts when all of the Service is written, once") {
  FakeNode node;
  node.apply(cluster_ip_service("web", "10.96.0.1"));
  node.start();
  node.reconciler->note_changes_since({});
  bool faulty = true;
  node.kernel.fault = [&](const Operation& operation) -> std::optional<FakeKernel::Fault> {
    if (!faulty || !std::holds_alternative<DestinationOf>(operation.target)) return {};
    return FakeKernel::Fault{{Errc::denied, EPERM, "fault"}, false};
  };
  const ClusterState::TriggerTime time(std::chrono::seconds(1714557600));
  auto web = slice("web", {endpoint("10.244.1.1")});
  web.triggered = time;
  node.apply(web);
  for (int i = 0; i < 5; ++i) (void)node.reconciler->step(node.now);
  CHECK(node.reconciler->take_written().empty());
  faulty = false;
  node.settle();
  const auto written = node.reconciler->take_written();
  REQUIRE(written.size() == 1);
  CHECK(written[0].time == time);
  CHECK(written[0].family == Family::ipv4);

  // The annotation alone is no change; without a later one there is nothing to measure.
  web.triggered = time + std::chrono::seconds(9);
  node.apply(web);
  web.endpoints.push_back(endpoint("10.244.1.2"));
  web.triggered.reset();
  node.apply(web);
  node.settle();
  CHECK(node.reconciler->take_written().empty());
  // The end of a slice discards what was measured for the Service.
  web.endpoints.pop_back();
  web.triggered = time;
  node.apply(web);
  node.remove(Kind::endpoint_slice, web.key);
  node.settle();
  CHECK(node.reconciler->take_written().empty());
}

TEST_CASE("notices name the Service that lost a frontend, and the one with endpoints of a wrong family") {
  FakeNode node;
  auto older = cluster_ip_service("older", "10.96.0.1");
  auto younger = cluster_ip_service("younger", "10.96.0.1");
  younger.created = older.created + std::chrono::seconds(1);
  younger.uid = "uid-of-younger";
  node.apply(older);
  node.apply(younger);
  auto mixed = slice("older", {endpoint("10.244.1.1")});
  mixed.wrong_family = ip("fd00::1");
  node.apply(mixed);
  node.start();
  const auto notices = node.reconciler->take_notices();
  REQUIRE(notices.size() == 2);
  CHECK(notices[0].kind == ServiceNotice::Kind::conflict);
  CHECK(notices[0].uid == "uid-of-younger");
  CHECK_THAT(notices[0].text, Catch::StartsWith("10.96.0.1:80/TCP: Service default/younger and the older Service "));
  CHECK(notices[1].kind == ServiceNotice::Kind::wrong_family);
  CHECK(notices[1].service.name == "older");
  CHECK_THAT(notices[1].text, Catch::StartsWith("endpoint fd00::1 of Service default/older is left out: "));
  mixed.endpoints.push_back(endpoint("10.244.1.2"));
  node.apply(mixed);
  node.settle();
  CHECK(node.reconciler->take_notices().empty());
}
