// The cluster's Service CIDRs: ServiceCIDR objects (networking.k8s.io/v1, Kubernetes 1.33; KEP-1880).
#pragma once

#include <string_view>
#include <vector>

#include "daemon/source/api_connection.hpp"
#include "model/ip.hpp"

namespace ipvsd {

// A ServiceCIDRList. Pure. Error: malformed.
[[nodiscard]] Result<std::vector<Cidr>> decode_service_cidrs(std::string_view json);

// Asks the API server once. Errors: unsupported, of a server that has no such objects (before 1.33); denied, where RBAC
// forbids it; malformed; timed_out, disconnected or busy where asking again may help.
[[nodiscard]] Result<std::vector<Cidr>> read_service_cidrs(ApiConnection& connection);
[[nodiscard]] Result<std::vector<Cidr>> read_service_cidrs(const ApiAccess& access);

}  // namespace ipvsd
