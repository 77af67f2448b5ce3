// What the configuration and the node contribute to the desired state.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "model/kernel.hpp"
#include "model/objects.hpp"
#include "scheduler/choice.hpp"

namespace ipvsd {

// From the configuration; constant while the daemon runs.
struct Policy {
  SchedulerChoice scheduler;
  std::string node_name;
  std::array<bool, 2> serves{true, true};  // by Family: false where the node cannot masquerade or filter it
  std::vector<Cidr> exclude_cidrs{};       // virtual servers in these are never deleted
  std::vector<Cidr> node_port_cidrs{};     // empty: all
  bool node_port_primary = false;          // nodePortAddresses: ["primary"]
};

// What is true of the node now. A change recomputes every Service.
struct NodeView {
  std::string zone;
  std::vector<IpAddress> primary;              // the Node's own addresses, at most one per family
  std::vector<IpAddress> node_port_addresses;  // sorted
  std::vector<IpAddress> elsewhere;            // on any link but kube-ipvs0, not loopback or link-local; sorted

  [[nodiscard]] bool has_elsewhere(const IpAddress& address) const;
  friend bool operator==(const NodeView&, const NodeView&) = default;
};

// A configured address, or else the first of each family of the Node's, which may be absent.
[[nodiscard]] std::vector<IpAddress> primary_addresses(const std::optional<IpAddress>& configured, const Node* node);

// The node's addresses on its links (kube-ipvs0 included) -> the view. Loopback addresses never serve NodePorts, nor do
// IPv6 link-local ones. With CIDRs of one family only, the other family serves no NodePorts (kube-proxy would serve all
// of its addresses).
[[nodiscard]] NodeView node_view(const Policy& policy, const std::string& zone, const std::vector<IpAddress>& primary,
                                 const std::vector<LinkAddress>& addresses);

}  // namespace ipvsd
