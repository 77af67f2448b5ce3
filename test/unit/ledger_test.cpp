#include <algorithm>
#include <catch2/catch.hpp>

#include "reconcile/ledger.hpp"
#include "reconcile/ownership.hpp"
#include "test/unit/objects.hpp"

using namespace ipvsd;
using namespace ipvsd::test;

namespace {

const Policy policy{{"rr", 0}, "here"};

Contribution want(const Service& service, const std::vector<EndpointSlice>& slices, const NodeView& view = {},
                  const std::vector<PortMark>& marks = {}) {
  std::vector<const EndpointSlice*> pointers;
  for (const auto& s : slices) pointers.push_back(&s);
  return desired(service, pointers, policy, view, marks);
}

std::vector<std::string> lines(const Plan& plan) {
  std::vector<std::string> result;
  for (const auto& operation : plan.flat()) result.push_back(to_string(operation));
  return result;
}

void perform(Ledger& ledger, const Plan& plan) {
  for (const auto& operation : plan.flat()) ledger.performed(operation);
}

using Lines = std::vector<std::string>;

// A virtual server by mark 5, and what says that it is ours.
Contribution by_mark() {
  Contribution contribution;
  contribution.frontends.emplace_back().server.key = {IpAddress::any(Family::ipv4), Protocol::none, Port{}, 5};
  contribution.entries = {mark_entry(Family::ipv4, 5)};
  return contribution;
}

}  // namespace

TEST_CASE("a VIP is built so that it is never live half done, and taken down in reverse") {
  Ledger ledger({});
  ledger.start_pruning();
  auto service = cluster_ip_service("web", "10.96.0.1");
  service.type = ServiceType::load_balancer;
  service.load_balancer_ips = {ip("203.0.113.1")};
  service.source_ranges = {*Cidr::parse("198.51.100.0/24")};
  ledger.contribute(service, want(service, {slice("web", {endpoint("10.244.1.1", true, "here")})}));
  const Plan up = ledger.plan();
  CHECK(lines(up) == Lines{"add KUBE-IPVS-IPS 10.96.0.1", "add KUBE-IPVS-IPS 203.0.113.1",
                           "add KUBE-LOOP-BACK 10.244.1.1,tcp:8080,10.244.1.1",
                           "add KUBE-LOAD-BALANCER-SOURCE-CIDR 203.0.113.1,tcp:80,198.51.100.0/24",
                           "add KUBE-LOAD-BALANCER-FW 203.0.113.1,tcp:80", "add virtual server 10.96.0.1:80/TCP rr",
                           "add virtual server 203.0.113.1:80/TCP rr",
                           "add destination 10.244.1.1:8080 of 10.96.0.1:80/TCP weight 1",
                           "add destination 10.244.1.1:8080 of 203.0.113.1:80/TCP weight 1",
                           "add KUBE-CLUSTER-IP 10.96.0.1,tcp:80", "add KUBE-LOAD-BALANCER 203.0.113.1,tcp:80",
                           "add address 10.96.0.1", "add address 203.0.113.1"});
  perform(ledger, up);
  CHECK(ledger.plan().empty());
  CHECK(ledger.settled());

  ledger.withdraw(service.key);
  const auto down = lines(ledger.plan());
  const auto place = [&](const std::string& line) { return std::find(down.begin(), down.end(), line) - down.begin(); };
  REQUIRE(down.size() == 11);  // destinations go with their virtual server
  CHECK(place("remove address 203.0.113.1") < place("remove KUBE-LOAD-BALANCER 203.0.113.1,tcp:80"));
  CHECK(place("remove KUBE-LOAD-BALANCER 203.0.113.1,tcp:80") < place("remove virtual server 203.0.113.1:80/TCP"));
  CHECK(place("remove virtual server 203.0.113.1:80/TCP") < place("remove KUBE-LOAD-BALANCER-FW 203.0.113.1,tcp:80"));
  CHECK(place("remove KUBE-LOAD-BALANCER-FW 203.0.113.1,tcp:80") <
        place("remove KUBE-LOAD-BALANCER-SOURCE-CIDR 203.0.113.1,tcp:80,198.51.100.0/24"));
  CHECK(place("remove KUBE-LOAD-BALANCER-FW 203.0.113.1,tcp:80") < place("remove KUBE-IPVS-IPS 203.0.113.1"));
}

