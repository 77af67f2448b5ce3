#include "daemon/config/family_check.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace ipvsd {
namespace {

bool only(const std::vector<Cidr>& cidrs, Family family) {
  return !cidrs.empty() &&
         std::all_of(cidrs.begin(), cidrs.end(), [&](const Cidr& cidr) { return cidr.family() == family; });
}

}  // namespace

FamilyCheck check_families(const Config& config, const std::array<bool, 2>& serves) {
  FamilyCheck check;
  const auto& node_ports = config.node_port_addresses;
  for (const auto family : families) {
    const auto other = family == Family::ipv4 ? Family::ipv6 : Family::ipv4;
    const bool one_sided =
        serves[static_cast<std::size_t>(other)] && !config.node_port_addresses_primary && only(node_ports, family);
    if (one_sided)
      check.warnings.push_back(fmt::format(
          "nodePortAddresses has {} only: no NodePort is served on {} addresses; add a CIDR of that family, "
          "or primary",
          to_string(family), to_string(other)));
    if (serves[static_cast<std::size_t>(family)]) continue;
    const auto warn = [&](std::string_view field) {
      check.warnings.push_back(fmt::format("{} is of {} only, and this node serves {} only: it has no effect", field,
                                           to_string(family), to_string(other)));
    };
    if (only(config.cluster_cidrs, family)) {
      warn("clusterCIDR");
      if (config.detect_local_mode == DetectLocalMode::cluster_cidr)
        check.fatal = fmt::format(
            "clusterCIDR is of {} only, and this node serves {} only: set clusterCIDR to the "
            "addresses of its pods, or another detectLocalMode",
            to_string(family), to_string(other));
    }
    if (only(config.ipvs.exclude_cidrs, family)) warn("ipvs.excludeCIDRs");
    if (config.bind_address && config.bind_address->family() == family) warn("bindAddress");
    const auto unreachable = [&](const std::optional<SocketAddress>& address) {
      return address && address->address.family() == family && !address->address.is_unspecified() &&
             !address->address.is_loopback();
    };
    if (unreachable(config.healthz)) warn("healthzBindAddress");
    if (unreachable(config.metrics)) warn("metricsBindAddress");
  }
  return check;
}

std::optional<std::string> check_pod_cidrs(const Config& config, const std::vector<Cidr>& pod_cidrs,
                                           const std::array<bool, 2>& serves) {
  if (config.detect_local_mode != DetectLocalMode::node_cidr) return {};
  const bool usable = std::any_of(pod_cidrs.begin(), pod_cidrs.end(),
                                  [&](const Cidr& cidr) { return serves[static_cast<std::size_t>(cidr.family())]; });
  if (usable) return {};
  return fmt::format(
      "detectLocalMode is NodeCIDR, and the Node has {}: no traffic is told to be local; "
      "let the cluster assign podCIDRs, or set another detectLocalMode",
      pod_cidrs.empty() ? "no spec.podCIDRs" : "spec.podCIDRs of a family that is not served here only");
}

}  // namespace ipvsd
