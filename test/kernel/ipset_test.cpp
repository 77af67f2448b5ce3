// Needs root and a network namespace of its own: it creates and destroys the sets and rules of the daemon.
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>

#include "ipset/audit.hpp"
#include "ipset/iptables.hpp"
#include "ipset/sets.hpp"
#include "os/process.hpp"

using namespace ipvsd;

namespace {

constexpr IpSet cluster_ip{SetKind::cluster_ip, Family::ipv4};
constexpr IpSet cluster_ip6{SetKind::cluster_ip, Family::ipv6};

std::string run(const std::vector<std::string>& argv) {
  const auto result = run_process(argv, "", std::chrono::seconds(20));
  REQUIRE(result);
  INFO(fmt::format("{} {} {}: {}", argv[0], argv[1], argv.back(), result->err));
  REQUIRE(result->exit_status == 0);
  return result->out;
}

SetEntry entry(IpSet set, std::string_view element) {
  const auto parsed = parse_element(set, element);
  REQUIRE(parsed);
  return *parsed;
}

Operation add(const SetEntry& what) { return {Verb::add, what}; }
Operation remove(const SetEntry& what) { return {Verb::remove, what}; }

std::string messages(const std::vector<Failure>& failures) {
  std::string text;
  for (const auto& failure : failures) text += fmt::format("{}: {}\n", failure.index, failure.error.message());
  return text;
}

std::vector<SetEntry> sorted(std::vector<SetEntry> entries) {
  std::sort(entries.begin(), entries.end());
  return entries;
}

// Distinct ip,port entries.
SetEntry numbered(std::uint32_t n) {
  return entry(cluster_ip, fmt::format("10.{}.{}.{},tcp:80", n >> 16 & 255, n >> 8 & 255, n & 255));
}

// These tests destroy the sets and rules of a real node: a namespace with a link that is up is none of theirs.
void refuse_shared_namespace() {
  ifaddrs* links = nullptr;
  REQUIRE(::getifaddrs(&links) == 0);
  std::string up;
  for (const auto* link = links; link != nullptr; link = link->ifa_next)
    if ((link->ifa_flags & IFF_UP) != 0 && (link->ifa_flags & IFF_LOOPBACK) == 0) up = link->ifa_name;
  ::freeifaddrs(links);
  if (up.empty()) return;
  fmt::print("skipped: needs a network namespace of its own, and link {} is up here\n", up);
  std::exit(77);  // "skipped" to meson
}

IpSets open_fresh(std::uint32_t maxelem = initial_maxelem) {
  refuse_shared_namespace();
  auto sets = IpSets::open(maxelem);
  if (!sets) FAIL(sets.error().message());
  REQUIRE(sets->destroy_all());
  return std::move(*sets);
}

// The backends that work here for IPv4: a kernel may have only one.
std::vector<IptablesBackend> working_backends() {
  refuse_shared_namespace();
  std::vector<IptablesBackend> working;
  for (const auto backend : {IptablesBackend::nft, IptablesBackend::legacy}) {
    const std::string name = fmt::format("iptables-{}", to_string(backend));
    const auto created = run_process({name, "-t", "nat", "-N", "TEST"}, "", std::chrono::seconds(20));
    if (!created || created->exit_status != 0) continue;
    run({name, "-t", "nat", "-X", "TEST"});
    working.push_back(backend);
  }
  return working;
}

std::string program(IptablesBackend backend, Family family) {
  return fmt::format("{}-{}", family == Family::ipv4 ? "iptables" : "ip6tables", to_string(backend));
}

// Rules neither in our chains nor leading there.
std::vector<std::string> foreign_rules(Iptables& iptables, Family family) {
  const auto text = iptables.save(family);
  REQUIRE(text);
  const auto tables = parse_save(*text);
  REQUIRE(tables);
  std::vector<std::string> rules;
  for (const auto& table : *tables)
    for (const auto& rule : table.rules)
      if (rule.rule.find("\" -j KUBE-") == std::string::npos && !rule.chain.starts_with("KUBE-"))
        rules.push_back(fmt::format("{} {} {}", table.name, rule.chain, rule.rule));
  return rules;
}

template <class T>
T value(Result<T> result) {
  if (!result) FAIL(result.error().message());
  return std::move(*result);
}
void succeed(const Result<void>& result) {
  if (!result) FAIL(result.error().message());
}

}  // namespace