TEST_CASE("an outside address on another link is known to be ours at every moment") {
  Ledger ledger({});
  ledger.start_pruning();
  auto service = cluster_ip_service("web", "10.96.0.1");
  service.external_ips = {ip("192.168.77.2")};
  NodeView view;
  view.elsewhere = {ip("192.168.77.2")};
  ledger.contribute(service, want(service, {}, view));
  const Plan up = ledger.plan();
  const auto place = [](const Lines& all, const std::string& line) {
    const auto found = std::find(all.begin(), all.end(), line);
    REQUIRE(found != all.end());
    return found - all.begin();
  };
  CHECK(place(lines(up), "add KUBE-EXTERNAL-IP 192.168.77.2,tcp:80") <
        place(lines(up), "add virtual server 192.168.77.2:80/TCP rr"));
  CHECK(place(lines(up), "add KUBE-CLUSTER-IP 10.96.0.1,tcp:80") >
        place(lines(up), "add virtual server 10.96.0.1:80/TCP rr"));
  perform(ledger, up);
  ledger.withdraw(service.key);
  const Plan down = ledger.plan();
  CHECK(place(lines(down), "remove KUBE-EXTERNAL-IP 192.168.77.2,tcp:80") >
        place(lines(down), "remove virtual server 192.168.77.2:80/TCP"));
  CHECK(place(lines(down), "remove KUBE-CLUSTER-IP 10.96.0.1,tcp:80") <
        place(lines(down), "remove virtual server 10.96.0.1:80/TCP"));
}

TEST_CASE("one changed endpoint is one operation") {
  Ledger ledger({});
  ledger.start_pruning();
  const auto service = cluster_ip_service("web", "10.96.0.1");
  ledger.contribute(service, want(service, {slice("web", {endpoint("10.244.1.1"), endpoint("10.244.1.2")})}));
  perform(ledger, ledger.plan());
  const auto change = [&](std::vector<Endpoint> endpoints) {
    ledger.contribute(service, want(service, {slice("web", std::move(endpoints))}));
    const Plan plan = ledger.plan();
    perform(ledger, plan);
    return lines(plan);
  };
  CHECK(change({endpoint("10.244.1.1"), endpoint("10.244.1.2")}).empty());
  CHECK(change({endpoint("10.244.1.1"), endpoint("10.244.1.2"), endpoint("10.244.1.3")}) ==
        Lines{"add destination 10.244.1.3:8080 of 10.96.0.1:80/TCP weight 1"});
  CHECK(change({endpoint("10.244.1.1"), endpoint("10.244.1.3")}) ==
        Lines{"set destination 10.244.1.2:8080 of 10.96.0.1:80/TCP weight 0"});
  CHECK(ledger.draining().size() == 1);
  // It comes back while it drains: its weight returns, and it is never deleted.
  CHECK(change({endpoint("10.244.1.1"), endpoint("10.244.1.2"), endpoint("10.244.1.3")}) ==
        Lines{"set destination 10.244.1.2:8080 of 10.96.0.1:80/TCP weight 1"});
  // A replacement is built before the old one retires.
  CHECK(change({endpoint("10.244.1.4")}) == Lines{"add destination 10.244.1.4:8080 of 10.96.0.1:80/TCP weight 1",
                                                  "set destination 10.244.1.1:8080 of 10.96.0.1:80/TCP weight 0",
                                                  "set destination 10.244.1.2:8080 of 10.96.0.1:80/TCP weight 0",
                                                  "set destination 10.244.1.3:8080 of 10.96.0.1:80/TCP weight 0"});
}

TEST_CASE("a drained destination goes when it is idle, and not before") {
  Ledger ledger({});
  ledger.start_pruning();
  const auto service = cluster_ip_service("web", "10.96.0.1");
  ledger.contribute(service, want(service, {slice("web", {endpoint("10.244.1.1"), endpoint("10.244.1.2")})}));
  perform(ledger, ledger.plan());
  ledger.contribute(service, want(service, {slice("web", {endpoint("10.244.1.1")})}));
  perform(ledger, ledger.plan());

  ObservedVirtualServer found;
  found.server.key = tcp("10.96.0.1");
  found.destinations.resize(2);
  found.destinations[0].destination.key = {ip("10.244.1.1"), Port{8080}};
  found.destinations[1].destination.key = {ip("10.244.1.2"), Port{8080}};
  found.destinations[1].destination.weight = 0;
  found.destinations[1].inactive_connections = 1;
  CHECK(ledger.plan_removals(found, {}, {}).empty());
  CHECK(ledger.draining().size() == 1);
  found.destinations[1].inactive_connections = 0;
  const Plan removal = ledger.plan_removals(found, {}, {});
  CHECK(lines(removal) == Lines{"remove destination 10.244.1.2:8080 of 10.96.0.1:80/TCP"});
  perform(ledger, removal);
  found.destinations.pop_back();
  CHECK(ledger.plan_removals(found, {}, {}).empty());
  CHECK(ledger.draining().empty());
}

