// The pure core of explain and diff: a node that is exactly as wanted, and one thing after another that is not.
#include <catch2/catch.hpp>

#include <functional>
#include <nlohmann/json.hpp>

#include "ctl/diff.hpp"
#include "ctl/explain.hpp"
#include "ctl/wanted.hpp"
#include "daemon/config/options.hpp"
#include "daemon/loop/rules_keeper.hpp"
#include "test/unit/objects.hpp"

using namespace ipvsd;
using namespace ipvsd::ctl;
using namespace ipvsd::test;

namespace {

constexpr KernelVersion kernel{6, 1};

struct World {
  Cluster cluster{Policy{{"rr", 0}, "here"}};
  Observed observed;

  World() {
    cluster.config = default_config();
    cluster.config.cluster_cidrs = {*Cidr::parse("10.244.0.0/16")};
    cluster.origin = "the test";
    observed.daemon_answers = observed.node.link = true;
    observed.node.addresses = {{"eth0", ip("192.168.77.2"), 24}, {"cni0", ip("10.244.1.1"), 24}};
  }
  void add(const Object& object) { cluster.state.apply(Upsert{object}); }

  // The kernel follows.
  void settle() {
    for (const auto kind : {Kind::service, Kind::endpoint_slice, Kind::node}) cluster.state.apply(ReplaceEnd{kind});
    auto& node = observed.node;
    Wanted wants(cluster, node, Wanted::By::ours);
    for (const auto& key : cluster.state.service_keys()) {
      const auto* service = cluster.state.service(key);
      if (service == nullptr) continue;
      const auto wanted = wants.of(*service);
      for (const auto& frontend : wanted.frontends) {
        ObservedVirtualServer found{frontend.server, {}};
        for (const auto& destination : frontend.destinations) found.destinations.push_back({destination, 0, 0, 0});
        node.servers.push_back(std::move(found));
        const auto& place = frontend.server.key;
        if (frontend.outside.value != 0)
          node.entries.push_back(outside_entry(place.address, place.protocol, place.port, frontend.outside));
      }
      for (const auto& address : wanted.addresses)
        node.addresses.push_back({std::string(ipvs_link_name), address, address.max_prefix()});
      node.entries.insert(node.entries.end(), wanted.entries.begin(), wanted.entries.end());
    }
    std::sort(node.entries.begin(), node.entries.end());
    node.entries.erase(std::unique(node.entries.begin(), node.entries.end()), node.entries.end());
    node.sets.assign(all_ip_sets().begin(), all_ip_sets().end());
    for (const auto family : families)
      node.rules[static_cast<std::size_t>(family)].tables =
          saved_form(rules(family, rules_config(cluster.config, nullptr, family)));
    for (const auto& sysctl : wanted_sysctls(cluster.config, kernel, 2)) node.sysctls[sysctl.path] = sysctl.value;
    node.sysctls["net/ipv6/conf/all/forwarding"] = 1;
  }

  [[nodiscard]] std::string cause(const VirtualServerKey& target, const std::string& from = "") const {
    const auto explained = explain(target, from.empty() ? std::nullopt : std::optional(ip(from)), observed, &cluster);
    INFO(explanation_text(explained));
    return explained.faults.empty() ? "none" : explained.faults.front().cause;
  }
};

World web() {
  World world;
  auto service = cluster_ip_service("web", "10.96.0.1");
  service.type = ServiceType::load_balancer;
  service.ports[0].node_port = Port{30080};
  service.load_balancer_ips = {ip("203.0.113.1")};
  service.external_ips = {ip("203.0.113.2")};
  service.source_ranges = {*Cidr::parse("198.51.100.0/24")};
  world.add(service);
  world.add(slice("web", {endpoint("10.244.1.11", true, "here"), endpoint("10.244.2.12", true, "there")}));
  world.settle();
  return world;
}

void drop_entry(World& world, SetKind kind) {
  std::erase_if(world.observed.node.entries, [&](const SetEntry& entry) { return entry.set.kind == kind; });
}
void drop_rules(World& world, std::string_view chain) {
  for (auto& rules : world.observed.node.rules)
    for (auto& table : rules.tables)
      std::erase_if(table.rules, [&](const SavedRule& rule) { return rule.chain == chain; });
}
ObservedVirtualServer& server(World& world, const VirtualServerKey& key) {
  for (auto& found : world.observed.node.servers)
    if (found.server.key == key) return found;
  FAIL("no virtual server " << key.to_string());
  throw 0;
}

const auto cluster_ip = tcp("10.96.0.1");
const auto node_port = tcp("192.168.77.2", 30080);
const auto balancer = tcp("203.0.113.1");
const auto external = tcp("203.0.113.2");

}  // namespace

