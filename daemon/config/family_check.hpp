// Settings that make no sense on a node with these families.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "daemon/config/config.hpp"

namespace ipvsd {

struct FamilyCheck {
  std::vector<std::string> warnings;
  std::optional<std::string> fatal;  // no traffic could be told to be local
};

// `serves`: by Family. Pure.
[[nodiscard]] FamilyCheck check_families(const Config& config, const std::array<bool, 2>& serves);

// With detectLocalMode NodeCIDR: what is wrong with the Node's spec.podCIDRs; empty if nothing. Pure.
[[nodiscard]] std::optional<std::string> check_pod_cidrs(const Config& config, const std::vector<Cidr>& pod_cidrs,
                                                         const std::array<bool, 2>& serves);

}  // namespace ipvsd