TEST_CASE("a drain ends at its deadline, counted from when it was seen to begin") {
  using std::chrono::seconds;
  Ledger ledger({});
  ledger.start_pruning();
  const auto service = cluster_ip_service("web", "10.96.0.1");
  const auto change = [&](std::vector<Endpoint> endpoints) {
    ledger.contribute(service, want(service, {slice("web", std::move(endpoints))}));
    perform(ledger, ledger.plan());
  };
  ObservedVirtualServer found;
  found.server.key = tcp("10.96.0.1");
  found.destinations.resize(3);
  for (std::size_t i = 0; i < 3; ++i) {
    auto& observed = found.destinations[i];
    observed.destination.key = {ip("10.244.1." + std::to_string(i + 1)), Port{8080}};
    observed.destination.weight = i == 0 ? 1 : 0;
    observed.active_connections = 1;
  }
  const Instant start{};
  const auto removals = [&](int second, std::optional<seconds> limit = seconds(30)) {
    return lines(ledger.plan_removals(found, start + seconds(second), limit));
  };
  const std::string first = "remove destination 10.244.1.2:8080 of 10.96.0.1:80/TCP";
  const std::string second = "remove destination 10.244.1.3:8080 of 10.96.0.1:80/TCP";

  change({endpoint("10.244.1.1"), endpoint("10.244.1.2"), endpoint("10.244.1.3")});
  change({endpoint("10.244.1.1")});
  CHECK(removals(100).empty());
  CHECK(removals(129).empty());
  CHECK(removals(1000000, std::nullopt).empty());  // no deadline
  // One comes back and leaves again: its time begins anew, the other's does not.
  change({endpoint("10.244.1.1"), endpoint("10.244.1.2")});
  change({endpoint("10.244.1.1")});
  CHECK(removals(130) == Lines{second});
  CHECK(ledger.draining().size() == 1);  // until it is known to be gone
  CHECK(removals(159) == Lines{second});
  CHECK(removals(160) == Lines{first, second});

  // The virtual server goes and comes back: nothing of the old drain is left.
  ledger.performed({Verb::remove, found.server});
  CHECK(ledger.draining().empty());
  ledger.performed({Verb::add, found.server});
  CHECK(removals(161).empty());
}

TEST_CASE("a drain survives a restart: weight 0 found in the kernel is drained on") {
  Ledger ledger({});
  KernelState state;
  state.servers.resize(1);
  auto& found = state.servers[0];
  found.server.key = tcp("10.96.0.1");
  found.destinations.resize(2);
  found.destinations[0].destination = {{ip("10.244.1.1"), Port{8080}}, ForwardMethod::masquerade, 0};
  found.destinations[1].destination = {{ip("10.244.1.2"), Port{8080}}, ForwardMethod::masquerade, 0};
  ledger.observed(state, {found.server.key});
  const auto service = cluster_ip_service("web", "10.96.0.1");
  ledger.contribute(service, want(service, {slice("web", {endpoint("10.244.1.1")})}));
  CHECK(ledger.plan()[Phase::fill] ==
        std::vector{Operation{Verb::set, DestinationOf{found.server.key, {{ip("10.244.1.1"), Port{8080}}}}}});
  CHECK(ledger.draining().contains(found.server.key));
}

TEST_CASE("a frontend that moves between Services is updated, never deleted and added") {
  Ledger ledger({});
  ledger.start_pruning();
  auto first = cluster_ip_service("first", "10.96.0.1");
  auto second = cluster_ip_service("second", "10.96.0.1");
  second.affinity = std::chrono::seconds(60);
  ledger.contribute(first, want(first, {slice("first", {endpoint("10.244.1.1")})}));
  perform(ledger, ledger.plan());
  ledger.withdraw(first.key);
  ledger.contribute(second, want(second, {slice("second", {endpoint("10.244.1.1")})}));
  CHECK(lines(ledger.plan()) == Lines{"set virtual server 10.96.0.1:80/TCP rr persistent 60s"});
}

