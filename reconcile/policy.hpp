// What the configuration and the node contribute to the desired state.
#pragma once

#include <array>
#include <chrono>
#include <optional>
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
  // Whether traffic from outside the cluster can be told from the pods' (detectLocalMode), by Family; with
  // `by_pod_cidrs` the Node's podCIDRs decide instead.
  std::array<bool, 2> knows_outside{};
  bool by_pod_cidrs = false;
  std::uint32_t outside_mask = 0;  // the bits for marks of outside clients; 0: no marks
  // VIPs in these are made local by a route each instead of an address each (ipvsd.serviceAddresses: route).
  std::vector<Cidr> routed_cidrs{};
  std::optional<std::chrono::seconds> drain_timeout{};  // at the latest, a draining destination is removed after this
};

// What is true of the node now. A change recomputes every Service.
struct NodeView {
  std::string zone;
  std::vector<IpAddress> primary;              // the Node's own addresses, at most one per family
  std::vector<IpAddress> node_port_addresses;  // sorted
  std::vector<IpAddress> elsewhere;            // on any link but kube-ipvs0, not loopback or link-local; sorted
  std::array<bool, 2> marks_outside{};         // by Family: packets from outside get the mark that their set entry has
  std::vector<Cidr> routed{};                  // whose route stands: VIPs in these need no address on kube-ipvs0

  [[nodiscard]] bool has_elsewhere(const IpAddress& address) const;
  [[nodiscard]] bool is_routed(const IpAddress& address) const;
  friend bool operator==(const NodeView&, const NodeView&) = default;
};

// A configured address, or else the first of each family of the Node's, which may be absent.
[[nodiscard]] std::vector<IpAddress> primary_addresses(const std::optional<IpAddress>& configured, const Node* node);

// The node's addresses on its links (kube-ipvs0 included) -> the view. Loopback addresses never serve NodePorts, nor do
// IPv6 link-local ones. With CIDRs of one family only, the other family serves no NodePorts (kube-proxy would serve all
// of its addresses). `node` may be null: nothing is known of it yet. `bind_address`, the configured one, replaces its
// addresses.
[[nodiscard]] NodeView node_view(const Policy& policy, const Node* node, const std::optional<IpAddress>& bind_address,
                                 const std::vector<LinkAddress>& addresses);

// Where health checks are answered: on any address of a family, or on these.
struct ListenAddresses {
  std::array<bool, 2> any{};           // by Family
  std::vector<IpAddress> addresses{};  // of the other family, or families; sorted
  friend bool operator==(const ListenAddresses&, const ListenAddresses&) = default;
};

// The addresses that nodePortAddresses selects; here loopback addresses count, which serve no NodePorts.
[[nodiscard]] ListenAddresses listen_addresses(const Policy& policy, const std::vector<IpAddress>& primary,
                                               const std::vector<LinkAddress>& addresses);

}  // namespace ipvsd
