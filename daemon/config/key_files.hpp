// Secrets that the whole machine can read.
#pragma once

#include <string>
#include <vector>

#include "daemon/config/kubeconfig.hpp"

namespace ipvsd {

// A line for each file with a token or a private key that users other than its owner and group may read or write: the
// file, its mode, what follows from it and what to do. The kubeconfig counts if a secret stands in it ("": there is
// none). Files that a kubelet made are left out: they are readable, in a folder that only their pod has. A file that
// cannot be looked at is none of this function's business.
[[nodiscard]] std::vector<std::string> exposed_secrets(const ApiAccess& access, const std::string& kubeconfig);

}  // namespace ipvsd