TEST_CASE("nothing is wrong where all is as wanted") {
  const auto world = web();
  for (const auto& target : {cluster_ip, node_port, balancer, external})
    for (const auto* from : {"", "198.51.100.1"}) CHECK(world.cause(target, from) == "none");
  for (const auto& target : {cluster_ip, node_port, external}) CHECK(world.cause(target, "10.244.1.100") == "none");
  CHECK(world.cause(cluster_ip, "192.168.77.2") == "none");
  CHECK(explain(cluster_ip, {}, world.observed, nullptr).faults.empty());
  CHECK(differences(world.cluster, world.observed.node, kernel, 2).empty());
}

TEST_CASE("each thing that is broken is the cause named") {
  struct Case {
    const char* cause;
    VirtualServerKey target;
    const char* from;
    std::function<void(World&)> destroy;
  };
  const std::vector<Case> cases{
      {"no-ipvs", cluster_ip, "", [](World& w) { w.observed.node.no_ipvs = "no module"; }},
      {"link-missing", cluster_ip, "",
       [](World& w) {
         w.observed.node.link = false;
         std::erase_if(w.observed.node.addresses, [](const auto& one) { return one.link == ipvs_link_name; });
       }},
      {"address-missing", cluster_ip, "",
       [](World& w) {
         std::erase_if(w.observed.node.addresses, [](const auto& one) { return one.address == cluster_ip.address; });
       }},
      {"address-on-other-link", cluster_ip, "",
       [](World& w) {
         for (auto& one : w.observed.node.addresses)
           if (one.address == cluster_ip.address) one.link = "eth0";
       }},
      {"set-entry-missing", cluster_ip, "", [](World& w) { drop_entry(w, SetKind::cluster_ip); }},
      {"set-entry-missing", cluster_ip, "", [](World& w) { drop_entry(w, SetKind::ipvs_ips); }},
      {"set-entry-missing", node_port, "", [](World& w) { drop_entry(w, SetKind::node_port_tcp); }},
      {"set-entry-missing", balancer, "", [](World& w) { drop_entry(w, SetKind::load_balancer_fw); }},
      {"set-entry-missing", balancer, "198.51.100.1",
       [](World& w) { drop_entry(w, SetKind::load_balancer_source_cidr); }},
      {"set-entry-missing", external, "", [](World& w) { drop_entry(w, SetKind::external_ip); }},
      {"source-range", balancer, "192.0.2.1", [](World&) {}},
      {"rules-missing", cluster_ip, "", [](World& w) { drop_rules(w, "KUBE-SERVICES"); }},
      {"rules-missing", cluster_ip, "", [](World& w) { drop_rules(w, "PREROUTING"); }},
      {"rules-missing", node_port, "", [](World& w) { drop_rules(w, "KUBE-NODE-PORT"); }},
      {"rules-missing", balancer, "", [](World& w) { drop_rules(w, "KUBE-MARK-MASQ"); }},
      {"rules-missing", external, "", [](World& w) { drop_rules(w, "KUBE-POSTROUTING"); }},
      {"rules-missing", balancer, "192.0.2.1", [](World& w) { drop_rules(w, "KUBE-PROXY-FIREWALL"); }},
      {"rules-unreadable", cluster_ip, "",
       [](World& w) {
         w.observed.node.rules[0] = {{}, "no iptables"};
       }},
      {"virtual-server-missing", cluster_ip, "", [](World& w) { w.observed.node.servers.clear(); }},
      {"scheduler-missing", cluster_ip, "",
       [](World& w) {
         w.observed.node.servers.clear();
         w.observed.has_scheduler = false;
       }},
      {"virtual-server-differs", cluster_ip, "", [](World& w) { server(w, cluster_ip).server.scheduler = "wlc"; }},
      {"destination-missing", cluster_ip, "", [](World& w) { server(w, cluster_ip).destinations.pop_back(); }},
      {"zero-weight", cluster_ip, "",
       [](World& w) {
         for (auto& one : server(w, cluster_ip).destinations) one.destination.weight = 0;
       }},
      {"destination-unwanted", cluster_ip, "",
       [](World& w) {
         auto stranger = server(w, cluster_ip).destinations.front();
         stranger.destination.key.port = Port{1};
         server(w, cluster_ip).destinations.push_back(stranger);
       }},
      {"sysctl", cluster_ip, "", [](World& w) { w.observed.node.sysctls["net/ipv4/vs/conntrack"] = 0; }},
      {"sysctl", cluster_ip, "", [](World& w) { w.observed.node.sysctls["net/ipv4/ip_forward"] = 0; }},
      {"backend-not-answering", cluster_ip, "",
       [](World& w) {
         w.observed.probes[{ip("10.244.1.11"), Port{8080}}] = ProbeResult::refuses;
       }},
      {"family-not-served", cluster_ip, "", [](World& w) { w.cluster.policy.serves[0] = false; }},
      {"no-such-port", tcp("10.96.0.1", 81), "", [](World&) {}},
      {"unknown-address", tcp("10.96.9.9"), "", [](World&) {}},
      {"node-port-excluded", tcp("127.0.0.1", 30080), "", [](World&) {}},
      {"node-port-excluded", node_port, "",
       [](World& w) { w.cluster.policy.node_port_cidrs = {*Cidr::parse("172.16.0.0/12")}; }},
      {"foreign-virtual-server", tcp("10.9.9.9"), "",
       [](World& w) {
         VirtualServer foreign;
         foreign.key = tcp("10.9.9.9");
         w.observed.node.servers.push_back({foreign, {}});
       }},
  };
  for (const auto& one : cases) {
    auto world = web();
    one.destroy(world);
    CAPTURE(one.cause, one.target.to_string(), one.from);
    CHECK(world.cause(one.target, one.from) == one.cause);
  }
}

