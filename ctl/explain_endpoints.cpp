// Which endpoints get new connections, and why the others do not.
#include <fmt/format.h>

#include <algorithm>

#include "ctl/explain.hpp"
#include "scheduler/endpoints.hpp"

namespace ipvsd::ctl {
namespace {

std::uint64_t connections(const ObservedDestination& found) {
  return std::uint64_t{found.active_connections} + found.inactive_connections;
}

std::string draining(const ObservedDestination& found) {
  return "draining with " + counted(connections(found), "connection");
}

const ObservedDestination* find(const ObservedVirtualServer* server, const DestinationKey& key) {
  if (server == nullptr) return nullptr;
  for (const auto& found : server->destinations)
    if (found.destination.key == key) return &found;
  return nullptr;
}

std::string hints_of(const Endpoint& endpoint) {
  if (!endpoint.for_nodes->empty()) return fmt::format("node {}", fmt::join(*endpoint.for_nodes, ", "));
  return fmt::format("zone {}", fmt::join(*endpoint.for_zones, ", "));
}

std::string reason_of(const Candidate& candidate, Standing standing) {
  switch (standing) {
    case Standing::in: return candidate.ready ? "ready" : "terminating, still serving, and nobody else is ready";
    case Standing::not_ready: return candidate.source->terminating ? "terminating, no longer serving" : "not ready";
    case Standing::terminating: return "terminating";
    case Standing::on_other_node: return "traffic policy Local: it is on another node";
    case Standing::hinted_elsewhere: return "other zone by hint: for " + hints_of(*candidate.source);
  }
  return {};
}

// The list that `wanted` came from: by its contents, and where both lists are equal by what the Service says.
TrafficPolicy policy_behind(const Frontend& wanted, const Selection& selection, const Claimant& owner) {
  const auto said =
      owner.kind == FrontendKind::cluster_ip ? owner.service->internal_policy : owner.service->external_policy;
  const bool local = wanted.destinations == selection.local;
  const bool everywhere = wanted.destinations == selection.cluster;
  if (local && everywhere) return said;
  return local ? TrafficPolicy::local : TrafficPolicy::cluster;
}

std::string names_of(const std::vector<DestinationKey>& keys) {
  std::vector<std::string> names;
  for (const auto& key : keys) names.push_back(key.to_string());
  return fmt::format("{}", fmt::join(names, ", "));
}

void add_no_endpoint(EndpointFindings& findings, const std::vector<Candidate>& candidates, const Selection& selection,
                     TrafficPolicy policy, const std::string& name) {
  if (candidates.empty())
    findings.faults.push_back({"no-endpoints", fmt::format("{} has no endpoint for this port", name),
                               "check the Service's selector and the Pods that it should select; for a named "
                               "targetPort, the name of the Pod's port"});
  else if (policy == TrafficPolicy::local && selection.has_any)
    findings.faults.push_back({"no-local-endpoint",
                               fmt::format("traffic policy Local, and {} has no endpoint on this node", name),
                               "send traffic to a node that has one, or set the policy to Cluster"});
  else
    findings.faults.push_back(
        {"no-ready-endpoint",
         fmt::format("{} has {} for this port, and none is ready", name, counted(candidates.size(), "endpoint")),
         "see why the Pods are not ready: kubectl get pods, kubectl describe pod"});
}

// What the kernel has of the wanted ones.
void compare(EndpointFindings& findings, const Frontend& wanted, const ObservedVirtualServer& found) {
  std::vector<DestinationKey> missing;
  std::vector<DestinationKey> weightless;
  for (const auto& destination : wanted.destinations) {
    const auto* present = find(&found, destination.key);
    if (present == nullptr)
      missing.push_back(destination.key);
    else if (present->destination.weight == 0)
      weightless.push_back(destination.key);
  }
  std::vector<DestinationKey> strangers;
  for (const auto& present : found.destinations)
    if (present.destination.weight > 0 &&
        std::none_of(wanted.destinations.begin(), wanted.destinations.end(),
                     [&](const Destination& destination) { return destination.key == present.destination.key; }))
      strangers.push_back(present.destination.key);
  const auto repair = "the daemon puts it right at its next audit; if not, see kube-ipvsctl status";
  if (!missing.empty())
    findings.faults.push_back({"destination-missing",
                               fmt::format("the virtual server lacks {} of {} destinations: {}", missing.size(),
                                           wanted.destinations.size(), names_of(missing)),
                               repair});
  if (!weightless.empty())
    findings.faults.push_back({"zero-weight",
                               fmt::format("{} of {} destinations have weight 0 and get no new connection: {}",
                                           weightless.size(), wanted.destinations.size(), names_of(weightless)),
                               repair});
  if (!strangers.empty())
    findings.faults.push_back(
        {"destination-unwanted",
         fmt::format("new connections also go to what is not among the endpoints: {}", names_of(strangers)), repair});
}

}  // namespace

EndpointFindings explain_endpoints(const Cluster& cluster, const NodeView& view, const Claimant& owner,
                                   const Frontend& wanted, const ObservedVirtualServer* found, bool from_inside) {
  EndpointFindings findings;
  const auto slices = cluster.state.slices_of(owner.service->key);
  const auto candidates = merge_endpoints(slices, wanted.server.key.family(), *owner.port, cluster.policy.node_name);
  const auto selection = select_endpoints(candidates, cluster.policy.node_name, view.zone);
  const auto policy = policy_behind(wanted, selection, owner);
  const auto where = standings(candidates, policy, cluster.policy.node_name, view.zone);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    ExplainedEndpoint row;
    row.key = candidates[i].key;
    row.pod = candidates[i].slice->pod_of(*candidates[i].source);
    row.node = *candidates[i].source->node_name;
    row.in = where[i] == Standing::in;
    row.reason = reason_of(candidates[i], where[i]);
    if (const auto* present = find(found, row.key)) {
      row.found = *present;
      if (!row.in && present->destination.weight == 0) row.reason += ", " + draining(*present);
    }
    findings.rows.push_back(std::move(row));
  }
  if (found != nullptr)
    for (const auto& present : found->destinations) {
      const auto& key = present.destination.key;
      if (std::any_of(candidates.begin(), candidates.end(), [&](const Candidate& one) { return one.key == key; }))
        continue;
      const auto reason = present.destination.weight == 0 ? draining(present) : std::string("in the kernel alone");
      findings.rows.push_back({key, "", "", false, "not an endpoint: " + reason, present, {}});
    }