TEST_CASE("all sets are created as kube-proxy creates them, once") {
  auto sets = open_fresh();
  for (int pass = 0; pass < 2; ++pass) {
    const auto created = sets.create_all();
    INFO((created ? "" : created.error().message()));
    REQUIRE(created);
  }
  const auto saved = run({"ipset", "save"});
  CHECK(saved.find("create KUBE-CLUSTER-IP hash:ip,port family inet hashsize 1024 maxelem 65536 ") !=
        std::string::npos);
  CHECK(
      saved.find("create KUBE-6-LOAD-BALANCER-SOURCE-CID hash:ip,port,net family inet6 hashsize 1024 maxelem 65536 ") !=
      std::string::npos);
  CHECK(saved.find("create KUBE-6-NODE-PORT-TCP bitmap:port range 0-65535\n") != std::string::npos);
  CHECK(std::count(saved.begin(), saved.end(), '\n') == 38);
  const auto all = sets.list_all();
  REQUIRE(all);
  CHECK(all->empty());

  CHECK(sets.destroy_all());
  CHECK(run({"ipset", "save"}).empty());
  CHECK(sets.list(cluster_ip).error().code == Errc::not_found);
}

TEST_CASE("sets that do not exist are left out of a listing") {
  auto sets = open_fresh();
  const auto none = sets.list_all();
  INFO((none ? "" : none.error().message()));
  REQUIRE(none);
  CHECK(none->empty());
  run({"ipset", "create", "KUBE-6-CLUSTER-IP", "hash:ip,port", "family", "inet6"});
  run({"ipset", "add", "KUBE-6-CLUSTER-IP", "fd00::1,tcp:80"});
  const auto one = sets.list_all();
  REQUIRE(one);
  CHECK(*one == std::vector{entry(cluster_ip6, "fd00::1,tcp:80")});
}

TEST_CASE("a set of the same name and another kind is refused, of another size accepted") {
  auto sets = open_fresh();
  SECTION("type") { run({"ipset", "create", "KUBE-CLUSTER-IP", "hash:ip"}); }
  SECTION("family") { run({"ipset", "create", "KUBE-CLUSTER-IP", "hash:ip,port", "family", "inet6"}); }
  SECTION("timeout") { run({"ipset", "create", "KUBE-CLUSTER-IP", "hash:ip,port", "timeout", "10"}); }
  SECTION("range") { run({"ipset", "create", "KUBE-NODE-PORT-TCP", "bitmap:port", "range", "0-1023"}); }
  SECTION("size") {
    run({"ipset", "create", "KUBE-CLUSTER-IP", "hash:ip,port", "maxelem", "131072", "counters", "comment", "skbinfo"});
    CHECK(sets.create_all());
    run({"ipset", "add", "KUBE-CLUSTER-IP", "10.96.0.1,tcp:80", "comment", "it is \\ odd", "packets", "3"});
    const auto entries = sets.list(cluster_ip);
    REQUIRE(entries);
    CHECK(*entries == std::vector{entry(cluster_ip, "10.96.0.1,tcp:80")});
    CHECK(sets.destroy_all());
    return;
  }
  const auto created = sets.create_all();
  REQUIRE_FALSE(created);
  CHECK(created.error().code == Errc::already_exists);
  INFO(created.error().message());
  CHECK(created.error().context.find("must be") != std::string::npos);
  CHECK(created.error().context.find("ipset destroy KUBE-") != std::string::npos);
  CHECK(sets.destroy_all());
}