TEST_CASE("without the Services the kernel's facts have to do") {
  const auto cause = [](const World& world, const VirtualServerKey& target, const std::optional<IpAddress>& from = {}) {
    const auto explained = explain(target, from, world.observed, nullptr);
    return explained.faults.empty() ? "none" : explained.faults.front().cause;
  };
  auto world = web();
  drop_entry(world, SetKind::cluster_ip);
  CHECK(cause(world, cluster_ip) == "set-entry-missing");
  world = web();
  drop_rules(world, "KUBE-MARK-MASQ");
  CHECK(cause(world, node_port) == "rules-missing");
  world = web();
  CHECK(cause(world, balancer, ip("192.0.2.1")) == "source-range");
  CHECK(cause(world, tcp("10.96.0.1", 81)) == "no-such-port");
  CHECK(cause(world, tcp("10.96.9.9")) == "unknown-address");
  server(world, cluster_ip).destinations.clear();
  CHECK(cause(world, cluster_ip) == "no-endpoints");
}

TEST_CASE("endpoints of a Service, and why they are out") {
  struct Case {
    const char* cause;
    TrafficPolicy internal;
    std::vector<Endpoint> endpoints;
    const char* reason;  // of the last
  };
  auto leaving = endpoint("10.244.1.12", false, "here");
  leaving.serving = leaving.terminating = true;
  auto left = endpoint("10.244.1.12", false, "here");
  left.terminating = true;
  const auto here = endpoint("10.244.1.11", true, "here");
  const auto there = endpoint("10.244.2.13", true, "there");
  auto hinted_here = here;
  hinted_here.for_nodes = Shared(std::vector<std::string>{"here"});
  auto hinted_there = there;
  hinted_there.for_nodes = Shared(std::vector<std::string>{"there"});
  for (const auto& one : std::vector<Case>{
           {"none", TrafficPolicy::cluster, {here, there}, "ready"},
           {"none", TrafficPolicy::cluster, {here, leaving}, "terminating"},
           {"none", TrafficPolicy::cluster, {leaving}, "terminating, still serving, and nobody else is ready"},
           {"none", TrafficPolicy::cluster, {here, left}, "terminating, no longer serving"},
           {"none", TrafficPolicy::cluster, {hinted_here, hinted_there}, "other zone by hint: for node there"},
           {"none", TrafficPolicy::local, {here, there}, "traffic policy Local: it is on another node"},
           {"no-local-endpoint", TrafficPolicy::local, {there}, "traffic policy Local: it is on another node"},
           {"no-ready-endpoint", TrafficPolicy::cluster, {left}, "terminating, no longer serving"},
           {"no-ready-endpoint", TrafficPolicy::cluster, {endpoint("10.244.1.12", false)}, "not ready"},
       }) {
    World world;
    auto service = cluster_ip_service("web", "10.96.0.1");
    service.internal_policy = one.internal;
    world.add(service);
    world.add(slice("web", one.endpoints));
    world.settle();
    const auto explained = explain(cluster_ip, {}, world.observed, &world.cluster);
    CAPTURE(explanation_text(explained));
    CHECK((explained.faults.empty() ? "none" : explained.faults.front().cause) == std::string(one.cause));
    REQUIRE_FALSE(explained.endpoints.empty());
    CHECK(explained.endpoints.back().reason == one.reason);
  }
  World none;
  none.add(cluster_ip_service("web", "10.96.0.1"));
  none.settle();
  CHECK(none.cause(cluster_ip) == "no-endpoints");
}

