#include <catch2/catch.hpp>

#include "scheduler/choice.hpp"
#include "scheduler/drain.hpp"
#include "scheduler/endpoints.hpp"
#include "test/unit/objects.hpp"

using namespace ipvsd;
using namespace ipvsd::test;

namespace {

const ServicePort port{"", Protocol::tcp, Port{80}, Port{}};

// "r" ready, "t" serving and terminating, "n" neither; "R" ready and terminating (publishNotReadyAddresses).
Endpoint in_state(char state, const std::string& address, const std::string& node) {
  Endpoint result = endpoint(address, state == 'r' || state == 'R', node);
  result.serving = state != 'n';
  result.terminating = state == 't' || state == 'R';
  return result;
}

std::string last_octets(const std::vector<Destination>& destinations) {
  std::string text;
  for (const auto& destination : destinations) {
    const auto address = destination.key.address.to_string();
    text += (text.empty() ? "" : " ") + address.substr(address.rfind('.') + 1);
  }
  return text;
}

Selection select(const std::vector<EndpointSlice>& slices, const std::string& node = "here",
                 const std::string& zone = "zone-a") {
  std::vector<const EndpointSlice*> pointers;
  for (const auto& s : slices) pointers.push_back(&s);
  return select_endpoints(merge_endpoints(pointers, Family::ipv4, port, node), node, zone);
}

}  // namespace

TEST_CASE("schedulers are chosen by name") {
  CHECK(choose_scheduler("")->name == "rr");
  CHECK(choose_scheduler("lc") == SchedulerChoice{"lc", 0});
  CHECK(choose_scheduler("sh") == SchedulerChoice{"sh", 0});
  CHECK(choose_scheduler("mh") == SchedulerChoice{"mh", flag_sched2});
  CHECK(choose_scheduler("twos"));  // unknown here, perhaps known to the kernel
  CHECK(known_schedulers().size() == 13);
  for (const auto* bad : {"RR", "rr ", "a b", "../x", "sixteen_letters_"}) {
    const auto choice = choose_scheduler(bad);
    REQUIRE_FALSE(choice);
    CHECK(choice.error().message().find("rr, wrr") != std::string::npos);
  }
}

TEST_CASE("the truth table of endpoint conditions") {
  // Local endpoints are .1, .2, ...; remote ones .101, .102, ...
  const auto [local, remote, cluster_list, local_list, any] =
      GENERATE(table<std::string, std::string, std::string, std::string, bool>({
          {"r", "r", "1 101", "1", true},
          {"rt", "r", "1 101", "1", true},
          {"t", "r", "101", "1", true},
          {"n", "r", "101", "", true},
          {"t", "t", "1 101", "1", true},
          {"", "t", "101", "", true},
          {"", "n", "", "", false},
          {"n", "n", "", "", false},
          {"", "", "", "", false},
          {"R", "r", "1 101", "1", true},
          {"tt", "", "1 2", "1 2", true},
          {"r", "rrt", "1 101 102", "1", true},
      }));
  std::vector<Endpoint> endpoints;
  for (std::size_t i = 0; i < local.size(); ++i)
    endpoints.push_back(in_state(local[i], "10.244.1." + std::to_string(i + 1), "here"));
  for (std::size_t i = 0; i < remote.size(); ++i)
    endpoints.push_back(in_state(remote[i], "10.244.1." + std::to_string(i + 101), "there"));
  const auto selection = select({slice("web", endpoints)});
  CHECK(last_octets(selection.cluster) == cluster_list);
  CHECK(last_octets(selection.local) == local_list);
  CHECK(selection.has_any == any);
}

