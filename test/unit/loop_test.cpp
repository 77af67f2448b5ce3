// The loop itself, against the fake kernel: what wakes it, what it waits for, how it ends.
#include <sys/eventfd.h>
#include <catch2/catch.hpp>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "daemon/kernel/conntrack_hash.hpp"
#include "daemon/kernel/sysctls.hpp"
#include "daemon/loop/loop.hpp"
#include "daemon/loop/rules_keeper.hpp"
#include "daemon/loop/sole_writer.hpp"
#include "test/fake/fake_kernel.hpp"
#include "test/unit/objects.hpp"

using namespace ipvsd;
using namespace ipvsd::test;

namespace {

struct Running {
  explicit Running(
      Reconciler::Log warn = [](const std::string&) {}, std::size_t object_limit = default_object_limit)
      : reconciler(kernel, Policy{{"rr", 0}, "here"}, std::nullopt, 1, std::move(warn), 256, object_limit) {}

  FakeKernel kernel;
  Reconciler reconciler;
  Inbox inbox;
  HealthState health{Moment::now()};
  Metrics metrics{"test"};
  Fd signals{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::atomic<bool> rules_in_place = true;
  std::atomic<bool> alone = true;

  Result<void> run(bool once) {
    REQUIRE(reconciler.start());
    Loop::Parts parts{reconciler,
                      kernel,
                      inbox,
                      health,
                      metrics,
                      signals.get(),
                      [this] { return rules_in_place.load(); },
                      [](const Node*) {},
                      [] { return std::vector<WatchStatus>{}; }};
    parts.alone = [this] { return alone.load(); };
    Loop loop(std::move(parts), {.once = once});
    return loop.run();
  }
  // The first complete view is in the kernel.
  [[nodiscard]] bool synced() const {
    return metrics.text().find("sync_proxy_rules_last_timestamp_seconds{ip_family=\"IPv4\"} 0\n") == std::string::npos;
  }
  void push_everything() {
    for (const auto kind : {Kind::service, Kind::endpoint_slice, Kind::node}) {
      inbox.push({ReplaceBegin{kind}});
      if (kind == Kind::service) inbox.push({Upsert{cluster_ip_service("web", "10.96.0.1")}});
      if (kind == Kind::endpoint_slice) inbox.push({Upsert{slice("web", {endpoint("10.244.1.1")})}});
      inbox.push({ReplaceEnd{kind}});
    }
  }
};

}  // namespace

TEST_CASE("once: everything is in the kernel when the loop ends") {
  Running running;
  running.push_everything();
  REQUIRE(running.run(true));
  CHECK(running.kernel.text().find("destination 10.244.1.1:8080 of 10.96.0.1:80/TCP weight 1") != std::string::npos);
  CHECK(running.synced());
  CHECK_THAT(running.metrics.text(), Catch::Contains("kube_ipvsd_watch_lists_total{resource=\"services\"} 1"));
  CHECK_THAT(running.metrics.text(),
             Catch::Contains("kube_ipvsd_operations_total{object=\"virtual_server\",result=\"ok\",verb=\"add\"} 1"));
}

TEST_CASE("nothing is written before the rules are in place, and a wake-up tells that they are") {
  Running running;
  running.rules_in_place = false;
  running.push_everything();
  std::thread loop([&] { REQUIRE(running.run(true)); });
  running.rules_in_place = true;
  running.inbox.wake();
  loop.join();
  CHECK_FALSE(running.kernel.take_log().empty());
}

TEST_CASE("health waits while nothing at all can be written, and not for a Service that cannot") {
  for (const bool all : {true, false}) {
    Running running;
    running.push_everything();
    for (int i = 1; i <= 9; ++i)
      running.inbox.push({Upsert{cluster_ip_service("s" + std::to_string(i), "10.96.1." + std::to_string(i))}});
    running.kernel.fault = [&](const Operation& operation) -> std::optional<FakeKernel::Fault> {
      const auto* server = std::get_if<VirtualServer>(&operation.target);
      if (!all && (server == nullptr || server->key != tcp("10.96.1.3"))) return {};
      return FakeKernel::Fault{{Errc::denied, EPERM, "fault"}, false};
    };
    const auto ended = running.run(true);
    REQUIRE_FALSE(ended);
    CHECK_THAT(ended.error().message(), Catch::Contains(all ? "objects could not be written" : "1 objects could not"));
    CHECK(running.synced() == !all);
    auto later = Moment::now();
    later.steady += std::chrono::seconds(61);
    CHECK(running.health.answer(later).healthy == !all);
  }
}

TEST_CASE("metrics tell what waits, what lacks local endpoints, and how long changes took") {
  Running running;
  const auto now = std::chrono::time_point_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now());
  running.health.set_node_eligible(true);
  running.push_everything();
  auto service = cluster_ip_service("web", "10.96.0.1");
  service.internal_policy = TrafficPolicy::local;
  auto old = slice("web", {endpoint("10.244.1.1")});
  old.triggered = now - std::chrono::hours(1);  // before this process
  auto triggered = slice("web", {endpoint("10.244.1.2")}, "b");
  triggered.triggered = now + std::chrono::seconds(3);
  auto orphan = slice("nobody", {endpoint("10.244.1.3")});
  orphan.triggered = now;
  running.inbox.push({Upsert{service}, Upsert{old}, Upsert{triggered}, Upsert{orphan}});
  REQUIRE(running.run(true));
  const auto text = running.metrics.text();
  CHECK_THAT(text, Catch::Contains("kubeproxy_network_programming_duration_seconds_count{ip_family=\"IPv4\"} 1\n") &&
                       Catch::Contains("kubeproxy_network_programming_duration_seconds_count{ip_family=\"IPv6\"} 0\n"));
  CHECK_THAT(text, Catch::Contains("no_local_endpoints_total{ip_family=\"IPv4\",traffic_policy=\"internal\"} 1\n") &&
                       Catch::Contains("no_local_endpoints_total{ip_family=\"IPv6\",traffic_policy=\"internal\"} 0\n"));
  CHECK_THAT(text, Catch::Contains("endpoint_changes_pending 0\n") && Catch::Contains("service_changes_pending 0\n"));
}