TEST_CASE("entries of all sets are listed as they were added, and go again") {
  auto sets = open_fresh();
  REQUIRE(sets.create_all());
  std::vector<SetEntry> entries;
  for (const auto& set : all_ip_sets()) {
    const auto address = *IpAddress::parse(set.family == Family::ipv4 ? "10.96.0.1" : "fd00:10:96::1");
    const auto second = *IpAddress::parse(set.family == Family::ipv4 ? "198.51.100.7" : "2001:db8::7");
    for (const auto port : std::array<std::uint16_t, 3>{1, 53, 65535}) {
      switch (set.type()) {
        case SetType::bitmap_port: entries.push_back(bitmap_entry(set, Port{port})); break;
        case SetType::hash_ip: entries.push_back(ip_entry(set, address)); break;
        case SetType::hash_ip_port:
          for (const auto protocol : {Protocol::tcp, Protocol::udp, Protocol::sctp})
            entries.push_back(ip_port_entry(set, address, protocol, Port{port}));
          break;
        case SetType::hash_ip_port_ip:
          entries.push_back(ip_port_ip_entry(set, address, Protocol::udp, Port{port}, second));
          break;
        case SetType::hash_ip_port_net:
          for (const std::uint8_t prefix : {std::uint8_t{1}, std::uint8_t{24}, second.max_prefix()})
            entries.push_back(ip_port_net_entry(set, address, Protocol::tcp, Port{port}, Cidr::of(second, prefix)));
          break;
      }
    }
  }
  entries = sorted(std::move(entries));
  entries.erase(std::unique(entries.begin(), entries.end()), entries.end());

  std::vector<Operation> operations;
  for (const auto& one : entries) operations.push_back(add(one));
  for (int pass = 0; pass < 2; ++pass) {
    CHECK(messages(sets.execute(operations)).empty());
    const auto listed = sets.list_all();
    REQUIRE(listed);
    CHECK(sorted(*listed) == entries);
  }
  for (auto& operation : operations) operation.verb = Verb::remove;
  for (int pass = 0; pass < 2; ++pass) {
    CHECK(messages(sets.execute(operations)).empty());
    CHECK(sets.list_all()->empty());
  }
  CHECK(sets.destroy_all());
}

TEST_CASE("operations on one entry are performed in their order") {
  auto sets = open_fresh();
  REQUIRE(sets.create_all());
  const auto one = entry(cluster_ip, "10.96.0.1,tcp:80");
  const auto two = entry(cluster_ip6, "fd00::1,tcp:80");
  CHECK(sets.execute(std::vector{add(one), add(two), remove(one), add(one), remove(two)}).empty());
  CHECK(*sets.list_all() == std::vector{one});
  CHECK(sets.execute(std::vector{remove(one), add(two), add(two)}).empty());
  CHECK(*sets.list_all() == std::vector{two});
  CHECK(sets.execute({}).empty());
  CHECK(sets.destroy_all());
}

TEST_CASE("what the kernel refuses is reported, and the rest is done") {
  auto sets = open_fresh();
  REQUIRE(sets.create_all());
  const IpSet cidrs{SetKind::load_balancer_source_cidr, Family::ipv4};
  auto whole_world = entry(cidrs, "203.0.113.1,tcp:80,198.51.100.0/24");
  whole_world.prefix = 0;
  std::vector<Operation> operations;
  std::vector<SetEntry> expected;
  std::vector<std::size_t> refused;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    if (i % 250 == 100 || i == 999 || i == 351) {
      refused.push_back(operations.size());
      operations.push_back(add(whole_world));
    } else {
      expected.push_back(i % 2 == 0 ? numbered(i) : entry(cidrs, fmt::format("203.0.113.1,tcp:{},198.51.100.0/24", i)));
      operations.push_back(add(expected.back()));
    }
  }
  const auto failures = sets.execute(operations);
  std::vector<std::size_t> failed;
  for (const auto& failure : failures) failed.push_back(failure.index);
  INFO(messages(failures));
  CHECK(failed == refused);
  CHECK(sorted(*sets.list_all()) == sorted(expected));

  run({"ipset", "destroy", "KUBE-CLUSTER-IP"});
}

