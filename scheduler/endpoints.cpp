#include "scheduler/endpoints.hpp"

#include <algorithm>

namespace ipvsd {
namespace {

int rank(const Candidate& candidate) { return candidate.ready ? 2 : candidate.fallback ? 1 : 0; }

bool names(const std::vector<std::string>& hints, std::string_view name) {
  return std::find(hints.begin(), hints.end(), name) != hints.end();
}

Destination destination_of(const Candidate& candidate) {
  Destination destination;
  destination.key = candidate.key;
  return destination;
}

// What decides about one list.
struct ListRule {
  TrafficPolicy policy;
  Topology topology;
  std::string_view node_name;
  std::string_view zone;

  // `falling_back`: nobody is ready, so those who terminate and still serve stand in, whatever the hints say.
  [[nodiscard]] Standing standing(const Candidate& candidate, bool falling_back) const {
    if (policy == TrafficPolicy::local && !candidate.local) return Standing::on_other_node;
    if (falling_back) return candidate.fallback ? Standing::in : Standing::not_ready;
    if (!candidate.ready) return candidate.fallback ? Standing::terminating : Standing::not_ready;
    if (policy == TrafficPolicy::local) return Standing::in;
    if (topology == Topology::same_node && !names(*candidate.source->for_nodes, node_name))
      return Standing::hinted_elsewhere;
    if (topology == Topology::same_zone && !names(*candidate.source->for_zones, zone))
      return Standing::hinted_elsewhere;
    return Standing::in;
  }

  [[nodiscard]] bool falls_back(std::span<const Candidate> candidates) const {
    return std::none_of(candidates.begin(), candidates.end(),
                        [this](const Candidate& candidate) { return standing(candidate, false) == Standing::in; });
  }
};

std::vector<Destination> list_by(const ListRule& rule, std::span<const Candidate> candidates) {
  const bool falling_back = rule.falls_back(candidates);
  std::vector<Destination> chosen;
  chosen.reserve(candidates.size());
  for (const auto& candidate : candidates)
    if (rule.standing(candidate, falling_back) == Standing::in) chosen.push_back(destination_of(candidate));
  return chosen;
}

}  // namespace

std::vector<Candidate> merge_endpoints(std::span<const EndpointSlice* const> slices, Family family,
                                       const ServicePort& port, std::string_view node_name) {
  std::vector<Candidate> candidates;
  std::size_t endpoints = 0;
  for (const auto* slice : slices) endpoints += slice->endpoints.size();
  candidates.reserve(endpoints);
  for (const auto* slice : slices) {
    if (slice->family != family) continue;
    for (const auto& endpoint_port : slice->ports) {
      if (endpoint_port.name != port.name || endpoint_port.protocol != port.protocol) continue;
      for (const auto& endpoint : slice->endpoints) {
        Candidate candidate;
        candidate.key = {endpoint.address, endpoint_port.port};
        candidate.ready = endpoint.ready;
        candidate.fallback = !endpoint.ready && endpoint.serving && endpoint.terminating;
        candidate.local = !endpoint.node_name->empty() && *endpoint.node_name == node_name;
        candidate.source = &endpoint;
        candidate.slice = slice;
        candidates.push_back(candidate);
      }
    }
  }
  // Stable: among equals the first slice's copy stays in front.
  std::stable_sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return a.key != b.key ? a.key < b.key : rank(a) > rank(b);
  });
  std::size_t kept = 0;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (kept > 0 && candidates[kept - 1].key == candidates[i].key)
      candidates[kept - 1].local |= candidates[i].local;
    else
      candidates[kept++] = candidates[i];
  }
  candidates.resize(kept);
  return candidates;
}

Topology topology_of(std::span<const Candidate> candidates, std::string_view node_name, std::string_view zone) {
  bool any = false;
  bool all_nodes = true;
  bool all_zones = true;
  bool this_node = false;
  bool this_zone = false;
  for (const auto& candidate : candidates) {
    if (!candidate.ready) continue;
    any = true;
    all_nodes = all_nodes && !candidate.source->for_nodes->empty();
    all_zones = all_zones && !candidate.source->for_zones->empty();
    this_node = this_node || names(*candidate.source->for_nodes, node_name);
    this_zone = this_zone || (!zone.empty() && names(*candidate.source->for_zones, zone));
  }
  if (any && all_nodes && this_node) return Topology::same_node;
  if (any && all_zones && this_zone) return Topology::same_zone;
  return Topology::none;
}

Selection select_endpoints(std::span<const Candidate> candidates, std::string_view node_name, std::string_view zone) {
  const Topology topology = topology_of(candidates, node_name, zone);
  Selection selection;
  selection.cluster = list_by({TrafficPolicy::cluster, topology, node_name, zone}, candidates);
  selection.local = list_by({TrafficPolicy::local, topology, node_name, zone}, candidates);
  selection.has_any =
      std::any_of(candidates.begin(), candidates.end(), [](const Candidate& c) { return c.ready || c.fallback; });
  return selection;
}

std::vector<Standing> standings(std::span<const Candidate> candidates, TrafficPolicy policy, std::string_view node_name,
                                std::string_view zone) {
  const ListRule rule{policy, topology_of(candidates, node_name, zone), node_name, zone};
  const bool falling_back = rule.falls_back(candidates);
  std::vector<Standing> all;
  for (const auto& candidate : candidates) all.push_back(rule.standing(candidate, falling_back));
  return all;
}

}  // namespace ipvsd