TEST_CASE("objects beyond the limit are counted, told once, and hold nothing up") {
  std::vector<std::string> told;
  Running running([&](const std::string& line) { told.push_back(line); }, 2);
  running.push_everything();
  for (const auto* name : {"b", "c", "d"}) running.inbox.push({Upsert{cluster_ip_service(name, "10.96.0.2")}});
  running.inbox.push({Upsert{slice("web", {endpoint("10.244.1.2")})}});
  REQUIRE(running.run(true));
  CHECK_THAT(running.metrics.text(), Catch::Contains("rejected_objects_total{resource=\"services\"} 2\n"));
  CHECK(told == std::vector<std::string>{
                    "Service default/c: left out, because 2 objects of its kind are held, which is the limit; it and "
                    "others that are come in with their next change once some have gone"});
  CHECK(running.kernel.text().find("destination 10.244.1.2:8080 of 10.96.0.1:80/TCP weight 1") != std::string::npos);
}

TEST_CASE("the metric of conflicts counts the frontends that two Services claim") {
  Running running;
  running.push_everything();
  auto older = cluster_ip_service("older", "10.96.0.2");
  auto younger = cluster_ip_service("younger", "10.96.0.3");
  older.external_ips = younger.external_ips = {ip("203.0.113.8")};
  running.inbox.push({Upsert{older}, Upsert{younger}});
  REQUIRE(running.run(true));
  CHECK_THAT(running.metrics.text(), Catch::Contains("kube_ipvsd_conflicts 1\n"));
}

TEST_CASE("an API server that is slow to answer turns no health red, rules that cannot be written do") {
  Running running;
  running.rules_in_place = false;
  Node node;
  node.name = "here";
  std::thread loop([&] { REQUIRE(running.run(false)); });
  const auto healthy = [&] {
    auto later = Moment::now();
    later.steady += std::chrono::minutes(10);
    return running.health.answer(later).healthy;
  };
  const auto within = [](auto condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    return condition();
  };
  const auto eligible = [&] { return running.health.answer(Moment::now()).eligible; };
  // Node events before the first complete view wait for nothing.
  node.eligible = false;
  running.inbox.push({Upsert{node}});
  const bool tainted = within([&] { return !eligible(); });
  const bool healthy_before = healthy();
  node.eligible = true;
  running.inbox.push({Upsert{node}});
  const bool untainted = within(eligible);
  // The Node's deletion leaves it as it was last.
  node.eligible = false;
  running.inbox.push({Upsert{node}});
  running.inbox.push({Remove{Kind::node, {"", "here"}}});
  const bool deleted = within([&] { return !eligible(); });
  running.push_everything();
  const bool red = within([&] { return !healthy(); });
  running.rules_in_place = true;
  running.inbox.wake();
  const bool green = within([&] { return running.synced() && healthy(); });
  ::eventfd_write(running.signals.get(), 1);
  loop.join();
  CHECK(tainted);
  CHECK(healthy_before);
  CHECK(untainted);
  CHECK(deleted);
  CHECK(red);
  CHECK(green);
  CHECK_FALSE(eligible());
}

