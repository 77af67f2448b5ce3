#include <fmt/format.h>

#include <algorithm>

#include "daemon/source/decode_kinds.hpp"
#include "daemon/source/rfc3339.hpp"

namespace ipvsd {
namespace {

constexpr std::int64_t default_affinity_seconds = 10800;
constexpr std::int64_t max_affinity_seconds = 86400;
constexpr std::size_t port_limit = 1000;

ServiceType decode_type(const JsonValue& value) {
  const auto text = value.text();
  if (text.empty() || text == "ClusterIP") return ServiceType::cluster_ip;
  if (text == "NodePort") return ServiceType::node_port;
  if (text == "LoadBalancer") return ServiceType::load_balancer;
  if (text == "ExternalName") return ServiceType::external_name;
  value.refuse_type("ClusterIP, NodePort, LoadBalancer or ExternalName");
  return ServiceType::cluster_ip;
}

TrafficPolicy decode_policy(const JsonValue& value) {
  return value.text() == "Local" ? TrafficPolicy::local : TrafficPolicy::cluster;
}

// The single field decides whether there are any; then ipFamilies says which element of clusterIPs is a family's.
std::vector<IpAddress> decode_cluster_ips(const JsonValue& spec) {
  const auto single = spec.field("clusterIP");
  if (single.text().empty() || single.text() == "None") return {};

  std::vector<IpAddress> addresses;
  std::vector<std::optional<Family>> wanted;
  const auto families_field = spec.field("ipFamilies");
  families_field.each([&](const JsonValue& item) {
    auto& family = wanted.emplace_back();
    for (const auto known : families)
      if (item.text() == to_string(known)) family = known;
    // The first place that names a family is its own.
    if (family && std::find(wanted.begin(), wanted.end() - 1, family) != wanted.end() - 1) family.reset();
  });
  if (wanted.empty()) {
    if (const auto address = decode_vip(single)) addresses.push_back(*address);
    return addresses;
  }
  auto family = wanted.begin();
  const auto list = spec.field("clusterIPs");
  list.each([&](const JsonValue& item) {
    const auto wanted_family = family == wanted.end() ? std::nullopt : *family++;
    if (!wanted_family) return;
    const auto address = decode_vip(item);
    if (!address) return;
    if (address->family() == *wanted_family)
      addresses.push_back(*address);
    else
      item.warn(
          fmt::format("{} is no {} address, as ipFamilies says", address->to_string(), to_string(*wanted_family)));
  });
  return addresses;
}

std::vector<IpAddress> decode_load_balancer(const JsonValue& root) {
  std::vector<IpAddress> addresses;
  const auto status = root.field("status");
  const auto load_balancer = status.field("loadBalancer");
  const auto list = load_balancer.field("ingress");
  list.each([&](const JsonValue& ingress) {
    const auto mode = ingress.field("ipMode").text();
    if (!mode.empty() && mode != "VIP") return;
    const auto ip = ingress.field("ip");
    if (const auto address = decode_vip(ip)) add_once(addresses, *address);
  });
  return addresses;
}

std::optional<std::chrono::seconds> decode_affinity(const JsonValue& spec) {
  const auto affinity = spec.field("sessionAffinity");
  const auto text = affinity.text();
  if (text != "ClientIP") {
    if (!text.empty() && text != "None")
      affinity.warn(fmt::format("unknown affinity \"{}\" ignored", text.substr(0, 32)));
    return {};
  }
  const auto config = spec.field("sessionAffinityConfig");
  const auto client_ip = config.field("clientIP");
  return std::chrono::seconds(
      client_ip.field("timeoutSeconds").integer(1, max_affinity_seconds).value_or(default_affinity_seconds));
}

std::vector<ServicePort> decode_ports(const JsonValue& spec) {
  std::vector<ServicePort> ports;
  const auto list = spec.field("ports");
  list.each(
      [&](const JsonValue& item) {
        ServicePort port;
        port.name = item.field("name").name();
        port.protocol = decode_protocol(item.field("protocol"));
        const auto number = item.field("port");
        if (!number.present()) number.refuse_type("an integer from 1 to 65535");
        port.port = number.port(1);
        port.node_port = item.field("nodePort").port(0);
        ports.push_back(std::move(port));
      },
      port_limit);
  return ports;
}

}  // namespace

void decode_service(const JsonValue& root, Service& service) {
  const auto metadata = root.field("metadata");
  service.uid = metadata.field("uid").name();
  service.created = parse_rfc3339(metadata.field("creationTimestamp").text()).value_or(std::chrono::sys_seconds{});
  service.ignored = is_ignored(metadata.field("labels"));

  const auto spec = root.field("spec");
  service.type = decode_type(spec.field("type"));
  if (service.type != ServiceType::external_name) service.cluster_ips = decode_cluster_ips(spec);
  const auto external_ips = spec.field("externalIPs");
  external_ips.each([&](const JsonValue& item) {
    if (const auto address = decode_vip(item)) add_once(service.external_ips, *address);
  });
  service.load_balancer_ips = decode_load_balancer(root);
  const auto source_ranges = spec.field("loadBalancerSourceRanges");
  source_ranges.each([&](const JsonValue& item) {
    if (const auto range = decode_cidr(item)) add_once(service.source_ranges, *range);
  });
  service.affinity = decode_affinity(spec);
  service.internal_policy = decode_policy(spec.field("internalTrafficPolicy"));
  const bool reachable_from_outside = service.type == ServiceType::load_balancer ||
                                      service.type == ServiceType::node_port ||
                                      (service.type == ServiceType::cluster_ip && !service.external_ips.empty());
  const auto external_policy = decode_policy(spec.field("externalTrafficPolicy"));
  if (reachable_from_outside) service.external_policy = external_policy;
  const auto health_check = spec.field("healthCheckNodePort").port(0);
  if (service.type == ServiceType::load_balancer && service.external_policy == TrafficPolicy::local)
    service.health_check_node_port = health_check;
  service.ports = decode_ports(spec);
}

}  // namespace ipvsd
