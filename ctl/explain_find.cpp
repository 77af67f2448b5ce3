// Who wants an address and port, and which ones a Service has.
#include <fmt/format.h>

#include <algorithm>

#include "ctl/explain.hpp"

namespace ipvsd::ctl {
namespace {

bool contains(const std::vector<IpAddress>& addresses, const IpAddress& address) {
  return std::find(addresses.begin(), addresses.end(), address) != addresses.end();
}

bool has_family(const Service& service, Family family) {
  return std::any_of(service.cluster_ips.begin(), service.cluster_ips.end(),
                     [&](const IpAddress& address) { return address.family() == family; });
}

std::optional<FrontendKind> kind_at(const Service& service, const ServicePort& port, const NodeView& view,
                                    const VirtualServerKey& target) {
  if (port.protocol != target.protocol || !has_family(service, target.family())) return {};
  if (port.port == target.port) {
    if (contains(service.cluster_ips, target.address)) return FrontendKind::cluster_ip;
    if (contains(service.external_ips, target.address)) return FrontendKind::external_ip;
    if (contains(service.load_balancer_ips, target.address)) return FrontendKind::load_balancer;
  }
  if (port.node_port.number != 0 && port.node_port == target.port && contains(view.node_port_addresses, target.address))
    return FrontendKind::node_port;
  return {};
}

}  // namespace

std::string_view to_string(FrontendKind kind) {
  switch (kind) {
    case FrontendKind::cluster_ip: break;
    case FrontendKind::external_ip: return "external IP";
    case FrontendKind::load_balancer: return "load balancer IP";
    case FrontendKind::node_port: return "NodePort";
  }
  return "ClusterIP";
}

std::string Claimant::name() const {
  return service->key.to_string() + ":" + (port->name.empty() ? std::to_string(port->port.number) : port->name);
}

std::vector<Claimant> claimants(const Cluster& cluster, const NodeView& view, const VirtualServerKey& target) {
  std::vector<Claimant> found;
  for (const auto& key : cluster.state.service_keys()) {
    const auto* service = cluster.state.service(key);
    if (service == nullptr) continue;
    for (const auto& port : service->ports)
      if (const auto kind = kind_at(*service, port, view, target)) {
        found.push_back({service, &port, *kind});
        break;  // a Service has it once
      }
  }
  // As the ledger (reconcile/ledger.hpp) settles a conflict.
  std::sort(found.begin(), found.end(), [](const Claimant& a, const Claimant& b) {
    return std::tie(a.service->created, a.service->key) < std::tie(b.service->created, b.service->key);
  });
  return found;
}

ServiceTargets targets_of(const Cluster& cluster, const NodeView& view, const ObjectKey& key) {
  ServiceTargets all;
  const auto* known = cluster.state.known_service(key);
  const auto* service = cluster.state.service(key);
  if (known == nullptr) {
    all.faults.push_back({"no-such-service", fmt::format("{} knows no Service {}", cluster.origin, key.to_string()),
                          "check the name and the namespace"});
  } else if (service == nullptr) {
    all.faults.push_back({"ignored-service",
                          fmt::format("Service {} bears the label service.kubernetes.io/headless or "
                                      "service.kubernetes.io/service-proxy-name: another proxy is to serve it",
                                      key.to_string()),
                          "remove the label if it is this proxy that should"});
  } else if (service->cluster_ips.empty()) {
    all.faults.push_back({"headless-service",
                          fmt::format("Service {} has no cluster IP (headless or ExternalName): clients find its "
                                      "endpoints by DNS, and there is nothing for a proxy to do",
                                      key.to_string()),
                          "nothing, unless it should have one"});
  }
  if (!all.faults.empty()) return all;
  for (const auto& frontend : desired(*service, cluster.state.slices_of(key), cluster.policy, view, {}).frontends)
    if (frontend.server.key.fwmark == 0) all.targets.push_back(frontend.server.key);
  for (const auto& port : service->ports)
    if (port.node_port.number != 0 && view.node_port_addresses.empty())
      all.faults.push_back({"node-port-excluded",
                            fmt::format("no address of this node serves NodePorts, so {} is not reachable as NodePort "
                                        "{}: nodePortAddresses excludes them all",
                                        key.to_string(), port.node_port.number),
                            "change nodePortAddresses"});
  return all;
}

void note_conflict(Explanation& explanation, const ObjectKey& service) {
  const auto prefix = service.to_string() + ":";
  if (explanation.service.empty() || explanation.service.starts_with(prefix)) return;
  explanation.faults.insert(explanation.faults.begin(),
                            {"conflict-lost",
                             fmt::format("{} is {}'s, the older Service; {} wants it too and does not have it",
                                         explanation.target.to_string(), explanation.service, service.to_string()),
                             "give one of the two another address or port"});
}

std::vector<Protocol> protocols_at(const IpAddress& address, Port port, const NodeFacts& facts,
                                   const Cluster* cluster) {
  std::vector<Protocol> found;
  for (const auto protocol : {Protocol::tcp, Protocol::udp, Protocol::sctp}) {
    const VirtualServerKey key{address, protocol, port, 0};
    const bool wanted =
        cluster != nullptr && !claimants(*cluster, cluster->view(facts.addresses, facts.routes), key).empty();
    if (wanted || facts.server(key) != nullptr) found.push_back(protocol);
  }
  if (found.empty()) found.push_back(Protocol::tcp);
  return found;
}

}  // namespace ipvsd::ctl