TEST_CASE("entries of a missing set fail alone") {
  auto sets = open_fresh();
  REQUIRE(sets.create_all());
  run({"ipset", "destroy", "KUBE-CLUSTER-IP"});
  const auto kept = entry(cluster_ip6, "fd00::1,tcp:80");
  const auto failures = sets.execute(std::vector{add(numbered(1)), add(numbered(2)), add(kept), remove(numbered(1))});
  INFO(messages(failures));
  REQUIRE(failures.size() == 3);
  CHECK(failures[0].error.code == Errc::not_found);
  CHECK(failures[1].index == 1);
  CHECK(failures[2].index == 3);
  CHECK(*sets.list(cluster_ip6) == std::vector{kept});
  CHECK(sets.destroy_all());
}

TEST_CASE("a full set grows under the rules that refer to it") {
  auto sets = open_fresh(64);
  REQUIRE(sets.create_all());
  std::vector<Operation> operations;
  std::vector<SetEntry> expected;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    expected.push_back(numbered(i));
    operations.push_back(add(expected.back()));
    if (i % 100 == 0) {
      expected.push_back(entry({SetKind::node_port_tcp, Family::ipv4}, std::to_string(30000 + i)));
      operations.push_back(add(expected.back()));
    }
  }
  const auto failures = sets.execute(operations);
  INFO(messages(failures));
  CHECK(failures.empty());
  CHECK(sorted(*sets.list_all()) == sorted(expected));
  // Nothing temporary stays, and a restart takes the grown set as it is.
  CHECK(run({"ipset", "list", "-n"}).find("KUBE-TMP") == std::string::npos);
  auto again = IpSets::open();
  REQUIRE(again);
  CHECK(again->create_all());
  CHECK(again->list(cluster_ip)->size() == 1000);
  CHECK(sets.destroy_all());
}

TEST_CASE("more entries than the usual size fit") {
  auto sets = open_fresh();
  REQUIRE(sets.create_all());
  std::vector<Operation> operations;
  for (std::uint32_t i = 0; i < 70000; ++i) operations.push_back(add(numbered(i)));
  CHECK(messages(sets.execute(operations)).empty());
  CHECK(sets.list(cluster_ip)->size() == 70000);
  CHECK(run({"ipset", "list", "-t", "KUBE-CLUSTER-IP"}).find("maxelem 131072") != std::string::npos);
  CHECK(sets.destroy_all());
}

TEST_CASE("what an interrupted growth left behind is destroyed") {
  auto sets = open_fresh();
  for (const bool wanted : {true, false}) {
    run({"ipset", "create", "KUBE-TMP-6-1", "hash:ip,port", "family", "inet6"});
    succeed(wanted ? sets.create_all() : sets.destroy_all());
    CHECK(run({"ipset", "list", "-n"}).find("KUBE-TMP") == std::string::npos);
  }
  CHECK(run({"ipset", "list", "-n"}).empty());
}

TEST_CASE("a listing that is not understood is an error, not a shorter list") {
  auto sets = open_fresh();
  REQUIRE(sets.create_all());
  run({"ipset", "add", "KUBE-LOAD-BALANCER-SOURCE-CIDR", "203.0.113.1,tcp:80,198.51.100.0/24", "nomatch"});
  run({"ipset", "add", "KUBE-CLUSTER-IP", "203.0.113.1,icmp:echo-request"});
  const auto nets = sets.list({SetKind::load_balancer_source_cidr, Family::ipv4});
  REQUIRE_FALSE(nets);
  CHECK(nets.error().code == Errc::malformed);
  CHECK(nets.error().context.find("nomatch") != std::string::npos);
  const auto ports = sets.list(cluster_ip);
  REQUIRE_FALSE(ports);
  CHECK(ports.error().context.find("KUBE-CLUSTER-IP") != std::string::npos);
  CHECK(sets.destroy_all());
}