TEST_CASE("of two Services the older one has it") {
  World world;
  auto older = cluster_ip_service("b-older", "10.96.0.1");
  auto younger = cluster_ip_service("a-younger", "10.96.0.2");
  older.created = std::chrono::sys_seconds(std::chrono::seconds(1));
  younger.created = std::chrono::sys_seconds(std::chrono::seconds(2));
  older.external_ips = younger.external_ips = {external.address};
  world.add(older);
  world.add(younger);
  const auto found = claimants(world.cluster, world.cluster.view(world.observed.node.addresses, {}), external);
  REQUIRE(found.size() == 2);
  CHECK(found[0].name() == "default/b-older:80");
  Explanation explained;
  explained.target = external;
  explained.service = found[0].name();
  note_conflict(explained, older.key);
  CHECK(explained.faults.empty());
  note_conflict(explained, younger.key);
  REQUIRE(explained.faults.size() == 1);
  CHECK(explained.faults[0].cause == "conflict-lost");
}

TEST_CASE("diff says what is missing, unwanted and different") {
  auto world = web();
  const auto texts = [&] {
    std::vector<std::string> lines;
    for (const auto& one : differences(world.cluster, world.observed.node, kernel, 2)) lines.push_back(to_string(one));
    return lines;
  };
  auto& found = server(world, cluster_ip);
  found.server.scheduler = "wlc";
  found.destinations[0].destination.weight = 9;
  found.destinations.pop_back();
  drop_entry(world, SetKind::node_port_tcp);
  drop_rules(world, "KUBE-MARK-MASQ");
  world.observed.node.sysctls["net/ipv4/vs/conntrack"] = 0;
  CHECK(
      texts() ==
      std::vector<std::string>{
          "missing  set entry KUBE-NODE-PORT-TCP 30080 (default/web)",
          "differs  virtual server 10.96.0.1:80/TCP scheduler wlc, wanted 10.96.0.1:80/TCP scheduler rr (default/web)",
          "differs  destination 10.244.1.11:8080 of 10.96.0.1:80/TCP weight 9, wanted weight 1 (default/web)",
          "missing  destination 10.244.2.12:8080 of 10.96.0.1:80/TCP weight 1 (default/web)",
          "missing  rule IPv4 nat/KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
          "missing  rule IPv6 nat/KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
          "differs  sysctl net.ipv4.vs.conntrack 0, wanted 1",
      });
}

