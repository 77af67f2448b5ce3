#include "test/unit/random_cluster.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>

#include "test/fake/fake_kernel.hpp"
#include "test/unit/objects.hpp"

namespace ipvsd::test {
namespace {

constexpr unsigned services = 12;
constexpr unsigned slices = 20;

unsigned below(std::mt19937& random, unsigned end) { return static_cast<unsigned>(random() % end); }

std::string service_name(unsigned i) { return "s" + std::to_string(i); }

Service random_service(std::mt19937& random, unsigned i) {
  auto service = cluster_ip_service(service_name(i), "10.96.0." + std::to_string(1 + i % 6));
  service.created = std::chrono::sys_seconds(std::chrono::seconds(i));
  const auto chance = [&](unsigned n) { return random() % n == 0; };
  if (chance(2)) service.ports.push_back({"dns", Protocol::udp, Port{53}, Port{}});
  if (chance(6)) service.ports.push_back({"sig", Protocol::sctp, Port{9000}, Port{}});
  if (chance(3)) {
    service.type = ServiceType::node_port;
    for (auto& port : service.ports) port.node_port = Port{static_cast<std::uint16_t>(30000 + i)};
  }
  if (chance(4)) service.external_ips = {ip("203.0.113." + std::to_string(random() % 3))};
  if (chance(8)) service.external_ips.push_back(ip("192.168.77.2"));
  if (chance(4)) {
    service.type = ServiceType::load_balancer;
    service.load_balancer_ips = {ip("198.51.100." + std::to_string(random() % 3))};
    if (chance(2)) service.source_ranges = {*Cidr::parse("192.0.2.0/24"), *Cidr::parse("192.168.0.0/16")};
    if (chance(4)) service.source_ranges.push_back(*Cidr::parse("192.0.2.7/32"));
  }
  if (service.type != ServiceType::cluster_ip && chance(3)) {
    service.external_policy = TrafficPolicy::local;
    if (service.type == ServiceType::load_balancer)
      service.health_check_node_port = Port{static_cast<std::uint16_t>(32000 + i)};
  }
  if (chance(4)) service.internal_policy = TrafficPolicy::local;
  if (chance(4)) service.affinity = std::chrono::seconds(60 + i);
  if (chance(5)) service.cluster_ips.push_back(ip("fd00:10:96::" + std::to_string(i + 1)));
  if (chance(8)) service.ignored = true;
  return service;
}

Endpoint random_endpoint(std::mt19937& random, bool ipv6) {
  const auto place = std::to_string(random() % 8);
  Endpoint one =
      endpoint((ipv6 ? "fd00:10:244::" : "10.244.1.") + place, random() % 4 != 0, random() % 2 == 0 ? "here" : "there");
  one.terminating = random() % 4 == 0;
  one.serving = one.ready || random() % 2 == 0;
  if (random() % 4 != 0) one.for_zones = Shared(std::vector<std::string>{random() % 2 == 0 ? "a" : "b"});
  if (random() % 8 == 0) one.for_nodes = Shared(std::vector<std::string>{random() % 2 == 0 ? "here" : "there"});
  return one;
}

EndpointSlice random_slice(std::mt19937& random, unsigned i) {
  const bool ipv6 = i % 5 == 0;
  std::vector<Endpoint> endpoints;
  for (unsigned n = random() % 4; n > 0; --n) endpoints.push_back(random_endpoint(random, ipv6));
  auto result = slice(service_name(i % services), endpoints, std::to_string(i));
  result.family = ipv6 ? Family::ipv6 : Family::ipv4;
  // Its label changes, its name does not.
  if (random() % 4 == 0) result.service = service_name(below(random, services + 1));
  if (random() % 2 == 0) result.ports.push_back({"dns", Protocol::udp, Port{5353}});
  if (random() % 4 == 0) result.ports.push_back({"sig", Protocol::sctp, Port{9000}});
  return result;
}

Node random_node(std::mt19937& random) {
  Node node;
  node.name = "here";
  node.zone = random() % 3 == 0 ? "" : random() % 2 == 0 ? "a" : "b";
  node.addresses = {ip("192.168.77.2")};
  return node;
}

// By its set entries, its attributes and its endpoints; two marks that are equal in all may change places.
std::string meaning_of(const ObservedVirtualServer& found, const std::vector<SetEntry>& entries) {
  std::vector<std::string> parts;
  for (auto entry : entries)
    if (entry.set == IpSet{SetKind::outside, found.server.key.family()} &&
        entry.mark.value == found.server.key.fwmark) {
      entry.mark = {};
      parts.push_back(to_string(Operation{Verb::add, entry}));
    }
  for (const auto& observed : found.destinations)
    parts.push_back(to_string(Operation{Verb::add, DestinationOf{{}, observed.destination}}));
  std::sort(parts.begin(), parts.end());
  VirtualServer without_mark = found.server;
  without_mark.key.fwmark = 0;
  std::string meaning = to_string(Operation{Verb::add, without_mark});
  for (const auto& part : parts) meaning += "\n" + part;
  return meaning;
}

}  // namespace

KernelState with_marks_numbered(KernelState state) {
  std::vector<std::pair<std::string, VirtualServerKey>> marked;
  for (const auto& found : state.servers)
    if (found.server.key.fwmark != 0) marked.emplace_back(meaning_of(found, state.entries), found.server.key);
  std::sort(marked.begin(), marked.end());
  std::map<std::pair<Family, std::uint32_t>, std::uint32_t> numbers;
  for (const auto& [meaning, key] : marked)
    numbers.emplace(std::pair(key.family(), key.fwmark), static_cast<std::uint32_t>(numbers.size() + 1));
  // What has no virtual server keeps its value, and shows.
  const auto number = [&](Family family, std::uint32_t mark) {
    const auto known = numbers.find({family, mark});
    return known == numbers.end() ? mark : known->second;
  };
  for (auto& found : state.servers)
    if (auto& key = found.server.key; key.fwmark != 0) key.fwmark = number(key.family(), key.fwmark);
  for (auto& entry : state.entries) {
    if (entry.set.kind == SetKind::outside) entry.mark.value = number(entry.set.family, entry.mark.value);
    if (entry.set.kind == SetKind::marks)
      entry = mark_entry(entry.set.family, number(entry.set.family, mark_of(entry)));
  }
  return state;
}

void SimulatedNode::start() {
  start_unsettled();
  settle();
}

void SimulatedNode::start_unsettled() {
  reconciler.emplace(
      kernel_, policy, std::nullopt, 1, [this](const std::string& text) { log.push_back(text); }, services_per_step);
  REQUIRE(reconciler->start());
  for (const auto kind : {Kind::service, Kind::endpoint_slice, Kind::node}) {
    reconciler->apply(ReplaceBegin{kind});
    for (const auto& [key, object] : objects)
      if (kind_of(object) == kind) reconciler->apply(Upsert{object});
    reconciler->apply(ReplaceEnd{kind});
  }
}

void SimulatedNode::apply(const Object& object) {
  objects[{kind_of(object), key_of(object)}] = object;
  if (reconciler) reconciler->apply(Upsert{object});
}

void SimulatedNode::remove(Kind kind, const ObjectKey& key) {
  objects.erase({kind, key});
  if (reconciler) reconciler->apply(Remove{kind, key});
}

void SimulatedNode::settle() {
  for (int i = 0; i < 2000; ++i) {
    for (const auto& notification : kernel_.notifications()) reconciler->notice(notification);
    const bool more = reconciler->step(now);
    reconciler->poll_drains(now, 64);
    if (!more && reconciler->idle() && !reconciler->draining()) return;
    now += std::chrono::milliseconds(100);
  }
  FAIL("does not settle");
}

Change random_change(std::mt19937& random) {
  const unsigned i = below(random, services);
  const unsigned j = below(random, slices);
  const auto put = [](Object object) { return Change{kind_of(object), key_of(object), std::move(object)}; };
  switch (random() % 12) {
    case 0: return put(random_node(random));
    case 1: return {Kind::service, {"default", service_name(i)}, {}};
    case 2: return {Kind::endpoint_slice, random_slice(random, j).key, {}};
    case 3:
    case 4:
    case 5:
    case 6: return put(random_service(random, i));
    default: return put(random_slice(random, j));
  }
}

void random_history(SimulatedNode& node, std::mt19937& random, int length) {
  for (int n = 0; n < length; ++n) {
    const auto change = random_change(random);
    if (change.object)
      node.apply(*change.object);
    else
      node.remove(change.kind, change.key);
    if (node.reconciler && random() % 4 == 0) (void)node.reconciler->step(node.now);
  }
}

std::string SimulatedNode::text() {
  auto state = kernel_.observe();
  if (!state) FAIL(state.error().message());
  return text_of(with_marks_numbered(std::move(*state)));
}

Policy plain_policy() { return {{"rr", 0}, "here"}; }

Policy marking_policy() {
  auto policy = plain_policy();
  policy.knows_outside = {true, true};
  policy.outside_mask = 0x307f;
  return policy;
}

std::string from_scratch(const Objects& objects, const Policy& policy) {
  FakeKernel kernel;
  kernel.add_node_address("eth0", "192.168.77.2", 24);
  SimulatedNode fresh(kernel, policy);
  fresh.objects = objects;
  fresh.start();
  return fresh.text();
}

std::uint32_t first_seed() {
  const char* given = std::getenv("IPVSD_SEED");
  return given != nullptr ? static_cast<std::uint32_t>(std::strtoul(given, nullptr, 10)) : 1;
}

}  // namespace ipvsd::test
