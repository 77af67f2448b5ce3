// kube-ipvsd --check: what stands in the way on this node, and what will be otherwise than under kube-proxy.
#pragma once

#include "daemon/config/flags.hpp"
#include "daemon/config/kubeconfig.hpp"

namespace ipvsd::check {

// Prints the findings to standard output. 0, or 1 if one of them is a problem. `node_name` and `access` as the daemon
// would use them, or why it could not.
[[nodiscard]] int preflight(const Flags& flags, const Result<std::string>& node_name, const Result<ApiAccess>& access);

}  // namespace ipvsd::check