TEST_CASE("of two claimants the older has the address, in any order of arrival") {
  auto older = cluster_ip_service("zz-older", "10.96.0.1");
  older.created = std::chrono::sys_seconds(std::chrono::seconds(100));
  auto younger = cluster_ip_service("aa-younger", "10.96.0.1");
  younger.created = std::chrono::sys_seconds(std::chrono::seconds(200));
  for (const bool older_first : {true, false}) {
    Ledger ledger({});
    ledger.start_pruning();
    const auto add = [&](const Service& service, const std::string& backend) {
      ledger.contribute(service, want(service, {slice(service.key.name, {endpoint(backend)})}));
    };
    if (older_first) add(older, "10.244.1.1");
    add(younger, "10.244.1.2");
    if (!older_first) add(older, "10.244.1.1");
    const Plan plan = ledger.plan();
    CHECK(lines(plan)[2] == "add destination 10.244.1.1:8080 of 10.96.0.1:80/TCP weight 1");
    perform(ledger, plan);
    CHECK(ledger.conflicts() == std::vector{Conflict{tcp("10.96.0.1"), older.key, younger.key}});
    ledger.withdraw(older.key);
    CHECK(lines(ledger.plan()) == Lines{"add destination 10.244.1.2:8080 of 10.96.0.1:80/TCP weight 1",
                                        "set destination 10.244.1.1:8080 of 10.96.0.1:80/TCP weight 0"});
    CHECK(ledger.conflicts().empty());
  }
}

TEST_CASE("nothing is deleted before the first complete view, and what is not ours never") {
  Ledger ledger({*Cidr::parse("10.96.9.0/24")});
  KernelState state;
  state.servers.resize(3);
  state.servers[0].server.key = tcp("10.96.0.1");   // ours, gone from the API
  state.servers[1].server.key = tcp("172.16.0.1");  // somebody else's
  state.servers[2].server.key = tcp("10.96.9.1");   // ours, in excludeCIDRs
  state.bound = {ip("10.96.0.1"), ip("10.0.0.99")};
  state.entries = {ip_entry({SetKind::ipvs_ips, Family::ipv4}, ip("10.96.0.1"))};
  ledger.observed(state, {tcp("10.96.0.1"), tcp("10.96.9.1")});
  CHECK(ledger.plan().empty());
  ledger.start_pruning();
  CHECK(lines(ledger.plan()) ==
        Lines{"remove address 10.96.0.1", "remove virtual server 10.96.0.1:80/TCP", "remove KUBE-IPVS-IPS 10.96.0.1"});
}

TEST_CASE("ownership is what the sets say") {
  KernelState state;
  const auto add = [&](const VirtualServerKey& key) {
    state.servers.emplace_back();
    state.servers.back().server.key = key;
  };
  add(tcp("10.96.0.1"));
  add(tcp("203.0.113.1", 443));
  add(tcp("203.0.113.1", 80));
  add(tcp("192.168.77.2", 30080));
  add(tcp("192.168.77.2", 30081));
  add({ip("192.168.77.2"), Protocol::udp, Port{30080}, 0});
  add(tcp("192.168.99.1", 30080));
  add({ip("0.0.0.0"), Protocol::none, Port{}, 7});
  state.entries = {ip_entry({SetKind::ipvs_ips, Family::ipv4}, ip("10.96.0.1")),
                   ip_port_entry({SetKind::external_ip, Family::ipv4}, ip("203.0.113.1"), Protocol::tcp, Port{443}),
                   bitmap_entry({SetKind::node_port_tcp, Family::ipv4}, Port{30080})};
  const auto ours =
      owned(state, {{"eth0", ip("192.168.77.2"), 24}, {std::string(ipvs_link_name), ip("192.168.99.1"), 32}});
  CHECK(ours ==
        std::unordered_set<VirtualServerKey>{tcp("10.96.0.1"), tcp("203.0.113.1", 443), tcp("192.168.77.2", 30080)});
}

