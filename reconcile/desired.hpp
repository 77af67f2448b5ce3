// One Service and its endpoints -> everything the kernel should hold because of them. Pure.
//
// The table of frontends is kube-proxy's (its ipvs mode), with the faults repaired that test/conformance/deviations.txt
// lists.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "model/objects.hpp"
#include "reconcile/marks.hpp"
#include "reconcile/policy.hpp"

namespace ipvsd {

struct Frontend {
  VirtualServer server;
  std::vector<Destination> destinations;  // sorted by key
  Protocol protocol = Protocol::none;     // of the traffic; a virtual server by firewall mark has none in its key
  Mark
      outside{};  // packets to it from outside the cluster get this mark, and so another virtual server; 0: they do not
};

// What a Service has on this node, by Family; for health checks, metrics and Events, no business of the kernel's.
struct LocalEndpoints {
  // Distinct addresses of ready endpoints; empty where the Service has no address of the family.
  std::array<std::optional<std::uint32_t>, 2> ready{};
  // A traffic policy is Local, and there are endpoints, but none here.
  std::array<bool, 2> none_internal{};
  std::array<bool, 2> none_external{};
  // The first endpoint that is left out because its slice or this node does not serve its family.
  std::optional<IpAddress> wrong_family{};
  friend bool operator==(const LocalEndpoints&, const LocalEndpoints&) = default;
};

struct Contribution {
  std::vector<Frontend> frontends;   // each key once
  std::vector<IpAddress> addresses;  // to bind on kube-ipvs0; each once
  std::vector<SetEntry> entries;     // each once
  LocalEndpoints local{};
};

// `slices`: all of the Service's, sorted by name. `marks`: those of its outside_ports(). One without a mark behaves as
// in kube-proxy: its virtual servers hold the local endpoints only, for whatever client, and all of them if there are
// none.
[[nodiscard]] Contribution desired(const Service& service, std::span<const EndpointSlice* const> slices,
                                   const Policy& policy, const NodeView& view, const std::vector<PortMark>& marks);

// The Service's ports to which outside clients get local endpoints only: externalTrafficPolicy Local, an address
// outside the cluster, and a node that knows who is outside.
[[nodiscard]] std::vector<OutsidePort> outside_ports(const Service& service, const Policy& policy,
                                                     const NodeView& view);

}  // namespace ipvsd
