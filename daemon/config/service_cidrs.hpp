// Which Service CIDRs can be made local by a route (ipvsd.serviceAddresses: route). Pure.
#pragma once

#include <string>
#include <vector>

#include "daemon/config/config.hpp"
#include "model/kernel.hpp"

namespace ipvsd {

struct UsableCidrs {
  std::vector<Cidr> cidrs;  // sorted
  // Why others are not: they hold an address of the node or of its pods, or are too large to be meant. Their VIPs are
  // bound.
  std::vector<std::string> warnings;
};

// `found`: as configured, or the cluster's. `addresses`: on the node's links.
[[nodiscard]] UsableCidrs usable_service_cidrs(const Config& config, const std::vector<Cidr>& found,
                                               const std::vector<LinkAddress>& addresses);

// Those in effect; none with serviceAddresses: bind.
[[nodiscard]] std::vector<Cidr> routed_cidrs(const Config& config);

}  // namespace ipvsd
