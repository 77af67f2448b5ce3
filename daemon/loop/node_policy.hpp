// What the configuration means on this node; the daemon and kube-ipvsctl derive it here.
#pragma once

#include <string>

#include "daemon/config/config.hpp"
#include "reconcile/policy.hpp"

namespace ipvsd {

// The kernel's name of this host.
[[nodiscard]] std::string hostname();

// Errors: malformed, for a scheduler or node name that cannot be one.
[[nodiscard]] Result<Policy> make_policy(const Config& config, std::string_view hostname);

}  // namespace ipvsd
