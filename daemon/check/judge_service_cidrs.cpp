#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "daemon/check/judge.hpp"
#include "daemon/config/service_cidrs.hpp"

namespace ipvsd::check {
namespace {

constexpr std::string_view subject = "service cidr";

// A packet to a pod of this node would be taken for one to the node itself: the local table is looked at first.
void judge_pods(const std::vector<Cidr>& cidrs, const std::vector<Cidr>& pods, Findings& findings) {
  for (const auto& cidr : cidrs)
    for (const auto& pod : pods)
      if (cidr.contains(pod.address) || pod.contains(cidr.address))
        findings.push_back({Severity::problem, std::string(subject),
                            fmt::format("Service CIDR {} overlaps podCIDR {} of this Node: by its route pods would not "
                                        "be reached",
                                        cidr.to_string(), pod.to_string()),
                            "correct ipvsd.serviceCIDRs, or set ipvsd.serviceAddresses: bind"});
}

void judge_services(const std::vector<Cidr>& cidrs, const std::vector<Service>& services, Findings& findings) {
  std::size_t outside = 0;
  std::string first;
  for (const auto& service : services)
    for (const auto& address : service.ignored ? std::vector<IpAddress>() : service.cluster_ips) {
      const auto holds = [&](const Cidr& cidr) { return cidr.contains(address); };
      if (std::any_of(cidrs.begin(), cidrs.end(), holds)) continue;
      if (outside++ == 0) first = fmt::format("{} of Service {}", address.to_string(), service.key.to_string());
    }
  if (outside > 0)
    findings.push_back({Severity::warning, std::string(subject),
                        fmt::format("{} ClusterIPs are in no Service CIDR that gets a route, first {}: they are bound "
                                    "to {}",
                                    outside, first, ipvs_link_name),
                        "add what is missing to ipvsd.serviceCIDRs; it costs time at the start only"});
}

}  // namespace

Findings judge_service_cidrs(const ClusterFacts& cluster, const NodeFacts& node, const Config& config) {
  Findings findings;
  if (config.own.service_addresses != ServiceAddresses::route) return findings;
  if (!cluster.service_cidrs_error.empty()) {
    // Without an API server to ask it does not start.
    findings.push_back({cluster.host.empty() ? Severity::problem : Severity::warning, std::string(subject),
                        cluster.service_cidrs_error + "; until then VIPs are bound", "set ipvsd.serviceCIDRs"});
    return findings;
  }
  auto usable = usable_service_cidrs(config, cluster.service_cidrs, node.addresses);
  for (auto& text : usable.warnings)
    findings.push_back({Severity::warning, std::string(subject), std::move(text), "correct ipvsd.serviceCIDRs"});
  judge_pods(usable.cidrs, cluster.pod_cidrs, findings);
  judge_services(usable.cidrs, cluster.services, findings);
  if (findings.empty()) {
    std::vector<std::string> texts;
    for (const auto& cidr : usable.cidrs) texts.push_back(cidr.to_string());
    findings.push_back({Severity::ok, std::string(subject),
                        fmt::format("VIPs are local by routes to {}", fmt::join(texts, " and ")), ""});
  }
  return findings;
}

}  // namespace ipvsd::check
