#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "daemon/check/judge.hpp"

namespace ipvsd::check {
namespace {

// A Service with hundreds of addresses must not bury the rest.
constexpr std::size_t shown_limit = 20;

void judge_access(const ClusterFacts& cluster, Findings& findings) {
  bool refused = false;
  for (const auto& [verb, resource, status, error] : cluster.accesses) {
    if (status == 200) continue;
    const bool event = resource == "events";
    refused = refused || !event;
    std::string remedy = fmt::format("is {} right, and is it reachable from this node?", cluster.source);
    if (status == 401) remedy = "the token or certificate is not accepted: give another with --kubeconfig";
    if (status == 403)
      remedy = fmt::format("grant {} on {}{} to this user, as ClusterRole system:node-proxier and the chart's do", verb,
                           resource, event ? " of events.k8s.io" : "");
    if (event) remedy += "; without it Services are served, and no Events are recorded";
    findings.push_back({event ? Severity::warning : Severity::problem, "access",
                        fmt::format("{} {}: {}", verb, resource, error), remedy});
  }
  if (!cluster.accesses.empty() && !refused)
    findings.push_back(
        {Severity::ok, "access", fmt::format("{} lets us list and watch all that is needed", cluster.source), ""});
}

void judge_node_object(const ClusterFacts& cluster, std::string_view node_name, Findings& findings) {
  if (!cluster.node_known || cluster.node_found) return;
  findings.push_back({Severity::warning, "node", fmt::format("there is no Node {}", node_name),
                      "set hostnameOverride (--hostname-override) to this Node's name: without it no endpoint is local "
                      "and zones are unknown"});
}

// Where the node itself has an address of that value, if anywhere but on kube-ipvs0.
std::map<IpAddress, std::string> links_of(const NodeFacts& node) {
  std::map<IpAddress, std::string> links;
  for (const auto& [link, address, prefix] : node.addresses)
    if (link != ipvs_link_name) links.emplace(address, link);
  return links;
}

void judge_addresses(const ClusterFacts& cluster, const NodeFacts& node, Findings& findings) {
  if (!node.addresses_error.empty()) {
    findings.push_back({Severity::warning, "address", node.addresses_error, "run --check as root on the node"});
    return;
  }
  const auto links = links_of(node);
  Findings found;
  for (const auto& service : cluster.services) {
    if (service.ignored) continue;
    const auto clash = [&](const std::vector<IpAddress>& addresses, std::string_view what, Severity severity,
                           const std::string& remedy) {
      for (const auto& address : addresses)
        if (const auto at = links.find(address); at != links.end())
          found.push_back({severity, "address",
                           fmt::format("{} is {} of Service {} and an address of {} on this node", address.to_string(),
                                       what, service.key.to_string(), at->second),
                           remedy});
    };
    clash(service.cluster_ips, "the ClusterIP", Severity::problem,
          "give the node or the Service another address: the node is not reachable by this one for other nodes' pods");
    const std::string ports =
        "make sure that nothing of the node itself listens on the Service's ports at this address: IPVS takes them";
    clash(service.external_ips, "an externalIP", Severity::warning, ports);
    clash(service.load_balancer_ips, "a load balancer address", Severity::warning, ports);
  }
  // Without the Services, what a predecessor bound says which addresses are theirs.
  if (!cluster.services_known)
    for (const auto& [link, address, prefix] : node.addresses)
      if (link == ipvs_link_name)
        if (const auto at = links.find(address); at != links.end())
          found.push_back(
              {Severity::warning, "address",
               fmt::format("{} is on {} and on {} as well", address.to_string(), ipvs_link_name, at->second),
               "give the node or the Service another address"});
  if (found.empty() && cluster.services_known)
    found.push_back({Severity::ok, "address",
                     fmt::format("none of {} Services has an address of this node", cluster.services.size()), ""});
  if (found.size() > shown_limit) {
    const auto more = found.size() - shown_limit;
    found.resize(shown_limit);
    found.push_back({Severity::warning, "address", fmt::format("and {} more like these", more), ""});
  }
  findings.insert(findings.end(), found.begin(), found.end());
}

void judge_arp(const ClusterFacts& cluster, const NodeFacts& node, const Config& config, Findings& findings) {
  if (config.ipvs.strict_arp) {
    findings.push_back({Severity::ok, "arp", "ipvs.strictARP is true: VIPs do not answer ARP on other interfaces", ""});
    return;
  }
  const bool outside = std::any_of(cluster.services.begin(), cluster.services.end(), [](const Service& service) {
    return !service.ignored && (!service.load_balancer_ips.empty() || !service.external_ips.empty());
  });
  if (outside && node.arp_ignore == 0U)
    findings.push_back(
        {Severity::warning, "arp",
         "ipvs.strictARP is false and there are Services with load balancer or external addresses: every "
         "node answers ARP for them on all of its interfaces",
         "set ipvs.strictARP: true if MetalLB (layer 2), kube-vip (ARP) or the like announces them"});
  else
    findings.push_back({Severity::ok, "arp", "ipvs.strictARP is false, and nobody minds", ""});
}

// The daemon must not reach the API server through the VIP that it makes itself.
void judge_way_to_server(const ClusterFacts& cluster, Findings& findings) {
  const auto address = IpAddress::parse(cluster.host);
  if (!address) return;
  for (const auto& service : cluster.services)
    if (std::find(service.cluster_ips.begin(), service.cluster_ips.end(), *address) != service.cluster_ips.end())
      findings.push_back(
          {Severity::warning, "api server",
           fmt::format("{} is the ClusterIP of Service {}: on a node that starts afresh nobody serves it "
                       "before kube-ipvsd does",
                       cluster.source, service.key.to_string()),
           "give the server's own address: --master URL, or a kubeconfig"});
}

}  // namespace

Findings judge_proxies(const NodeFacts& node) {
  Findings findings;
  if (node.answering_proxy)
    findings.push_back({Severity::warning, "proxy",
                        *node.answering_proxy + ": kube-ipvsd waits, writing nothing, until it ends",
                        "end kube-proxy on this node (docs/migration.md); its state is taken over"});
  if (node.another_kube_ipvsd)
    findings.push_back(
        {Severity::warning, "proxy", "a kube-ipvsd runs here already: a second one waits until it ends", ""});
  for (const auto& [pid, name] : node.proxies) {
    if (name == "kube-proxy" && node.answering_proxy) continue;
    const bool foreign = name == "keepalived";
    findings.push_back(
        {name == "kube-router" ? Severity::problem : Severity::warning, "proxy",
         fmt::format("{} runs here (process {})", name, pid),
         foreign
             ? "its virtual servers are left alone; put their addresses into ipvs.excludeCIDRs to be safe"
             : fmt::format("end {} on this node, or switch its Service proxy off: two writers undo each other", name)});
  }
  if (findings.empty()) findings.push_back({Severity::ok, "proxy", "nobody else serves Services on this node", ""});
  return findings;
}

Findings judge_cluster(const ClusterFacts& cluster, const NodeFacts& node, const Config& config,
                       std::string_view node_name) {
  Findings findings;
  if (cluster.source.empty())
    findings.push_back({Severity::warning, "access", "not checked, nor are the Services: " + cluster.error,
                        "give --kubeconfig FILE, or --manifests DIR"});
  judge_access(cluster, findings);
  if (!cluster.source.empty() && !cluster.error.empty())
    findings.push_back({Severity::problem, "access", cluster.error, "see kube-ipvsd's own log for more"});
  for (std::size_t i = 0; i < std::min(cluster.warnings.size(), shown_limit); ++i)
    findings.push_back({Severity::warning, "object", cluster.warnings[i], "correct the object"});
  judge_node_object(cluster, node_name, findings);
  judge_way_to_server(cluster, findings);
  judge_addresses(cluster, node, findings);
  judge_arp(cluster, node, config, findings);
  return findings;
}

}  // namespace ipvsd::check
