// --cleanup: removes everything that is ours, and what a kube-proxy in ipvs mode left, and nothing else.
#pragma once

#include "ipset/iptables.hpp"
#include "model/kernel.hpp"

namespace ipvsd {

// Virtual servers inside `exclude_cidrs` stay. Tries all of it, and returns the first error.
[[nodiscard]] Result<void> clean_up(Kernel& kernel, Iptables& iptables, const std::vector<Cidr>& exclude_cidrs);

}  // namespace ipvsd