  if (wanted.destinations.empty())
    add_no_endpoint(findings, candidates, selection, policy, owner.name());
  else if (found != nullptr)
    compare(findings, wanted, *found);
  const bool outside_only_local = owner.kind != FrontendKind::cluster_ip &&
                                  owner.service->external_policy == TrafficPolicy::local && selection.local.empty();
  if (outside_only_local && !wanted.destinations.empty() && !from_inside)
    findings.faults.push_back(
        {"no-local-endpoint",
         fmt::format("externalTrafficPolicy Local, and {} has no endpoint on this node: clients outside get no answer "
                     "here",
                     owner.name()),
         "the load balancer should see by healthCheckNodePort that this node has none; or set the policy to Cluster"});
  return findings;
}

EndpointFindings explain_destinations(const ObservedVirtualServer& found) {
  EndpointFindings findings;
  bool any = false;
  for (const auto& present : found.destinations) {
    const bool in = present.destination.weight > 0;
    any = any || in;
    findings.rows.push_back({present.destination.key,
                             "",
                             "",
                             in,
                             in ? fmt::format("weight {}", present.destination.weight) : draining(present),
                             present,
                             {}});
  }
  if (found.destinations.empty())
    findings.faults.push_back({"no-endpoints", "the virtual server has no destination",
                               "the Service has no endpoint that is ready, or the daemon is behind: name the Services "
                               "by --manifests or --kubeconfig to see which"});
  else if (!any)
    findings.faults.push_back({"zero-weight",
                               "all destinations have weight 0: they drain, and nobody takes new "
                               "connections",
                               "see whether the Service has endpoints that are ready"});
  return findings;
}

}  // namespace ipvsd::ctl