TEST_CASE("rules are walked as the kernel walks them") {
  const auto mark_of = [](const std::string& rule, Packet packet = {}) {
    packet.destination = ip("10.0.0.1");
    packet.port = Port{80};
    const std::vector<SavedTable> tables{
        {"nat",
         {"KUBE-X"},
         {{"PREROUTING", "-j KUBE-X"}, {"PREROUTING", "-j MARK --set-xmark 0x1/0x1"}, {"KUBE-X", rule}}}};
    const std::vector<LinkAddress> addresses{{"eth0", ip("10.0.0.1"), 24}};
    return walk_rules(packet, {tables, {}, addresses}, {}).mark;
  };
  const std::string set = " -j MARK --set-xmark 0x8/0x8";
  for (const auto* matching :
       {"-p tcp", "-p 6 -m comment --comment \"a -j DROP \\\" b\"", "-d 10.0.0.0/8", "! -s 10.0.0.0/8", "! -i cni0",
        "-m addrtype --dst-type LOCAL", "-m tcp --dport 80", "-m mark ! --mark 0x4/0x4", "-m mark --mark 0x0/0x4",
        "-m conntrack --ctstate NEW,RELATED", "-m physdev ! --physdev-is-in"})
    CHECK(mark_of(matching + set) == 0x8);
  for (const auto* other : {"-p udp", "-d 10.1.0.0/16", "-s 10.0.0.0/8", "-i cni0", "! -p tcp", "-m tcp --dport 81",
                            "-m mark --mark 0x4/0x4", "-m conntrack --ctstate ESTABLISHED", "-m unknown --thing 1",
                            "-m set --match-set FOREIGN dst"})
    CHECK(mark_of(other + set) == 0);
  CHECK(mark_of("-j KUBE-X") == 0);  // a loop ends
  {
    // By four rules it has 4^16 ways, and ends as well.
    std::vector<SavedTable> tables{{"nat", {"KUBE-X"}, {{"PREROUTING", "-j KUBE-X"}}}};
    for (int i = 0; i < 4; ++i) tables[0].rules.push_back({"KUBE-X", "-j KUBE-X"});
    CHECK(walk_rules(Packet{}, {tables, {}, {}}, {}).matched.size() < 5000);
  }
  CHECK(mark_of("-j MARK --set-xmark junk") == 0);
  CHECK(mark_of("") == 0);
  CHECK(short_form({"nat", "KUBE-X",
                    "! -s 10.0.0.0/8 -m comment --comment \"a b\" -m set --match-set KUBE-CLUSTER-IP "
                    "dst,dst -j KUBE-MARK-MASQ",
                    "KUBE-CLUSTER-IP 10.0.0.1,tcp:80", false}) ==
        "nat KUBE-X: ! -s 10.0.0.0/8 [KUBE-CLUSTER-IP 10.0.0.1,tcp:80] -j KUBE-MARK-MASQ");
}

TEST_CASE("policy Local by mark: clients outside have a virtual server of their own") {
  const auto local = [](const char* node) {
    World world;
    world.cluster.policy.outside_mask = world.cluster.config.own.external_mark_mask = 0x307f;
    world.cluster.policy.knows_outside = {true, true};
    auto service = cluster_ip_service("web", "10.96.0.1");
    service.type = ServiceType::load_balancer;
    service.external_policy = TrafficPolicy::local;
    service.load_balancer_ips = {balancer.address};
    world.add(service);
    world.add(slice("web", {endpoint("10.244.1.11", true, node), endpoint("10.244.2.12", true, "there")}));
    world.settle();
    return world;
  };
  auto world = local("here");
  const auto outside = explain(balancer, {}, world.observed, &world.cluster);
  CAPTURE(explanation_text(outside));
  CHECK(outside.faults.empty());
  REQUIRE(outside.endpoints.size() == 2);
  CHECK(outside.endpoints[1].reason == "traffic policy Local: it is on another node");
  const auto inside = explain(balancer, ip("10.244.1.100"), world.observed, &world.cluster);
  CHECK(inside.faults.empty());
  CHECK(inside.endpoints[1].in);
  CHECK(differences(world.cluster, world.observed.node, kernel, 2).empty());

  drop_rules(world, "KUBE-IPVSD-OUTSIDE");
  CHECK(world.cause(balancer) == "rules-missing");
  world = local("here");
  drop_entry(world, SetKind::outside);
  CHECK(world.cause(balancer) == "set-entry-missing");
  world = local("here");
  std::erase_if(world.observed.node.servers, [](const auto& found) { return found.server.key.fwmark != 0; });
  CHECK(world.cause(balancer) == "virtual-server-missing");
  world = local("elsewhere");
  CHECK(world.cause(balancer) == "no-local-endpoint");
  CHECK(world.cause(balancer, "10.244.1.100") == "none");
}

TEST_CASE("what a probe of UDP or SCTP cannot tell is a note and no fault") {
  auto world = web();
  const VirtualServerKey target = tcp("10.96.0.1");
  for (const auto& [result, note] : {std::pair{ProbeResult::unknown, "did not reply to an empty datagram"},
                                     std::pair{ProbeResult::untried, "modprobe sctp"}}) {
    world.observed.probes = {{{ip("10.244.1.11"), Port{8080}}, result}};
    const auto explanation = explain(target, {}, world.observed, &world.cluster);
    const auto text = explanation_text(explanation);
    CAPTURE(text);
    CHECK(explanation.faults.empty());
    CHECK(text.find(note) != std::string::npos);
    CHECK(text.find(to_string(result)) != std::string::npos);
  }
  for (const auto result : {ProbeResult::unreachable, ProbeResult::silent}) {
    world.observed.probes = {{{ip("10.244.1.11"), Port{8080}}, result}};
    CHECK(world.cause(target) == "backend-not-answering");
  }
}
