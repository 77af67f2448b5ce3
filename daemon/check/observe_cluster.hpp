// Asks the API server, or the directory of manifests, for --check what the daemon would ask it.
#pragma once

#include <chrono>

#include "daemon/check/facts.hpp"
#include "daemon/config/kubeconfig.hpp"

namespace ipvsd::check {

// Tries each list and watch that the daemon makes, and to record an Event, without recording one; then reads all
// Services and the Node. At most `deadline` for the latter. The process must ignore SIGPIPE (ApiConnection).
[[nodiscard]] ClusterFacts observe_api(const ApiAccess& access, const std::string& node_name,
                                       std::chrono::seconds deadline);

// `node_found` where a manifest has the Node; it need not.
[[nodiscard]] ClusterFacts observe_manifests(const std::string& directory, std::chrono::seconds deadline);

}  // namespace ipvsd::check
