// One Service and its endpoints -> everything the kernel should hold because of them. Pure.
//
// The table of frontends is kube-proxy's (its ipvs mode), with the faults repaired that test/conformance/deviations.txt
// lists.
#pragma once

#include <span>
#include <vector>

#include "model/objects.hpp"
#include "reconcile/policy.hpp"

namespace ipvsd {

struct Frontend {
  VirtualServer server;
  std::vector<Destination> destinations;  // sorted by key
};

struct Contribution {
  std::vector<Frontend> frontends;   // each key once
  std::vector<IpAddress> addresses;  // to bind on kube-ipvs0; each once
  std::vector<SetEntry> entries;     // each once
};

// `slices`: all of the Service's, sorted by name.
[[nodiscard]] Contribution desired(const Service& service, std::span<const EndpointSlice* const> slices,
                                   const Policy& policy, const NodeView& view);

}  // namespace ipvsd