TEST_CASE("hints narrow the cluster list only when all ready endpoints agree to it") {
  struct Hinted {
    std::string zones;
    std::string nodes;
  };
  // a: this zone, b: another; h: this node, o: another; empty: no hint.
  const auto [first, second, topology, chosen] = GENERATE(table<Hinted, Hinted, Topology, std::string>({
      {{"", ""}, {"", ""}, Topology::none, "1 2"},
      {{"a", ""}, {"b", ""}, Topology::same_zone, "1"},
      {{"a", ""}, {"", ""}, Topology::none, "1 2"},
      {{"b", ""}, {"b", ""}, Topology::none, "1 2"},
      {{"ab", ""}, {"b", ""}, Topology::same_zone, "1"},
      {{"a", "h"}, {"a", "o"}, Topology::same_node, "1"},
      {{"a", "o"}, {"b", "o"}, Topology::same_zone, "1"},
      {{"a", "h"}, {"b", ""}, Topology::same_zone, "1"},
      {{"", "h"}, {"", ""}, Topology::none, "1 2"},
  }));
  const auto make = [](const std::string& address, const Hinted& hints) {
    Endpoint result = endpoint(address, true, "there");
    std::vector<std::string> zones;
    std::vector<std::string> nodes;
    for (const char zone : hints.zones) zones.push_back(std::string("zone-") + zone);
    for (const char node : hints.nodes) nodes.push_back(node == 'h' ? "here" : "other");
    result.for_zones = Shared(zones);
    result.for_nodes = Shared(nodes);
    return result;
  };
  const std::vector slices{slice("web", {make("10.244.1.1", first), make("10.244.1.2", second)})};
  const std::vector pointers{&slices[0]};
  const auto merged = merge_endpoints(pointers, Family::ipv4, port, "here");
  CHECK(topology_of(merged, "here", "zone-a") == topology);
  CHECK(last_octets(select(slices).cluster) == chosen);
  // Without a zone label only node hints can apply.
  if (topology == Topology::same_zone) CHECK(last_octets(select(slices, "here", "").cluster) == "1 2");
}

TEST_CASE("the same endpoint in several slices counts once, in its best condition, whichever comes first") {
  const auto ready = slice("web", {in_state('r', "10.244.1.1", "")}, "a");
  const auto gone = slice("web", {in_state('n', "10.244.1.1", "here")}, "b");
  for (const auto& slices : {std::vector{ready, gone}, std::vector{gone, ready}}) {
    const auto selection = select(slices);
    CHECK(last_octets(selection.cluster) == "1");
    CHECK(last_octets(selection.local) == "1");  // local in one copy is local
  }
}

TEST_CASE("endpoints join by port name and protocol and family") {
  auto other_name = slice("web", {endpoint("10.244.1.1")}, "a");
  other_name.ports[0].name = "http";
  auto other_protocol = slice("web", {endpoint("10.244.1.2")}, "b");
  other_protocol.ports[0].protocol = Protocol::udp;
  auto other_family = slice("web", {endpoint("fd00::1")}, "c");
  auto other_number = slice("web", {endpoint("10.244.1.3")}, "d");
  other_number.ports[0].port = Port{9090};
  const auto selection = select({other_name, other_protocol, other_family, other_number});
  CHECK(last_octets(selection.cluster) == "3");
  CHECK(selection.cluster[0].key.port == Port{9090});
}

TEST_CASE("who drains, and until when") {
  CHECK(drains(Protocol::tcp));
  CHECK(drains(Protocol::sctp));
  CHECK_FALSE(drains(Protocol::udp));
  ObservedDestination idle;
  idle.persistent_connections = 3;
  CHECK(drained(idle));
  idle.inactive_connections = 65536;  // would be 0 if read as 16 bit
  CHECK_FALSE(drained(idle));
}

TEST_CASE("each candidate knows where it stands") {
  auto hinted_here = endpoint("10.244.1.1", true, "here");
  hinted_here.for_zones = Shared(std::vector<std::string>{"zone-a"});
  auto hinted_there = endpoint("10.244.1.2", true, "there");
  hinted_there.for_zones = Shared(std::vector<std::string>{"zone-b"});
  auto leaving = endpoint("10.244.1.3", false, "here");
  leaving.serving = leaving.terminating = true;
  const auto all = slice("web", {hinted_here, hinted_there, leaving, endpoint("10.244.1.4", false, "there")});
  const std::vector<const EndpointSlice*> slices{&all};
  const auto candidates = merge_endpoints(slices, Family::ipv4, {"", Protocol::tcp, Port{80}, Port{}}, "here");
  CHECK(standings(candidates, TrafficPolicy::cluster, "here", "zone-a") ==
        std::vector{Standing::in, Standing::hinted_elsewhere, Standing::terminating, Standing::not_ready});
  CHECK(standings(candidates, TrafficPolicy::cluster, "here", "zone-c") ==
        std::vector{Standing::in, Standing::in, Standing::terminating, Standing::not_ready});
  CHECK(standings(candidates, TrafficPolicy::local, "here", "zone-a") ==
        std::vector{Standing::in, Standing::on_other_node, Standing::terminating, Standing::on_other_node});

  const auto rest = std::span(candidates).subspan(2);
  CHECK(standings(rest, TrafficPolicy::cluster, "here", "zone-a") == std::vector{Standing::in, Standing::not_ready});
}