TEST_CASE("changes are pending until they are written") {
  Running running;
  running.rules_in_place = false;
  running.push_everything();
  std::thread loop([&] { REQUIRE(running.run(false)); });
  const auto becomes = [&](const std::string& text) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (running.metrics.text().find(text) == std::string::npos)
      if (std::chrono::steady_clock::now() > deadline) return false;
    return true;
  };
  const bool pend = becomes("endpoint_changes_pending 1\n") && becomes("service_changes_pending 1\n");
  running.rules_in_place = true;
  running.inbox.wake();
  const bool written = becomes("endpoint_changes_pending 0\n") && becomes("service_changes_pending 0\n");
  ::eventfd_write(running.signals.get(), 1);
  loop.join();
  CHECK(pend);
  CHECK(written);
}

TEST_CASE("a signal ends the loop, and what is in the kernel stays") {
  Running running;
  running.push_everything();
  std::thread loop([&] { REQUIRE(running.run(false)); });
  // Synced means written.
  while (!running.synced()) std::this_thread::yield();
  ::eventfd_write(running.signals.get(), 1);
  loop.join();
  CHECK(running.kernel.text().find("address 10.96.0.1") != std::string::npos);
}

TEST_CASE("the inbox holds a fast reader back, and lets go when the loop has ended") {
  Inbox inbox(2);
  inbox.push({ReplaceBegin{Kind::service}, ReplaceEnd{Kind::service}});
  std::atomic<int> pushed = 0;
  std::thread reader([&] {
    inbox.push({ReplaceBegin{Kind::node}});
    ++pushed;
    inbox.push({ReplaceBegin{Kind::node}, ReplaceEnd{Kind::node}});
    ++pushed;
    inbox.push({ReplaceBegin{Kind::node}});
    ++pushed;
  });
  std::size_t taken = 0;
  while (taken < 5) taken += inbox.take().size();
  CHECK(taken == 5);
  inbox.close();
  reader.join();
  CHECK(pushed == 3);
}

TEST_CASE("sysctls by configuration and kernel") {
  Config config;
  config.conntrack.max_per_core = 1000;
  config.conntrack.min = 5000;
  config.ipvs.strict_arp = true;
  const auto wanted = wanted_sysctls(config, {6, 1}, 2);
  CHECK(wanted[0] == Sysctl{"net/ipv4/vs/conntrack", 1, false});
  CHECK(std::find(wanted.begin(), wanted.end(), Sysctl{"net/netfilter/nf_conntrack_max", 5000, true}) != wanted.end());
  CHECK(std::find(wanted.begin(), wanted.end(), Sysctl{"net/ipv4/conf/all/arp_announce", 2, false}) != wanted.end());
  const auto has_reuse = [&](KernelVersion kernel) {
    const auto all = wanted_sysctls(config, kernel, 2);
    return std::any_of(all.begin(), all.end(), [](const Sysctl& s) { return s.path == "net/ipv4/vs/conn_reuse_mode"; });
  };
  CHECK(has_reuse({5, 4}));
  CHECK_FALSE(has_reuse({5, 9}));
  CHECK_FALSE(has_reuse({3, 10}));
  CHECK(parse_kernel_version("6.1.0-18-amd64") == KernelVersion{6, 1});
  CHECK(parse_kernel_version("5.15") == KernelVersion{5, 15});
  CHECK(parse_kernel_version("x") == KernelVersion{});
  CHECK(parse_kernel_version("") == KernelVersion{});
}

TEST_CASE("sysctls are written where they differ, and told where they cannot be") {
  char directory[] = "/tmp/sysctl.XXXXXX";
  REQUIRE(::mkdtemp(directory) != nullptr);
  const std::string root = directory;
  std::ofstream(root + "/small") << "1\n";
  std::ofstream(root + "/large") << "100\n";
  std::vector<std::string> warnings;
  apply_sysctls(
      {{"small", 5, false}, {"large", 50, true}, {"missing/one", 7, false}},
      [&](const std::string& text) { warnings.push_back(text); }, root);
  std::string small;
  std::string large;
  std::ifstream(root + "/small") >> small;
  std::ifstream(root + "/large") >> large;
  CHECK(small == "5");
  CHECK(large == "100");
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].find("sysctl missing.one is unreadable and cannot be set") == 0);
  CHECK(warnings[0].find("it must be 7") != std::string::npos);
}

