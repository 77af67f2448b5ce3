// Which endpoints of a Service port get traffic. Pure; the rules of KEP-1669 (terminating endpoints), KEP-2086
// (internalTrafficPolicy) and KEP-2433, KEP-3015 and KEP-4444 (hints).
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "model/kernel.hpp"
#include "model/objects.hpp"

namespace ipvsd {

// An endpoint of one Service port, after the Service's slices were merged.
struct Candidate {
  DestinationKey key;
  bool ready = false;
  bool fallback = false;  // serving and terminating, and not ready: used when nobody is ready
  bool local = false;
  const Endpoint* source = nullptr;      // for the hints
  const EndpointSlice* slice = nullptr;  // of `source`
};

// All slices of a Service and family, joined with one of its ports by name and protocol; sorted by key, each key once.
// The same address and port in several slices is one endpoint: the copy in the best condition counts, the one of the
// first slice among equals, and it is local if any copy says so. `slices` are sorted by name. The candidates point into
// the slices.
[[nodiscard]] std::vector<Candidate> merge_endpoints(std::span<const EndpointSlice* const> slices, Family family,
                                                     const ServicePort& port, std::string_view node_name);

// What the hints of the ready endpoints say to a node.
enum class Topology : std::uint8_t { none, same_zone, same_node };
[[nodiscard]] Topology topology_of(std::span<const Candidate> candidates, std::string_view node_name,
                                   std::string_view zone);

struct Selection {
  std::vector<Destination> cluster;  // policy Cluster
  std::vector<Destination> local;    // policy Local
  bool has_any = false;              // some endpoint could take traffic, wherever it is
};

// Both lists, sorted by key, every weight 1. Cluster: the ready ones as the topology narrows them, else all that
// terminate but still serve. Local: the same of this node, whatever the topology.
[[nodiscard]] Selection select_endpoints(std::span<const Candidate> candidates, std::string_view node_name,
                                         std::string_view zone);

// Where a candidate stands to one of the lists.
enum class Standing : std::uint8_t {
  in,
  not_ready,         // neither ready, nor terminating and still serving
  terminating,       // still serves, but others are ready
  on_other_node,     // policy Local
  hinted_elsewhere,  // the hints keep it for other zones or nodes
};
// For each candidate, by the rules of select_endpoints(): "in" are those of its list for the policy.
[[nodiscard]] std::vector<Standing> standings(std::span<const Candidate> candidates, TrafficPolicy policy,
                                              std::string_view node_name, std::string_view zone);

}  // namespace ipvsd
