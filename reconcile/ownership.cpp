#include "reconcile/ownership.hpp"

#include <utility>

namespace ipvsd {

std::unordered_set<VirtualServerKey> owned(const KernelState& state, const std::vector<LinkAddress>& addresses) {
  std::unordered_set<IpAddress> vips;
  std::unordered_set<IpAddress> node;
  std::unordered_set<VirtualServerKey> frontends;
  for (const auto& [link, address, prefix] : addresses)
    if (link != ipvs_link_name) node.insert(address);
  for (const auto& entry : state.entries) {
    const auto node_port = [&](Protocol protocol) {
      for (const auto& address : node)
        if (address.family() == entry.set.family) frontends.insert({address, protocol, entry.port, 0});
    };
    switch (entry.set.kind) {
      case SetKind::ipvs_ips: vips.insert(entry.address); break;
      case SetKind::node_port_tcp: node_port(Protocol::tcp); break;
      case SetKind::node_port_udp: node_port(Protocol::udp); break;
      case SetKind::cluster_ip:
      case SetKind::external_ip:
      case SetKind::external_ip_local:
      case SetKind::load_balancer:
      case SetKind::node_port_sctp: frontends.insert({entry.address, entry.protocol, entry.port, 0}); break;
      case SetKind::marks:
        frontends.insert({IpAddress::any(entry.set.family), Protocol::none, Port{}, mark_of(entry)});
        break;
      default: break;
    }
  }
  std::unordered_set<VirtualServerKey> ours;
  for (const auto& found : state.servers) {
    const auto& key = found.server.key;
    if ((key.fwmark == 0 && vips.contains(key.address)) || frontends.contains(key)) ours.insert(key);
  }
  return ours;
}

bool proves_ownership(const SetEntry& entry, const VirtualServerKey& server) {
  if (server.fwmark != 0 || server.family() != entry.set.family) return false;
  switch (entry.set.kind) {
    case SetKind::ipvs_ips: return server.address == entry.address;
    case SetKind::node_port_tcp: return server.protocol == Protocol::tcp && server.port == entry.port;
    case SetKind::node_port_udp: return server.protocol == Protocol::udp && server.port == entry.port;
    default: return false;
  }
}

std::vector<VirtualServerKey> unseen(const KernelState& state) {
  std::unordered_set<VirtualServerKey> known;
  for (const auto& found : state.servers) known.insert(found.server.key);
  std::vector<VirtualServerKey> keys;
  for (const auto& entry : state.entries) {
    if (entry.set.type() != SetType::hash_ip_port) continue;
    const VirtualServerKey key{entry.address, entry.protocol, entry.port, 0};
    if (known.insert(key).second) keys.push_back(key);
  }
  return keys;
}

}  // namespace ipvsd
