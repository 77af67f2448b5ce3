// What of the kernel's state is ours. Ownership is kept in the kernel itself, in the sets, and so holds across
// restarts, crashes and a take-over from kube-proxy.
#pragma once

#include <unordered_set>
#include <vector>

#include "model/kernel.hpp"

namespace ipvsd {

// A virtual server is ours if its address is in KUBE-IPVS-IPS; or its address and port are in a set of external or load
// balancer addresses (those may sit on another link); or it is on one of the node's `addresses` with its port in a
// NODE-PORT set. One by firewall mark is ours if its mark is in our set of marks.
[[nodiscard]] std::unordered_set<VirtualServerKey> owned(const KernelState& state,
                                                         const std::vector<LinkAddress>& addresses);

// Whether the entry alone makes the virtual server ours, and others with it: all on an address, all on a node port.
[[nodiscard]] bool proves_ownership(const SetEntry& entry, const VirtualServerKey& server);

// The virtual servers that the set entries name by address and port and that are not in `state`. A dump may leave out
// what is there: these are to be asked for one by one. As a rule none.
[[nodiscard]] std::vector<VirtualServerKey> unseen(const KernelState& state);

}  // namespace ipvsd
