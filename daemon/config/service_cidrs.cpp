#include "daemon/config/service_cidrs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace ipvsd {
namespace {

constexpr std::uint8_t shortest_prefix = 8;

bool overlap(const Cidr& a, const Cidr& b) { return a.contains(b.address) || b.contains(a.address); }

std::optional<std::string> objection(const Cidr& cidr, const Config& config,
                                     const std::vector<LinkAddress>& addresses) {
  if (cidr.prefix < shortest_prefix) return fmt::format("its prefix is shorter than /{}", shortest_prefix);
  for (const auto& pods : config.cluster_cidrs)
    if (overlap(cidr, pods)) return fmt::format("it overlaps clusterCIDR {}", pods.to_string());
  for (const auto& [link, address, prefix] : addresses)
    if (link != ipvs_link_name && cidr.contains(address))
      return fmt::format("{} of {} is in it", address.to_string(), link);
  return {};
}

}  // namespace

UsableCidrs usable_service_cidrs(const Config& config, const std::vector<Cidr>& found,
                                 const std::vector<LinkAddress>& addresses) {
  UsableCidrs usable;
  for (const auto& cidr : found) {
    if (const auto why = objection(cidr, config, addresses))
      usable.warnings.push_back(fmt::format("Service CIDR {} gets no local route: {}; its VIPs are bound to {}",
                                            cidr.to_string(), *why, ipvs_link_name));
    else
      usable.cidrs.push_back(cidr);
  }
  std::sort(usable.cidrs.begin(), usable.cidrs.end());
  usable.cidrs.erase(std::unique(usable.cidrs.begin(), usable.cidrs.end()), usable.cidrs.end());
  return usable;
}

std::vector<Cidr> routed_cidrs(const Config& config) {
  return config.own.service_addresses == ServiceAddresses::route ? config.own.service_cidrs : std::vector<Cidr>{};
}

}  // namespace ipvsd