TEST_CASE("rules are written once, found again, repaired and removed") {
  auto sets = open_fresh();
  succeed(sets.create_all());
  const auto backends = working_backends();
  REQUIRE_FALSE(backends.empty());
  for (const auto backend : backends) {
    for (const auto family : families) {
      const auto name = program(backend, family);
      INFO(name);
      Iptables iptables(backend);
      run({name, "-t", "nat", "-A", "POSTROUTING", "-m", "comment", "--comment", "not ours: -j KUBE-SERVICES", "-j",
           "ACCEPT"});
      run({name, "-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "ACCEPT"});
      run({name, "-N", "KUBE-FIREWALL"});
      const auto foreign = foreign_rules(iptables, family);
      CHECK(foreign.size() == 2);

      RulesConfig config;
      for (const auto& match : {std::optional<std::string>{}, std::optional(not_from(*Cidr::parse("10.244.0.0/16"))),
                                std::optional(not_from(*Cidr::parse("10.244.0.1/32"))),
                                std::optional(not_from(*Cidr::parse("fd00:10:244::/56"))),
                                std::optional(*not_via("cni+")), std::optional(*not_via("br-0.1"))}) {
        if (match && match->starts_with("! -s") && (match->find(':') != std::string::npos) != (family == Family::ipv6))
          continue;
        config.local_match = match;
        INFO(match.value_or("no local detector"));
        CHECK(value(iptables.ensure(family, config)).wrote);
        CHECK_FALSE(value(iptables.ensure(family, config)).wrote);
      }
      config.masquerade_all = true;
      config.masquerade_mark = 0x80000000;
      config.random_fully = false;
      CHECK(value(iptables.ensure(family, config)).wrote);
      CHECK_FALSE(value(iptables.ensure(family, config)).wrote);

      // Somebody removes a jump, another rule is in front, and a rule goes.
      run({name, "-D", "INPUT", "-m", "comment", "--comment", "kube-proxy firewall rules", "-j",
           "KUBE-PROXY-FIREWALL"});
      run({name, "-t", "nat", "-F", "KUBE-SERVICES"});
      CHECK(value(iptables.ensure(family, config)).wrote);
      const auto input = run({name, "-S", "INPUT"});
      CHECK(input.find("KUBE-PROXY-FIREWALL") < input.find("KUBE-IPVS-FILTER"));
      CHECK_FALSE(value(iptables.ensure(family, config)).wrote);
      CHECK(foreign_rules(iptables, family) == foreign);

      for (int pass = 0; pass < 2; ++pass) {
        succeed(iptables.remove(family));
        const auto left = value(iptables.save(family));
        CHECK(left.find("-j KUBE-IPVS") == std::string::npos);
        CHECK(left.find(":KUBE-SERVICES") == std::string::npos);
        CHECK(left.find(":KUBE-FIREWALL") != std::string::npos);
        CHECK(foreign_rules(iptables, family) == foreign);
      }
      run({name, "-F"});
      run({name, "-X"});
      run({name, "-t", "nat", "-F"});
    }
  }
  CHECK(sets.destroy_all());
}

TEST_CASE("rules are removed from whichever backend holds them") {
  auto sets = open_fresh();
  succeed(sets.create_all());
  const auto backends = working_backends();
  for (const auto backend : backends) CHECK(value(Iptables(backend).ensure(Family::ipv4, {})).wrote);
  succeed(Iptables{}.remove(Family::ipv4));
  for (const auto backend : backends)
    CHECK(run({program(backend, Family::ipv4), "-t", "nat", "-S"}).find("KUBE-") == std::string::npos);
  CHECK(sets.destroy_all());
}

TEST_CASE("a chain that others use survives the removal") {
  auto sets = open_fresh();
  succeed(sets.create_all());
  for (const auto backend : working_backends()) {
    const auto name = program(backend, Family::ipv4);
    INFO(name);
    Iptables iptables(backend);
    CHECK(value(iptables.ensure(Family::ipv4, {})).wrote);
    run({name, "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "-j", "KUBE-MARK-MASQ"});
    succeed(iptables.remove(Family::ipv4));
    const auto nat = run({name, "-t", "nat", "-S"});
    CHECK(nat.find("-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000") != std::string::npos);
    CHECK(nat.find("-A PREROUTING -p tcp -j KUBE-MARK-MASQ") != std::string::npos);
    CHECK(nat.find("KUBE-SERVICES") == std::string::npos);
    run({name, "-t", "nat", "-F"});
    run({name, "-t", "nat", "-X"});
  }
  CHECK(sets.destroy_all());
}

TEST_CASE("a set grows under the rules that refer to it, and then cannot be destroyed") {
  auto sets = open_fresh(64);
  succeed(sets.create_all());
  Iptables iptables(working_backends().at(0));
  REQUIRE(iptables.ensure(Family::ipv4, {}));
  std::vector<Operation> operations;
  for (std::uint32_t i = 0; i < 200; ++i) operations.push_back(add(numbered(i)));
  CHECK(messages(sets.execute(operations)).empty());
  const auto header = run({"ipset", "list", "-t", "KUBE-CLUSTER-IP"});
  CHECK(header.find("maxelem 256") != std::string::npos);
  CHECK(header.find("References: 0") == std::string::npos);
  CHECK_FALSE(value(iptables.ensure(Family::ipv4, {})).wrote);

  const auto destroyed = sets.destroy_all();
  REQUIRE_FALSE(destroyed);
  CHECK(destroyed.error().code == Errc::busy);
  succeed(iptables.remove(Family::ipv4));
  succeed(sets.destroy_all());
}

TEST_CASE("the backend that holds the node's rules is used") {
  const auto working = working_backends();
  REQUIRE_FALSE(working.empty());
  CHECK(value(Iptables{}.backend(Family::ipv4)) == working.front());
  CHECK(value(Iptables(IptablesBackend::legacy).backend(Family::ipv4)) == IptablesBackend::legacy);
  // The probe leaves nothing, and survives what a killed one left.
  if (working.front() == IptablesBackend::nft) {
    run({program(IptablesBackend::nft, Family::ipv4), "-t", "nat", "-N", "KUBE-IPVSD-PROBE"});
    CHECK(Iptables{}.backend(Family::ipv4));
  }
  for (const auto backend : working) {
    const auto name = program(backend, Family::ipv4);
    // More than rules weigh KUBE-* chains.
    run({program(working.front(), Family::ipv4), "-A", "INPUT", "-p", "tcp", "-j", "ACCEPT"});
    run({name, "-N", "KUBE-FIREWALL"});
    CHECK(value(Iptables{}.backend(Family::ipv4)) == backend);
    run({name, "-X", "KUBE-FIREWALL"});
    run({program(working.front(), Family::ipv4), "-F"});
    run({name, "-A", "INPUT", "-p", "tcp", "-j", "ACCEPT"});
    CHECK(value(Iptables{}.backend(Family::ipv4)) == backend);
    run({name, "-F"});
  }
  CHECK(run({program(working.front(), Family::ipv4), "-t", "nat", "-S"}).find("KUBE-") == std::string::npos);
}

TEST_CASE("a restore that fails says at which line") {
  for (const auto backend : working_backends()) {
    Iptables iptables(backend);
    const auto restored = iptables.restore(
        Family::ipv4,
        "*nat\n:KUBE-SERVICES - [0:0]\n-A KUBE-SERVICES -m set --match-set KUBE-NOT-THERE dst -j ACCEPT\nCOMMIT\n");
    REQUIRE_FALSE(restored);
    INFO(restored.error().message());
    CHECK(restored.error().context.find("KUBE-NOT-THERE") != std::string::npos);
    CHECK(restored.error().context.find("iptables-") != std::string::npos);
    CHECK(value(iptables.save(Family::ipv4)).find("KUBE-SERVICES") == std::string::npos);
  }
}