TEST_CASE("externalTrafficPolicy Local with a mark: outside clients apart, everybody else has all endpoints") {
  auto service = cluster_ip_service("web", "10.96.0.1");
  service.type = ServiceType::load_balancer;
  service.external_policy = TrafficPolicy::local;
  service.load_balancer_ips = {ip("203.0.113.1")};
  Policy marking = policy;
  marking.knows_outside = {true, false};
  marking.outside_mask = 0xf;
  const auto view = node_view(marking, nullptr, {}, {});
  CHECK(view.marks_outside == std::array<bool, 2>{true, false});
  const auto ports = outside_ports(service, marking, view);
  REQUIRE(ports.size() == 1);
  CHECK(ports[0].frontends == std::vector<VirtualServerKey>{{ip("203.0.113.1"), Protocol::tcp, Port{80}, 0}});
  service.external_policy = TrafficPolicy::cluster;
  CHECK(outside_ports(service, marking, view).empty());
  service.external_policy = TrafficPolicy::local;
  service.load_balancer_ips.clear();
  CHECK(outside_ports(service, marking, view).empty());
}

TEST_CASE("a virtual server by mark ends when its connections have") {
  const VirtualServerKey key{ip("0.0.0.0"), Protocol::none, Port{}, 5};
  Frontend outside;
  outside.server.key = key;
  outside.protocol = Protocol::tcp;
  outside.destinations.resize(1);
  outside.destinations[0].key = {ip("10.244.1.1"), Port{8080}};
  Frontend ordinary;
  ordinary.server.key = {ip("203.0.113.1"), Protocol::tcp, Port{80}, 0};
  ordinary.protocol = Protocol::tcp;
  ordinary.outside = {5, 0xf};
  Contribution marked;
  marked.frontends = {outside, ordinary};
  marked.entries = {mark_entry(Family::ipv4, 5)};
  Contribution plain;
  plain.frontends = {ordinary};
  plain.frontends[0].outside = {};

  Ledger ledger({});
  const auto service = cluster_ip_service("web", "10.96.0.1");
  ledger.contribute(service, marked);
  auto plan = ledger.plan();
  CHECK(lines(plan) == Lines{"add KUBE-IPVSD-MARKS 0.0.0.5", "add virtual server fwmark 5 IPv4 rr",
                             "add destination 10.244.1.1:8080 of fwmark 5 IPv4 weight 1",
                             "add KUBE-IPVSD-OUTSIDE 203.0.113.1,tcp:80 mark 0x5/0xf",
                             "add virtual server 203.0.113.1:80/TCP rr"});
  perform(ledger, plan);

  ledger.contribute(service, plain);
  plan = ledger.plan();
  CHECK(lines(plan) == Lines{"remove KUBE-IPVSD-OUTSIDE 203.0.113.1,tcp:80",
                             "set destination 10.244.1.1:8080 of fwmark 5 IPv4 weight 0"});
  perform(ledger, plan);
  CHECK(ledger.draining().contains(key));
  ObservedVirtualServer found{outside.server, {{outside.destinations[0]}}};
  found.destinations[0].destination.weight = 0;
  found.destinations[0].active_connections = 1;
  CHECK(ledger.plan_removals(found, Instant{}, {}).empty());
  const auto late = Instant{} + std::chrono::seconds(30);
  CHECK(ledger.plan_removals(found, late, std::chrono::seconds(31)).empty());
  CHECK(lines(ledger.plan_removals(found, late, std::chrono::seconds(30))) ==
        Lines{"remove virtual server fwmark 5 IPv4"});
  CHECK(ledger.plan().empty());
  found.destinations[0].active_connections = 0;
  plan = ledger.plan_removals(found, Instant{}, {});
  CHECK(lines(plan) == Lines{"remove virtual server fwmark 5 IPv4"});
  perform(ledger, plan);
  CHECK_FALSE(ledger.knows(key));
  plan = ledger.plan();
  CHECK(lines(plan) == Lines{"remove KUBE-IPVSD-MARKS 0.0.0.5"});
  perform(ledger, plan);
  CHECK(ledger.settled());

  // UDP has nothing to wait for.
  marked.frontends[0].protocol = Protocol::udp;
  ledger.contribute(service, marked);
  perform(ledger, ledger.plan());
  ledger.contribute(service, plain);
  CHECK(lines(ledger.plan()) ==
        Lines{"remove KUBE-IPVSD-OUTSIDE 203.0.113.1,tcp:80", "remove virtual server fwmark 5 IPv4"});
}

