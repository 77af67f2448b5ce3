#include "reconcile/policy.hpp"

#include <algorithm>

namespace ipvsd {
namespace {

void sort_unique(std::vector<IpAddress>& addresses) {
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
}

bool knows_outside(const Policy& policy, const Node* node, Family family) {
  if (!policy.by_pod_cidrs) return policy.knows_outside[static_cast<std::size_t>(family)];
  return node != nullptr && std::any_of(node->pod_cidrs.begin(), node->pod_cidrs.end(),
                                        [&](const Cidr& cidr) { return cidr.family() == family; });
}

bool serves_node_ports(const Policy& policy, const std::vector<IpAddress>& primary, const IpAddress& address) {
  if (address.is_loopback() || (address.family() == Family::ipv6 && address.is_link_local())) return false;
  const bool is_primary = std::find(primary.begin(), primary.end(), address) != primary.end();
  if (policy.node_port_primary && is_primary) return true;
  if (policy.node_port_cidrs.empty()) return !policy.node_port_primary;
  return std::any_of(policy.node_port_cidrs.begin(), policy.node_port_cidrs.end(),
                     [&](const Cidr& cidr) { return cidr.contains(address); });
}

}  // namespace

bool NodeView::has_elsewhere(const IpAddress& address) const {
  return std::binary_search(elsewhere.begin(), elsewhere.end(), address);
}

bool NodeView::is_routed(const IpAddress& address) const {
  return std::any_of(routed.begin(), routed.end(), [&](const Cidr& cidr) { return cidr.contains(address); });
}

std::vector<IpAddress> primary_addresses(const std::optional<IpAddress>& configured, const Node* node) {
  if (configured) return {*configured};
  std::vector<IpAddress> first;
  if (node == nullptr) return first;
  for (const auto family : families) {
    const auto found = std::find_if(node->addresses.begin(), node->addresses.end(),
                                    [&](const IpAddress& address) { return address.family() == family; });
    if (found != node->addresses.end()) first.push_back(*found);
  }
  return first;
}

NodeView node_view(const Policy& policy, const Node* node, const std::optional<IpAddress>& bind_address,
                   const std::vector<LinkAddress>& addresses) {
  NodeView view;
  if (node != nullptr) view.zone = node->zone;
  view.primary = primary_addresses(bind_address, node);
  for (const auto family : families)
    view.marks_outside[static_cast<std::size_t>(family)] =
        policy.outside_mask != 0 && knows_outside(policy, node, family);
  for (const auto& [link, address, prefix] : addresses) {
    if (link == ipvs_link_name) continue;
    // Each pod's link has a link-local address of its own; no Service can have one.
    if (!address.is_loopback() && !address.is_link_local()) view.elsewhere.push_back(address);
    if (serves_node_ports(policy, view.primary, address)) view.node_port_addresses.push_back(address);
  }
  sort_unique(view.elsewhere);
  sort_unique(view.node_port_addresses);
  return view;
}

ListenAddresses listen_addresses(const Policy& policy, const std::vector<IpAddress>& primary,
                                 const std::vector<LinkAddress>& addresses) {
  const auto& cidrs = policy.node_port_cidrs;
  ListenAddresses listen;
  for (const auto family : families)
    listen.any[static_cast<std::size_t>(family)] =
        cidrs.empty() ? !policy.node_port_primary : std::any_of(cidrs.begin(), cidrs.end(), [&](const Cidr& cidr) {
          return cidr.family() == family && cidr.prefix == 0;
        });
  for (const auto& on_link : addresses) {
    const IpAddress& address = on_link.address;
    if (on_link.link == ipvs_link_name || listen.any[static_cast<std::size_t>(address.family())]) continue;
    const bool own = address.is_loopback() &&
                     std::any_of(cidrs.begin(), cidrs.end(), [&](const Cidr& cidr) { return cidr.contains(address); });
    if (own || serves_node_ports(policy, primary, address)) listen.addresses.push_back(address);
  }
  sort_unique(listen.addresses);
  return listen;
}

}  // namespace ipvsd
