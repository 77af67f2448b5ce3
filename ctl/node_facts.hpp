// The node as it is: everything that a packet to a Service meets, read from the kernel and nothing concluded.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ipset/audit.hpp"
#include "model/kernel.hpp"

namespace ipvsd::ctl {

struct NodeRules {
  std::vector<SavedTable> tables;  // chains KUBE-* and the jumps into them
  std::string error;               // why they could not be read; "" if they could
};

struct NodeFacts {
  std::string no_ipvs;                         // why IPVS could not be read; "" if it could
  bool link = false;                           // kube-ipvs0 exists
  std::vector<LinkAddress> addresses;          // of all links
  std::vector<LocalRoute> routes;              // ours, on kube-ipvs0
  std::vector<ObservedVirtualServer> servers;  // all; of those that were not asked for without destinations
  std::vector<IpSet> sets;                     // that exist
  std::vector<SetEntry> entries;               // sorted
  std::array<NodeRules, families.size()> rules;
  std::map<std::string, std::uint64_t> sysctls;  // by path below /proc/sys; those that could be read

  // IPVS and sets as the pure code takes them.
  [[nodiscard]] KernelState kernel_state() const;
  [[nodiscard]] bool has_entry(const SetEntry& entry) const;
  // The local route that makes the address the node's own, if one does.
  [[nodiscard]] const LocalRoute* route_to(const IpAddress& address) const;
  [[nodiscard]] const ObservedVirtualServer* server(const VirtualServerKey& key) const;
};

// Changes nothing, loads no module. `with_destinations` says of which virtual servers the destinations are wanted;
// `sysctls`: paths below /proc/sys. Errors: denied without root or CAP_NET_ADMIN; what the kernel answered.
[[nodiscard]] Result<NodeFacts> observe_node(const std::function<bool(const VirtualServerKey&)>& with_destinations,
                                             const std::vector<std::string>& sysctls);

// Whether this kernel has the scheduler, loaded or not: ip_vs_NAME among its modules.
[[nodiscard]] bool kernel_has_scheduler(std::string_view name);

}  // namespace ipvsd::ctl