TEST_CASE("the conntrack hash table is raised, never lowered, and a read-only /sys is told apart") {
  char directory[] = "/tmp/conntrack.XXXXXX";
  REQUIRE(::mkdtemp(directory) != nullptr);
  const std::string root = directory;
  const std::string parameters = root + "/sys/module/nf_conntrack/parameters";
  CHECK(raise_conntrack_hash(4000, root).error().code == Errc::not_found);
  std::filesystem::create_directories(parameters);
  std::filesystem::create_directories(root + "/proc");
  const auto size = [&] {
    std::uint64_t value = 0;
    std::ifstream(parameters + "/hashsize") >> value;
    return value;
  };
  std::ofstream(parameters + "/hashsize") << "1024\n";
  std::ofstream(root + "/proc/mounts") << "sysfs /sys sysfs ro,nosuid 0 0\nproc /proc proc rw 0 0\n";
  const auto refused = raise_conntrack_hash(131072, root);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().sys_errno == EROFS);
  CHECK_THAT(refused.error().message(), Catch::Contains("has 1024 buckets and should have 32768"));
  CHECK(raise_conntrack_hash(4096, root));  // large enough as it is
  std::ofstream(root + "/proc/mounts", std::ios::app) << "sysfs /sys sysfs rw,nosuid 0 0\n";
  REQUIRE(raise_conntrack_hash(131072, root));
  CHECK(size() == 32768);
  REQUIRE(raise_conntrack_hash(4096, root));
  CHECK(size() == 32768);
  std::filesystem::remove_all(root);
}

TEST_CASE("one writer: a second claim waits for the first to end, and both for another proxy") {
  std::optional<std::string> proxy = "kube-proxy answers";
  const auto other = [&] { return proxy; };
  const std::string name = "kube-ipvsd-test-" + std::to_string(::getpid());
  std::optional<SoleWriter> first(std::in_place, other, name);
  SoleWriter second(other, name);
  CHECK(first->claim() == proxy);
  proxy.reset();
  CHECK_FALSE(first->claim());
  CHECK(second.claim() == "another kube-ipvsd runs in this network namespace");
  first.reset();
  CHECK_FALSE(second.claim());
}

TEST_CASE("what counts as local for masquerading") {
  Config config;
  config.masquerade_bit = 3;
  config.cluster_cidrs = {*Cidr::parse("10.244.0.0/16"), *Cidr::parse("fd00:10:244::/56")};
  CHECK(rules_config(config, nullptr, Family::ipv4).masquerade_mark == 8);
  CHECK(rules_config(config, nullptr, Family::ipv4).local_match == "! -s 10.244.0.0/16");
  CHECK(rules_config(config, nullptr, Family::ipv6).local_match == "! -s fd00:10:244::/56");
  config.detect_local_mode = DetectLocalMode::interface_name_prefix;
  config.interface_name_prefix = "veth";
  CHECK(rules_config(config, nullptr, Family::ipv4).local_match == "! -i veth+");
  config.detect_local_mode = DetectLocalMode::node_cidr;
  CHECK_FALSE(rules_config(config, nullptr, Family::ipv4).local_match);
  Node node;
  node.pod_cidrs = {*Cidr::parse("10.244.1.0/24")};
  CHECK(rules_config(config, &node, Family::ipv4).local_match == "! -s 10.244.1.0/24");
  CHECK_FALSE(rules_config(config, &node, Family::ipv6).local_match);
}

TEST_CASE("Service CIDRs are closed while they have a route, whatever the mode") {
  Config config;
  const auto v4 = *Cidr::parse("10.96.0.0/16");
  const auto v6 = *Cidr::parse("fd00:10:96::/112");
  config.own.service_cidrs = {v4};
  CHECK(rules_config(config, nullptr, Family::ipv4).service_cidrs.empty());
  CHECK(rules_config(config, nullptr, Family::ipv4, {v4, v6}).service_cidrs == std::vector{v4});
  CHECK(rules_config(config, nullptr, Family::ipv6, {v4, v6}).service_cidrs == std::vector{v6});
  config.own.service_addresses = ServiceAddresses::route;
  CHECK(rules_config(config, nullptr, Family::ipv4, {v4, v6}).service_cidrs == std::vector{v4});
  CHECK(rules_config(config, nullptr, Family::ipv6).service_cidrs.empty());
}

TEST_CASE("while another proxy lives nothing is written; after it, all is put right") {
  Running running;
  running.push_everything();
  running.alone = false;
  std::thread loop([&] { REQUIRE(running.run(false)); });
  const auto operations = [&] {
    return running.metrics.text().find(
               "kube_ipvsd_operations_total{object=\"virtual_server\",result=\"ok\",verb=\"add\"} 1") !=
           std::string::npos;
  };
  const auto listed = [&] {
    return running.metrics.text().find("kube_ipvsd_watch_lists_total{resource=\"nodes\"} 1") != std::string::npos;
  };
  const auto within = [&](const auto& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    return condition();
  };
  // The lists have been taken, and in the same round nothing was made of them.
  CHECK(within(listed));
  CHECK_FALSE(operations());
  running.alone = true;
  running.inbox.wake();
  CHECK(within(operations));
  const std::uint64_t one = 1;
  REQUIRE(::write(running.signals.get(), &one, sizeof one) == sizeof one);
  loop.join();
}