TEST_CASE("the entry that leads outside clients away goes, even where its virtual server never came to be") {
  Frontend frontend;
  frontend.server.key = {ip("203.0.113.1"), Protocol::tcp, Port{80}, 0};
  frontend.outside = {5, 0xf};
  Contribution contribution;
  contribution.frontends = {frontend};
  Ledger ledger({});
  const auto service = cluster_ip_service("web", "10.96.0.1");
  ledger.contribute(service, contribution);
  auto plan = ledger.plan();
  CHECK(lines(plan) ==
        Lines{"add KUBE-IPVSD-OUTSIDE 203.0.113.1,tcp:80 mark 0x5/0xf", "add virtual server 203.0.113.1:80/TCP rr"});
  ledger.performed(plan[Phase::mark].front());
  ledger.withdraw(service.key);
  CHECK(lines(ledger.plan()) == Lines{"remove KUBE-IPVSD-OUTSIDE 203.0.113.1,tcp:80"});
}

TEST_CASE("a mark in use is no longer so when its virtual server is seen to be gone") {
  Ledger ledger({});
  const auto service = cluster_ip_service("web", "10.96.0.1");
  ledger.contribute(service, by_mark());
  perform(ledger, ledger.plan());
  ledger.withdraw(service.key);
  const auto plan = ledger.plan();
  CHECK(lines(plan) == Lines{"remove virtual server fwmark 5 IPv4"});
  ledger.doubt(plan[Phase::unserve_outside].front());  // its answer was lost
  (void)ledger.observed(by_mark().frontends[0].server.key, std::nullopt);
  CHECK(lines(ledger.plan()) == Lines{"remove KUBE-IPVSD-MARKS 0.0.0.5"});
}

TEST_CASE("a mark is no longer in use when its virtual server, put off to a later piece, is forgotten") {
  Ledger ledger({});
  ledger.start_pruning();
  const auto service = cluster_ip_service("web", "10.96.0.1");
  ledger.contribute(service, by_mark());
  ledger.performed({Verb::add, mark_entry(Family::ipv4, 5)});
  ledger.put_off(Ledger::MissingAddresses::with_the_rest);
  ledger.withdraw(service.key);
  CHECK(ledger.plan().empty());
  ledger.take_up();
  CHECK(lines(ledger.plan()) == Lines{"remove KUBE-IPVSD-MARKS 0.0.0.5"});
}

TEST_CASE("a frontend that changes hands while it is put off is written with the rest of its new Service") {
  const auto service = [](const std::string& name, const std::string& address, int created) {
    auto made = cluster_ip_service(name, address);
    made.external_ips = {ip("203.0.113.1")};
    made.created = std::chrono::sys_seconds(std::chrono::seconds(created));
    return made;
  };
  const auto younger = service("younger", "10.96.0.1", 2);
  const auto older = service("older", "10.96.0.2", 1);
  const auto holds = [](const Lines& all, const std::string& line) { return std::count(all.begin(), all.end(), line); };
  const std::string frontend = "add virtual server 203.0.113.1:80/TCP rr";
  Ledger ledger({});
  ledger.contribute(younger, want(younger, {}));
  ledger.put_off(Ledger::MissingAddresses::with_the_rest);
  ledger.contribute(older, want(older, {}));
  ledger.put_off(Ledger::MissingAddresses::with_the_rest);
  ledger.withdraw(younger.key);
  ledger.take_up();
  CHECK(holds(lines(ledger.plan()), frontend) == 0);
  ledger.take_up();
  const auto with_the_rest = lines(ledger.plan());
  CHECK(holds(with_the_rest, frontend) == 1);
  CHECK(holds(with_the_rest, "add virtual server 10.96.0.2:80/TCP rr") == 1);
}

