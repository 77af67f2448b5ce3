#include "test/unit/random_cluster.hpp"

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

}  // namespace

void SimulatedNode::start() {
  start_unsettled();
  settle();
}

void SimulatedNode::start_unsettled() {
  reconciler.emplace(kernel_, policy, std::nullopt, 1, [this](const std::string& text) { log.push_back(text); });
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

void random_history(SimulatedNode& node, std::mt19937& random, int length) {
  for (int n = 0; n < length; ++n) {
    const unsigned i = below(random, services);
    const unsigned j = below(random, slices);
    switch (random() % 12) {
      case 0: node.apply(random_node(random)); break;
      case 1: node.remove(Kind::service, {"default", service_name(i)}); break;
      case 2: node.remove(Kind::endpoint_slice, random_slice(random, j).key); break;
      case 3:
      case 4:
      case 5:
      case 6: node.apply(random_service(random, i)); break;
      default: node.apply(random_slice(random, j));
    }
    if (node.reconciler && random() % 4 == 0) (void)node.reconciler->step(node.now);
  }
}

std::string from_scratch(const Objects& objects) {
  FakeKernel kernel;
  kernel.add_node_address("eth0", "192.168.77.2", 24);
  SimulatedNode fresh(kernel);
  fresh.objects = objects;
  fresh.start();
  return kernel.text();
}

std::uint32_t first_seed() {
  const char* given = std::getenv("IPVSD_SEED");
  return given != nullptr ? static_cast<std::uint32_t>(std::strtoul(given, nullptr, 10)) : 1;
}

}  // namespace ipvsd::test