TEST_CASE("addresses put off to the end come behind all other pieces, unless their Service changes") {
  const auto first = cluster_ip_service("first", "10.96.0.1");
  const auto second = cluster_ip_service("second", "10.96.0.2");
  const auto third = cluster_ip_service("third", "10.96.0.3");
  const auto bindings = [](const Plan& plan) {
    auto all = lines(plan);
    std::erase_if(all, [](const std::string& line) { return !line.starts_with("add address "); });
    return all;
  };
  Ledger ledger({});
  ledger.start_pruning();
  ledger.contribute(first, want(first, {}));
  ledger.put_off(Ledger::MissingAddresses::with_the_rest);
  ledger.contribute(second, want(second, {}));
  ledger.put_off(Ledger::MissingAddresses::last);
  ledger.contribute(third, want(third, {}));
  ledger.put_off(Ledger::MissingAddresses::last);
  const auto next = [&] {
    ledger.take_up();
    const auto plan = ledger.plan();
    perform(ledger, plan);
    return plan;
  };
  CHECK(bindings(next()) == Lines{"add address 10.96.0.1"});
  CHECK(bindings(next()).empty());
  CHECK(bindings(next()).empty());
  CHECK_FALSE(ledger.is_written(second.key));
  CHECK(ledger.is_actual(want(third, {}).frontends[0].server.key));
  SECTION("nothing changes") {
    CHECK(lines(next()) == Lines{"add address 10.96.0.2"});
    CHECK(ledger.is_written(second.key));
    CHECK(lines(next()) == Lines{"add address 10.96.0.3"});
  }
  SECTION("a Service changes") {
    auto changed = third;
    changed.ports[0].port = Port{81};
    ledger.contribute(changed, want(changed, {}));
    const auto plan = ledger.plan();
    CHECK(bindings(plan) == Lines{"add address 10.96.0.3"});
    perform(ledger, plan);
    CHECK(lines(next()) == Lines{"add address 10.96.0.2"});
    CHECK(next().empty());
  }
  SECTION("a Service goes") {
    ledger.withdraw(third.key);
    const auto plan = ledger.plan();
    CHECK_FALSE(plan.empty());
    CHECK(bindings(plan).empty());
    perform(ledger, plan);
    CHECK(lines(next()) == Lines{"add address 10.96.0.2"});
    CHECK(next().empty());
    CHECK(ledger.actual_size().addresses == 2);
  }
  CHECK_FALSE(ledger.has_put_off());
  CHECK(ledger.settled());
}

TEST_CASE("excludeCIDRs keep virtual servers by address, not those by mark") {
  Frontend outside;
  outside.server.key = {IpAddress::any(Family::ipv4), Protocol::none, Port{}, 5};
  Frontend ordinary;
  ordinary.server.key = {ip("203.0.113.1"), Protocol::tcp, Port{80}, 0};
  ordinary.outside = {5, 0xf};
  Contribution contribution;
  contribution.frontends = {outside, ordinary};
  contribution.entries = {mark_entry(Family::ipv4, 5)};
  // The unspecified address, which stands in the key of a mark, lies in it as well.
  Ledger ledger({*Cidr::parse("0.0.0.0/0")});
  ledger.start_pruning();
  const auto service = cluster_ip_service("web", "10.96.0.1");
  ledger.contribute(service, contribution);
  perform(ledger, ledger.plan());
  ledger.withdraw(service.key);
  const auto plan = ledger.plan();
  CHECK(lines(plan) == Lines{"remove KUBE-IPVSD-OUTSIDE 203.0.113.1,tcp:80", "remove virtual server fwmark 5 IPv4"});
  perform(ledger, plan);
  CHECK(lines(ledger.plan()) == Lines{"remove KUBE-IPVSD-MARKS 0.0.0.5"});
}

TEST_CASE("node addresses that serve NodePorts") {
  const std::vector<LinkAddress> addresses{{"lo", ip("127.0.0.1"), 8},     {"eth0", ip("192.168.77.2"), 24},
                                           {"eth0", ip("fe80::1"), 64},    {"eth0", ip("fd00:77::2"), 64},
                                           {"cni0", ip("10.244.1.1"), 24}, {"kube-ipvs0", ip("10.96.0.1"), 32}};
  const auto texts = [&](const Policy& p) {
    std::string text;
    for (const auto& address : node_view(p, nullptr, ip("192.168.77.2"), addresses).node_port_addresses)
      text += (text.empty() ? "" : " ") + address.to_string();
    return text;
  };
  Policy all;
  CHECK(texts(all) == "10.244.1.1 192.168.77.2 fd00:77::2");
  Policy cidr;
  cidr.node_port_cidrs = {*Cidr::parse("192.168.0.0/16"), *Cidr::parse("10.96.0.0/12")};
  CHECK(texts(cidr) == "192.168.77.2");
  Policy primary;
  primary.node_port_primary = true;
  CHECK(texts(primary) == "192.168.77.2");
  CHECK(node_view(all, nullptr, {}, addresses).has_elsewhere(ip("10.244.1.1")));
  CHECK_FALSE(node_view(all, nullptr, {}, addresses).has_elsewhere(ip("10.96.0.1")));
}
